import type { ProjectedDisk } from '../../../mesos/projection.ts'
import type { Resource } from '../../../mesos/resource.ts'
import { HoldfastError } from '../../../model/errors.ts'
import { quote } from '../../../model/units.ts'
import { currentOf } from '../advertise/agent-state.ts'
import type { Conversion } from '../advertise/conversion.ts'
import { diskResource, type Place, type ReadResource, rawResource, readResource } from '../advertise/disk-resources.ts'
import { converted, failedForRoom, hold, released } from '../advertise/operations.ts'
import type { Shown } from '../advertise/shown.ts'
import type { Book, ProviderState } from './book.ts'
import { isPassing } from './desk.ts'
import type { OperationRecord } from './operation-record.ts'
import type { Operations } from './operations.ts'

const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 10_000
const WAIT_SECONDS = 25
/** Refusals after which the figure of this agent may fall. */
const NO_ROOM: ReadonlySet<string> = new Set(['does_not_fit', 'quota_exceeded', 'storage_full', 'deficit'])

export interface SlowOperationsParts {
  readonly book: Book
  readonly operations: () => Operations
  /** Whether a task of this agent may still use it. */
  readonly isUsed: (volumeId: string) => boolean
  /** Whether the controller has not heard of all that Mesos did before in this pool: it must hear of that first. */
  readonly isOwed: (poolId: string) => boolean
}

interface DiskAnswer {
  readonly volumeId?: string
  readonly state: 'pending' | 'ready' | 'failed' | 'gone'
  readonly disk?: ProjectedDisk
  readonly message?: string
}

/**
 * CREATE_DISK and DESTROY_DISK: the controller makes or deletes a volume, which takes its time. What the operation
 * consumes stays in the totals until it has ended.
 */
export class SlowOperations {
  readonly #parts: SlowOperationsParts
  readonly #failures = new Map<string, number>()

  constructor(parts: SlowOperationsParts) {
    this.#parts = parts
  }

  /** @throws what is wrong with it */
  begin(provider: ProviderState, record: OperationRecord): void {
    const { book } = this.#parts
    const { piece } = this.#read(provider, record)
    if (!hold(book.agent, provider.poolId, record.id, piece)) {
      throw new HoldfastError('in_use', 'what it consumes is not there, or another operation is at it')
    }
    record.known = true
    try {
      this.resume(provider, record)
    } catch (thrown) {
      released(book.agent, provider.poolId, record.id)
      throw thrown
    }
  }

  /** After a restart: what it consumes is held again, until the agent has been told of its end. */
  restore(provider: ProviderState, record: OperationRecord): void {
    const { book } = this.#parts
    const { status, conversion, carried } = record
    if (status !== undefined && (conversion === undefined || carried === true)) return
    try {
      hold(book.agent, provider.poolId, record.id, this.#read(provider, record).piece)
    } catch {
      // it is not shown any more: the ledger decides what becomes of it
    }
    if (conversion !== undefined) converted(book.agent, provider.poolId, record.id, conversion, book.desk.now)
  }

  /** Goes on with it where it is. Everything is asked under its UUID, so asking twice does no harm. */
  resume(provider: ProviderState, record: OperationRecord): void {
    if (record.status !== undefined) return
    if (this.#parts.isOwed(provider.poolId)) this.#later(provider, record)
    else if (record.info.type === 'DESTROY_DISK') this.#delete(provider, record)
    else if (record.volumeId === undefined) this.#create(provider, record)
    else this.#poll(provider, record)
  }

  #read(provider: ProviderState, { info }: OperationRecord) {
    const { book } = this.#parts
    const { source, read } = readSource(
      book,
      provider,
      info.create_disk?.source ?? info.destroy_disk?.source,
      info.type,
    )
    if (info.type === 'DESTROY_DISK') {
      if (read.kind !== 'disk') throw new HoldfastError('invalid_request', 'the source of DESTROY_DISK must be a disk')
      if (read.disk.persistence !== undefined) {
        throw new HoldfastError(
          'in_use',
          `disk ${read.volumeId} has a persistent volume, which has to be destroyed first`,
        )
      }
      if (this.#parts.isUsed(read.volumeId)) {
        throw new HoldfastError('in_use', `disk ${read.volumeId} is in use on this agent`)
      }
      return { source, read, piece: { kind: 'disk' as const, volumeId: read.volumeId } }
    }
    if (read.kind !== 'raw')
      throw new HoldfastError('invalid_request', 'the source of CREATE_DISK must be RAW capacity')
    const { reservations, sizeMiB } = read
    return { source, read, piece: { kind: 'raw' as const, reservations, sizeMiB } }
  }

  #create(provider: ProviderState, record: OperationRecord): void {
    const { book } = this.#parts
    const create = record.info.create_disk
    if (create === undefined) throw new HoldfastError('invalid_request', 'CREATE_DISK came without its content')
    const { target_type: target, target_profile: profile, source } = create
    if (target !== 'MOUNT' && target !== 'BLOCK') {
      throw new HoldfastError(
        'invalid_request',
        `the target of CREATE_DISK must be MOUNT or BLOCK, not ${quote(String(target))}`,
      )
    }
    const reservations = source.reservations ?? []
    const role = reservations.at(-1)?.role ?? source.allocation_info?.role
    if (role === undefined) throw new HoldfastError('invalid_request', 'the source of CREATE_DISK belongs to no role')
    const body = {
      operation: record.id,
      poolId: provider.poolId,
      role,
      reservations,
      sizeMiB: source.scalar?.value ?? 0,
      target,
      ...(profile === undefined ? {} : { profile }),
      ...(record.frameworkId === undefined ? {} : { frameworkId: record.frameworkId }),
      ...(record.info.id === undefined ? {} : { operationId: record.info.id.value }),
    }
    this.#ask(provider, record, { method: 'POST', path: '/v1/mesos/disks', body }, ({ volumeId, ...answer }) => {
      if (volumeId !== undefined) record.volumeId = volumeId
      this.#parts.operations().save(record)
      if (answer.state === 'pending') this.#poll(provider, record)
      else this.#heard(provider, record, answer)
    })
    book.desk.log('disk.asked', { operation: record.id, sizeMiB: body.sizeMiB, role, profile })
  }

  #delete(provider: ProviderState, record: OperationRecord): void {
    const volumeId = record.info.destroy_disk?.source.disk?.source?.id ?? ''
    const path = `/v1/mesos/disks/${encodeURIComponent(volumeId)}?operation=${record.id}`
    this.#ask(provider, record, { method: 'DELETE', path }, () => {
      record.volumeId = volumeId
      this.#parts.operations().save(record)
      this.#poll(provider, record)
    })
  }

  #poll(provider: ProviderState, record: OperationRecord): void {
    const path = `/v1/mesos/disks/${encodeURIComponent(record.volumeId ?? '')}?wait=${WAIT_SECONDS}`
    this.#ask(provider, record, { method: 'GET', path }, (answer) => this.#heard(provider, record, answer))
  }

  #heard(provider: ProviderState, record: OperationRecord, answer: DiskAnswer): void {
    const isDelete = record.info.type === 'DESTROY_DISK'
    const { state, disk, message } = answer
    if (state === 'ready' && !isDelete && disk !== undefined) {
      this.#made(provider, record, disk)
      return
    }
    if (state === 'gone' && isDelete) {
      this.#unmade(provider, record)
      return
    }
    if (state === 'failed' || state === 'gone') {
      this.#fail(provider, record, message ?? 'the volume is gone')
      return
    }
    // still on its way: the answer came at the end of the wait, or at once while it is not yet being deleted
    this.#parts.book.desk.after(FIRST_PAUSE_MS, `disk ${record.id}`, () => this.#poll(provider, record))
  }

  #ask(
    provider: ProviderState,
    record: OperationRecord,
    request: { readonly method: 'GET' | 'POST' | 'DELETE'; readonly path: string; readonly body?: object },
    onAnswer: (answer: DiskAnswer) => void,
  ): void {
    const { desk } = this.#parts.book
    desk.ask(`disk ${record.id}`, { kind: 'rest', ...request }, (reply) => {
      // it was dropped meanwhile
      if (this.#parts.operations().records.get(record.id) !== record || record.status !== undefined) return
      if (reply.ok) {
        this.#failures.delete(record.id)
        return onAnswer(reply.value as DiskAnswer)
      }
      const { error } = reply
      if (isPassing(error)) return this.#later(provider, record)
      if (error.code === 'not_found' && record.info.type === 'DESTROY_DISK') return this.#unmade(provider, record)
      if (NO_ROOM.has(error.code)) this.#noRoom(provider, record)
      this.#fail(provider, record, error.message)
    })
  }

  #later(provider: ProviderState, record: OperationRecord): void {
    const failures = this.#failures.get(record.id) ?? 0
    this.#failures.set(record.id, failures + 1)
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures, 10))
    this.#parts.book.desk.after(pause, `disk ${record.id}`, () => this.resume(provider, record))
  }

  /** The controller is back: what waits for it is asked again at once. */
  review(): void {
    const { book } = this.#parts
    for (const id of [...this.#failures.keys()]) {
      const record = this.#parts.operations().records.get(id)
      const provider = record === undefined ? undefined : book.providers.get(record.poolId)
      this.#failures.delete(id)
      if (record === undefined || provider === undefined || !book.desk.isDue(`disk ${id}`)) continue
      book.desk.cancel(`disk ${id}`)
      this.resume(provider, record)
    }
  }

  #noRoom(provider: ProviderState, record: OperationRecord): void {
    const { agent, desk } = this.#parts.book
    failedForRoom(agent, provider.poolId, record.info.create_disk?.source.reservations ?? [], desk.now)
  }

  #fail(provider: ProviderState, record: OperationRecord, message: string): void {
    this.#failures.delete(record.id)
    released(this.#parts.book.agent, provider.poolId, record.id)
    this.#parts.operations().end(provider, record, { state: 'OPERATION_FAILED', message })
  }

  #made(provider: ProviderState, record: OperationRecord, projected: ProjectedDisk): void {
    const { usedHere: _, ...disk } = projected
    const source = record.info.create_disk?.source
    const conversion: Conversion = {
      kind: 'made',
      reservations: source?.reservations ?? [],
      sizeMiB: source?.scalar?.value ?? 0,
      disk,
    }
    this.#finish(provider, record, conversion, (shown, place) => diskResource(disk, shown.vendor, place))
  }

  #unmade(provider: ProviderState, record: OperationRecord): void {
    const source = record.info.destroy_disk?.source
    const reservations = source?.reservations ?? []
    const sizeMiB = source?.scalar?.value ?? 0
    const volumeId = source?.disk?.source?.id ?? ''
    this.#finish(provider, record, { kind: 'unmade', volumeId, reservations, sizeMiB }, (shown, { providerId }) =>
      rawResource({ reservations, amount: sizeMiB }, shown, providerId),
    )
  }

  #finish(
    provider: ProviderState,
    record: OperationRecord,
    conversion: Conversion,
    result: (shown: Shown, place: Place) => Resource,
  ): void {
    const { book } = this.#parts
    this.#failures.delete(record.id)
    const place = book.place(provider)
    const shown = currentOf(book.pool(provider.poolId))
    if (place === undefined || shown === undefined) {
      this.#later(provider, record)
      return
    }
    const allocation = (record.info.create_disk ?? record.info.destroy_disk)?.source.allocation_info
    const made = { ...result(shown, place), ...(allocation === undefined ? {} : { allocation_info: allocation }) }
    record.conversion = conversion
    converted(book.agent, provider.poolId, record.id, conversion, book.desk.now)
    this.#parts.operations().finish(provider, record, { state: 'OPERATION_FINISHED', converted: [made] })
  }
}

/** @throws invalid_request, invalid_size */
function readSource(
  book: Book,
  provider: ProviderState,
  source: Resource | undefined,
  type: string,
): { source: Resource; read: ReadResource } {
  const shown = currentOf(book.pool(provider.poolId))
  if (source === undefined || shown === undefined || provider.providerId === undefined) {
    throw new HoldfastError('invalid_request', `${type} came without a source`)
  }
  return { source, read: readResource(source, shown, provider.providerId, `source of ${type}`) }
}
