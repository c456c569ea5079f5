/**
 * The driver `csi`: any CSI plugin as storage (container-storage-interface/spec, v1). An object is a volume or a snapshot
 * of the plugin, which the ledger's handle tells: CSI has ids of its own, and no way to look for a name. Volumes are block
 * devices, which Holdfast formats and mounts, or directories, where the plugin does.
 */
import { join } from 'node:path'
import type { ObjectHandle, VolumeHandle } from '../csi/object-handle.ts'
import { formatHandle } from '../csi/object-handle.ts'
import { CsiPlugin, type PluginFacts } from '../csi/plugin.ts'
import type { PluginTimes } from '../csi/plugin-call.ts'
import { type CsiPluginSettings, csiPluginSettings } from '../csi/plugin-settings.ts'
import { HoldfastError } from '../model/errors.ts'
import { formatMiB, MAX_MIB } from '../model/units.ts'
import { hasBlankEnds, lookAtDevice } from '../programs/block-device.ts'
import { Lane } from '../programs/call-limits.ts'
import { CsiBook } from '../programs/csi-book.ts'
import { CsiPlaces } from '../programs/csi-places.ts'
import { FileWorker } from '../programs/file-worker.ts'
import { checkObjectName } from '../programs/pool-paths.ts'
import type { Programs } from '../programs/run.ts'
import { CsiAttacher } from './csi-attacher.ts'
import { copyObject } from './csi-copies.ts'
import { fence } from './csi-fence.ts'
import { CsiMarkers } from './csi-marker.ts'
import { type BookEntry, CsiObjects } from './csi-objects.ts'
import type {
  Attached,
  Capabilities,
  Driver,
  NodeIdentity,
  ObjectInfo,
  PoolProbe,
  PoolTarget,
  Progress,
} from './driver.ts'
import { Locks } from './locks.ts'

const TIMES: PluginTimes = { longMs: 120_000, shortMs: 10_000, awayMs: 3000 }
/** For taking back what was attached to be looked at. */
const CLEAN_UP_MS = 60_000
const LOOK_MS = 10_000
/** Filesystems, partitions and volume managers write what they are within so much of the beginning, MiB. */
const HEAD_MIB = 16
const MIB = 1024 * 1024
/** Calls at once for one pool that make, remove, attach and detach. */
const AT_ONCE = 8

export interface CsiDriverDeps {
  readonly programs: Programs
  /** Used by `fence` only. */
  readonly filesystems: { unmount(target: string, signal: AbortSignal): Promise<void> }
  /** A directory of the node's own, kept over restarts. */
  readonly directory: string
  readonly times?: PluginTimes
}

export function createCsiDriver(deps: CsiDriverDeps): Driver {
  return new CsiDriver(deps)
}

/** A pool with what serves it. */
interface Access {
  readonly pool: PoolTarget
  readonly settings: CsiPluginSettings
  readonly plugin: CsiPlugin
  readonly attacher: CsiAttacher
}

class CsiDriver implements Driver {
  readonly name = 'csi'
  private readonly deps: CsiDriverDeps
  private readonly objects: CsiObjects
  private readonly locks = new Locks()
  private readonly lanes = new Map<string, Lane>()
  private readonly plugins = new Map<string, CsiPlugin>()
  private readonly markers = new CsiMarkers()

  constructor(deps: CsiDriverDeps) {
    this.deps = deps
    this.objects = new CsiObjects(new CsiBook<BookEntry>(join(deps.directory, 'asked')))
  }

  checkSettings(settings: Readonly<Record<string, string>>): void {
    csiPluginSettings(settings)
  }

  async probe(pool: PoolTarget, signal: AbortSignal): Promise<PoolProbe> {
    const access = this.access(pool)
    await access.plugin.requireReady(signal)
    await this.markers.require(access, signal, 0)
    const facts = await access.plugin.facts(signal)
    const freeMiB = await access.plugin.availableMiB(signal)
    return { capabilities: this.capabilities(access, facts), sizeMiB: undefined, freeMiB }
  }

  async mark(pool: PoolTarget, signal: AbortSignal): Promise<string> {
    return await this.locks.run(`mark ${pool.uuid}`, () => this.markers.make(this.access(pool), signal))
  }

  async create(pool: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal): Promise<ObjectInfo> {
    checkSize(this.access(pool).settings, sizeMiB)
    return await this.about(pool, object, signal, async (access) => {
      const known = await this.objects.handle(pool, object)
      const there = known === undefined ? undefined : await this.look(access, object, known, signal)
      if (known !== undefined && there !== undefined) {
        await this.requireSameBlank(access, object, known, there.sizeMiB, sizeMiB, signal)
        return there
      }
      const made = await this.slowly(access, signal, () => this.objects.makeVolume(access, object, { sizeMiB }, signal))
      return infoOf(object, made)
    })
  }

  async isBlank(pool: PoolTarget, object: string, signal: AbortSignal): Promise<boolean> {
    return await this.about(pool, object, signal, async (access) => {
      return await this.blank(access, object, await this.needVolume(access, object, signal), signal)
    })
  }

  async delete(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    await this.about(pool, object, signal, async (access) => {
      const [held] = await access.attacher.attached(object)
      if (held !== undefined) {
        const text = `${object} is attached on this machine as ${held.device}; detach it before deleting it`
        throw new HoldfastError('in_use', text, { device: held.device })
      }
      await this.slowly(access, signal, () => this.objects.remove(access, object, signal))
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
    return await this.about(pool, object, signal, async (access) => {
      const { snapshot, clone } = this.capabilities(access, await access.plugin.facts(signal))
      if (kind === 'snapshot' ? snapshot === 'none' : clone === false) throw unsupported(pool, `${kind}s of volumes`)
      const from = await this.objects.handle(pool, source)
      if (from === undefined || (await this.look(access, source, from, signal)) === undefined) throw missing(source)
      const known = await this.objects.handle(pool, object)
      if (known !== undefined && (await this.look(access, object, known, signal)) !== undefined) throw taken(object)
      const made = await this.slowly(access, signal, () =>
        copyObject({ ...access, objects: this.objects }, from, object, kind, signal),
      )
      progress(1)
      return infoOf(object, made)
    })
  }

  async grow(pool: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal): Promise<ObjectInfo> {
    checkSize(this.access(pool).settings, sizeMiB)
    return await this.about(pool, object, signal, async (access) => {
      const { plugin, attacher } = access
      const { grow } = this.capabilities(access, await plugin.facts(signal))
      if (grow === 'none') throw unsupported(pool, 'larger volumes')
      const handle = await this.needVolume(access, object, signal)
      if (handle.sizeMiB >= sizeMiB) return infoOf(object, handle)
      const [held] = await attacher.attached(object)
      if (grow === 'offline' && held !== undefined) {
        throw new HoldfastError('in_use', `${object} is attached as ${held.device}, and grows only while it is not`)
      }
      return await this.slowly(access, signal, async () => {
        const grown = await plugin.expand(handle.id, sizeMiB, signal)
        if (grown.onNode) await attacher.expand(object, handle, sizeMiB, signal)
        const larger = { ...handle, sizeMiB: grown.sizeMiB }
        await this.objects.learn(pool, object, larger)
        return infoOf(object, larger)
      })
    })
  }

  async inspect(pool: PoolTarget, object: string, signal: AbortSignal): Promise<ObjectInfo | undefined> {
    checkObjectName(object)
    const access = this.access(pool)
    await this.markers.require(access, signal)
    const handle = await this.objects.handle(pool, object)
    return handle === undefined ? undefined : await this.look(access, object, handle, signal)
  }

  /** Plugins list volumes without names: of all that are there, only those that this node made can be told. */
  async inventory(pool: PoolTarget, signal: AbortSignal): Promise<ObjectInfo[]> {
    const access = this.access(pool)
    await this.markers.require(access, signal)
    const found: ObjectInfo[] = []
    for (const [object, handle] of await this.objects.known(pool)) {
      const info = await this.look(access, object, handle, signal)
      if (info !== undefined) found.push(info)
    }
    return found
  }

  async attach(pool: PoolTarget, object: string, readOnly: boolean, signal: AbortSignal): Promise<Attached> {
    return await this.about(pool, object, signal, async (access) => {
      const handle = await this.needVolume(access, object, signal)
      return await this.slowly(access, signal, () => access.attacher.attach(object, handle, readOnly, signal))
    })
  }

  async detach(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    checkObjectName(object)
    const access = this.access(pool)
    await this.locks.run(keyOf(pool, object), () => {
      return this.slowly(access, signal, () => access.attacher.detach(object, signal))
    })
  }

  async attached(pool: PoolTarget, _signal: AbortSignal, object?: string): Promise<Attached[]> {
    if (object !== undefined) checkObjectName(object)
    return await this.access(pool).attacher.attached(object)
  }

  async fence(pool: PoolTarget, object: string, machine: NodeIdentity, signal: AbortSignal): Promise<void> {
    await this.about(pool, object, signal, async (access) => {
      const facts = await access.plugin.facts(signal)
      if (this.capabilities(access, facts).fence === 'none') throw noFence(object)
      const handle = await this.objects.handle(pool, object)
      const { filesystems } = this.deps
      await fence({ ...access, nodeId: facts.nodeId, object, handle, machine, filesystems }, signal)
    })
  }

  async close(): Promise<void> {
    for (const plugin of this.plugins.values()) plugin.close()
    this.plugins.clear()
  }

  private capabilities({ settings }: Access, { controller, expansion }: PluginFacts): Capabilities {
    const { mode, sharing, unitMiB } = settings
    const block = mode === 'block'
    const has = (...names: string[]) => names.every((name) => controller.has(name))
    const installed = ['ext4', 'xfs', 'btrfs'].filter((type) => this.deps.programs.installed(`mkfs.${type}`))
    const proves = has('PUBLISH_UNPUBLISH_VOLUME', 'LIST_VOLUMES_PUBLISHED_NODES', 'GET_VOLUME')
    return {
      // of a filesystem that the plugin has mounted nobody but the plugin could make a snapshot in one piece
      snapshot: has('CREATE_DELETE_SNAPSHOT') ? (block ? 'reflink' : 'copy') : 'none',
      clone: has('CLONE_VOLUME') || has('CREATE_DELETE_SNAPSHOT'),
      grow: has('EXPAND_VOLUME') ? expansion : 'none',
      block,
      readOnlyMany: sharing !== 'one',
      writersMany: sharing === 'writers',
      formats: block ? 'holdfast' : 'backend',
      filesystems: block ? installed : ['directory'],
      list: false,
      import: false,
      fence: settings.fence === 'unpublish' && proves ? 'any' : 'none',
      idempotent: ['create', 'snapshot', 'delete'],
      maxObjectMiB: MAX_MIB,
      unitMiB,
    }
  }

  /** One look at what is there. @returns undefined when it is not */
  private async look(
    { plugin, attacher }: Access,
    object: string,
    handle: ObjectHandle,
    signal: AbortSignal,
  ): Promise<ObjectInfo | undefined> {
    if (handle.kind === 'snapshot') {
      return (await plugin.snapshot(handle, signal)) === undefined ? undefined : infoOf(object, handle)
    }
    const there = await plugin.volume(handle, signal)
    if (there === undefined) return undefined
    const [held] = there.sizeMiB === undefined ? await attacher.attached(object) : []
    const disk = held === undefined ? undefined : await lookAtDevice(held.device)
    const seen = there.sizeMiB ?? (disk === undefined ? undefined : Math.floor(disk.bytes / MIB))
    return infoOf(object, { ...handle, sizeMiB: seen ?? handle.sizeMiB })
  }

  /** With the size that it has by now. @throws object_missing, unsupported for a snapshot */
  private async needVolume({ pool, plugin }: Access, object: string, signal: AbortSignal): Promise<VolumeHandle> {
    const handle = await this.objects.handle(pool, object)
    if (handle === undefined) throw missing(object)
    if (handle.kind === 'snapshot') throw unsupported(pool, `use of a snapshot (${object}) but by copying it`)
    const there = await plugin.volume(handle, signal)
    if (there === undefined) throw missing(object)
    return { ...handle, sizeMiB: there.sizeMiB ?? handle.sizeMiB }
  }

  private async requireSameBlank(
    access: Access,
    object: string,
    handle: ObjectHandle,
    hasMiB: number,
    sizeMiB: number,
    signal: AbortSignal,
  ): Promise<void> {
    const same = handle.kind === 'volume' && hasMiB === sizeMiB
    if (same && (await this.blank(access, object, handle, signal))) return
    const what = same ? 'it holds data' : `it has ${formatMiB(hasMiB)} and not ${formatMiB(sizeMiB)}`
    throw new HoldfastError('object_exists', `There is ${object} (${handle.id}) already, and ${what}`, { object })
  }

  /** Looks into it. What is not attached is attached for that. */
  private async blank(access: Access, object: string, handle: VolumeHandle, signal: AbortSignal): Promise<boolean> {
    const { attacher } = access
    const [held] = await attacher.attached(object)
    if (held !== undefined) return await this.isEmpty(access, held.device, signal)
    return await this.slowly(access, signal, async () => {
      const { device } = await attacher.attach(object, handle, true, signal)
      try {
        return await this.isEmpty(access, device, signal)
      } finally {
        await attacher.detach(object, AbortSignal.timeout(CLEAN_UP_MS))
      }
    })
  }

  /** A directory is looked into by a process of its own, which may hang. */
  private async isEmpty({ settings }: Access, device: string, signal: AbortSignal): Promise<boolean> {
    const { programs } = this.deps
    if (settings.mode === 'block') {
      const disk = await lookAtDevice(device)
      if (disk === undefined) throw new HoldfastError('storage_failed', `${device} is no block device any more`)
      return await hasBlankEnds(programs, disk, HEAD_MIB, signal)
    }
    const worker = new FileWorker(device, undefined, programs.environment)
    try {
      return (await worker.call('lookAtVolume', LOOK_MS, device)).empty
    } finally {
      await worker.close()
    }
  }

  /** Work on one object of a marked pool, after other work on it. */
  private async about<T>(pool: PoolTarget, object: string, signal: AbortSignal, work: (access: Access) => Promise<T>) {
    checkObjectName(object)
    return await this.locks.run(keyOf(pool, object), async () => {
      const access = this.access(pool)
      await this.markers.require(access, signal)
      return await work(access)
    })
  }

  /** For calls that may take long: not too many at once. */
  private async slowly<T>({ pool }: Access, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const lane = this.lanes.get(pool.uuid) ?? new Lane(AT_ONCE)
    this.lanes.set(pool.uuid, lane)
    return await lane.run(signal, work)
  }

  private access(pool: PoolTarget): Access {
    const { programs, directory, times = TIMES } = this.deps
    const key = JSON.stringify(pool.settings)
    const plugin = this.plugins.get(key) ?? new CsiPlugin(csiPluginSettings(pool.settings), times)
    this.plugins.set(key, plugin)
    const { settings } = plugin
    const { stagingRoot } = settings
    // several nodes on one machine may have the same one
    const root = stagingRoot === undefined ? join(directory, 'places') : join(stagingRoot, pool.node.id)
    const attacher = new CsiAttacher({ programs, plugin, places: new CsiPlaces(root), pool: pool.uuid })
    return { pool, settings, plugin, attacher }
  }
}

function infoOf(object: string, handle: ObjectHandle): ObjectInfo {
  return { name: object, sizeMiB: handle.sizeMiB, usedMiB: undefined, handle: formatHandle(handle) }
}

function keyOf(pool: PoolTarget, object: string): string {
  return `${pool.uuid}/${object}`
}

function checkSize({ unitMiB }: CsiPluginSettings, sizeMiB: number): void {
  if (!Number.isSafeInteger(sizeMiB) || sizeMiB < 1 || sizeMiB % unitMiB !== 0) {
    const text = `Bad size ${sizeMiB}: whole MiB, 1 or more, and a multiple of the pool's unit (${unitMiB} MiB)`
    throw new HoldfastError('invalid_size', text, { sizeMiB, unitMiB })
  }
  if (sizeMiB <= MAX_MIB) return
  const text = `A volume has at most ${formatMiB(MAX_MIB)}, ${formatMiB(sizeMiB)} are asked`
  throw new HoldfastError('object_too_large', text, { sizeMiB, limit: MAX_MIB })
}

function missing(object: string): HoldfastError {
  return new HoldfastError('object_missing', `The CSI plugin has no volume that is known as ${object}`, { object })
}

function taken(object: string): HoldfastError {
  return new HoldfastError('object_exists', `There is ${object} already on the storage`, { object })
}

function unsupported({ name }: PoolTarget, what: string): HoldfastError {
  return new HoldfastError('unsupported', `The CSI plugin of ${name} has no ${what}`)
}

function noFence(object: string): HoldfastError {
  const text = `${object}: CSI alone does not prove a loss of access. Make sure that the lost machine is off`
  const advice = 'then confirm by hand; or set fence=unpublish, where the plugin cuts a machine off and tells it'
  return new HoldfastError('unsupported', `${text}, ${advice}`)
}
