/**
 * The driver `rexray`: a pool is what a REX-Ray service (libStorage) has, or the part of it with one type and zone; an
 * object is a volume there. Volumes are devices, which Holdfast formats and mounts, or directories, where REX-Ray does.
 * What there is and where it is attached is asked anew for every call: others use the storage as well.
 */
import { HoldfastError } from '../model/errors.ts'
import { checkObjectName } from '../programs/pool-paths.ts'
import { type DeviceTimes, mountsOf } from '../programs/rexray-devices.ts'
import { isMarked, markerName, poolVolumes, requireInScope, requireUnmistakable } from '../programs/rexray-listing.ts'
import { RexrayMemory } from '../programs/rexray-memory.ts'
import { findVolume, labelOf, needVolume, sizeInGiB, storageName, volumesNamed } from '../programs/rexray-objects.ts'
import { type RexrayService, RexrayServices } from '../programs/rexray-services.ts'
import { type RexraySettings, rexraySettings } from '../programs/rexray-settings.ts'
import type { RexrayVolume } from '../programs/rexray-volumes.ts'
import type { Programs } from '../programs/run.ts'
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

/** A list that is not older is enough to tell that the pool is still reached, ms. */
const REACHED_MS = 30_000
/** An older one still is while a new one is on its way (listing thousands of volumes may take a minute), ms. */
const STALE_MS = 180_000

export interface RexrayDriverDeps {
  readonly programs: Programs
  /** Used by `fence` only. */
  readonly filesystems: { unmount(target: string, signal: AbortSignal): Promise<void> }
  readonly times?: DeviceTimes
}

export function createRexrayDriver(deps: RexrayDriverDeps): Driver {
  return new RexrayDriver(deps)
}

/** A pool with what serves it. */
interface Access extends RexrayService {
  readonly pool: PoolTarget
}

/** One look at the storage: the pool's volumes, and those of the whole service. */
interface Look {
  readonly volumes: readonly RexrayVolume[]
  readonly all: readonly RexrayVolume[]
}

class RexrayDriver implements Driver {
  readonly name = 'rexray'
  private readonly deps: RexrayDriverDeps
  private readonly locks = new Locks()
  private readonly services: RexrayServices
  private readonly memory = new RexrayMemory()

  constructor(deps: RexrayDriverDeps) {
    this.deps = deps
    this.services = new RexrayServices(deps.programs, deps.times)
  }

  checkSettings(settings: Readonly<Record<string, string>>): void {
    rexraySettings(settings)
  }

  async probe(pool: PoolTarget, signal: AbortSignal): Promise<PoolProbe> {
    const access = this.access(pool)
    if (signal.aborted) throw new HoldfastError('cancelled', `The look at ${pool.name} was cancelled`)
    if (!isReached(access)) await look(access, signal)
    return { capabilities: this.capabilities(access.settings), sizeMiB: undefined, freeMiB: undefined }
  }

  async mark(pool: PoolTarget, signal: AbortSignal): Promise<undefined> {
    const { cli, settings } = this.access(pool)
    await this.locks.run('mark', async () => {
      if (isMarked(pool, settings, await cli.list(signal))) return
      const marker = await cli.create(markerName(pool), settings.unitGiB, signal)
      requireInScope(settings, marker)
      try {
        isMarked(pool, settings, await cli.list(signal))
      } catch (thrown) {
        // of two at once each sees the other, and which was first cannot be told: none stays
        await cli.remove(marker.id, signal)
        throw thrown
      }
    })
  }

  async create(pool: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal): Promise<ObjectInfo> {
    const sizeGiB = sizeInGiB(this.access(pool).settings, sizeMiB)
    return await this.locked(pool, object, async (access) => {
      const { cli, settings } = access
      const name = storageName(settings, object)
      const { volumes, all } = await look(access, signal)
      const [known] = volumesNamed(volumes, name)
      if (known !== undefined) {
        await this.requireSameBlank(access, known, sizeGiB, all, signal)
        return infoOf(object, known)
      }
      const made = await cli.create(name, sizeGiB, signal)
      requireInScope(settings, made)
      if (made.sizeGiB < sizeGiB) throw tooSmall(made, sizeGiB)
      this.memory.isNew(made.id)
      return infoOf(object, made)
    })
  }

  async isBlank(pool: PoolTarget, object: string, signal: AbortSignal): Promise<boolean> {
    return await this.locked(pool, object, async (access) => {
      const { volumes, all } = await look(access, signal)
      const volume = needVolume(pool, access.settings, volumes, object)
      const blank = await this.holdsNothing(access, volume, all, signal)
      if (blank) this.memory.isBlank(volume.id)
      return blank
    })
  }

  async delete(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    await this.locked(pool, object, async (access) => {
      const { volumes, all } = await look(access, signal)
      const volume = findVolume(pool, access.settings, volumes, object)
      if (volume === undefined) return
      if (volume.state !== 'free') throw attachedStill(object, volume)
      requireUnmistakable(volume, all)
      await access.cli.remove(volume.id, signal)
      this.memory.gone(volume.id, keyOf(pool, object))
    })
  }

  async copy(
    pool: PoolTarget,
    source: string,
    object: string,
    _kind: 'volume' | 'snapshot',
    _progress: Progress,
    signal: AbortSignal,
  ): Promise<ObjectInfo> {
    for (const each of [source, object]) checkObjectName(each)
    await look(this.access(pool), signal)
    const text = `REX-Ray has no snapshots and no clones, so ${object} cannot be made from ${source}`
    throw new HoldfastError('unsupported', text, { object, source })
  }

  async grow(pool: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal): Promise<ObjectInfo> {
    checkObjectName(object)
    await look(this.access(pool), signal)
    throw new HoldfastError('unsupported', `REX-Ray cannot grow volumes, so ${object} cannot get ${sizeMiB} MiB`)
  }

  async inspect(pool: PoolTarget, object: string, signal: AbortSignal): Promise<ObjectInfo | undefined> {
    checkObjectName(object)
    const access = this.access(pool)
    const { volumes } = await look(access, signal)
    const volume = findVolume(pool, access.settings, volumes, object)
    return volume === undefined ? undefined : infoOf(object, volume)
  }

  async inventory(pool: PoolTarget, signal: AbortSignal): Promise<ObjectInfo[]> {
    const { volumes } = await look(this.access(pool), signal)
    const found = volumes.map((volume) => infoOf(labelOf(pool, volumes, volume), volume))
    return found.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async attach(pool: PoolTarget, object: string, readOnly: boolean, signal: AbortSignal): Promise<Attached> {
    return await this.locked(pool, object, async (access) => {
      const { volumes, all } = await look(access, signal)
      const volume = needVolume(pool, access.settings, volumes, object)
      const mayFormat = this.memory.willChange(volume.id)
      const { device } = await access.attacher.attach(volume, all, { readOnly, mayFormat }, signal)
      await this.memory.attached(keyOf(pool, object), device)
      return { object, device, readOnly }
    })
  }

  async detach(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    await this.locked(pool, object, async (access) => {
      const { volumes } = await look(access, signal)
      const volume = findVolume(pool, access.settings, volumes, object)
      const key = keyOf(pool, object)
      if (volume?.state === 'here') {
        await access.attacher.detach(volume, signal)
        return this.memory.detached(key)
      }
      const cut = await this.memory.cutOff(key)
      if (cut !== undefined) {
        const text = `${object} was detached from this machine by somebody, but ${cut.device} is still mounted`
        throw new HoldfastError('still_mounted', text, { device: cut.device })
      }
      this.memory.detached(key)
    })
  }

  async attached(pool: PoolTarget, signal: AbortSignal, object?: string): Promise<Attached[]> {
    if (object !== undefined) checkObjectName(object)
    const access = this.access(pool)
    const { volumes } = await look(access, signal)
    const one = object === undefined ? undefined : findVolume(pool, access.settings, volumes, object)
    const asked = one === undefined ? (object === undefined ? volumes : []) : [one]
    const found = (await access.attacher.whereabouts(asked, signal)).map(({ volume, device, readOnly }) => ({
      object: object ?? labelOf(pool, volumes, volume),
      device,
      readOnly,
    }))
    if (found.length > 0 || object === undefined) return found
    const cut = await this.memory.cutOff(keyOf(pool, object))
    return cut === undefined ? [] : [{ object, ...cut }]
  }

  async fence(pool: PoolTarget, object: string, machine: NodeIdentity, signal: AbortSignal): Promise<void> {
    await this.locked(pool, object, async (access) => {
      const { volumes, all } = await look(access, signal)
      if (access.settings.fence === 'none') throw noFence(object)
      const volume = findVolume(pool, access.settings, volumes, object)
      if (volume === undefined || volume.state === 'free') return
      if (volume.state !== 'here') return await access.attacher.tearAway(volume, all, signal)
      // the lost node was on this machine, unless it is ours that has it by now
      const [held] = await access.attacher.whereabouts([volume], signal)
      const mounts = held === undefined || machine.bootId !== pool.node.bootId ? [] : await mountsOf(held.device)
      for (const { target } of mounts.reverse()) await this.deps.filesystems.unmount(target, signal)
      await access.attacher.detach(volume, signal)
    })
  }

  async close(): Promise<void> {
    await this.services.close()
  }

  private capabilities({ volumes, fence, unitGiB, maxSizeGiB }: RexraySettings): Capabilities {
    const asDirectory = volumes === 'directory'
    const { programs } = this.deps
    const filesystems = ['ext4', 'xfs', 'btrfs'].filter((type) => programs.installed(`mkfs.${type}`))
    return {
      snapshot: 'none',
      clone: false,
      grow: 'none',
      block: !asDirectory,
      readOnlyMany: false,
      formats: asDirectory ? 'backend' : 'holdfast',
      filesystems: asDirectory ? ['directory'] : filesystems,
      fence: fence === 'detach' ? 'any' : 'none',
      // names are not unique: a create that is repeated elsewhere may make a second volume
      idempotent: ['delete'],
      maxObjectMiB: maxSizeGiB * 1024,
      unitMiB: unitGiB * 1024,
    }
  }

  private async requireSameBlank(
    access: Access,
    volume: RexrayVolume,
    sizeGiB: number,
    all: readonly RexrayVolume[],
    signal: AbortSignal,
  ): Promise<void> {
    const { id, name, state } = volume
    const sameSize = volume.sizeGiB === sizeGiB
    if (sameSize && state !== 'elsewhere' && (await this.holdsNothing(access, volume, all, signal))) return
    const used = state === 'elsewhere' ? 'it is attached to another machine' : 'it holds data'
    const what = sameSize ? used : `it has ${volume.sizeGiB} GiB and not ${sizeGiB}`
    throw new HoldfastError('object_exists', `There is a volume ${name} (${id}) already, and ${what}`, { id })
  }

  private async holdsNothing(
    { attacher }: Access,
    volume: RexrayVolume,
    all: readonly RexrayVolume[],
    signal: AbortSignal,
  ): Promise<boolean> {
    if (volume.state === 'free' && this.memory.isFresh(volume.id)) return true
    return await attacher.isBlank(volume, all, signal)
  }

  private async locked<T>(pool: PoolTarget, object: string, work: (access: Access) => Promise<T>): Promise<T> {
    checkObjectName(object)
    return await this.locks.run(keyOf(pool, object), () => work(this.access(pool)))
  }

  private access(pool: PoolTarget): Access {
    return { pool, ...this.services.of(pool.settings) }
  }
}

/** @throws no_marker, marker_conflict, and what rexray fails with */
async function look({ pool, settings, cli }: Access, signal: AbortSignal): Promise<Look> {
  const all = await cli.list(signal)
  return { all, volumes: poolVolumes(pool, settings, all) }
}

/** Whether the marker was there a short while ago. If that is some time ago, a new list is asked for, not waited for. */
function isReached({ pool, settings, cli }: Access): boolean {
  const { known } = cli
  const age = performance.now() - (known?.at ?? Number.NEGATIVE_INFINITY)
  if (known === undefined || age > STALE_MS || !isMarked(pool, settings, known.volumes)) return false
  if (age > REACHED_MS) cli.list(new AbortController().signal).catch(() => undefined)
  return true
}

function infoOf(object: string, { id, sizeGiB }: RexrayVolume): ObjectInfo {
  return { name: object, sizeMiB: sizeGiB * 1024, usedMiB: undefined, handle: id }
}

function keyOf(pool: PoolTarget, object: string): string {
  return `${pool.uuid}/${object}`
}

function attachedStill(object: string, { id, state, device, holders }: RexrayVolume): HoldfastError {
  const where = state === 'here' ? `here as ${device ?? id}` : `to ${holders.join(', ') || 'another machine'}`
  const text = `${object} (${id}) is attached ${where}; detach it before deleting it`
  return new HoldfastError('in_use', text, { id, holders: [...holders] })
}

function tooSmall({ id, sizeGiB }: RexrayVolume, askedGiB: number): HoldfastError {
  return new HoldfastError('storage_failed', `rexray made ${id} with ${sizeGiB} GiB where ${askedGiB} were asked`)
}

function noFence(object: string): HoldfastError {
  const text = `${object}: REX-Ray is taken for unable to prove a loss of access. Make sure that the lost machine is off`
  const advice = 'then confirm by hand; or set fence=detach, where the storage itself takes a volume from a machine'
  return new HoldfastError('unsupported', `${text}, ${advice}`)
}
