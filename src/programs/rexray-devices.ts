/** REX-Ray volumes on this machine: which device one is, who uses it, and that it is really gone. */
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '../model/errors.ts'
import type { MountEntry } from '../node/filesystems.ts'
import { type BlockDevice, lookAtDevice } from './block-device.ts'
import { usersOfDevice } from './device-users.ts'
import { readMounts } from './mount-table.ts'
import type { RexrayCli } from './rexray-cli.ts'
import type { RexrayVolume } from './rexray-volumes.ts'

const GIB = 1024 ** 3

export interface DeviceTimes {
  /** How long a device may take to appear after the storage has attached it, ms. */
  readonly appearMs: number
  /** How long a device, or what looks at it in passing (udev, blkid), may take to go, ms. */
  readonly goMs: number
}

export const DEVICE_TIMES: DeviceTimes = { appearMs: 30_000, goMs: 10_000 }

export class RexrayDevices {
  private readonly cli: RexrayCli
  private readonly times: DeviceTimes

  constructor(cli: RexrayCli, times: DeviceTimes) {
    this.cli = cli
    this.times = times
  }

  /**
   * The device of a volume that is attached here, as soon as it is there.
   * @throws storage_failed when it is not, or is not as large as the volume and so another disk
   */
  async of(volume: RexrayVolume, signal: AbortSignal): Promise<BlockDevice> {
    const end = performance.now() + this.times.appearMs
    let name = volume.device
    for (;;) {
      const device = name === undefined ? undefined : await lookAtDevice(name)
      if (device !== undefined) return sameSize(volume, device)
      if (performance.now() >= end) throw absent(volume, name, this.times.appearMs)
      if (name !== undefined) await delay(Math.min(200, this.times.appearMs), undefined, { signal })
      else name = (await this.cli.paths([volume.id], signal))[0]?.device
    }
  }

  /** The volumes of these that are attached here, with devices and mount points where REX-Ray tells them. */
  async located(volumes: readonly RexrayVolume[], withPaths: boolean, signal: AbortSignal): Promise<RexrayVolume[]> {
    const here = volumes.filter(({ state }) => state === 'here')
    const unclear = withPaths ? here : here.filter(({ device }) => device === undefined)
    if (unclear.length === 0) return here
    const ids = unclear.map(({ id }) => id)
    const found = new Map((await this.cli.paths(ids, signal)).map((each) => [each.id, each]))
    return here.map((each) => ({
      ...each,
      device: each.device ?? found.get(each.id)?.device,
      path: found.get(each.id)?.path,
    }))
  }

  /**
   * Waits a moment for those who only look at a device in passing.
   * @param own where REX-Ray itself mounted it
   * @throws still_mounted when it is mounted anywhere, or open
   */
  async requireUnused(device: string, own: string | undefined): Promise<void> {
    const end = performance.now() + this.times.goMs
    for (;;) {
      const mounts = (await mountsOf(device)).filter(({ target }) => own === undefined || !isAtOrAbove(target, own))
      const [mount] = mounts
      if (mount !== undefined) {
        const text = `${device} is still mounted at ${mounts.map(({ target }) => target).join(', ')}`
        throw new HoldfastError('still_mounted', text, { device, target: mount.target })
      }
      const users = own === undefined ? await usersOfDevice(device) : []
      if (users.length === 0) return
      if (performance.now() >= end) {
        throw new HoldfastError('still_mounted', `${device} is still held by ${users.join(', ')}`, { device, users })
      }
      await delay(50)
    }
  }

  /** Waits until the kernel has no such disk any more. @throws still_mounted */
  async gone({ device, sequence }: BlockDevice, signal: AbortSignal): Promise<void> {
    const end = performance.now() + this.times.goMs
    for (;;) {
      const now = await lookAtDevice(device)
      if (now === undefined || (sequence !== '' && now.sequence !== sequence)) return
      if (performance.now() >= end) {
        const users = await usersOfDevice(device)
        const who = users.length === 0 ? '' : `; it is held by ${users.join(', ')}`
        throw new HoldfastError('still_mounted', `rexray has detached ${device}, but it is still there${who}`, {
          device,
          users,
        })
      }
      await delay(20, undefined, { signal })
    }
  }
}

/** What this process's mount namespace has mounted from a device, in the order of mounting. */
export async function mountsOf(device: string): Promise<MountEntry[]> {
  return (await readMounts()).filter((each) => each.device === device)
}

/** Whether a directory is on the way to another: REX-Ray mounts at `DIR/NAME` and tells `DIR/NAME/data`. */
function isAtOrAbove(target: string, directory: string): boolean {
  return directory === target || directory.startsWith(`${target}/`)
}

/** A cloud may give a disk another name than the one it told, and that name to another disk. */
function sameSize(volume: RexrayVolume, device: BlockDevice): BlockDevice {
  const gib = device.bytes / GIB
  if (gib >= volume.sizeGiB && gib < volume.sizeGiB + 1) return device
  const text = `rexray says that ${volume.name} (${volume.id}, ${volume.sizeGiB} GiB) is ${device.device}, which has`
  throw new HoldfastError('storage_failed', `${text} ${gib.toFixed(2)} GiB: it is another disk, and was not touched`, {
    device: device.device,
    bytes: device.bytes,
  })
}

function absent(volume: RexrayVolume, name: string | undefined, waitedMs: number): HoldfastError {
  const waited = `within ${waitedMs / 1000} s`
  const text =
    name === undefined
      ? `rexray attached ${volume.name} (${volume.id}) and told no device for it ${waited}`
      : `rexray says that ${volume.name} (${volume.id}) is ${name}, which is no block device here ${waited}: where the kernel names disks otherwise (/dev/nvme1n1), the cloud's udev rules must make links with the names that it tells`
  return new HoldfastError('storage_failed', text, { id: volume.id, device: name })
}
