/** The resource provider manager of an agent (Mesos src/resource_provider/manager.cpp). */
import { randomUUID } from 'node:crypto'
import type { ProviderCall } from '../../../src/mesos/provider-protocol.ts'
import { providerDisconnected, providerRemoved, stateFromProvider, statusFromProvider } from './agent-operations.ts'
import type { AgentState } from './agent-state.ts'
import { canonicalAll } from './canonical.ts'
import type { EventStream } from './http-host.ts'
import { uuidBytes } from './ids.ts'
import type { OfferOperation, ProviderInfoWithId, Resource, TrackedOperation } from './types.ts'

interface Subscription {
  readonly info: ProviderInfoWithId
  readonly stream: EventStream
  /** Open PUBLISH_RESOURCES, by uuid: called with what went wrong, or with undefined. */
  readonly publishes: Map<string, (failure: string | undefined) => void>
}

type StateCall = Extract<ProviderCall, { type: 'UPDATE_STATE' }>
type StatusCall = Extract<ProviderCall, { type: 'UPDATE_OPERATION_STATUS' }>
type PublishCall = Extract<ProviderCall, { type: 'UPDATE_PUBLISH_RESOURCES_STATUS' }>

export class ProviderManager {
  readonly #agent: () => AgentState
  readonly #subscribed = new Map<string, Subscription>()

  constructor(agent: () => AgentState) {
    this.#agent = agent
  }

  isSubscribed(id: string): boolean {
    return this.#subscribed.has(id)
  }

  /** How many PUBLISH_RESOURCES wait for their answer. */
  get unanswered(): number {
    return [...this.#subscribed.values()].reduce((sum, { publishes }) => sum + publishes.size, 0)
  }

  streamId(id: string): string | undefined {
    return this.#subscribed.get(id)?.stream.id
  }

  /** @param open makes the stream; an unknown id, or one with another type or name, gets one that ends at once */
  subscribe(
    info: { id?: { value: string }; type: string; name: string },
    open: (onGone: () => void) => EventStream,
  ): void {
    const { disk } = this.#agent()
    const known = info.id === undefined ? undefined : disk.providers.get(info.id.value)
    if (info.id !== undefined && (known === undefined || known.type !== info.type || known.name !== info.name)) {
      open(() => {}).end()
      return
    }
    const id = info.id?.value ?? randomUUID()
    const full: ProviderInfoWithId = { id: { value: id }, type: info.type, name: info.name }
    disk.providers.set(id, full)
    const older = this.#subscribed.get(id)
    const stream = open(() => this.#closed(id, stream))
    this.#subscribed.set(id, { info: full, stream, publishes: new Map() })
    this.#event(id, { type: 'SUBSCRIBED', subscribed: { provider_id: { value: id } } })
    this.#tell(() => this.#admit(full))
    if (older === undefined) return
    // The older stream's end is told to the agent as this provider's, although a new one is there: see abort 3.
    older.stream.end()
    this.#failPublishes(older)
    this.#tell(() => providerDisconnected(this.#agent(), id))
  }

  #admit(info: ProviderInfoWithId): void {
    const { providers } = this.#agent()
    const known = providers.get(info.id.value)
    if (known === undefined)
      providers.set(info.id.value, { info, total: [], version: undefined, operations: new Map() })
    else known.info = info
  }

  #closed(id: string, stream: EventStream): void {
    const subscription = this.#subscribed.get(id)
    if (subscription?.stream !== stream) return
    this.#subscribed.delete(id)
    this.#failPublishes(subscription)
    this.#tell(() => providerDisconnected(this.#agent(), id))
  }

  #failPublishes({ info, publishes }: Subscription): void {
    for (const done of publishes.values()) {
      done(`Failed to publish resources for resource provider ${info.id.value}: Connection closed`)
    }
    publishes.clear()
  }

  /** To the agent, in order, a moment later. */
  #tell(step: () => void): void {
    const agent = this.#agent()
    agent.wire.links.send('manager->agent', agent.disk.agentId ?? agent.hostname, () => agent.turn(step))
  }

  #event(id: string, event: object): boolean {
    const stream = this.#subscribed.get(id)?.stream
    if (stream?.isOpen !== true) return false
    const agent = this.#agent()
    agent.wire.links.send('agent->provider', agent.disk.agentId ?? agent.hostname, () => stream.send(event))
    return true
  }

  updateState({ resource_provider_id, update_state }: StateCall): void {
    const info = this.#subscribed.get(resource_provider_id.value)?.info
    if (info === undefined) return
    const operations = new Map(
      (update_state.operations ?? []).map((operation) => [
        operation.uuid.value,
        { ...operation, statuses: [...(operation.statuses ?? [])] },
      ]),
    ) as Map<string, TrackedOperation>
    const total = canonicalAll(update_state.resources)
    this.#tell(() =>
      stateFromProvider(this.#agent(), info, total, update_state.resource_version_uuid.value, operations),
    )
  }

  updateOperationStatus({ update_operation_status }: StatusCall): void {
    const { framework_id, operation_uuid, status, latest_status } = update_operation_status
    const withOrder = (one: typeof status) =>
      one.converted_resources === undefined
        ? one
        : { ...one, converted_resources: canonicalAll(one.converted_resources) }
    const update = {
      frameworkId: framework_id?.value,
      operationUuid: operation_uuid.value,
      status: withOrder(status),
      latestStatus: latest_status === undefined ? undefined : withOrder(latest_status),
    }
    this.#tell(() => statusFromProvider(this.#agent(), update))
  }

  /** An answer for a publish that nobody waits for is ignored. */
  updatePublishStatus({ resource_provider_id, update_publish_resources_status }: PublishCall): void {
    const publishes = this.#subscribed.get(resource_provider_id.value)?.publishes
    const { uuid, status } = update_publish_resources_status
    const done = publishes?.get(uuid.value)
    if (done === undefined) return
    publishes?.delete(uuid.value)
    done(status === 'OK' ? undefined : `Received ${status} status`)
  }

  /** Without a subscription the operation is dropped with a warning. */
  applyOperation(
    id: string,
    frameworkId: string | undefined,
    info: OfferOperation,
    uuid: string,
    version: string,
  ): void {
    const apply_operation = {
      ...(frameworkId === undefined ? {} : { framework_id: { value: frameworkId } }),
      info,
      operation_uuid: { value: uuid },
      resource_version_uuid: { value: version },
    }
    this.#event(id, { type: 'APPLY_OPERATION', apply_operation })
  }

  acknowledge(id: string, operationUuid: string, statusUuid: string): void {
    const acknowledge_operation_status = {
      status_uuid: { value: statusUuid },
      operation_uuid: { value: operationUuid },
    }
    this.#event(id, { type: 'ACKNOWLEDGE_OPERATION_STATUS', acknowledge_operation_status })
  }

  reconcile(id: string, uuids: readonly string[]): void {
    const reconcile_operations = { operation_uuids: uuids.map((value) => ({ value })) }
    this.#event(id, { type: 'RECONCILE_OPERATIONS', reconcile_operations })
  }

  /** There is no time limit: a provider that does not answer holds the task up for ever. */
  publish(id: string, resources: readonly Resource[], done: (failure: string | undefined) => void): void {
    const subscription = this.#subscribed.get(id)
    if (subscription === undefined) {
      done(`Resource provider ${id} is not subscribed`)
      return
    }
    const uuid = uuidBytes()
    subscription.publishes.set(uuid, done)
    this.#event(id, { type: 'PUBLISH_RESOURCES', publish_resources: { uuid: { value: uuid }, resources } })
  }

  /** For ever: the provider is told, its stream is closed, its id is unknown from now on. */
  remove(id: string): boolean {
    const { disk } = this.#agent()
    if (!disk.providers.delete(id)) return false
    const subscription = this.#subscribed.get(id)
    this.#event(id, { type: 'TEARDOWN' })
    this.#subscribed.delete(id)
    const agent = this.#agent()
    agent.wire.links.send('agent->provider', agent.disk.agentId ?? agent.hostname, () => subscription?.stream.end())
    this.#tell(() => providerRemoved(this.#agent(), id))
    return true
  }

  /** The process is gone, and so are the streams. */
  stop(): void {
    for (const { stream } of this.#subscribed.values()) stream.end()
    this.#subscribed.clear()
  }
}
