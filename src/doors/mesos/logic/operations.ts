import type { ApplyOperation } from '../../../mesos/provider-protocol.ts'
import type { Operation, Value } from '../../../mesos/resource.ts'
import { asHoldfastError } from '../../../model/errors.ts'
import { wantNewVersion } from '../advertise/wanted.ts'
import type { Book, ProviderState } from './book.ts'
import { type Ending, isSpeculative, type OperationRecord, reported, statusOf } from './operation-record.ts'
import type { Owed } from './owed.ts'
import { isCurrentVersion } from './subscriptions.ts'
import { uuidText } from './uuids.ts'

/** As Mesos' own status update managers do it (src/status_update_manager/constants.hpp): 10 s, doubled up to 10 min. */
const FIRST_RETRY_MS = 10_000
const LONGEST_RETRY_MS = 600_000
/**
 * How often a drop is told. When our totals and the operation crossed on their way, the agent has forgotten it (Mesos
 * src/slave/slave.cpp, UPDATE_STATE), and an acknowledgement can't reach us. A drop changes nothing, so it may be
 * forgotten, too: who missed it reconciles.
 */
const DROPS_TOLD = 3

/** Does one kind of operation. @throws for one that it refuses, before anything was done */
export type Perform = (provider: ProviderState, record: OperationRecord) => void

export interface OperationsParts {
  readonly book: Book
  readonly owed: Owed
  readonly perform: Perform
}

/** What frameworks and operators do with our resources: each operation from its request to its acknowledgement. */
export class Operations {
  readonly #parts: OperationsParts
  readonly records = new Map<string, OperationRecord>()
  readonly #retries = new Map<string, number>()

  constructor(parts: OperationsParts) {
    this.#parts = parts
  }

  of(provider: ProviderState): OperationRecord[] {
    return [...this.records.values()].filter(({ poolId }) => poolId === provider.poolId)
  }

  reported(provider: ProviderState): Operation[] {
    const { agentId = '' } = this.#parts.book
    return this.of(provider).map((record) => reported(record, agentId, provider.providerId ?? ''))
  }

  apply(provider: ProviderState, { framework_id, info, operation_uuid, resource_version_uuid }: ApplyOperation): void {
    const { book } = this.#parts
    const uuid = operation_uuid.value
    const id = uuidText(uuid)
    const known = this.records.get(id)
    if (known !== undefined) {
      this.sendStatus(provider, known)
      return
    }
    const record: OperationRecord = {
      id,
      uuid,
      poolId: provider.poolId,
      info,
      ...(framework_id === undefined ? {} : { frameworkId: framework_id.value }),
    }
    this.records.set(id, record)
    book.desk.log('operation.asked', { operation: id, type: info.type, pool: provider.poolId })
    if (isCurrentVersion(book, provider, resource_version_uuid?.value)) this.#begin(provider, record)
    else this.end(provider, record, { state: 'OPERATION_DROPPED', message: 'Mismatched resource version' })
  }

  #begin(provider: ProviderState, record: OperationRecord): void {
    try {
      this.#parts.perform(provider, record)
      this.save(record)
    } catch (thrown) {
      this.end(provider, record, { state: 'OPERATION_FAILED', message: asHoldfastError(thrown).message })
    }
  }

  /** It has ended without a change of the totals, or with one that agent and master have made already. */
  end(provider: ProviderState, record: OperationRecord, ending: Ending): void {
    this.finish(provider, record, ending)
    record.carried = true
    this.save(record)
    this.sendStatus(provider, record)
    // what agent and master did before they asked is undone by saying again what is
    if (isSpeculative(record.info) && ending.state !== 'OPERATION_FINISHED') {
      wantNewVersion(this.#parts.book.agent, provider.poolId)
    }
  }

  /** It has ended; its status follows the UPDATE_STATE that carries it. */
  finish(provider: ProviderState, record: OperationRecord, ending: Ending): void {
    const { desk } = this.#parts.book
    record.status = statusOf(record, ending, provider.providerId ?? '', desk.newUuid())
    this.save(record)
    const { state, message } = ending
    desk.log('operation.ended', { operation: record.id, type: record.info.type, state, message })
  }

  save(record: OperationRecord): void {
    if (this.records.has(record.id)) this.#parts.book.desk.write(`operation/${record.id}`, record)
  }

  /** An UPDATE_STATE with their end is on its way. */
  carry(ids: readonly string[]): void {
    for (const id of ids) {
      const record = this.records.get(id)
      if (record === undefined) continue
      record.carried = true
      this.save(record)
    }
  }

  /** Every status of a provider that is not acknowledged: after an update that carried some, or a new subscription. */
  sendStatuses(provider: ProviderState): void {
    for (const record of this.of(provider)) {
      if (!this.#parts.book.desk.isDue(retryOf(record))) this.sendStatus(provider, record)
    }
  }

  /** Until it is acknowledged. What is under way has no status to be sent. */
  sendStatus(provider: ProviderState, record: OperationRecord): void {
    const { desk } = this.#parts.book
    const { status } = record
    if (status === undefined || record.carried !== true || provider.stream !== 'open') return
    const times = this.#retries.get(record.id) ?? 0
    if (status.state === 'OPERATION_DROPPED' && times >= DROPS_TOLD) {
      this.#forget(record)
      return
    }
    desk.call(provider.poolId, {
      type: 'UPDATE_OPERATION_STATUS',
      resource_provider_id: { value: provider.providerId ?? '' },
      update_operation_status: {
        ...(record.frameworkId === undefined ? {} : { framework_id: { value: record.frameworkId } }),
        operation_uuid: { value: record.uuid },
        status,
        latest_status: status,
      },
    })
    this.#retries.set(record.id, times + 1)
    const pause = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(times, 10))
    desk.after(pause, retryOf(record), () => this.sendStatus(provider, record))
  }

  acknowledged(operation: Value, status: Value): void {
    const record = this.records.get(uuidText(operation.value))
    if (record?.status?.uuid?.value === status.value) this.#forget(record)
  }

  /** For those that are not known here, the master wants to hear that they were dropped. Nobody acknowledges that. */
  reconcile(provider: ProviderState, uuids: readonly Value[]): void {
    for (const uuid of uuids) {
      const record = this.records.get(uuidText(uuid.value))
      if (record !== undefined) this.sendStatus(provider, record)
      else this.#sendDropped(provider, uuid)
    }
  }

  #sendDropped({ poolId, providerId = '' }: ProviderState, operation_uuid: Value): void {
    const status = { state: 'OPERATION_DROPPED' as const, resource_provider_id: { value: providerId } }
    this.#parts.book.desk.call(poolId, {
      type: 'UPDATE_OPERATION_STATUS',
      resource_provider_id: { value: providerId },
      update_operation_status: { operation_uuid, status, latest_status: status },
    })
  }

  /** The agent knows nothing of them any more. What they have made stays in the ledger. */
  drop(provider: ProviderState): void {
    for (const record of this.of(provider)) this.#forget(record)
  }

  #forget(record: OperationRecord): void {
    const { book, owed } = this.#parts
    this.records.delete(record.id)
    this.#retries.delete(record.id)
    book.desk.cancel(retryOf(record))
    book.desk.write(`operation/${record.id}`, null)
    if (record.known === true) owed.acknowledge(record.id)
  }
}

function retryOf({ id }: OperationRecord): string {
  return `status ${id}`
}
