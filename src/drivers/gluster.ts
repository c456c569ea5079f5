/**
 * The driver `gluster`: a pool is a GlusterFS volume, or a directory in one, mounted by a client of our own. Objects are
 * image files, attached as the driver loop does it, or directories, which several nodes may write to at once.
 */
import { HoldfastError } from '../model/errors.ts'
import { Lane } from '../programs/call-limits.ts'
import { DirectoryStore } from '../programs/directory-store.ts'
import { isAllHole } from '../programs/file-holes.ts'
import type { DirectoryObject } from '../programs/file-protocol.ts'
import { FileWorker } from '../programs/file-worker.ts'
import { GlusterAttached } from '../programs/gluster-attached.ts'
import { type ClientOf, GlusterClients, lostConnection, type MountedClient } from '../programs/gluster-clients.ts'
import { glusterSettings } from '../programs/gluster-settings.ts'
import { checkObjectName } from '../programs/pool-paths.ts'
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

const MKDIR_MS = 60_000
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
  readonly path: string
  readonly directories: DirectoryStore
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
  private readonly attachedHere = new Map<string, string>()

  constructor(deps: GlusterDriverDeps) {
    this.deps = deps
    const { programs, filesystems } = deps
    this.images = createLoopDriver({
      programs,
      filesystems,
      isAllHole: ({ path, size }, signal) => isAllHole(programs, path, size, signal),
      workerOf: (pool) => this.worker(pool),
    })
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
    await this.at(pool, signal, async ({ images, path }) => {
      const args = ['--parents', '--mode=0700', '--', path]
      await this.deps.programs.run('mkdir', args, { signal, deadlineMs: MKDIR_MS })
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
    return await this.about(pool, object, signal, async ({ images, directories }) => {
      if (kind === 'device') {
        if ((await directories.find(object)) !== undefined) throw directories.exists(object, 'it is a directory')
        return await this.images.create(images, object, sizeMiB, signal)
      }
      await this.checkSize(images, sizeMiB, signal)
      const image = await this.images.inspect(images, object, signal)
      if (image !== undefined) throw directories.exists(object, 'it is an image')
      return infoOf(await directories.create(object, sizeMiB))
    })
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
    checkObjectName(object)
    return await this.at(pool, signal, async ({ images, directories }) => {
      if ((await directories.find(object)) === undefined) return await this.images.isBlank(images, object, signal)
      return await directories.isBlank(object)
    })
  }

  async delete(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    await this.about(pool, object, signal, async ({ images, directories }) => {
      const [held] = await this.attached(pool, signal, object)
      if (held !== undefined) {
        const text = `${object} is attached on this machine as ${held.device}; detach it before deleting it`
        throw new HoldfastError('in_use', text, { device: held.device })
      }
      await this.images.delete(images, object, signal)
      await directories.remove(object, signal)
    })
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
    return await this.about(pool, object, signal, async ({ images, directories, long }) => {
      if ((await directories.find(source)) === undefined) {
        if ((await directories.find(object)) !== undefined) throw directories.exists(object, 'it is a directory')
        return await long.run(signal, () => this.images.copy(images, source, object, kind, progress, signal))
      }
      const image = await this.images.inspect(images, object, signal)
      if (image !== undefined) throw directories.exists(object, 'it is an image')
      const copied = await directories.copy(source, object, signal)
      progress(1)
      return infoOf(copied)
    })
  }

  async grow(pool: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal): Promise<ObjectInfo> {
    return await this.about(pool, object, signal, async ({ images, directories }) => {
      if ((await directories.find(object)) === undefined) {
        return await this.images.grow(images, object, sizeMiB, signal)
      }
      await this.checkSize(images, sizeMiB, signal)
      return infoOf(await directories.grow(object, sizeMiB))
    })
  }

  async inspect(pool: PoolTarget, object: string, signal: AbortSignal): Promise<ObjectInfo | undefined> {
    checkObjectName(object)
    return await this.at(pool, signal, async ({ images, directories }) => {
      const image = await this.images.inspect(images, object, signal)
      if (image !== undefined) return image
      const directory = await directories.find(object)
      return directory === undefined ? undefined : infoOf(directory)
    })
  }

  async inventory(pool: PoolTarget, signal: AbortSignal): Promise<ObjectInfo[]> {
    return await this.at(pool, signal, async ({ images, directories }) => {
      const files = await this.images.inventory(images, signal)
      const others = (await directories.list()).map(infoOf)
      return [...files, ...others].sort((a, b) => (a.name < b.name ? -1 : 1))
    })
  }

  async attach(pool: PoolTarget, object: string, readOnly: boolean, signal: AbortSignal): Promise<Attached> {
    return await this.about(pool, object, signal, async ({ images, directories }) => {
      const directory = await directories.find(object)
      if (directory === undefined) return await this.images.attach(images, object, readOnly, signal)
      this.attachedHere.set(keyOf(pool, object), directory.path)
      // who may write is a matter of its mounts
      return { object, device: directory.path, readOnly: false }
    })
  }

  /** Neither this nor `attached` asks the storage for anything: they work while it does not answer, or its client is dead. */
  async detach(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    checkObjectName(object)
    await this.locks.run(keyOf(pool, object), async () => {
      await this.seen.detach(this.targetOf(pool), object, signal)
      this.attachedHere.delete(keyOf(pool, object))
    })
  }

  async attached(pool: PoolTarget, signal: AbortSignal, object?: string): Promise<Attached[]> {
    const found: Attached[] = await this.seen.images(this.targetOf(pool), object, signal)
    const directories = new Map(await this.seen.directories(this.targetOf(pool), object))
    for (const [key, device] of this.attachedHere) {
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
    const client = { uuid: pool.uuid, name: pool.name, settings: glusterSettings(pool.settings) }
    const mounted = await this.clients.client(client, signal)
    try {
      return await work(this.placeOf(pool, client, mounted))
    } catch (thrown) {
      if (!lostConnection(thrown)) throw thrown
      await this.clients.repair(client, mounted, thrown, signal)
    }
    return await work(this.placeOf(pool, client, await this.clients.client(client, signal)))
  }

  private placeOf(pool: PoolTarget, { settings }: ClientOf, { target }: MountedClient): Place {
    const { programs } = this.deps
    const { uuid, name, installation } = pool
    const { directory, directIo } = settings
    const path = directory === '/' ? target : `${target}${directory}`
    const worker = this.worker(pool)
    const long = once(this.lanes, uuid, () => new Lane(LONG_AT_ONCE))
    return {
      images: { ...pool, settings: { directory: path, ...(directIo === undefined ? {} : { directIo }) } },
      path,
      directories: new DirectoryStore({
        programs,
        worker,
        long,
        directory: { directory: path, name, uuid, installation },
      }),
      long,
    }
  }

  /** The process for all of a pool's files. */
  private worker({ uuid, name }: PoolTarget): FileWorker {
    return once(this.workers, uuid, () => new FileWorker(name, undefined, this.deps.programs.environment))
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
