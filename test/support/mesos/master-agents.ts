/** Agents come, come back, and tell of their providers (Mesos src/master/master.cpp, updateSlave). */

import { namedResources } from './conversions.ts'
import { recoverFramework } from './master-frameworks.ts'
import { rescindAll, rescindProviderOffers } from './master-offers.ts'
import { addOperation, removeOperation, updateOperation } from './master-operations.ts'
import {
  type AgentRecord,
  findOperation,
  type MasterState,
  occupies,
  type ProviderRecord,
  publish,
  taskKey,
} from './master-state.ts'
import { lostTasks } from './master-tasks.ts'
import { agentView } from './operator-views.ts'
import { add, providerOf, sameResources } from './resources.ts'
import { isTerminalOperation, isTerminalTask, type ReportedProvider, type TrackedOperation } from './types.ts'
import type { AgentPort, ToMaster } from './wire.ts'

type Register = Extract<ToMaster, { kind: 'register' }>
type Update = Extract<ToMaster, { kind: 'update' }>

export function register(master: MasterState, port: AgentPort, message: Register): void {
  const { registry } = master
  if (message.agentId !== undefined && registry.gone.has(message.agentId)) {
    master.wire.toAgent(port, { kind: 'shutdown', why: 'Agent has been marked gone' })
    return
  }
  const id = message.agentId ?? `${master.id}-S${registry.nextAgent++}`
  registry.admitted.add(id)
  const known = master.agents.get(id)
  if (known === undefined) addAgent(master, port, id, message)
  else comeBack(master, known, port, message)
  master.wire.toAgent(port, { kind: 'registered', agentId: id })
}

function addAgent(master: MasterState, port: AgentPort, id: string, message: Register): void {
  const { hostname, port: httpPort, resources, attributes } = message.identity
  const agent: AgentRecord = {
    id,
    port,
    hostname,
    httpPort,
    resources,
    attributes,
    total: message.total,
    version: message.version,
    providers: new Map(),
    operations: new Map(),
    orphans: new Set(),
    tasks: new Map(),
    connected: true,
    registeredAt: Date.now(),
    reregisteredAt: message.agentId === undefined ? undefined : Date.now(),
  }
  master.agents.set(id, agent)
  for (const info of message.frameworks) recoverFramework(master, info)
  master.allocator.setAgent(id, agent.total, true)
  for (const task of message.tasks) {
    agent.tasks.set(taskKey(task.framework_id.value, task.task_id.value), { ...task, statuses: [...task.statuses] })
    if (!isTerminalTask(task.state)) master.allocator.use(task.framework_id.value, id, task.resources)
  }
  publish(master, { type: 'AGENT_ADDED', agent_added: { agent: agentView(master, agent) } })
}

/** The same agent after a restart, or after its connection was lost. */
function comeBack(master: MasterState, agent: AgentRecord, port: AgentPort, message: Register): void {
  agent.port = port
  agent.connected = true
  agent.reregisteredAt = Date.now()
  agent.version = message.version
  const still = new Set(message.tasks.map((task) => taskKey(task.framework_id.value, task.task_id.value)))
  lostTasks(master, agent, (key) => !still.has(key), 'Task is unknown to the agent')
  // offered again in the next cycle: only changed totals would start one at once (HierarchicalAllocatorProcess::activateSlave)
  master.allocator.activate(agent.id, true)
}

/** The connection to an agent broke: what it offered is taken back, its tasks go on as far as the master knows. */
export function disconnect(master: MasterState, agent: AgentRecord): void {
  agent.connected = false
  master.allocator.activate(agent.id, false)
  rescindAll(master, agent)
  const checkpoints = (key: string) => {
    const frameworkId = agent.tasks.get(key)?.framework_id.value ?? ''
    return master.frameworks.get(frameworkId)?.info.checkpoint === true
  }
  lostTasks(master, agent, (key) => !checkpoints(key), `Agent ${agent.hostname} disconnected`)
}

/** New totals of providers, new versions, operations: the whole picture each time. */
export function updateAgent(master: MasterState, agent: AgentRecord, message: Update): void {
  if (!hasChanged(agent, message)) return
  checkPending(master, agent, message.providers)
  agent.version = message.version
  const unknown: { uuid: string; providerId: string | undefined }[] = []
  reconcileOwn(master, agent, message, unknown)
  for (const reported of message.providers) {
    const known = agent.providers.get(reported.info.id.value)
    if (known === undefined) addProvider(master, agent, reported)
    else updateProvider(master, agent, known, reported, unknown)
  }
  removeProviders(master, agent, message.providers)
  if (unknown.length > 0) master.wire.toAgent(agent.port, { kind: 'reconcile', operations: unknown })
  master.allocator.updateTotal(agent.id, agent.total)
  if (master.flags.fragmentGrowth) master.allocator.allocateNow()
  rescindProviderOffers(master, agent)
}

function hasChanged(agent: AgentRecord, { version, operations, providers }: Update): boolean {
  if (agent.version !== version || !sameOperations(agent.operations, operations, true)) return true
  if (agent.providers.size !== providers.length) return true
  return providers.some((reported) => {
    const known = agent.providers.get(reported.info.id.value)
    if (known === undefined || known.version !== reported.version) return true
    if (JSON.stringify(known.info) !== JSON.stringify(reported.info)) return true
    const held = agent.total.filter((resource) => providerOf(resource) === reported.info.id.value)
    if (!sameResources(known.total, reported.total) || !sameResources(held, reported.total)) return true
    return !sameOperations(known.operations, reported.operations, false)
  })
}

function sameOperations(
  known: ReadonlyMap<string, TrackedOperation>,
  received: readonly TrackedOperation[],
  all: boolean,
): boolean {
  if (all && known.size !== received.length) return false
  return received.every((operation) => {
    const ours = known.get(operation.uuid.value)
    return ours?.latest_status.state === operation.latest_status.state
  })
}

function checkPending(master: MasterState, agent: AgentRecord, providers: readonly ReportedProvider[]): void {
  for (const { info, operations } of providers) {
    const known = agent.providers.get(info.id.value)
    if (known === undefined) continue
    for (const operation of operations) {
      const fine = isTerminalOperation(operation.latest_status.state) || known.operations.has(operation.uuid.value)
      master.hazards.check(fine, 'masterUnknownPending', operation.uuid.value, `provider ${info.id.value}`)
    }
  }
}

function reconcileOwn(
  master: MasterState,
  agent: AgentRecord,
  { operations }: Update,
  unknown: { uuid: string; providerId: string | undefined }[],
): void {
  const received = new Set(operations.map(({ uuid }) => uuid.value))
  for (const uuid of agent.operations.keys()) if (!received.has(uuid)) unknown.push({ uuid, providerId: undefined })
  for (const operation of operations) {
    if (!agent.operations.has(operation.uuid.value)) learn(master, agent, operation)
  }
}

function learn(master: MasterState, agent: AgentRecord, operation: TrackedOperation): void {
  const copy = { ...operation, statuses: [...operation.statuses] }
  addOperation(master, agent, master.frameworks.get(operation.framework_id?.value ?? ''), copy)
}

/** A provider that this master has not seen, or not since it went away: what it says is taken as it is. */
function addProvider(master: MasterState, agent: AgentRecord, reported: ReportedProvider): void {
  const id = reported.info.id.value
  const { info, total, version } = reported
  agent.providers.set(id, { info, total, version, operations: new Map() })
  agent.total = add(agent.total, total)
  for (const operation of reported.operations) {
    learn(master, agent, operation)
    const frameworkId = operation.framework_id?.value ?? ''
    if (occupies(operation) && master.frameworks.has(frameworkId)) {
      master.allocator.use(frameworkId, agent.id, namedResources(operation.info))
    }
  }
}

function updateProvider(
  master: MasterState,
  agent: AgentRecord,
  known: ProviderRecord,
  reported: ReportedProvider,
  unknown: { uuid: string; providerId: string | undefined }[],
): void {
  const providerId = reported.info.id.value
  const received = new Map(reported.operations.map((operation) => [operation.uuid.value, operation]))
  for (const [uuid, operation] of known.operations) {
    const now = received.get(uuid)
    if (now === undefined) unknown.push({ uuid, providerId })
    else if (!isTerminalOperation(operation.latest_status.state) && isTerminalOperation(now.latest_status.state)) {
      endByReport(master, agent, uuid, now)
    }
  }
  // whatever was speculated is undone: only the provider's word counts
  agent.total = agent.total.filter((resource) => providerOf(resource) !== providerId)
  agent.total = add(agent.total, reported.total)
  Object.assign(known, { info: reported.info, total: reported.total, version: reported.version })
}

function endByReport(master: MasterState, agent: AgentRecord, uuid: string, now: TrackedOperation): void {
  const operation = findOperation(agent, uuid)
  if (operation === undefined) return
  const status = now.latest_status
  const update = { frameworkId: operation.framework_id?.value, operationUuid: uuid, status, latestStatus: status }
  updateOperation(master, agent, operation, update, false)
}

function removeProviders(master: MasterState, agent: AgentRecord, still: readonly ReportedProvider[]): void {
  for (const [id, provider] of [...agent.providers]) {
    if (still.some(({ info }) => info.id.value === id)) continue
    for (const operation of [...provider.operations.values()]) removeOperation(master, agent, operation)
    agent.total = agent.total.filter((resource) => providerOf(resource) !== id)
    agent.providers.delete(id)
  }
}
