/** How a master keeps account of operations (Mesos src/master/master.cpp). */
import { applied, namedResources, providerOfOperation, unallocatedConversions } from './conversions.ts'
import { uuidBytes } from './ids.ts'
import {
  type AgentRecord,
  count,
  type FrameworkRecord,
  findOperation,
  type MasterState,
  occupies,
  sendTo,
} from './master-state.ts'
import { print } from './print.ts'
import { add, contains, providerOf, subtract, unallocated } from './resources.ts'
import { isSpeculative, isTerminalOperation, type OfferOperation, type TrackedOperation } from './types.ts'
import type { OperationUpdate } from './wire.ts'

/** Starts an operation: it is recorded, its speculative effects are applied, and it is sent to its agent. */
export function startOperation(
  master: MasterState,
  agent: AgentRecord,
  framework: FrameworkRecord | undefined,
  info: OfferOperation,
): void {
  const providerId = providerOfOperation(info)
  const uuid = uuidBytes()
  const cause = `${info.type} ${info.id?.value ?? uuid} of ${framework?.id ?? 'the operator'}`
  const provider = providerId === undefined ? undefined : agent.providers.get(providerId)
  const known = providerId === undefined || provider !== undefined
  if (!master.hazards.check(known, 'masterUnknownProvider', `Resource provider ${providerId} is unknown`, cause)) return
  const operation: TrackedOperation = {
    ...(framework === undefined ? {} : { framework_id: { value: framework.id } }),
    agent_id: { value: agent.id },
    info,
    latest_status: {
      ...(info.id === undefined ? {} : { operation_id: info.id }),
      state: 'OPERATION_PENDING',
      agent_id: { value: agent.id },
      ...(providerId === undefined ? {} : { resource_provider_id: { value: providerId } }),
    },
    statuses: [],
    uuid: { value: uuid },
  }
  addOperation(master, agent, framework, operation)
  if (isSpeculative(info)) applySpeculative(master, agent, info, cause)
  const version = provider?.version ?? agent.version
  master.wire.toAgent(agent.port, { kind: 'apply', frameworkId: framework?.id, info, uuid, version })
}

function applySpeculative(master: MasterState, agent: AgentRecord, info: OfferOperation, cause: string): void {
  const conversions = unallocatedConversions(info)
  const total = applied(agent.total, conversions)
  if (typeof total === 'string') {
    master.hazards.check(false, 'masterApply', total, cause)
    return
  }
  agent.total = total
  for (const conversion of conversions) {
    const [first] = conversion.consumed
    const provider = first === undefined ? undefined : agent.providers.get(providerOf(first) ?? '')
    if (provider !== undefined)
      provider.total = add(subtract(provider.total, conversion.consumed), conversion.converted)
  }
}

export function addOperation(
  master: MasterState,
  agent: AgentRecord,
  framework: FrameworkRecord | undefined,
  operation: TrackedOperation,
): void {
  const providerId = providerOfOperation(operation.info)
  const operations = providerId === undefined ? agent.operations : agent.providers.get(providerId)?.operations
  operations?.set(operation.uuid.value, operation)
  count(master, operation.info, operation.latest_status.state)
  if (framework !== undefined) framework.operations.set(operation.uuid.value, operation)
  else markAsOrphan(master, agent, operation)
}

/** An operation of a framework that is not there: what it takes is no longer part of the agent's total until it ends. */
export function markAsOrphan(master: MasterState, agent: AgentRecord, operation: TrackedOperation): void {
  if (isSpeculative(operation.info)) return
  agent.orphans.add(operation.uuid.value)
  if (!occupies(operation)) return
  const consumed = unallocated(namedResources(operation.info))
  const cause = `${operation.info.type} ${operation.info.id?.value ?? operation.uuid.value} of ${operation.framework_id?.value}`
  master.hazards.check(contains(agent.total, consumed), 'masterOrphanOperation', print(consumed), cause)
  agent.total = subtract(agent.total, consumed)
}

/** Its framework has come back: what it takes is that framework's again. */
export function adoptOrphan(master: MasterState, agent: AgentRecord, operation: TrackedOperation): void {
  if (!agent.orphans.delete(operation.uuid.value) || !occupies(operation)) return
  const consumed = namedResources(operation.info)
  agent.total = add(agent.total, unallocated(consumed))
  master.allocator.updateTotal(agent.id, agent.total)
  master.allocator.use(operation.framework_id?.value ?? '', agent.id, consumed)
}

/** @param convert false when the totals at hand already show the result */
export function updateOperation(
  master: MasterState,
  agent: AgentRecord,
  operation: TrackedOperation,
  update: OperationUpdate,
  convert: boolean,
): void {
  const status = update.latestStatus ?? update.status
  const ends = !isTerminalOperation(operation.latest_status.state) && isTerminalOperation(status.state)
  const wasOpen = occupies(operation)
  if (!isTerminalOperation(operation.latest_status.state)) operation.latest_status = status
  const last = operation.statuses.at(-1)
  if (last === undefined || JSON.stringify(last) !== JSON.stringify(status)) operation.statuses.push(status)
  if (!ends) return
  count(master, operation.info, status.state)
  if (isSpeculative(operation.info) || !wasOpen) return
  const cause = `${operation.info.type} ${operation.info.id?.value ?? operation.uuid.value}`
  const detail = 'External resource provider is not supported yet'
  master.hazards.check(operation.agent_id !== undefined, 'masterOperationWithoutAgent', detail, cause)
  if (agent.orphans.has(operation.uuid.value)) endOrphan(master, agent, operation, convert)
  else endOperation(master, agent, operation, convert, cause)
}

function endOrphan(master: MasterState, agent: AgentRecord, operation: TrackedOperation, convert: boolean): void {
  const finished = operation.latest_status.state === 'OPERATION_FINISHED'
  if (finished && !convert) return
  const back = finished ? (operation.latest_status.converted_resources ?? []) : namedResources(operation.info)
  agent.total = add(agent.total, unallocated(back))
  master.allocator.updateTotal(agent.id, agent.total)
}

function endOperation(
  master: MasterState,
  agent: AgentRecord,
  operation: TrackedOperation,
  convert: boolean,
  cause: string,
): void {
  const frameworkId = operation.framework_id?.value ?? ''
  const consumed = namedResources(operation.info)
  if (operation.latest_status.state !== 'OPERATION_FINISHED' || !convert) {
    master.allocator.recover(frameworkId, agent.id, consumed)
    return
  }
  const converted = operation.latest_status.converted_resources ?? []
  master.allocator.convert(frameworkId, agent.id, [{ consumed, converted }])
  master.allocator.recover(frameworkId, agent.id, converted)
  const plain = { consumed: unallocated(consumed), converted: unallocated(converted) }
  const total = applied(agent.total, [plain])
  if (typeof total === 'string') {
    master.hazards.check(false, 'masterApply', total, cause)
    return
  }
  agent.total = total
  const provider = agent.providers.get(providerOfOperation(operation.info) ?? '')
  if (provider !== undefined) provider.total = add(subtract(provider.total, plain.consumed), plain.converted)
}

export function removeOperation(master: MasterState, agent: AgentRecord, operation: TrackedOperation): void {
  const uuid = operation.uuid.value
  const cause = `${operation.info.type} ${operation.info.id?.value ?? uuid}`
  const detail = 'External resource provider is not supported yet'
  master.hazards.check(operation.agent_id !== undefined, 'masterOperationWithoutAgent', detail, cause)
  master.frameworks.get(operation.framework_id?.value ?? '')?.operations.delete(uuid)
  const wasOrphan = agent.orphans.delete(uuid)
  if (occupies(operation)) {
    const consumed = namedResources(operation.info)
    if (wasOrphan) agent.total = add(agent.total, unallocated(consumed))
    else master.allocator.recover(operation.framework_id?.value ?? '', agent.id, consumed)
  }
  agent.operations.delete(uuid)
  for (const provider of agent.providers.values()) provider.operations.delete(uuid)
}

/** A status arrived from an agent: it is applied, handed on to the framework, or acknowledged here when nobody else will. */
export function operationStatusArrived(master: MasterState, agent: AgentRecord, update: OperationUpdate): void {
  const framework = master.frameworks.get(update.frameworkId ?? '')
  if (update.operationUuid === undefined) {
    sendTo(framework, statusEvent(update))
    return
  }
  const operation = findOperation(agent, update.operationUuid)
  if (operation === undefined) return
  const withAgent = { ...update, status: { ...update.status, agent_id: { value: agent.id } } }
  updateOperation(master, agent, operation, withAgent, true)
  const wantsFeedback = operation.info.id !== undefined
  const owner = master.frameworks.get(operation.framework_id?.value ?? '')
  if (wantsFeedback) sendTo(owner, statusEvent(withFeedbackId(withAgent, operation)))
  const frameworkWillAcknowledge = wantsFeedback && owner !== undefined
  if (update.status.uuid === undefined) {
    if (isTerminalOperation(update.status.state)) removeOperation(master, agent, operation)
    return
  }
  if (frameworkWillAcknowledge) return
  acknowledge(master, agent, operation, update.status.uuid.value)
}

function withFeedbackId(update: OperationUpdate, { info }: TrackedOperation): OperationUpdate {
  return info.id === undefined ? update : { ...update, status: { operation_id: info.id, ...update.status } }
}

function statusEvent({ status }: OperationUpdate): object {
  return { type: 'UPDATE_OPERATION_STATUS', update_operation_status: { status } }
}

function acknowledge(master: MasterState, agent: AgentRecord, operation: TrackedOperation, statusUuid: string): void {
  const acknowledged = operation.statuses.find(({ uuid }) => uuid?.value === statusUuid)
  if (acknowledged === undefined) return
  if (isTerminalOperation(acknowledged.state)) removeOperation(master, agent, operation)
  master.wire.toAgent(agent.port, { kind: 'acknowledge operation', operationUuid: operation.uuid.value, statusUuid })
}

/** ACKNOWLEDGE_OPERATION_STATUS of a framework. What a master does not know it drops with a warning. */
export function acknowledgedByFramework(
  master: MasterState,
  framework: FrameworkRecord,
  agentId: string,
  operationId: string,
  statusUuid: string,
): void {
  const agent = master.agents.get(agentId)
  if (agent === undefined || !agent.connected) return
  const operation = [...framework.operations.values()].find(({ info }) => info.id?.value === operationId)
  if (operation !== undefined) acknowledge(master, agent, operation, statusUuid)
}
