import type { OperationInfo, Resource } from '../../../mesos/resource.ts'
import { reservationsOf } from '../../../mesos/resources.ts'
import { HoldfastError } from '../../../model/errors.ts'
import { currentOf, heldIn } from '../advertise/agent-state.ts'
import type { Conversion } from '../advertise/conversion.ts'
import { type ReadResource, readResource } from '../advertise/disk-resources.ts'
import { converted } from '../advertise/operations.ts'
import { amountIn, type Reservations, type Shown, type ShownDisk } from '../advertise/shown.ts'
import type { Book, ProviderState } from './book.ts'
import type { OperationRecord } from './operation-record.ts'
import type { Operations } from './operations.ts'
import type { Owed } from './owed.ts'
import { derivedUuid } from './uuids.ts'

export interface QuickOperationsParts {
  readonly book: Book
  readonly owed: Owed
  readonly operations: () => Operations
}

/** What one resource of an operation was, and what it is after it. */
interface Change {
  readonly before: Resource
  readonly after: Resource
}

/** What the operation does to one resource, for the agent's totals and for the controller. */
interface Act {
  readonly conversion: Conversion
  /** Undefined: the controller has no record of it. */
  readonly path?: string
  readonly body?: object
}

/**
 * RESERVE, UNRESERVE, CREATE and DESTROY. Agent and master have done them when the provider hears of it, and a refusal
 * at the wrong moment aborts the agent: whatever can be recorded is accepted.
 */
export class QuickOperations {
  readonly #parts: QuickOperationsParts

  constructor(parts: QuickOperationsParts) {
    this.#parts = parts
  }

  /** @throws why it can't be recorded, before anything was */
  perform(provider: ProviderState, record: OperationRecord): void {
    const { book, owed, operations } = this.#parts
    const shown = currentOf(book.pool(provider.poolId))
    if (shown === undefined) throw new HoldfastError('wrong_state', 'nothing is shown at this agent')
    const changes = changesOf(record.info)
    if (changes.length === 0) throw new HoldfastError('invalid_request', `${record.info.type} came without resources`)
    const acts = changes.map((change) => this.#act(provider, shown, record.info, change))
    for (const [index, { conversion, path, body }] of acts.entries()) {
      const key = `${record.id}:record:${index}`
      converted(book.agent, provider.poolId, key, conversion, book.desk.now)
      if (path === undefined) continue
      const operation = index === 0 ? record.id : derivedUuid(record.id, index)
      owed.add({
        id: key,
        method: 'POST',
        path,
        body: { operation, ...body },
        conversion: { poolId: provider.poolId, conversion },
      })
      if (index === 0) record.known = true
    }
    book.saveShown(provider)
    operations().end(provider, record, {
      state: 'OPERATION_FINISHED',
      converted: changes.map(({ after }) => after),
    })
  }

  #act(provider: ProviderState, shown: Shown, { type }: OperationInfo, { before, after }: Change): Act {
    const { book } = this.#parts
    const read = readResource(before, shown, provider.providerId ?? '', `resource of ${type}`)
    const to = reservationsOf(after)
    if (read.kind === 'disk') return diskAct(type, read, after, to)
    if (type === 'CREATE' || type === 'DESTROY') throw noVolume(type, 'capacity')
    const what = read.kind === 'raw' ? 'raw' : 'bandwidth'
    const amount = read.kind === 'raw' ? read.sizeMiB : read.amount
    const held = what === 'raw' ? heldIn(book.pool(provider.poolId), read.reservations) : 0
    if (amountIn(shown[what], read.reservations) - held < amount) {
      throw new HoldfastError('does_not_fit', `${type} of ${amount}, but that much is not offered here`)
    }
    const conversion: Conversion = { kind: 'moved', what, from: read.reservations, to, amount }
    if (what === 'bandwidth') return { conversion }
    const path = `/v1/mesos/providers/${provider.poolId}/reserved`
    return { conversion, path, body: { from: read.reservations, to, sizeMiB: amount } }
  }
}

function diskAct(type: string, read: Extract<ReadResource, { kind: 'disk' }>, after: Resource, to: Reservations): Act {
  const { disk, volumeId } = read
  const path = `/v1/mesos/disks/${encodeURIComponent(volumeId)}/record`
  const act = (changed: ShownDisk, body: object): Act => ({
    conversion: { kind: 'changed', disk: changed },
    path,
    body,
  })
  if (type === 'RESERVE' || type === 'UNRESERVE') return act({ ...disk, reservations: to }, { reservations: to })
  if (disk.target !== 'MOUNT') throw noVolume(type, `a ${disk.target} disk`)
  const { persistence: before, containerPath: _c, shared: _s, ...bare } = disk
  if (type === 'DESTROY') {
    if (before === undefined) throw new HoldfastError('wrong_state', `disk ${volumeId} has no persistent volume`)
    return act(bare, { persistence: null })
  }
  if (before !== undefined) throw new HoldfastError('wrong_state', `disk ${volumeId} has a persistent volume already`)
  const { persistence, volume } = after.disk ?? {}
  if (persistence === undefined || volume === undefined) {
    throw new HoldfastError('invalid_request', 'CREATE came without persistence and volume')
  }
  const words = {
    persistence,
    containerPath: volume.container_path,
    ...(after.shared === undefined ? {} : { shared: true }),
  }
  return act({ ...bare, ...words }, words)
}

/** An agent that launches a task on one aborts (Mesos src/slave/paths.cpp, getPersistentVolumePath). */
function noVolume(type: string, what: string): HoldfastError {
  return new HoldfastError(
    'unsupported',
    `${type}: ${what} can have no persistent volume; make a MOUNT disk of it first`,
  )
}

function changesOf({ type, reserve, unreserve, create, destroy }: OperationInfo): Change[] {
  switch (type) {
    case 'RESERVE':
      return (reserve?.resources ?? []).map((after, index) => ({
        before: withReservations(after, sourceReservations(after, reserve?.source?.[index])),
        after,
      }))
    case 'UNRESERVE':
      return (unreserve?.resources ?? []).map((before) => ({
        before,
        after: withReservations(before, reservationsOf(before).slice(0, -1)),
      }))
    case 'CREATE':
      return (create?.volumes ?? []).map((after) => ({ before: withoutVolume(after), after }))
    case 'DESTROY':
      return (destroy?.volumes ?? []).map((before) => ({ before, after: withoutVolume(before) }))
    default:
      throw new HoldfastError('unsupported', `${type} is not possible with resources of a provider`)
  }
}

/** RESERVE pushes one level, unless it says what it starts from. */
function sourceReservations(after: Resource, source: Resource | undefined): Reservations {
  return source === undefined ? reservationsOf(after).slice(0, -1) : reservationsOf(source)
}

function withReservations(resource: Resource, reservations: Reservations): Resource {
  const { reservations: _, role: _o, reservation: _r, ...rest } = resource
  return reservations.length === 0 ? rest : { ...rest, reservations }
}

function withoutVolume({ disk, shared: _, ...rest }: Resource): Resource {
  return disk?.source === undefined ? rest : { ...rest, disk: { source: disk.source } }
}
