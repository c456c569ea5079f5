/** Tasks on an agent: pending, queued until their volumes are published and their container runs, launched, ended. */
import { cleanUp, isolate } from './agent-isolation.ts'
import { publishFor } from './agent-publish.ts'
import { type AgentState, type PendingTask, tellMaster } from './agent-state.ts'
import { startProcess, unsupportedVolume } from './agent-volumes.ts'
import { Executor, type ExecutorTask } from './executor.ts'
import { uuidBytes } from './ids.ts'
import { providerOf } from './resources.ts'
import type { ExecutorInfo, FrameworkInfo, Task, TaskInfo, TaskStatus } from './types.ts'
import type { ToAgent, Versions } from './wire.ts'

type Run = Extract<ToAgent, { kind: 'run' }>

/** What Mesos adds for the executor of a command task; no framework is charged for it. */
const COMMAND_OVERHEAD = [
  { name: 'cpus', type: 'SCALAR', scalar: { value: 0.1 } },
  { name: 'mem', type: 'SCALAR', scalar: { value: 32 } },
] as const

export function run(agent: AgentState, message: Run): void {
  const frameworkId = message.framework.id?.value ?? ''
  const pending: PendingTask[] = message.tasks.map((info) => ({ frameworkId, info }))
  for (const task of pending) agent.pending.add(task)
  agent.after(1, () => {
    const wanted = pending.filter((task) => agent.pending.delete(task))
    if (wanted.length === pending.length) start(agent, message)
  })
}

function start(agent: AgentState, { framework, tasks, executor, versions }: Run): void {
  const [first] = tasks
  if (first === undefined) return
  const given = executor ?? first.executor
  if (isOutdated(agent, tasks, given, versions)) {
    for (const task of tasks) dropTask(agent, framework, task, given?.executor_id.value ?? task.task_id.value)
    return
  }
  const known = given === undefined ? undefined : findExecutor(agent, framework, given)
  const place = known ?? newExecutor(agent, framework, given, first)
  const entries = tasks.map((info) => place.queue(info, newTask(agent, framework, info, given)))
  if (known === undefined) launchExecutor(agent, place, entries)
  else if (place.state === 'running') launchTasks(agent, place, entries)
}

function isOutdated(
  agent: AgentState,
  tasks: readonly TaskInfo[],
  executor: ExecutorInfo | undefined,
  versions: Versions,
): boolean {
  const used = [...tasks.flatMap(({ resources }) => resources ?? []), ...(executor?.resources ?? [])]
  return used.map(providerOf).some((id) => {
    const current = id === undefined ? agent.version : agent.providers.get(id)?.version
    return current === undefined || current !== versions.get(id ?? '')
  })
}

function dropTask(agent: AgentState, framework: FrameworkInfo, info: TaskInfo, executorId: string): void {
  const aware = framework.capabilities?.some(({ type }) => type === 'PARTITION_AWARE') ?? false
  const state = aware ? 'TASK_DROPPED' : 'TASK_LOST'
  const status: TaskStatus = {
    task_id: info.task_id,
    state,
    message: 'Task assumes outdated resource state',
    source: 'SOURCE_AGENT',
    reason: 'REASON_INVALID_OFFERS',
    agent_id: info.agent_id,
    executor_id: { value: executorId },
    timestamp: Date.now() / 1000,
    uuid: uuidBytes(),
  }
  tellMaster(agent, { kind: 'status', frameworkId: framework.id?.value ?? '', status, latest: state })
}

function findExecutor(agent: AgentState, framework: FrameworkInfo, info: ExecutorInfo): Executor | undefined {
  return [...agent.executors].find(
    (executor) =>
      executor.frameworkId === framework.id?.value &&
      executor.id === info.executor_id.value &&
      executor.state !== 'terminated',
  )
}

function newExecutor(
  agent: AgentState,
  framework: FrameworkInfo,
  given: ExecutorInfo | undefined,
  task: TaskInfo,
): Executor {
  const role = task.resources?.[0]?.allocation_info?.role ?? '*'
  const info: ExecutorInfo = given ?? {
    executor_id: task.task_id,
    name: `Command Executor (Task: ${task.task_id.value}) (Command: sh -c '${(task.command?.value ?? '').slice(0, 15)}...')`,
    resources: COMMAND_OVERHEAD.map((resource) => ({ ...resource, allocation_info: { role } })),
  }
  const executor = new Executor(
    framework,
    { ...info, framework_id: framework.id ?? { value: '' } },
    `${agent.workDir}/slaves/${agent.disk.agentId}`,
    given === undefined,
  )
  agent.executors.add(executor)
  attach(agent, executor)
  return executor
}

function newTask(agent: AgentState, framework: FrameworkInfo, info: TaskInfo, given: ExecutorInfo | undefined): Task {
  return {
    name: info.name,
    task_id: info.task_id,
    framework_id: framework.id ?? { value: '' },
    ...(given === undefined ? {} : { executor_id: given.executor_id }),
    agent_id: { value: agent.disk.agentId ?? '' },
    state: 'TASK_STAGING',
    resources: info.resources ?? [],
    statuses: [],
  }
}

/** From now on this run of the agent hears of the executor. */
export function attach(agent: AgentState, executor: Executor): void {
  executor.onStatus = (entry, status) => agent.turn(() => sendStatus(agent, executor, entry, status))
  executor.onIdle = () => agent.after(agent.timing.lingerMs, () => endExecutor(agent, executor))
}

export function sendStatus(agent: AgentState, executor: Executor, entry: ExecutorTask, status: TaskStatus): void {
  tellMaster(agent, { kind: 'status', frameworkId: executor.frameworkId, status, latest: entry.task.state })
}

function launchExecutor(agent: AgentState, executor: Executor, entries: readonly ExecutorTask[]): void {
  publishFor(agent, executor, executor.allocated, (failure) => {
    if (failure !== undefined) {
      failTasks(
        executor,
        entries,
        'REASON_CONTAINER_LAUNCH_FAILED',
        `Secret generation failed: Collect failed: ${failure}`,
      )
      return
    }
    agent.after(agent.timing.launchMs, () => {
      if (executor.state === 'terminated') return
      checkVolumes(agent, executor)
      executor.hasContainer = true
      isolate(agent, executor, (unable) => {
        if (unable !== undefined) failTasks(executor, entries, 'REASON_CONTAINER_LAUNCH_FAILED', unable)
        else agent.after(agent.timing.registerMs, () => registered(agent, executor))
      })
    })
  })
}

function checkVolumes(agent: AgentState, executor: Executor): void {
  const resource = executor.allocated.find(unsupportedVolume)
  const detail = resource?.disk?.source?.type ?? ''
  agent.hazards.check(
    resource === undefined,
    'agentUnsupportedSource',
    detail,
    `executor ${executor.id} of ${executor.frameworkId}`,
  )
}

function registered(agent: AgentState, executor: Executor): void {
  if (executor.state === 'terminated') return
  executor.state = 'running'
  launchTasks(
    agent,
    executor,
    [...executor.tasks.values()].filter(({ stage }) => stage === 'queued'),
  )
}

/** The second publish: that of the tasks, after that of their executor. */
function launchTasks(agent: AgentState, executor: Executor, entries: readonly ExecutorTask[]): void {
  if (entries.length === 0) return
  publishFor(agent, executor, executor.allocated, (failure) => {
    if (failure !== undefined) {
      const message = `Failed to update resources for container: Collect failed: ${failure}`
      failTasks(executor, entries, 'REASON_CONTAINER_UPDATE_FAILED', message)
      return
    }
    for (const entry of entries) launchTask(agent, executor, entry)
  })
}

function launchTask(agent: AgentState, executor: Executor, entry: ExecutorTask): void {
  if (entry.stage !== 'queued') return
  entry.stage = 'launched'
  executor.say(entry, { state: 'TASK_STARTING', source: 'SOURCE_EXECUTOR' })
  const failure = startProcess(agent, executor, entry, (end) => {
    const how = describeEnd(end.code, end.failure, entry.killed)
    executor.say(entry, { ...how, source: 'SOURCE_EXECUTOR' })
  })
  if (failure === undefined) executor.say(entry, { state: 'TASK_RUNNING', source: 'SOURCE_EXECUTOR' })
  else failTasks(executor, [entry], 'REASON_CONTAINER_LAUNCH_FAILED', failure)
}

function describeEnd(
  code: number,
  failure: string | undefined,
  killed: boolean,
): Pick<TaskStatus, 'state' | 'message' | 'reason'> {
  const message =
    failure ?? (code > 128 ? `Command terminated with signal ${code - 128}` : `Command exited with status ${code}`)
  if (killed) return { state: 'TASK_KILLED', message }
  if (code === 0) return { state: 'TASK_FINISHED', message }
  return { state: 'TASK_FAILED', message, reason: 'REASON_COMMAND_EXECUTOR_FAILED' }
}

function failTasks(executor: Executor, entries: readonly ExecutorTask[], reason: string, message: string): void {
  for (const entry of entries) {
    if (entry.stage === 'queued' || entry.stage === 'launched') {
      executor.say(entry, { state: 'TASK_FAILED', source: 'SOURCE_AGENT', reason, message })
    }
  }
}

/** The container goes, a while after the last task. */
export function endExecutor(agent: AgentState, executor: Executor): void {
  const busy = [...executor.tasks.values()].some(({ stage }) => stage === 'queued' || stage === 'launched')
  if (busy || executor.state === 'terminated') return
  executor.state = 'terminated'
  void executor
    .destroy()
    .then(() => cleanUp(agent, executor))
    .then(() =>
      agent.turn(() => {
        executor.hasContainer = false
        agent.executors.delete(executor)
        agent.completedExecutors.push(executor)
      }),
    )
}

export function acknowledgeTask(agent: AgentState, frameworkId: string, taskId: string, uuid: string): void {
  for (const executor of [...agent.executors, ...agent.completedExecutors]) {
    if (executor.frameworkId === frameworkId) executor.acknowledged(taskId, uuid)
  }
}

export function killTask(agent: AgentState, frameworkId: string, taskId: string): void {
  for (const task of agent.pending) {
    if (task.frameworkId === frameworkId && task.info.task_id.value === taskId) agent.pending.delete(task)
  }
  for (const executor of agent.executors) {
    const entry = executor.tasks.get(taskId)
    if (executor.frameworkId !== frameworkId || entry === undefined) continue
    entry.killed = true
    if (entry.process !== undefined) entry.process.terminate()
    else if (entry.stage === 'queued') {
      executor.say(entry, {
        state: 'TASK_KILLED',
        source: 'SOURCE_AGENT',
        message: 'Task was killed before it was launched',
      })
    }
  }
}

/** The framework is gone for ever: nobody wants to know how its tasks ended. */
export function shutdownFramework(agent: AgentState, frameworkId: string): void {
  for (const task of agent.pending) if (task.frameworkId === frameworkId) agent.pending.delete(task)
  for (const executor of agent.executors) {
    if (executor.frameworkId !== frameworkId) continue
    executor.onStatus = undefined
    for (const entry of executor.tasks.values()) {
      entry.process?.terminate()
      if (entry.stage === 'queued' || entry.stage === 'launched') entry.task.state = 'TASK_KILLED'
      entry.stage = 'completed'
      entry.unacknowledged.length = 0
    }
    agent.after(agent.timing.lingerMs, () => endExecutor(agent, executor))
  }
}
