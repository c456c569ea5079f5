/** The objects of a pool on a CSI plugin: by which ids the plugin knows them, and how they are made and removed. */

import {
  type ObjectHandle,
  objectHandle,
  parseHandle,
  type SnapshotHandle,
  type VolumeHandle,
} from '../csi/object-handle.ts'
import type { ContentSource, CsiPlugin } from '../csi/plugin.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { CsiBook } from '../programs/csi-book.ts'
import type { PoolTarget } from './driver.ts'

/** How many removed objects are remembered: to remove one again must not make it first. */
const MOST_REMOVED = 10_000

/** What this node asked for, and what was answered to it. */
export interface BookEntry {
  readonly asked:
    | { readonly kind: 'volume'; readonly sizeMiB: number; readonly source?: ContentSource | undefined }
    | { readonly kind: 'snapshot'; readonly source: Pick<VolumeHandle, 'id' | 'sizeMiB'> }
  readonly handle?: ObjectHandle
}

export class CsiObjects {
  readonly #book: CsiBook<BookEntry>
  readonly #removed = new Set<string>()
  /** By pool: the objects of the ids that this node knows. */
  readonly #owners = new Map<string, Promise<Map<string, string>>>()

  constructor(book: CsiBook<BookEntry>) {
    this.#book = book
  }

  /** By the ledger's word, or else by this node's own book. */
  async handle(pool: PoolTarget, object: string): Promise<ObjectHandle | undefined> {
    const told = objectHandle(pool.handleOf(object))
    const own = (await this.#book.read(pool.uuid, object))?.handle
    if (told === undefined || told.id !== own?.id) return told ?? own
    // volumes only grow: the larger one is the newer
    return own.sizeMiB > told.sizeMiB ? own : told
  }

  /** The objects that this node has asked for, with their handles. */
  async known(pool: PoolTarget): Promise<Map<string, ObjectHandle>> {
    const known = new Map<string, ObjectHandle>()
    for (const object of await this.#book.objects(pool.uuid)) {
      const handle = await this.handle(pool, object)
      if (handle !== undefined) known.set(object, handle)
    }
    return known
  }

  async learn(pool: PoolTarget, object: string, handle: ObjectHandle): Promise<void> {
    const asked = (await this.#book.read(pool.uuid, object))?.asked
    const { kind, sizeMiB } = handle
    const made = kind === 'volume' ? { kind, sizeMiB } : { kind, source: { id: handle.source, sizeMiB } }
    await this.#book.write(pool.uuid, object, { asked: asked ?? made, handle })
    ;(await this.#ownersIn(pool)).set(handle.id, object)
  }

  #ownersIn(pool: PoolTarget): Promise<Map<string, string>> {
    const known = async () => new Map([...(await this.known(pool))].map(([object, { id }]) => [id, object]))
    const owners = this.#owners.get(pool.uuid) ?? known()
    this.#owners.set(pool.uuid, owners)
    return owners
  }

  /** Two objects with one id would have one content. @throws storage_failed */
  async #requireOwn(pool: PoolTarget, object: string, { id }: ObjectHandle): Promise<void> {
    const owners = await this.#ownersIn(pool)
    const owner = parseHandle(pool.handle)?.id === id ? 'the marker of the pool' : owners.get(id)
    if (owner === undefined || owner === object) return
    const text = `the CSI plugin made ${object} and gave it the id ${id}, which ${owner} has`
    throw new HoldfastError('storage_failed', `${text}; it is not used`, { id })
  }

  async makeVolume(
    { pool, plugin }: { pool: PoolTarget; plugin: CsiPlugin },
    object: string,
    wish: { readonly sizeMiB: number; readonly source?: ContentSource | undefined },
    signal: AbortSignal,
  ): Promise<VolumeHandle> {
    await this.#begin(pool, object, { asked: { kind: 'volume', ...wish } })
    try {
      const handle = await plugin.createVolume({ name: object, ...wish, exactly: true }, signal)
      await this.#requireOwn(pool, object, handle)
      await this.learn(pool, object, handle)
      return handle
    } catch (thrown) {
      await this.#unlessUnknown(pool, object, thrown)
      throw thrown
    }
  }

  async makeSnapshot(
    { pool, plugin }: { pool: PoolTarget; plugin: CsiPlugin },
    object: string,
    source: VolumeHandle,
    signal: AbortSignal,
  ): Promise<SnapshotHandle> {
    const { id, sizeMiB } = source
    await this.#begin(pool, object, { asked: { kind: 'snapshot', source: { id, sizeMiB } } })
    try {
      const { ready: _, ...handle } = await plugin.createSnapshot(object, source, signal)
      await this.#requireOwn(pool, object, handle)
      await this.learn(pool, object, handle)
      return handle
    } catch (thrown) {
      await this.#unlessUnknown(pool, object, thrown)
      throw thrown
    }
  }

  async #begin({ uuid }: PoolTarget, object: string, entry: BookEntry): Promise<void> {
    this.#removed.delete(`${uuid}/${object}`)
    await this.#book.write(uuid, object, entry)
  }

  /** What was refused for good was not made; after any other end the same request may be needed to find what was. */
  async #unlessUnknown({ uuid }: PoolTarget, object: string, thrown: unknown): Promise<void> {
    const refused: string[] = ['storage_full', 'invalid_size', 'object_missing', 'object_exists', 'unsupported']
    if (refused.includes(asHoldfastError(thrown).code)) await this.#book.remove(uuid, object)
  }

  /**
   * Removes an object, also one whose id was never told, or that was made anew after it was: then the ledger may have an
   * older id than the book, or this node an older one than another node has made.
   */
  async remove(access: { pool: PoolTarget; plugin: CsiPlugin }, object: string, signal: AbortSignal): Promise<void> {
    const { pool, plugin } = access
    const key = `${pool.uuid}/${object}`
    if (this.#removed.has(key)) return
    const told = objectHandle(pool.handleOf(object))
    const own = (await this.#book.read(pool.uuid, object))?.handle
    const handles = [told, own?.id === told?.id ? undefined : own].filter((handle) => handle !== undefined)
    let found = false
    for (const handle of handles) found = (await this.#removeOne(plugin, handle, signal)) || found
    const other = found ? undefined : await this.#search(access, object, signal)
    if (other !== undefined) await this.#removeOne(plugin, other, signal)
    await this.#book.remove(pool.uuid, object)
    const between = sourceName(object)
    if ((await this.#book.read(pool.uuid, between)) !== undefined) await this.remove(access, between, signal)
    const owners = await this.#ownersIn(pool)
    for (const { id } of handles) owners.delete(id)
    this.#removed.add(key)
    const [oldest = ''] = this.#removed
    if (this.#removed.size > MOST_REMOVED) this.#removed.delete(oldest)
  }

  /** @returns whether it was there */
  async #removeOne(plugin: CsiPlugin, handle: ObjectHandle, signal: AbortSignal): Promise<boolean> {
    if (handle.kind === 'snapshot') {
      const there = (await plugin.snapshot(handle, signal)) !== undefined
      await plugin.deleteSnapshot(handle.id, signal)
      return there
    }
    const there = (await plugin.volume(handle, signal)) !== undefined
    await plugin.deleteVolume(handle.id, signal)
    return there
  }

  /** CSI finds a volume by its name only by making it again (spec.md, CreateVolume is idempotent by name). */
  async #search(
    { pool, plugin }: { pool: PoolTarget; plugin: CsiPlugin },
    object: string,
    signal: AbortSignal,
  ): Promise<ObjectHandle | undefined> {
    const asked = (await this.#book.read(pool.uuid, object))?.asked
    try {
      if (asked?.kind === 'snapshot') return await plugin.createSnapshot(object, asked.source, signal)
      // of a snapshot that another node asked for, nothing is known by which it could be asked for again
      if (asked === undefined && /^hf-[0-9a-f]{8}-snap-/.test(object)) return undefined
      const { unitMiB } = plugin.settings
      const wish = asked === undefined ? { sizeMiB: unitMiB, exactly: false } : { ...asked, exactly: true }
      return await plugin.createVolume({ name: object, ...wish }, signal)
    } catch (thrown) {
      const { code, message } = asHoldfastError(thrown)
      // the plugin would have answered with the one that it has
      if (code === 'storage_full' || code === 'object_missing' || code === 'invalid_size') return undefined
      if (code !== 'object_exists') throw thrown
      const text = `${object} is on the storage, but the plugin does not tell by which id: remove it there`
      throw new HoldfastError('storage_failed', `${text} (${message})`, { object })
    }
  }
}

/** The snapshot that an object is copied from, where a plugin clones snapshots alone. */
export function sourceName(object: string): string {
  return `${object}-source`
}
