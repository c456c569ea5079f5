/** Operations on an agent, and what providers make of them (Mesos src/slave/slave.cpp). */
import { type AgentState, reportToMaster, tellMaster } from './agent-state.ts'
import { applied, type Conversion, namedResources, providerOfOperation, unallocatedConversions } from './conversions.ts'
import { uuidBytes } from './ids.ts'
import { add, providerOf, subtract, unallocated } from './resources.ts'
import {
  isSpeculative,
  isTerminalOperation,
  type OperationStatus,
  type ProviderInfoWithId,
  type Resource,
  type TrackedOperation,
} from './types.ts'
import type { OperationUpdate, ToAgent } from './wire.ts'

function causeOf(operation: TrackedOperation): string {
  const { info, uuid, framework_id } = operation
  return `${info.type} ${info.id?.value ?? ''} ${uuid.value} of ${framework_id?.value ?? 'the operator'}`
}

export function applyFromMaster(agent: AgentState, message: Extract<ToAgent, { kind: 'apply' }>): void {
  const { frameworkId, info, uuid, version } = message
  const providerId = providerOfOperation(info)
  const operation: TrackedOperation = {
    ...(frameworkId === undefined ? {} : { framework_id: { value: frameworkId } }),
    agent_id: { value: agent.disk.agentId ?? '' },
    info,
    latest_status: {
      ...(info.id === undefined ? {} : { operation_id: info.id }),
      state: 'OPERATION_PENDING',
      agent_id: { value: agent.disk.agentId ?? '' },
      ...(providerId === undefined ? {} : { resource_provider_id: { value: providerId } }),
    },
    statuses: [],
    uuid: { value: uuid },
  }
  if (!addOperation(agent, operation)) return
  if (isSpeculative(info)) applyConversions(agent, operation, unallocatedConversions(info), 'agentApplySpeculative')
  if (providerId === undefined) finishOwn(agent, operation)
  else agent.manager.applyOperation(providerId, frameworkId, info, uuid, version)
}

/** @returns false when it can't be tracked (hazards off) */
function addOperation(agent: AgentState, operation: TrackedOperation): boolean {
  const providerId = providerOfOperation(operation.info)
  const provider = providerId === undefined ? undefined : agent.providers.get(providerId)
  const known = providerId === undefined || provider !== undefined
  if (!agent.hazards.check(known, 'agentOperationForUnknownProvider', `provider ${providerId}`, causeOf(operation)))
    return false
  agent.operations.set(operation.uuid.value, operation)
  provider?.operations.set(operation.uuid.value, operation)
  return true
}

/** Operations on the agent's own resources are done when they arrive. */
function finishOwn(agent: AgentState, operation: TrackedOperation): void {
  agent.disk.own = agent.total.filter((resource) => providerOf(resource) === undefined)
  const status: OperationStatus = {
    ...(operation.info.id === undefined ? {} : { operation_id: operation.info.id }),
    state: 'OPERATION_FINISHED',
    uuid: { value: uuidBytes() },
    agent_id: { value: agent.disk.agentId ?? '' },
  }
  operation.latest_status = status
  operation.statuses.push(status)
  const update = {
    frameworkId: operation.framework_id?.value,
    operationUuid: operation.uuid.value,
    status,
    latestStatus: undefined,
  }
  tellMaster(agent, { kind: 'operation status', update })
}

function applyConversions(
  agent: AgentState,
  operation: TrackedOperation,
  conversions: readonly Conversion[],
  site: 'agentApplySpeculative' | 'agentApplyFinished',
): void {
  const total = applied(agent.total, conversions)
  if (typeof total === 'string') {
    agent.hazards.check(false, site, total, causeOf(operation))
    return
  }
  agent.total = total
  const provider = agent.providers.get(providerOfOperation(operation.info) ?? '')
  if (provider === undefined) return
  for (const { consumed, converted } of conversions) provider.total = add(subtract(provider.total, consumed), converted)
}

/** A provider has said how an operation went. */
export function statusFromProvider(agent: AgentState, update: OperationUpdate): void {
  const agentId = { value: agent.disk.agentId ?? '' }
  const operation = agent.operations.get(update.operationUuid ?? '')
  const id = operation?.info.id
  const complete = (status: OperationStatus): OperationStatus => ({
    ...(id === undefined ? {} : { operation_id: id }),
    ...status,
    agent_id: agentId,
  })
  const status = complete(update.status)
  const latestStatus = update.latestStatus === undefined ? undefined : complete(update.latestStatus)
  if (operation !== undefined) updateOperation(agent, operation, status, latestStatus)
  tellMaster(agent, { kind: 'operation status', update: { ...update, status, latestStatus } })
}

function updateOperation(
  agent: AgentState,
  operation: TrackedOperation,
  status: OperationStatus,
  latestStatus: OperationStatus | undefined,
): void {
  const newest = latestStatus ?? status
  const ends = !isTerminalOperation(operation.latest_status.state) && isTerminalOperation(newest.state)
  if (ends) operation.latest_status = newest
  const isRetry = status.uuid !== undefined && operation.statuses.some(({ uuid }) => uuid?.value === status.uuid?.value)
  if (!isRetry) operation.statuses.push(status)
  if (!ends || isSpeculative(operation.info) || newest.state !== 'OPERATION_FINISHED') return
  const consumed = unallocated(namedResources(operation.info))
  const converted = unallocated(newest.converted_resources ?? [])
  applyConversions(agent, operation, [{ consumed, converted }], 'agentApplyFinished')
}

/** UPDATE_STATE: the provider's word on its totals, its operations and their version. */
export function stateFromProvider(
  agent: AgentState,
  info: ProviderInfoWithId,
  total: readonly Resource[],
  version: string,
  operations: ReadonlyMap<string, TrackedOperation>,
): void {
  const id = info.id.value
  const known = agent.providers.get(id)
  agent.hazards.check(
    known !== undefined,
    'agentStateOfUnknownProvider',
    `provider ${id}`,
    `UPDATE_STATE of provider ${id}`,
  )
  const provider = known ?? { info, total: [], version: undefined, operations: new Map() }
  agent.providers.set(id, provider)
  agent.total = add(subtract(agent.total, provider.total), total)
  provider.total = total
  for (const uuid of [...provider.operations.keys()])
    if (!operations.has(uuid)) forget(agent, provider.operations, uuid)
  for (const [uuid, operation] of operations) {
    const ours = provider.operations.get(uuid)
    if (ours === undefined) addOperation(agent, { ...operation, statuses: [...operation.statuses] })
    else if (isTerminalOperation(operation.latest_status.state) && !isTerminalOperation(ours.latest_status.state)) {
      // the totals show its result already
      ours.latest_status = operation.latest_status
    }
  }
  provider.version = version
  reportToMaster(agent)
}

function forget(agent: AgentState, operations: Map<string, TrackedOperation>, uuid: string): void {
  operations.delete(uuid)
  agent.operations.delete(uuid)
}

/** A provider's stream has closed. Its operations stay known to the agent, and lead nowhere. */
export function providerDisconnected(agent: AgentState, providerId: string): void {
  const provider = agent.providers.get(providerId)
  if (provider === undefined) return
  agent.total = subtract(agent.total, provider.total)
  agent.providers.delete(providerId)
  reportToMaster(agent)
}

/** The provider was marked gone for ever. */
export function providerRemoved(agent: AgentState, providerId: string): void {
  const provider = agent.providers.get(providerId)
  if (provider === undefined) return
  for (const operation of provider.operations.values()) {
    if (isTerminalOperation(operation.latest_status.state)) continue
    const message = 'The resource provider was removed before a terminal operation status update was received'
    const status: OperationStatus = {
      ...(operation.info.id === undefined ? {} : { operation_id: operation.info.id }),
      state: 'OPERATION_GONE_BY_OPERATOR',
      message,
      agent_id: { value: agent.disk.agentId ?? '' },
    }
    const update = {
      frameworkId: operation.framework_id?.value,
      operationUuid: operation.uuid.value,
      status,
      latestStatus: undefined,
    }
    tellMaster(agent, { kind: 'operation status', update })
    agent.operations.delete(operation.uuid.value)
  }
  providerDisconnected(agent, providerId)
}

export function acknowledged(agent: AgentState, operationUuid: string, statusUuid: string): void {
  const operation = agent.operations.get(operationUuid)
  if (operation === undefined) return
  const providerId = providerOfOperation(operation.info)
  const ended = isTerminalOperation(operation.statuses.at(-1)?.state ?? 'OPERATION_PENDING')
  if (providerId !== undefined) {
    agent.manager.acknowledge(providerId, operationUuid, statusUuid)
    if (ended) removeProviderOperation(agent, providerId, operation)
  } else if (ended) {
    agent.operations.delete(operationUuid)
  }
}

function removeProviderOperation(agent: AgentState, providerId: string, operation: TrackedOperation): void {
  const provider = agent.providers.get(providerId)
  agent.hazards.check(
    provider !== undefined,
    'agentAcknowledgedAfterDisconnect',
    `provider ${providerId}`,
    causeOf(operation),
  )
  provider?.operations.delete(operation.uuid.value)
  agent.operations.delete(operation.uuid.value)
}

/** The master missed operations in a report. */
export function reconcile(
  agent: AgentState,
  operations: readonly { uuid: string; providerId: string | undefined }[],
): void {
  const byProvider = new Map<string, string[]>()
  for (const { uuid, providerId } of operations) {
    if (providerId !== undefined) byProvider.set(providerId, [...(byProvider.get(providerId) ?? []), uuid])
    else if (!agent.operations.has(uuid)) {
      const status: OperationStatus = { state: 'OPERATION_DROPPED', agent_id: { value: agent.disk.agentId ?? '' } }
      const update = { frameworkId: undefined, operationUuid: uuid, status, latestStatus: undefined }
      tellMaster(agent, { kind: 'operation status', update })
    }
  }
  for (const [providerId, uuids] of byProvider) agent.manager.reconcile(providerId, uuids)
}

/** A framework asks for an operation that the master does not know. */
export function reconcileForFramework(
  agent: AgentState,
  message: Extract<ToAgent, { kind: 'reconcile for framework' }>,
): void {
  const { frameworkId, operationId, providerId } = message
  const agentId = { value: agent.disk.agentId ?? '' }
  const known = [...agent.operations.values()].find(
    ({ info, framework_id }) => info.id?.value === operationId && framework_id?.value === frameworkId,
  )
  const away =
    providerId !== undefined && agent.disk.providers.has(providerId) && !agent.manager.isSubscribed(providerId)
  const { uuid: _uuid, ...latest } = known?.latest_status ?? {
    operation_id: { value: operationId },
    state: away ? ('OPERATION_RECOVERING' as const) : ('OPERATION_UNKNOWN' as const),
    agent_id: agentId,
    ...(providerId === undefined ? {} : { resource_provider_id: { value: providerId } }),
  }
  const update = { frameworkId, operationUuid: undefined, status: latest as OperationStatus, latestStatus: undefined }
  tellMaster(agent, { kind: 'operation status', update })
}
