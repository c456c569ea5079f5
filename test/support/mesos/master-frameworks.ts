/** Frameworks subscribe, fail over, go away. */
import type { EventStream } from './http-host.ts'
import { rescind, withdraw } from './master-offers.ts'
import { adoptOrphan, markAsOrphan } from './master-operations.ts'
import { type FrameworkRecord, type MasterState, operationsOf, publish, sendTo, tasksOf } from './master-state.ts'
import { masterInfo } from './operator-views.ts'
import { type FrameworkInfo, isTerminalTask } from './types.ts'

const HEARTBEAT_SECONDS = 15

/** @returns the framework, new or known; its old stream, if one is open, is told to end */
export function subscribe(
  master: MasterState,
  info: FrameworkInfo,
  frameworkId: string | undefined,
  suppressed: readonly string[],
  open: (onGone: () => void) => EventStream,
): FrameworkRecord {
  const id = frameworkId ?? `${master.id}-${String(master.nextFramework++).padStart(4, '0')}`
  const isNew = !master.frameworks.has(id)
  const framework = master.frameworks.get(id) ?? newRecord(id, info)
  master.frameworks.set(id, framework)
  if (isNew) adoptOperations(master, framework)
  clearTimeout(framework.failoverTimer)
  if (framework.stream !== undefined) {
    sendTo(framework, { type: 'ERROR', error: { message: 'Framework failed over' } })
    closeStream(master, framework)
  }
  framework.info = { ...info, id: { value: id } }
  const stream = open(() => disconnected(master, framework, stream))
  framework.stream = stream
  const subscribed = {
    framework_id: { value: id },
    heartbeat_interval_seconds: HEARTBEAT_SECONDS,
    master_info: masterInfo(master),
  }
  stream.send({ type: 'SUBSCRIBED', subscribed })
  stream.send({ type: 'HEARTBEAT' })
  framework.heartbeat = setInterval(() => stream.send({ type: 'HEARTBEAT' }), HEARTBEAT_SECONDS * 1000)
  const capabilities = (info.capabilities ?? []).map(({ type }) => type)
  master.allocator.setFramework(id, info.roles ?? ['*'], capabilities, suppressed)
  const kind = isNew ? 'added' : 'updated'
  const event = { framework: { framework_info: framework.info, active: true, connected: true, recovered: false } }
  publish(master, { type: `FRAMEWORK_${kind.toUpperCase()}`, [`framework_${kind}`]: event })
  return framework
}

function newRecord(id: string, info: FrameworkInfo): FrameworkRecord {
  return {
    id,
    info: { ...info, id: { value: id } },
    stream: undefined,
    suppressed: [],
    operations: new Map(),
    completedTasks: [],
    failoverTimer: undefined,
    heartbeat: undefined,
  }
}

/** After a fail-over: an agent told of a framework that has not subscribed yet. */
export function recoverFramework(master: MasterState, info: FrameworkInfo): void {
  const id = info.id?.value ?? ''
  if (master.frameworks.has(id)) return
  const framework = newRecord(id, info)
  master.frameworks.set(id, framework)
  adoptOperations(master, framework)
}

/** Agents have told of operations of a framework that this master did not know yet (Master::recoverFramework). */
function adoptOperations(master: MasterState, framework: FrameworkRecord): void {
  for (const agent of master.agents.values()) {
    for (const operation of operationsOf(agent)) {
      if (operation.framework_id?.value !== framework.id) continue
      framework.operations.set(operation.uuid.value, operation)
      adoptOrphan(master, agent, operation)
    }
  }
}

export function closeStream(master: MasterState, framework: FrameworkRecord): void {
  clearInterval(framework.heartbeat)
  framework.stream?.end()
  framework.stream = undefined
  for (const offer of offersOf(master, framework.id)) withdraw(master, offer)
}

function disconnected(master: MasterState, framework: FrameworkRecord, stream: EventStream): void {
  if (framework.stream !== stream) return
  closeStream(master, framework)
  master.allocator.deactivateFramework(framework.id)
  const timeout = (framework.info.failover_timeout ?? 0) * 1000
  framework.failoverTimer = setTimeout(() => master.turn(() => removeFramework(master, framework)), timeout)
}

function offersOf(master: MasterState, frameworkId: string) {
  return [...master.offers.values()].filter(({ framework_id }) => framework_id.value === frameworkId)
}

/** TEARDOWN, or nobody came back in time. Operations that have not ended are orphans from now on. */
export function removeFramework(master: MasterState, framework: FrameworkRecord): void {
  clearTimeout(framework.failoverTimer)
  for (const offer of offersOf(master, framework.id)) rescind(master, offer)
  for (const agent of master.agents.values()) {
    master.wire.toAgent(agent.port, { kind: 'shutdown framework', frameworkId: framework.id })
    for (const task of tasksOf(agent, framework.id)) {
      if (!isTerminalTask(task.state)) task.state = 'TASK_KILLED'
      agent.tasks.delete(`${framework.id} ${task.task_id.value}`)
      framework.completedTasks.push(task)
    }
  }
  master.frameworks.delete(framework.id)
  master.completed.set(framework.id, framework)
  orphanOperations(master, framework)
  closeStream(master, framework)
  master.allocator.removeFramework(framework.id)
  const info = { framework_info: framework.info }
  publish(master, { type: 'FRAMEWORK_REMOVED', framework_removed: info })
}

function orphanOperations(master: MasterState, framework: FrameworkRecord): void {
  const detail = 'External resource provider is not supported yet'
  for (const operation of framework.operations.values()) {
    const cause = `${operation.info.type} ${operation.info.id?.value ?? operation.uuid.value} of ${framework.id}`
    master.hazards.check(operation.agent_id !== undefined, 'masterOperationWithoutAgent', detail, cause)
  }
  for (const agent of master.agents.values()) {
    const mine = operationsOf(agent).filter(({ framework_id }) => framework_id?.value === framework.id)
    if (mine.length === 0) continue
    for (const operation of mine) markAsOrphan(master, agent, operation)
    master.allocator.updateTotal(agent.id, agent.total)
  }
}
