/**
 * The driver `rexray`: a pool is what a REX-Ray service (libStorage) has, or the part of it with one type and zone; an
 * object is a volume there. Volumes are devices, which Holdfast formats and mounts, or directories, where REX-Ray does.
 * What there is and where it is attached is asked anew for every call: others use the storage as well.
 */
import { HoldfastError } from '../model/errors.ts'
import { handleId } from '../model/fields.ts'
import { checkObjectName } from '../programs/pool-paths.ts'
import { RexrayAttacher } from '../programs/rexray-attacher.ts'
import { RexrayCli, type RexrayLimits, rexrayLimits } from '../programs/rexray-cli.ts'
import { DEVICE_TIMES, type DeviceTimes, mountsOf, RexrayDevices } from '../programs/rexray-devices.ts'
import { isMarked, markerName, poolVolumes, requireInScope, requireUnmistakable } from '../programs/rexray-listing.ts'
import { type RexraySettings, rexraySettings } from '../programs/rexray-settings.ts'
import type { RexrayVolume } from '../programs/rexray-volumes.ts'
import type { Programs } from '../programs/run.ts'
import type { Attached, Capabilities, Driver, NodeIdentity, ObjectInfo, PoolProbe, PoolTarget } from './driver.ts'
import { Locks } from './locks.ts'

/** A list that is not older is enough to tell that the pool is still reached, ms. */
const REACHED_MS = 30_000
/** An older one still is while a new one is on its way (listing thousands of volumes may take a minute), ms. */
const STALE_MS = 180_000
/** For how long nobody but this operation knows a volume that was just made, ms. */
const FRESH_MS = 300_000

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
interface Access {
  readonly pool: PoolTarget
  readonly settings: RexraySettings
  readonly cli: RexrayCli
  readonly attacher: RexrayAttacher
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
  private readonly limits = new Map<string, RexrayLimits>()
  private readonly services = new Map<string, Omit<Access, 'pool'>>()
  /** When this process made a volume that it has attached nowhere yet, by id: such a one is blank. */
  private readonly fresh = new Map<string, number>()
  /** Volumes that were found blank, which REX-Ray may format when they are attached. */
  private readonly blank = new Set<string>()
  /** Devices that were attached, by pool and object: one that was cut off by force may still be mounted. */
  private readonly devices = new Map<string, string>()

  constructor(deps: RexrayDriverDeps) {
    this.deps = deps
  }

  checkSettings(settings: Readonly<Record<string, string>>): void {
    rexraySettings(settings)
  }

  async probe(pool: PoolTarget, signal: AbortSignal): Promise<PoolProbe> {
    const access = this.access(pool)
    if (signal.aborted) throw new HoldfastError('cancelled', `The look at ${pool.name} was cancelled`)
    if (!this.isReached(access)) await look(access, signal)
    return { capabilities: this.capabilities(access.settings), sizeMiB: undefined, freeMiB: undefined }
  }

  async mark(pool: PoolTarget, signal: AbortSignal): Promise<undefined> {
    const access = this.access(pool)
    const { cli, settings } = access
    await this.locks.run('mark', async () => {
      if (isMarked(pool, settings, await cli.list(signal))) return
      const marker = await cli.create(markerName(pool), settings.unitGiB, signal)
      requireInScope(settings, marker)
      try {
        isMarked(pool, settings, await cli.list(signal))
      } catch (thrown) {
        // two at once: each sees the other, so none may stay on the strength of having been first
        await cli.remove(marker.id, signal)
        throw thrown
      }
    })
  }

  async create(pool: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal): Promise<ObjectInfo> {
    const sizeGiB = sizeOf(this.access(pool).settings, sizeMiB)
    return await this.locked(pool, object, async (access) => {
      const name = storageName(access, object)
      const seen = await look(access, signal)
      const [known] = named(seen, name)
      if (known !== undefined) {
        await this.requireSameBlank(access, known, sizeGiB, seen.all, signal)
        return infoOf(object, known)
      }
      const made = await access.cli.create(name, sizeGiB, signal)
      requireInScope(access.settings, made)
      if (made.sizeGiB < sizeGiB) throw tooSmall(made, sizeGiB)
      this.fresh.set(made.id, performance.now())
      return infoOf(object, made)
    })
  }

  async isBlank(pool: PoolTarget, object: string, signal: AbortSignal): Promise<boolean> {
    return await this.locked(pool, object, async (access) => {
      const seen = await look(access, signal)
      const volume = need(access, seen, object)
      const blank = await this.holdsNothing(access, volume, seen.all, signal)
      if (blank) this.blank.add(volume.id)
      return blank
    })
  }

  async delete(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    await this.locked(pool, object, async (access) => {
      const { volumes, all } = await look(access, signal)
      const volume = find(access, { volumes, all }, object)
      if (volume === undefined) return
      if (volume.state !== 'free') {
        const where = volume.state === 'here' ? `here as ${volume.device ?? volume.id}` : 'to another machine'
        const text = `${object} (${volume.id}) is attached ${where}; detach it before deleting it`
        throw new HoldfastError('in_use', text, { id: volume.id, holders: [...volume.holders] })
      }
      requireUnmistakable(volume, all)
      await access.cli.remove(volume.id, signal)
      this.forget(pool, object, volume)
    })
  }

  async copy(pool: PoolTarget, source: string, object: string, ...rest: CopyRest): Promise<ObjectInfo> {
    for (const each of [source, object]) checkObjectName(each)
    await look(this.access(pool), rest[2])
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
    const volume = find(access, await look(access, signal), object)
    return volume === undefined ? undefined : infoOf(object, volume)
  }

  async inventory(pool: PoolTarget, signal: AbortSignal): Promise<ObjectInfo[]> {
    const access = this.access(pool)
    const { volumes } = await look(access, signal)
    return volumes
      .map((volume) => infoOf(labelOf(access, volumes, volume), volume))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async attach(pool: PoolTarget, object: string, readOnly: boolean, signal: AbortSignal): Promise<Attached> {
    return await this.locked(pool, object, async (access) => {
      const seen = await look(access, signal)
      const volume = need(access, seen, object)
      const mayFormat = this.blank.delete(volume.id)
      this.fresh.delete(volume.id)
      const found = await access.attacher.attach(volume, seen.all, { readOnly, mayFormat }, signal)
      this.devices.set(keyOf(pool, object), found.device)
      return { object, device: found.device, readOnly }
    })
  }

  async detach(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    await this.locked(pool, object, async (access) => {
      const volume = find(access, await look(access, signal), object)
      if (volume?.state === 'here') await access.attacher.detach(volume, signal)
      const [cut] = await this.cutOff(pool, object)
      if (cut !== undefined) {
        const text = `${object} was detached from this machine by somebody, but ${cut.device} is still mounted`
        throw new HoldfastError('still_mounted', text, { device: cut.device })
      }
      this.devices.delete(keyOf(pool, object))
    })
  }

  async attached(pool: PoolTarget, signal: AbortSignal, object?: string): Promise<Attached[]> {
    const access = this.access(pool)
    if (object !== undefined) checkObjectName(object)
    const seen = await look(access, signal)
    const one = object === undefined ? undefined : find(access, seen, object)
    const asked = object === undefined ? seen.volumes : one === undefined ? [] : [one]
    const found = await access.attacher.whereabouts(asked, signal)
    const here = found.map(({ volume, device, readOnly }) => ({
      object: object ?? labelOf(access, seen.volumes, volume),
      device,
      readOnly,
    }))
    if (here.length > 0 || object === undefined) return here
    return await this.cutOff(pool, object)
  }

  async fence(pool: PoolTarget, object: string, machine: NodeIdentity, signal: AbortSignal): Promise<void> {
    await this.locked(pool, object, async (access) => {
      const seen = await look(access, signal)
      if (access.settings.fence === 'none') throw noFence(object)
      const volume = find(access, seen, object)
      if (volume === undefined || volume.state === 'free') return
      if (volume.state !== 'here') return await access.attacher.tearAway(volume, seen.all, signal)
      // the lost node was on this machine, unless it is ours that has it by now
      const [held] = await access.attacher.whereabouts([volume], signal)
      const mounts = held === undefined || machine.bootId !== pool.node.bootId ? [] : await mountsOf(held.device)
      for (const { target } of mounts.reverse()) await this.deps.filesystems.unmount(target, signal)
      await access.attacher.detach(volume, signal)
    })
  }

  async close(): Promise<void> {
    await Promise.all([...this.services.values()].map(({ cli }) => cli.close()))
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

  /** Whether the marker was there a short while ago. If that is some time ago, a new list is asked for, not waited for. */
  private isReached({ pool, settings, cli }: Access): boolean {
    const { known } = cli
    const age = performance.now() - (known?.at ?? Number.NEGATIVE_INFINITY)
    if (known === undefined || age > STALE_MS || !isMarked(pool, settings, known.volumes)) return false
    if (age > REACHED_MS) cli.list(new AbortController().signal).catch(() => undefined)
    return true
  }

  private async requireSameBlank(
    access: Access,
    volume: RexrayVolume,
    sizeGiB: number,
    all: readonly RexrayVolume[],
    signal: AbortSignal,
  ): Promise<void> {
    const { id, name } = volume
    const sameSize = volume.sizeGiB === sizeGiB
    if (sameSize && volume.state !== 'elsewhere' && (await this.holdsNothing(access, volume, all, signal))) return
    const used = volume.state === 'elsewhere' ? 'it is attached to another machine' : 'it holds data'
    const what = sameSize ? used : `it has ${volume.sizeGiB} GiB and not ${sizeGiB}`
    throw new HoldfastError('object_exists', `There is a volume ${name} (${id}) already, and ${what}`, { id })
  }

  private async holdsNothing(
    { attacher }: Access,
    volume: RexrayVolume,
    all: readonly RexrayVolume[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const since = performance.now() - (this.fresh.get(volume.id) ?? Number.NEGATIVE_INFINITY)
    if (volume.state === 'free' && since < FRESH_MS) return true
    return await attacher.isBlank(volume, all, signal)
  }

  /** What this process attached, is not attached any more, and is mounted all the same. */
  private async cutOff(pool: PoolTarget, object: string): Promise<Attached[]> {
    const device = this.devices.get(keyOf(pool, object))
    if (device === undefined || !device.startsWith('/dev/')) return []
    const [mount] = await mountsOf(device)
    return mount === undefined ? [] : [{ object, device, readOnly: mount.readOnly }]
  }

  private forget(pool: PoolTarget, object: string, { id }: RexrayVolume): void {
    this.fresh.delete(id)
    this.blank.delete(id)
    this.devices.delete(keyOf(pool, object))
  }

  private async locked<T>(pool: PoolTarget, object: string, work: (access: Access) => Promise<T>): Promise<T> {
    checkObjectName(object)
    return await this.locks.run(keyOf(pool, object), () => work(this.access(pool)))
  }

  private access(pool: PoolTarget): Access {
    const key = JSON.stringify(pool.settings)
    const service = this.services.get(key) ?? this.newService(rexraySettings(pool.settings))
    this.services.set(key, service)
    return { pool, ...service }
  }

  private newService(settings: RexraySettings): Omit<Access, 'pool'> {
    const { command, callsPerSecond, concurrency } = settings
    const key = `${command} ${callsPerSecond} ${concurrency}`
    const limits = this.limits.get(key) ?? rexrayLimits(settings)
    this.limits.set(key, limits)
    const { programs } = this.deps
    const cli = new RexrayCli(programs, settings, limits)
    const devices = new RexrayDevices(cli, this.deps.times ?? DEVICE_TIMES)
    return { settings, cli, attacher: new RexrayAttacher({ programs, cli, devices, settings }) }
  }
}

type CopyRest = [kind: 'volume' | 'snapshot', progress: (done: number) => void, signal: AbortSignal]

/** @throws no_marker, marker_conflict, and what rexray fails with */
async function look({ pool, settings, cli }: Access, signal: AbortSignal): Promise<Look> {
  const all = await cli.list(signal)
  return { all, volumes: poolVolumes(pool, settings, all) }
}

/** What an object is called on the storage, which may cut names off. */
function storageName({ settings }: Access, object: string): string {
  return object.slice(0, settings.nameLength)
}

/** Of several with one name the first made comes first, as far as ids tell. */
function named({ volumes }: Look, name: string): RexrayVolume[] {
  return volumes.filter((volume) => volume.name === name).sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** @throws storage_failed when the name is several volumes' and the ledger has no id */
function find(access: Access, seen: Look, object: string): RexrayVolume | undefined {
  const handle = access.pool.handleOf(object)
  if (handle !== undefined) return seen.volumes.find(({ id }) => id === handleId(handle))
  const [first, ...others] = named(seen, storageName(access, object))
  if (others.length === 0) return first
  const ids = [first, ...others].map((each) => each?.id).join(', ')
  throw new HoldfastError('storage_failed', `${object} is the name of several volumes (${ids}): rename all but one`)
}

function need(access: Access, seen: Look, object: string): RexrayVolume {
  const volume = find(access, seen, object)
  if (volume !== undefined) return volume
  throw new HoldfastError('object_missing', `There is no volume ${object} in ${access.pool.name}`, { object })
}

/** A volume by its name; of several with one name those that are not known by their id get it added. */
function labelOf({ pool }: Access, volumes: readonly RexrayVolume[], { id, name }: RexrayVolume): string {
  const known = pool.handleOf(name)
  const twins = volumes.filter((each) => each.name === name).map((each) => each.id)
  const first = known !== undefined && twins.includes(handleId(known)) ? handleId(known) : twins.sort()[0]
  return id === first && name !== '' ? name : `${name || 'unnamed'} (${id})`
}

function infoOf(object: string, { id, sizeGiB }: RexrayVolume): ObjectInfo {
  return { name: object, sizeMiB: sizeGiB * 1024, usedMiB: undefined, handle: id }
}

/** @throws invalid_size, object_too_large */
function sizeOf({ unitGiB, maxSizeGiB }: RexraySettings, sizeMiB: number): number {
  if (!Number.isSafeInteger(sizeMiB) || sizeMiB < 1) {
    throw new HoldfastError('invalid_size', `Bad size ${sizeMiB}: whole MiB, 1 or more`, { sizeMiB })
  }
  const sizeGiB = Math.ceil(sizeMiB / 1024 / unitGiB) * unitGiB
  if (sizeGiB <= maxSizeGiB) return sizeGiB
  const text = `${sizeMiB} MiB are more than the ${maxSizeGiB} GiB that a volume can have there (setting maxSizeGiB)`
  throw new HoldfastError('object_too_large', text, { sizeMiB })
}

function tooSmall({ id, sizeGiB }: RexrayVolume, askedGiB: number): HoldfastError {
  return new HoldfastError('storage_failed', `rexray made ${id} with ${sizeGiB} GiB where ${askedGiB} were asked`)
}

function noFence(object: string): HoldfastError {
  const text = `${object}: REX-Ray is taken for unable to prove a loss of access. Make sure that the lost machine is off`
  const advice = 'then confirm by hand; or set fence=detach, where the storage itself takes a volume from a machine'
  return new HoldfastError('unsupported', `${text}, ${advice}`)
}

function keyOf(pool: PoolTarget, object: string): string {
  return `${pool.uuid}/${object}`
}
