/**
 * The driver `gluster`: a pool is a GlusterFS volume, or a directory in one, mounted by a client of our own. Objects are
 * image files, attached as the driver loop does it, or directories, which several nodes may write to at once.
 */
import { HoldfastError } from '../model/errors.ts'
import { Lane } from '../programs/call-limits.ts'
import type { DirectoryObject, PoolDirectory } from '../programs/file-protocol.ts'
import { FileWorker } from '../programs/file-worker.ts'
import { GlusterAttached } from '../programs/gluster-attached.ts'
import { GlusterClients, type MountedClient } from '../programs/gluster-clients.ts'
import { type GlusterSettings, glusterSettings } from '../programs/gluster-settings.ts'
import { checkObjectName } from '../programs/pool-paths.ts'
import { copyTree, removeTree } from '../programs/trees.ts'
import type {
  Attached,
  Capabilities,
  Driver,
  ObjectInfo,
  ObjectKind,
  PoolProbe,
  PoolTarget,
  Progress,
} from './driver.ts'
import { Locks } from './locks.ts'
import { createLoopDriver, type LoopDriverDeps } from './loop.ts'

const STAT_MS = 5000
const WRITE_MS = 60_000
/** Copies and removals of whole objects at once, for each pool. */
const LONG_AT_ONCE = 4

export interface GlusterDriverDeps extends Pick<LoopDriverDeps, 'programs' | 'filesystems'> {
  /** Where clients are mounted, and keep their logs: a directory of the node's own. */
  readonly directory: string
}

export function createGlusterDriver(deps: GlusterDriverDeps): Driver {
  return new GlusterDriver(deps)
}

/** A pool whose client is mounted. */
interface Place {
  /** The pool as the driver loop has it. */
  readonly images: PoolTarget
  readonly directory: PoolDirectory
  readonly worker: FileWorker
  readonly long: Lane
}

class GlusterDriver implements Driver {
  readonly name = 'gluster'
  private readonly deps: GlusterDriverDeps
  private readonly images: Driver
  private readonly clients: GlusterClients
  private readonly seen: GlusterAttached
  private readonly locks = new Locks()
  private readonly workers = new Map<string, FileWorker>()
  private readonly lanes = new Map<string, Lane>()
  /** Directories that were attached in this life, by pool and object: until they are mounted nothing else tells. */
  private readonly directories = new Map<string, string>()

  constructor(deps: GlusterDriverDeps) {
    this.deps = deps
    this.images = createLoopDriver(deps)
    this.clients = new GlusterClients(deps.programs, deps.directory)
    this.seen = new GlusterAttached(deps.programs)
  }

  checkSettings(settings: Readonly<Record<string, string>>): void {
    glusterSettings(settings)
  }

  async probe(pool: PoolTarget, signal: AbortSignal): Promise<PoolProbe> {
    return await this.at(pool, signal, async ({ images }) => {
      const { capabilities, ...sizes } = await this.images.probe(images, signal)
      return { capabilities: withDirectories(capabilities), ...sizes }
    })
  }

  async mark(pool: PoolTarget, signal: AbortSignal): Promise<undefined> {
    await this.at(pool, signal, async ({ images, directory }) => {
      const { programs } = this.deps
      const args = ['--parents', '--mode=0700', '--', directory.directory]
      await programs.run('mkdir', args, { signal, deadlineMs: WRITE_MS })
      await this.images.mark(images, signal)
    })
  }

  async create(
    pool: PoolTarget,
    object: string,
    sizeMiB: number,
    signal: AbortSignal,
    kind: ObjectKind = 'device',
  ): Promise<ObjectInfo> {
    return await this.about(pool, object, signal, async (place) => {
      const directory = await this.directory(place, object)
      if (kind === 'directory') return await this.createDirectory(place, object, sizeMiB, signal)
      if (directory === undefined) return await this.images.create(place.images, object, sizeMiB, signal)
      throw exists(pool, object, 'it is a directory')
    })
  }

  private async createDirectory(
    { images, worker, directory }: Place,
    object: string,
    sizeMiB: number,
    signal: AbortSignal,
  ): Promise<ObjectInfo> {
    await this.checkSize(images, sizeMiB, signal)
    if ((await this.images.inspect(images, object, signal)) !== undefined) {
      throw exists(images, object, 'it is no directory')
    }
    await worker.call('createDirectory', WRITE_MS, directory, object, sizeMiB)
    const made = await worker.call('findDirectory', STAT_MS, directory, object)
    if (made === undefined) throw missing(images, object)
    if (made.sizeMiB !== sizeMiB) throw exists(images, object, `it has ${made.sizeMiB} MiB and not ${sizeMiB}`)
    if (await worker.call('isDirectoryBlank', WRITE_MS, directory, object)) return infoOf(made)
    throw exists(images, object, 'it holds data')
  }

  private async checkSize(images: PoolTarget, sizeMiB: number, signal: AbortSignal): Promise<void> {
    if (!Number.isSafeInteger(sizeMiB) || sizeMiB < 1) {
      throw new HoldfastError('invalid_size', `Bad size ${sizeMiB}: whole MiB, 1 or more`, { sizeMiB })
    }
    const { maxObjectMiB } = (await this.images.probe(images, signal)).capabilities
    if (sizeMiB <= maxObjectMiB) return
    const text = `${images.name} has objects of at most ${maxObjectMiB} MiB, ${sizeMiB} are asked`
    throw new HoldfastError('object_too_large', text, { sizeMiB, limit: maxObjectMiB })
  }

  async isBlank(pool: PoolTarget, object: string, signal: AbortSignal): Promise<boolean> {
    return await this.at(pool, signal, async (place) => {
      const { images, worker, directory } = place
      if ((await this.directory(place, object)) === undefined) return await this.images.isBlank(images, object, signal)
      return await worker.call('isDirectoryBlank', WRITE_MS, directory, object)
    })
  }

  async delete(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    await this.about(pool, object, signal, async (place) => {
      const [held] = await this.attached(pool, signal, object)
      if (held !== undefined) {
        const text = `${object} is attached on this machine as ${held.device}; detach it before deleting it`
        throw new HoldfastError('in_use', text, { device: held.device })
      }
      await this.images.delete(place.images, object, signal)
      await this.removeTrees(place, object, signal)
    })
  }

  /** The directory of an object, and what interrupted work on one left. */
  private async removeTrees({ worker, directory, long }: Place, object: string, signal: AbortSignal): Promise<void> {
    const trees = await worker.call('retireDirectory', WRITE_MS, directory, object)
    for (const tree of trees) await long.run(signal, () => removeTree(this.deps.programs, tree, signal))
  }

  async copy(
    pool: PoolTarget,
    source: string,
    object: string,
    kind: 'volume' | 'snapshot',
    progress: Progress,
    signal: AbortSignal,
  ): Promise<ObjectInfo> {
    checkObjectName(source)
    return await this.about(pool, object, signal, async (place) => {
      const { images, long } = place
      if ((await this.directory(place, source)) !== undefined) {
        return await this.copyDirectory(place, source, object, progress, signal)
      }
      if ((await this.directory(place, object)) !== undefined) throw exists(pool, object, 'it is a directory')
      return await long.run(signal, () => this.images.copy(images, source, object, kind, progress, signal))
    })
  }

  private async copyDirectory(
    place: Place,
    source: string,
    object: string,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<ObjectInfo> {
    const { images, worker, directory, long } = place
    const { programs } = this.deps
    if ((await this.images.inspect(images, object, signal)) !== undefined)
      throw exists(images, object, 'it is an image')
    const { from, to } = await worker.call('beginTreeCopy', WRITE_MS, directory, source, object)
    try {
      await long.run(signal, () => copyTree(programs, from, to, signal))
      await worker.call('finishTreeCopy', WRITE_MS, directory, to, object)
    } catch (thrown) {
      // best effort: what stays has no object's name, and is removed with the object
      await removeTree(programs, to, AbortSignal.timeout(WRITE_MS)).catch(() => undefined)
      throw thrown
    }
    progress(1)
    return infoOf(await this.need(place, object))
  }

  async grow(pool: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal): Promise<ObjectInfo> {
    return await this.about(pool, object, signal, async (place) => {
      const { images, worker, directory } = place
      if ((await this.directory(place, object)) === undefined) {
        return await this.images.grow(images, object, sizeMiB, signal)
      }
      await this.checkSize(images, sizeMiB, signal)
      await worker.call('resizeDirectory', WRITE_MS, directory, object, sizeMiB)
      return infoOf(await this.need(place, object))
    })
  }

  async inspect(pool: PoolTarget, object: string, signal: AbortSignal): Promise<ObjectInfo | undefined> {
    checkObjectName(object)
    return await this.at(pool, signal, async (place) => {
      const image = await this.images.inspect(place.images, object, signal)
      if (image !== undefined) return image
      const directory = await this.directory(place, object)
      return directory === undefined ? undefined : infoOf(directory)
    })
  }

  async inventory(pool: PoolTarget, signal: AbortSignal): Promise<ObjectInfo[]> {
    return await this.at(pool, signal, async ({ images, worker, directory }) => {
      const files = await this.images.inventory(images, signal)
      const directories = await worker.call('listDirectories', WRITE_MS, directory)
      return [...files, ...directories.map(infoOf)].sort((a, b) => (a.name < b.name ? -1 : 1))
    })
  }

  async attach(pool: PoolTarget, object: string, readOnly: boolean, signal: AbortSignal): Promise<Attached> {
    return await this.about(pool, object, signal, async (place) => {
      const directory = await this.directory(place, object)
      if (directory === undefined) return await this.images.attach(place.images, object, readOnly, signal)
      this.directories.set(keyOf(pool, object), directory.path)
      // who may write is a matter of its mounts
      return { object, device: directory.path, readOnly: false }
    })
  }

  /** Neither this nor `attached` asks the storage for anything: they work while it does not answer, or its client is dead. */
  async detach(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    checkObjectName(object)
    await this.locks.run(keyOf(pool, object), async () => {
      await this.seen.detach(this.targetOf(pool), object, signal)
      this.directories.delete(keyOf(pool, object))
    })
  }

  async attached(pool: PoolTarget, signal: AbortSignal, object?: string): Promise<Attached[]> {
    const found: Attached[] = await this.seen.images(this.targetOf(pool), object, signal)
    const directories = new Map(await this.seen.directories(this.targetOf(pool), object))
    for (const [key, device] of this.directories) {
      const [uuid, name = ''] = key.split('/')
      if (uuid === pool.uuid && (object ?? name) === name) directories.set(name, device)
    }
    return [...found, ...[...directories].map(([name, device]) => ({ object: name, device, readOnly: false }))]
  }

  fence(pool: PoolTarget, object: string): Promise<void> {
    const text = `${object} on ${pool.name}: GlusterFS cannot prove that a lost node writes no more`
    return Promise.reject(
      new HoldfastError('unsupported', `${text}. Make sure that the node is off, then confirm by hand`, { object }),
    )
  }

  /** Clients that something is in use through stay, and are found again by the next life of the daemon. */
  async close(): Promise<void> {
    const workers = [...this.workers.values()]
    this.workers.clear()
    await Promise.all([this.images.close(), ...workers.map((worker) => worker.close())])
    await this.clients.close()
  }

  private async directory({ worker, directory }: Place, object: string): Promise<DirectoryObject | undefined> {
    return await worker.call('findDirectory', STAT_MS, directory, object)
  }

  private async need(place: Place, object: string): Promise<DirectoryObject> {
    const found = await this.directory(place, object)
    if (found === undefined) throw missing(place.images, object)
    return found
  }

  /** Work on one object, after other work on it. */
  private async about<T>(pool: PoolTarget, object: string, signal: AbortSignal, work: (place: Place) => Promise<T>) {
    checkObjectName(object)
    return await this.locks.run(keyOf(pool, object), () => this.at(pool, signal, work))
  }

  /**
   * Work where the pool's client is mounted. A dead client is replaced and the work begun anew, which every call of a
   * driver allows.
   */
  private async at<T>(pool: PoolTarget, signal: AbortSignal, work: (place: Place) => Promise<T>): Promise<T> {
    if (signal.aborted) throw new HoldfastError('cancelled', `Work on ${pool.name} was cancelled`)
    const settings = glusterSettings(pool.settings)
    const client = { uuid: pool.uuid, name: pool.name, settings }
    const mounted = await this.clients.client(client, signal)
    try {
      return await work(this.placeOf(pool, settings, mounted))
    } catch (thrown) {
      if (!lostConnection(thrown)) throw thrown
      if (!(await this.clients.repair(client, mounted, signal))) throw notReached(client, thrown)
    }
    return await work(this.placeOf(pool, settings, await this.clients.client(client, signal)))
  }

  private placeOf(pool: PoolTarget, { directory, directIo }: GlusterSettings, { target }: MountedClient): Place {
    const path = directory === '/' ? target : `${target}${directory}`
    return {
      images: { ...pool, settings: { directory: path, ...(directIo === undefined ? {} : { directIo }) } },
      directory: { directory: path, name: pool.name, uuid: pool.uuid, installation: pool.installation },
      worker: once(this.workers, pool.uuid, () => new FileWorker(pool.name, undefined, this.deps.programs.environment)),
      long: once(this.lanes, pool.uuid, () => new Lane(LONG_AT_ONCE)),
    }
  }

  private targetOf(pool: PoolTarget) {
    return { mountPoint: this.clients.target(pool.uuid), directory: glusterSettings(pool.settings).directory }
  }
}

function once<T>(known: Map<string, T>, key: string, make: () => T): T {
  const found = known.get(key) ?? make()
  known.set(key, found)
  return found
}

function keyOf(pool: PoolTarget, object: string): string {
  return `${pool.uuid}/${object}`
}

/** A file on GlusterFS has one writer at a time by our ledger alone, and no copy without moving its bytes. */
function withDirectories(images: Capabilities): Capabilities {
  const filesystems = [...images.filesystems, 'directory']
  return { ...images, snapshot: 'copy', writersMany: true, filesystems, fence: 'none' }
}

function infoOf({ object, sizeMiB }: DirectoryObject): ObjectInfo {
  return { name: object, sizeMiB, usedMiB: undefined }
}

function exists(pool: PoolTarget, object: string, why: string): HoldfastError {
  return new HoldfastError('object_exists', `The object ${object} is already on ${pool.name} and ${why}`, { object })
}

function missing(pool: PoolTarget, object: string): HoldfastError {
  return new HoldfastError('object_missing', `There is no object ${object} on ${pool.name}`, { object })
}

/** What the kernel says of a mount whose client is dead, and a client whose servers are away; and what ended with it. */
function lostConnection(thrown: unknown): thrown is HoldfastError {
  if (!(thrown instanceof HoldfastError)) return false
  const { errno } = thrown.data
  if (errno === 'ENOTCONN' || errno === 'ECONNABORTED') return true
  return /Transport endpoint is not connected|Software caused connection abort/.test(thrown.message)
}

function notReached(
  { name, settings }: { name: string; settings: GlusterSettings },
  cause: HoldfastError,
): HoldfastError {
  const text = `The volume ${settings.volume} of ${name} does not answer: its bricks, or a quorum of them, cannot be reached`
  return new HoldfastError('storage_failed', `${text} from this node`, { ...cause.data }, { cause })
}
