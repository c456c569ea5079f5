import type { Accepting } from './accept.ts'
import { describeAgent, taskKey } from './master-state.ts'
import { addTask, sayOfTask } from './master-tasks.ts'
import { print } from './print.ts'
import { contains, subtract, sum } from './resources.ts'
import type { ExecutorInfo, OfferOperation, Resource, Task, TaskInfo } from './types.ts'
import type { Versions } from './wire.ts'

export function launch(accepting: Accepting, tasks: readonly TaskInfo[]): void {
  for (const task of tasks) {
    const wrong = invalidTask(accepting, task) ?? tooMuch(accepting, task.resources ?? [])
    if (wrong === undefined) run(accepting, [task], undefined)
    else taskError(accepting, task, wrong)
  }
}

/** All tasks of a group, or none. */
export function launchGroup(accepting: Accepting, { launch_group }: OfferOperation): void {
  const role = { role: accepting.role }
  const tasks = (launch_group?.task_group?.tasks ?? []).map((task) => ({
    ...task,
    resources: allocatedAll(task.resources, role),
  }))
  const executor = launch_group?.executor
  const own = allocatedAll(executor?.resources, role)
  const wrong =
    tasks.map((task) => invalidTask(accepting, task)).find((found) => found !== undefined) ??
    tooMuch(accepting, [...own, ...tasks.flatMap(({ resources }) => resources)])
  if (wrong !== undefined || executor === undefined) {
    for (const task of tasks) taskError(accepting, task, wrong ?? "'executor' must be set")
    return
  }
  run(accepting, tasks, { ...executor, resources: own })
}

function allocatedAll(resources: readonly Resource[] | undefined, role: { role: string }): Resource[] {
  return (resources ?? []).map((resource) => ({ ...resource, allocation_info: resource.allocation_info ?? role }))
}

function run(
  { master, framework, agent, ...accepting }: Accepting,
  tasks: readonly TaskInfo[],
  executor: ExecutorInfo | undefined,
) {
  for (const info of tasks) {
    const task: Task = {
      name: info.name,
      task_id: info.task_id,
      framework_id: { value: framework.id },
      ...(executor === undefined ? {} : { executor_id: executor.executor_id }),
      ...(info.executor === undefined ? {} : { executor_id: info.executor.executor_id }),
      agent_id: info.agent_id,
      state: 'TASK_STAGING',
      resources: info.resources ?? [],
      statuses: [],
    }
    addTask(master, agent, task)
  }
  const versions: Versions = new Map([
    ['', agent.version],
    ...[...agent.providers].map(([id, { version }]) => [id, version] as const),
  ])
  const message = { kind: 'run', framework: framework.info, tasks, versions } as const
  master.wire.toAgent(agent.port, executor === undefined ? message : { ...message, executor })
  return accepting
}

/** Takes the resources out of the offer. @returns why it can't */
function tooMuch(accepting: Accepting, resources: readonly Resource[]): string | undefined {
  const wanted = sum(resources)
  if (!contains(accepting.left, wanted)) {
    return `Total resources ${print(wanted)} required by task and its executor is more than available ${print(accepting.left)}`
  }
  accepting.left = subtract(accepting.left, wanted)
  return undefined
}

function taskError({ framework, agent }: Accepting, task: TaskInfo, message: string): void {
  sayOfTask(framework, task.task_id.value, agent.id, 'TASK_ERROR', 'REASON_TASK_INVALID', message)
}

function invalidTask({ agent, framework }: Accepting, task: TaskInfo): string | undefined {
  if (task.agent_id.value !== agent.id) {
    return `Task uses invalid agent ${task.agent_id.value} while agent ${describeAgent(agent)} is expected`
  }
  if (agent.tasks.has(taskKey(framework.id, task.task_id.value))) return `Task has duplicate ID: ${task.task_id.value}`
  for (const { disk } of task.resources ?? []) {
    if (disk?.volume !== undefined && disk.persistence === undefined) {
      return 'Task uses invalid resources: Invalid DiskInfo: Non-persistent volume not supported'
    }
    if (disk?.volume?.mode === 'RO')
      return 'Task uses invalid resources: Invalid DiskInfo: Read-only persistent volume not supported'
  }
  return undefined
}
