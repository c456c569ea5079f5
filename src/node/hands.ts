import type { Clock } from '../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { VolumeSpec } from '../model/node-protocol.ts'
import { deadline } from './deadline.ts'
import { type Filesystems, type FilesystemType, isMountOf, type Signature } from './filesystems.ts'
import type { NodePools } from './pools.ts'

const THAW_AGAIN_MS = 1000

/** What is needed to find a volume's object again. */
export type ObjectRef = Pick<VolumeSpec, 'poolId' | 'object'> & { readonly fs?: VolumeSpec['fs'] | undefined }

/**
 * Attaches, checks, mounts, and takes all of it back. What is on a device is compared with the record before anybody
 * sees it: nothing here can format.
 */
export class Hands {
  readonly #pools: NodePools
  readonly #filesystems: Filesystems
  readonly #clock: Clock
  readonly #leased: () => void

  /**
   * @param leased throws unless this node's lease runs: asked before anything is begun that may write, since a node
   *   without a lease may have been fenced already
   */
  constructor(pools: NodePools, filesystems: Filesystems, clock: Clock, leased: () => void) {
    this.#leased = leased
    this.#pools = pools
    this.#filesystems = filesystems
    this.#clock = clock
  }

  /**
   * Attaches a volume and mounts it; already so is a success.
   * @param current throws when the word that this follows has been taken back: asked at the last moment, since looking
   *   at the storage may take long enough for a lease to run out and a new one to begin
   * @returns the mount point, or the device of a raw volume
   * @throws foreign_content when the content is not what the record says (it is left untouched, and detached again)
   */
  async up(
    volume: VolumeSpec,
    readOnly: boolean,
    target: string,
    current: () => void,
    signal: AbortSignal,
  ): Promise<string> {
    const { driver, target: pool } = this.#pools.access(volume.poolId)
    const info = await driver.inspect(pool, volume.object, signal)
    if (info !== undefined && info.sizeMiB < volume.sizeMiB) {
      throw foreign(volume, `it has ${info.sizeMiB} MiB, the record says ${volume.sizeMiB}`)
    }
    this.#leased()
    current()
    const attached = await driver.attach(pool, volume.object, readOnly, signal, volume.iops)
    // from here on a raw volume has users, perhaps those that it had before: nothing may go wrong any more
    if (volume.fs === 'raw') return attached.device
    try {
      if (await this.#isMountedFrom(attached.device, volume.fs, target)) return target
      await this.#checkContent(volume, attached.device, signal)
      this.#leased()
      current()
      await this.#filesystems.mount(attached.device, target, { type: volume.fs, readOnly, flags: [] }, signal)
      return target
    } catch (thrown) {
      // what was attached for nothing is let go of; if that fails too, the first error is the one to tell
      await driver.detach(pool, volume.object, deadline(this.#clock, 30_000)).catch(() => undefined)
      throw thrown
    }
  }

  async #isMountedFrom(device: string, fs: string, target: string): Promise<boolean> {
    const mounts = await this.#filesystems.mounts()
    const entry = mounts.findLast((each) => each.target === target)
    if (entry === undefined) return false
    if (isMountOf(mounts, entry, fs, device)) return true
    throw new HoldfastError('still_mounted', `${target} is the mount point of ${entry.device}, not of ${device}`)
  }

  async #checkContent(volume: VolumeSpec, device: string, signal: AbortSignal): Promise<void> {
    const why = differs(volume, await this.#filesystems.probe(device, signal))
    if (why === undefined) return
    await this.#stillAttached(volume, device, signal)
    throw foreign(volume, why)
  }

  /**
   * A device that was taken away reads as an empty one, and may be another object's by now: what is seen there says
   * nothing of this one. @throws storage_failed
   */
  async #stillAttached({ poolId, object }: ObjectRef, device: string, signal: AbortSignal): Promise<void> {
    const { driver, target: pool } = this.#pools.access(poolId)
    const devices = await driver.attached(pool, signal, object)
    if (devices.some((each) => each.object === object && each.device === device)) return
    throw new HoldfastError(
      'storage_failed',
      `object ${object}: somebody detached ${device} in the meantime; try again`,
    )
  }

  /** Whether something is mounted there, by the kernel's table: no storage is touched. */
  async isMounted(target: string): Promise<boolean> {
    return (await this.#filesystems.mounts()).some((each) => each.target === target)
  }

  /** Whether a device of this object is left on this machine. */
  async isAttached(volume: ObjectRef, signal: AbortSignal): Promise<boolean> {
    const { driver, target: pool } = this.#pools.access(volume.poolId)
    return (await driver.attached(pool, signal, volume.object)).some((each) => each.object === volume.object)
  }

  /**
   * Unmounts and detaches, and returns only when nothing is left: no mount at the target, no device with this object.
   * @throws still_mounted
   */
  async down(volume: ObjectRef, target: string | undefined, signal: AbortSignal): Promise<void> {
    const { driver, target: pool } = this.#pools.access(volume.poolId)
    if (target !== undefined && (await this.#isOurs(volume, target, signal))) {
      await this.#filesystems.unmount(target, signal)
    }
    if (volume.fs === 'raw') await this.#checkUnshown(volume, signal)
    await driver.detach(pool, volume.object, signal)
  }

  /**
   * A bind mount of a device holds nothing: where one is left, the next volume that gets this device would be shown.
   * @throws still_mounted
   */
  async #checkUnshown(volume: ObjectRef, signal: AbortSignal): Promise<void> {
    const { driver, target: pool } = this.#pools.access(volume.poolId)
    const bound = (await this.#filesystems.mounts()).filter(({ root = '/' }) => root !== '/')
    if (bound.length === 0) return
    const devices = await driver.attached(pool, signal, volume.object)
    const isShown = (root: string) =>
      devices.some((each) => each.object === volume.object && each.device === `/dev${root}`)
    const entry = bound.find(({ root = '/' }) => isShown(root))
    if (entry === undefined) return
    const text = `the device of object ${volume.object} is still shown at ${entry.target}; unmount that first`
    throw new HoldfastError('still_mounted', text, { target: entry.target })
  }

  /** Whether what is mounted at a target is this volume, or nothing is: what others mounted there stays. */
  async #isOurs(volume: ObjectRef, target: string, signal: AbortSignal): Promise<boolean> {
    const mounts = await this.#filesystems.mounts()
    const entry = mounts.findLast((each) => each.target === target)
    if (entry === undefined) return true
    const { driver, target: pool } = this.#pools.access(volume.poolId)
    const devices = await driver.attached(pool, signal, volume.object)
    return devices.some(
      (each) => each.object === volume.object && isMountOf(mounts, entry, volume.fs ?? '', each.device),
    )
  }

  /** Emergency stop of a mounted filesystem, without flushing. @throws unsupported */
  async stop(target: string, signal: AbortSignal): Promise<void> {
    await this.#filesystems.shutdown(target, signal)
  }

  /** Makes a filesystem on a blank object and proves that it is there. The caller detaches. */
  async format(object: ObjectRef, fs: FilesystemType, uuid: string, signal: AbortSignal): Promise<void> {
    const { driver, target: pool } = this.#pools.access(object.poolId)
    if (!(await driver.isBlank(pool, object.object, signal))) {
      throw new HoldfastError('not_blank', `object ${object.object} is not blank; it is left as it is`)
    }
    this.#leased()
    const { device } = await driver.attach(pool, object.object, false, signal)
    try {
      await this.#formatDevice(object, device, fs, uuid, signal)
    } catch (thrown) {
      const look = this.#stillAttached(object, device, deadline(this.#clock, 10_000))
      const lost = await look.then(() => undefined, asHoldfastError)
      throw lost?.code === 'storage_failed' ? lost : thrown
    }
    await this.#stillAttached(object, device, signal)
  }

  async #formatDevice(
    object: ObjectRef,
    device: string,
    fs: FilesystemType,
    uuid: string,
    signal: AbortSignal,
  ): Promise<void> {
    const before = await this.#filesystems.probe(device, signal)
    if (before.type !== undefined) {
      throw new HoldfastError('not_blank', `object ${object.object} holds ${before.type}; it is left as it is`)
    }
    this.#leased()
    await this.#filesystems.make(device, fs, uuid, signal).catch((thrown) => this.#orFull(object, thrown))
    const after = await this.#filesystems.probe(device, signal)
    if (after.type !== fs || after.uuid !== uuid) {
      throw new HoldfastError('storage_failed', `mkfs left ${after.type} ${after.uuid}, not ${fs} ${uuid}`)
    }
  }

  /** A device whose storage is full fails with a bare I/O error: what is really wrong is said instead. */
  async #orFull({ poolId, object }: ObjectRef, thrown: unknown): Promise<never> {
    const { driver, target: pool } = this.#pools.access(poolId)
    const probe = await driver.probe(pool, deadline(this.#clock, 5000)).catch(() => undefined)
    if (asHoldfastError(thrown).code !== 'storage_failed' || (probe?.freeMiB ?? 1) > 0) throw thrown
    const text = `pool ${pool.name} has less than 1 MiB free; object ${object} could not be written`
    throw new HoldfastError('storage_full', text, {}, { cause: thrown })
  }

  /** Gives a copy its own UUID and, where its object is larger by now, the whole of it. The caller detaches. */
  async adaptCopy(
    object: ObjectRef,
    fs: FilesystemType,
    uuid: string,
    grow: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { driver, target: pool } = this.#pools.access(object.poolId)
    this.#leased()
    const { device } = await driver.attach(pool, object.object, false, signal)
    this.#leased()
    await this.#filesystems.changeUuid(device, fs, uuid, signal)
    if (grow) await this.#filesystems.grow(device, fs, undefined, signal)
  }

  /** Makes the filesystem fill its device: online where it is mounted, else attached for that. */
  async growFilesystem(
    object: ObjectRef,
    fs: FilesystemType,
    target: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { driver, target: pool } = this.#pools.access(object.poolId)
    this.#leased()
    const { device } = await driver.attach(pool, object.object, false, signal)
    await this.#filesystems.grow(device, fs, target, signal)
  }

  /** Reads what is on an object, without changing anything. */
  async identify(object: ObjectRef, signal: AbortSignal) {
    const { driver, target: pool } = this.#pools.access(object.poolId)
    this.#leased()
    const { device } = await driver.attach(pool, object.object, true, signal)
    return this.#filesystems.probe(device, signal)
  }

  /** Runs something while a mounted filesystem stands still; it goes on again whatever happens. */
  async frozen<T>(target: string | undefined, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (target === undefined) return work()
    try {
      await this.#filesystems.freeze(target, signal)
    } catch (thrown) {
      // somebody else's freeze is not ours to end; ours may have come to pass after all
      if (asHoldfastError(thrown).code !== 'in_use') await this.thawSurely(target)
      throw thrown
    }
    try {
      return await work()
    } finally {
      await this.thawSurely(target)
    }
  }

  /** Users of a frozen filesystem hang: it is tried until it works, or nothing is mounted there any more. */
  async thawSurely(target: string): Promise<void> {
    for (;;) {
      try {
        await this.#thaw(target)
        return
      } catch {
        if (!(await this.isMounted(target))) return
        await new Promise<void>((resolve) => this.#clock.after(THAW_AGAIN_MS, resolve))
      }
    }
  }

  async #thaw(target: string): Promise<void> {
    await this.#filesystems.thaw(target, deadline(this.#clock, 30_000))
  }
}

/** In which way a content is not what the record says. */
function differs({ fs, fsUuid }: VolumeSpec, { type, uuid }: Signature): string | undefined {
  if (type === undefined) return 'it has no known signature'
  if (type !== fs) return `it is ${type}, the record says ${fs}`
  return uuid === fsUuid ? undefined : `its ${type} has UUID ${uuid}, the record says ${fsUuid}`
}

function foreign(volume: VolumeSpec, why: string): HoldfastError {
  return new HoldfastError(
    'foreign_content',
    `volume ${volume.name} (object ${volume.object}) is not what the record says: ${why}; nothing was changed`,
  )
}
