import type { Resource } from '../../../mesos/resource.ts'
import { asHoldfastError, HoldfastError } from '../../../model/errors.ts'
import { currentOf } from '../advertise/agent-state.ts'
import { type Place, type ReadResource, readResource, sameAsShown } from '../advertise/disk-resources.ts'
import type { Shown } from '../advertise/shown.ts'
import type { Bandwidths, BandwidthWaiting } from './bandwidths.ts'
import type { Book, ProviderState } from './book.ts'
import type { Uses, Waiting } from './uses.ts'

export interface PublishesParts {
  readonly book: Book
  readonly uses: Uses
  readonly bandwidths: Bandwidths
  /** How long an answer may take, ms; the holder answers FAILED by itself a little later. */
  readonly answerMs: number
  readonly onFailure: (provider: ProviderState, message: string) => void
}

/** A PUBLISH_RESOURCES that is not answered yet. */
interface Publish {
  readonly provider: ProviderState
  readonly uuid: string
  readonly seq: number
  /** Volumes that it has claimed, and what takes the claim back from its hands when it is answered. */
  readonly claims: Map<string, Waiting>
  bandwidth: BandwidthWaiting | undefined
  /** What is not there yet: volume ids, and `bandwidth`. */
  readonly missing: Set<string>
}

/**
 * A task is about to start with our resources: they are claimed in the ledger, attached and mounted, and only then the
 * agent is told that it may go on. What differs from our own record is refused: that is the only barrier between some
 * operations that agent and master have believed and an agent that aborts.
 */
export class Publishes {
  readonly #parts: PublishesParts
  readonly #open = new Map<string, Publish>()

  constructor(parts: PublishesParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#open.size
  }

  begin(provider: ProviderState, uuid: string, resources: readonly Resource[], seq: number, ageMs: number): void {
    const { answerMs } = this.#parts
    const { desk } = this.#parts.book
    const id = idOf(provider, uuid)
    if (this.#open.has(id)) {
      desk.consume(seq)
      return
    }
    const publish: Publish = { provider, uuid, seq, claims: new Map(), bandwidth: undefined, missing: new Set() }
    this.#open.set(id, publish)
    desk.after(answerMs - ageMs, `publish ${id}`, () =>
      this.#fail(publish, `not ready within ${answerMs / 1000} s: ${[...publish.missing].join(', ')}`),
    )
    try {
      this.#claim(publish, this.#read(provider, resources))
    } catch (thrown) {
      this.#fail(publish, asHoldfastError(thrown).message)
    }
  }

  /** The stream has ended: nobody waits any more. */
  closed(provider: ProviderState): void {
    for (const [id, publish] of this.#open) if (publish.provider === provider) this.#end(id, publish)
  }

  /** @throws why it must fail */
  #read(provider: ProviderState, resources: readonly Resource[]): ReadResource[] {
    const { book } = this.#parts
    const place = book.place(provider)
    const shown = currentOf(book.pool(provider.poolId))
    if (place === undefined || shown === undefined) throw new HoldfastError('wrong_state', 'nothing is shown here yet')
    return resources.map((resource) =>
      readPublished(resource, this.#shownWith(provider, resource, shown, place), place),
    )
  }

  /** While this provider withdraws, what was shown before still holds for tasks that are just being started. */
  #shownWith(provider: ProviderState, resource: Resource, shown: Shown, place: Place): Shown {
    const before = this.#parts.book.shownBeforeStop.get(provider.poolId)
    return before === undefined || sameAsShown(resource, shown, place) ? shown : before
  }

  #claim(publish: Publish, resources: readonly ReadResource[]): void {
    const { uses, bandwidths } = this.#parts
    const { poolId } = publish.provider
    const volumes = resources.flatMap((each) => (each.kind === 'disk' ? [each.volumeId] : []))
    const amount = resources.reduce((sum, each) => sum + (each.kind === 'bandwidth' ? each.amount : 0), 0)
    for (const volumeId of volumes) publish.missing.add(volumeId)
    if (amount > 0) publish.missing.add('bandwidth')
    for (const volumeId of new Set(volumes)) {
      const waiting = {
        onMounted: (path: string) => this.#mounted(publish, volumeId, path),
        onRefused: (error: HoldfastError) => this.#fail(publish, error.message),
      }
      publish.claims.set(volumeId, waiting)
      uses.claim(volumeId, poolId, waiting)
    }
    if (amount > 0) {
      publish.bandwidth = {
        onGranted: () => this.#ready(publish, 'bandwidth'),
        onRefused: (error) => this.#fail(publish, error.message),
      }
      uses.watch()
      bandwidths.claim(poolId, amount, publish.bandwidth)
    }
    if (publish.missing.size === 0) this.#answer(publish, 'OK')
  }

  #mounted(publish: Publish, volumeId: string, path: string): void {
    const { mountRoot } = this.#parts.book
    const disk = currentOf(this.#parts.book.pool(publish.provider.poolId))?.disks.find(
      (each) => each.volumeId === volumeId,
    )
    const expected = `${mountRoot}/${volumeId}/target`
    if (disk?.target !== 'BLOCK' && path !== expected) {
      this.#fail(publish, `volume ${volumeId} is mounted at ${path}, and the agent looks at ${expected}`)
    } else this.#ready(publish, volumeId)
  }

  #ready(publish: Publish, what: string): void {
    publish.missing.delete(what)
    if (publish.missing.size === 0) this.#answer(publish, 'OK')
  }

  #fail(publish: Publish, message: string): void {
    const { book, onFailure } = this.#parts
    if (!this.#open.has(idOf(publish.provider, publish.uuid))) return
    book.desk.log('publish.failed', { pool: publish.provider.poolId, uuid: publish.uuid, message })
    onFailure(publish.provider, message)
    this.#answer(publish, 'FAILED')
  }

  #answer(publish: Publish, status: 'OK' | 'FAILED'): void {
    const { desk } = this.#parts.book
    const { provider, uuid } = publish
    const id = idOf(provider, uuid)
    if (this.#open.get(id) !== publish) return
    this.#open.delete(id)
    desk.cancel(`publish ${id}`)
    desk.consume(publish.seq)
    desk.call(
      provider.poolId,
      {
        type: 'UPDATE_PUBLISH_RESOURCES_STATUS',
        resource_provider_id: { value: provider.providerId ?? '' },
        update_publish_resources_status: { uuid: { value: uuid }, status },
      },
      // only from then on may the agent's lists say that nothing uses it
      () => this.#over(publish),
    )
  }

  #end(id: string, publish: Publish): void {
    this.#open.delete(id)
    this.#parts.book.desk.cancel(`publish ${id}`)
    this.#parts.book.desk.consume(publish.seq)
    this.#over(publish)
  }

  #over({ provider, claims, bandwidth }: Publish): void {
    for (const [volumeId, waiting] of claims) this.#parts.uses.answered(volumeId, waiting)
    if (bandwidth !== undefined) this.#parts.bandwidths.answered(provider.poolId, bandwidth)
  }
}

/** @throws why a task can't start with it */
function readPublished(resource: Resource, shown: Shown, place: Place): ReadResource {
  const read = readResource(resource, shown, place.providerId, 'published resource')
  if (!sameAsShown(resource, shown, place)) {
    const what = read.kind === 'disk' ? `disk ${read.volumeId}` : read.kind
    throw new HoldfastError('wrong_state', `${what} is not as this provider shows it`)
  }
  if (read.kind === 'raw') {
    throw new HoldfastError('unsupported', 'RAW capacity is nothing that a task can use; make a disk of it first')
  }
  return read
}

function idOf({ poolId }: ProviderState, uuid: string): string {
  return `${poolId} ${uuid}`
}
