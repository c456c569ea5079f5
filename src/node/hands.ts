import type { Clock } from '../model/clock.ts'
import { HoldfastError } from '../model/errors.ts'
import type { VolumeSpec } from '../model/node-protocol.ts'
import { deadline } from './deadline.ts'
import type { Filesystems, FilesystemType } from './filesystems.ts'
import type { NodePools } from './pools.ts'

/** What is needed to find a volume's object again. */
export type ObjectRef = Pick<VolumeSpec, 'poolId' | 'object'>

/**
 * Attaches, checks, mounts, and takes all of it back. What is on a device is compared with the record before anybody
 * sees it: nothing here can format.
 */
export class Hands {
  readonly #pools: NodePools
  readonly #filesystems: Filesystems
  readonly #clock: Clock

  constructor(pools: NodePools, filesystems: Filesystems, clock: Clock) {
    this.#pools = pools
    this.#filesystems = filesystems
    this.#clock = clock
  }

  /**
   * Attaches a volume and mounts it; already so is a success.
   * @returns the mount point, or the device of a raw volume
   * @throws foreign_content when the content is not what the record says (it is left untouched, and detached again)
   */
  async up(volume: VolumeSpec, readOnly: boolean, target: string, signal: AbortSignal): Promise<string> {
    const { driver, target: pool } = this.#pools.access(volume.poolId)
    const attached = await driver.attach(pool, volume.object, readOnly, signal)
    try {
      const info = await driver.inspect(pool, volume.object, signal)
      if (info !== undefined && info.sizeMiB < volume.sizeMiB) {
        throw foreign(volume, `it has ${info.sizeMiB} MiB, the record says ${volume.sizeMiB}`)
      }
      if (volume.fs === 'raw') return attached.device
      if (await this.#isMounted(attached.device, target)) return target
      await this.#checkContent(volume, attached.device, signal)
      await this.#filesystems.mount(attached.device, target, { type: volume.fs, readOnly, flags: [] }, signal)
      return target
    } catch (thrown) {
      // what was attached for nothing is let go of; if that fails too, the first error is the one to tell
      await driver.detach(pool, volume.object, deadline(this.#clock, 30_000)).catch(() => undefined)
      throw thrown
    }
  }

  async #isMounted(device: string, target: string): Promise<boolean> {
    const entry = (await this.#filesystems.mounts()).find((each) => each.target === target)
    if (entry === undefined) return false
    if (entry.device === device) return true
    throw new HoldfastError('still_mounted', `${target} is the mount point of ${entry.device}, not of ${device}`)
  }

  async #checkContent(volume: VolumeSpec, device: string, signal: AbortSignal): Promise<void> {
    const found = await this.#filesystems.probe(device, signal)
    if (found.type === undefined) throw foreign(volume, 'it has no known signature')
    if (found.type !== volume.fs) throw foreign(volume, `it is ${found.type}, the record says ${volume.fs}`)
    if (found.uuid !== volume.fsUuid) {
      throw foreign(volume, `its ${found.type} has UUID ${found.uuid}, the record says ${volume.fsUuid}`)
    }
  }

  /** Whether a volume's object is attached and, unless it is raw, mounted at its target. Touches nothing. */
  async isUp(volume: VolumeSpec, target: string, signal: AbortSignal): Promise<boolean> {
    const { driver, target: pool } = this.#pools.access(volume.poolId)
    if (volume.fs === 'raw') {
      return (await driver.attached(pool, signal)).some((each) => each.object === volume.object)
    }
    return (await this.#filesystems.mounts()).some((each) => each.target === target)
  }

  /**
   * Unmounts and detaches, and returns only when nothing is left: no mount at the target, no device with this object.
   * @throws still_mounted
   */
  async down(volume: ObjectRef, target: string | undefined, signal: AbortSignal): Promise<void> {
    const { driver, target: pool } = this.#pools.access(volume.poolId)
    if (target !== undefined) await this.#filesystems.unmount(target, signal)
    await driver.detach(pool, volume.object, signal)
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
    const { device } = await driver.attach(pool, object.object, false, signal)
    const before = await this.#filesystems.probe(device, signal)
    if (before.type !== undefined) {
      throw new HoldfastError('not_blank', `object ${object.object} holds ${before.type}; it is left as it is`)
    }
    await this.#filesystems.make(device, fs, uuid, signal)
    const after = await this.#filesystems.probe(device, signal)
    if (after.type !== fs || after.uuid !== uuid) {
      throw new HoldfastError('storage_failed', `mkfs left ${after.type} ${after.uuid}, not ${fs} ${uuid}`)
    }
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
    const { device } = await driver.attach(pool, object.object, false, signal)
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
    const { device } = await driver.attach(pool, object.object, false, signal)
    await this.#filesystems.grow(device, fs, target, signal)
  }

  /** Reads what is on an object, without changing anything. */
  async identify(object: ObjectRef, signal: AbortSignal) {
    const { driver, target: pool } = this.#pools.access(object.poolId)
    const { device } = await driver.attach(pool, object.object, true, signal)
    return this.#filesystems.probe(device, signal)
  }

  /** Runs something while a mounted filesystem stands still; it goes on again whatever happens. */
  async frozen<T>(target: string | undefined, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (target === undefined) return work()
    await this.#filesystems.freeze(target, signal)
    try {
      return await work()
    } finally {
      await this.#filesystems.thaw(target, deadline(this.#clock, 30_000))
    }
  }

  async thaw(target: string): Promise<void> {
    await this.#filesystems.thaw(target, deadline(this.#clock, 30_000))
  }
}

function foreign(volume: VolumeSpec, why: string): HoldfastError {
  return new HoldfastError(
    'foreign_content',
    `volume ${volume.name} (object ${volume.object}) is not what the record says: ${why}; nothing was changed`,
  )
}
