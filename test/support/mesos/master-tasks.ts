import { type AgentRecord, type FrameworkRecord, type MasterState, publish, sendTo, taskKey } from './master-state.ts'
import { isTerminalTask, type Task, type TaskState, type TaskStatus } from './types.ts'

export function addTask(master: MasterState, agent: AgentRecord, task: Task): void {
  agent.tasks.set(taskKey(task.framework_id.value, task.task_id.value), task)
  publish(master, { type: 'TASK_ADDED', task_added: { task } })
}

/** A status from an agent: handed on to its framework; what a task had is free as soon as its latest state is an end. */
export function statusArrived(
  master: MasterState,
  agent: AgentRecord,
  frameworkId: string,
  status: TaskStatus,
  latest: TaskState,
): void {
  const framework = master.frameworks.get(frameworkId)
  sendTo(framework, { type: 'UPDATE', update: { status } })
  const task = agent.tasks.get(taskKey(frameworkId, status.task_id.value))
  if (task === undefined) return
  if (status.uuid !== undefined)
    Object.assign(task, { status_update_state: status.state, status_update_uuid: status.uuid })
  setState(master, agent, task, status, latest)
}

function setState(master: MasterState, agent: AgentRecord, task: Task, status: TaskStatus, latest: TaskState): void {
  const ends = !isTerminalTask(task.state) && isTerminalTask(latest)
  if (!isTerminalTask(task.state)) task.state = latest
  const last = task.statuses.at(-1)
  if (last?.state === status.state) task.statuses[task.statuses.length - 1] = status
  else task.statuses.push(status)
  const updated = { framework_id: task.framework_id, status, state: task.state }
  publish(master, { type: 'TASK_UPDATED', task_updated: updated })
  if (ends) master.allocator.recover(task.framework_id.value, agent.id, task.resources)
}

/** The framework has taken note of an end: the task is history. */
export function taskAcknowledged(
  master: MasterState,
  agent: AgentRecord,
  frameworkId: string,
  taskId: string,
  uuid: string,
): void {
  const key = taskKey(frameworkId, taskId)
  const task = agent.tasks.get(key)
  if (
    task !== undefined &&
    task.status_update_uuid === uuid &&
    isTerminalTask(task.status_update_state ?? task.state)
  ) {
    agent.tasks.delete(key)
    master.frameworks.get(frameworkId)?.completedTasks.push(task)
  }
  master.wire.toAgent(agent.port, { kind: 'acknowledge', frameworkId, taskId, uuid })
}

/** A status that the master makes itself. It has no uuid, so that nobody acknowledges it. */
export function sayOfTask(
  framework: FrameworkRecord | undefined,
  taskId: string,
  agentId: string | undefined,
  state: TaskState,
  reason: string,
  message: string,
): TaskStatus {
  const status: TaskStatus = {
    task_id: { value: taskId },
    state,
    message,
    source: 'SOURCE_MASTER',
    reason,
    ...(agentId === undefined ? {} : { agent_id: { value: agentId } }),
    timestamp: Date.now() / 1000,
  }
  sendTo(framework, { type: 'UPDATE', update: { status } })
  return status
}

export function isPartitionAware(framework: FrameworkRecord | undefined): boolean {
  return framework?.info.capabilities?.some(({ type }) => type === 'PARTITION_AWARE') ?? false
}

/** Ends tasks of which the master knows that they are not there any more. */
export function lostTasks(
  master: MasterState,
  agent: AgentRecord,
  isLost: (key: string) => boolean,
  why: string,
  as?: TaskState,
): void {
  for (const [key, task] of [...agent.tasks]) {
    if (!isLost(key) || isTerminalTask(task.state)) continue
    const framework = master.frameworks.get(task.framework_id.value)
    const state = as ?? (isPartitionAware(framework) ? 'TASK_DROPPED' : 'TASK_LOST')
    const status = sayOfTask(framework, task.task_id.value, agent.id, state, 'REASON_SLAVE_DISCONNECTED', why)
    setState(master, agent, task, status, state)
    agent.tasks.delete(key)
    framework?.completedTasks.push(task)
  }
}
