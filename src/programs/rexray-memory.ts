/** What a driver has seen of volumes itself. Nothing depends on it that may not be forgotten at any moment. */
import { lookAtDevice } from './block-device.ts'
import { mountsOf } from './rexray-devices.ts'

/** For how long nobody but the operation that made it knows a volume, ms. */
const FRESH_MS = 300_000

export class RexrayMemory {
  /** When a volume was made that was not attached since, by id. */
  private readonly made = new Map<string, number>()
  private readonly blank = new Set<string>()
  /** By key of an object: the disk that it was here. */
  private readonly disks = new Map<string, { device: string; sequence: string }>()

  /** A volume was made. */
  isNew(id: string): void {
    this.made.set(id, performance.now())
  }

  /** A volume was found blank. */
  isBlank(id: string): void {
    this.blank.add(id)
  }

  /** Whether it was made here a short while ago and never attached since: new volumes are blank. */
  isFresh(id: string): boolean {
    return performance.now() - (this.made.get(id) ?? Number.NEGATIVE_INFINITY) < FRESH_MS
  }

  /** It will be attached, and is nobody's to know from then on. @returns whether it was blank by now */
  willChange(id: string): boolean {
    const fresh = this.isFresh(id)
    this.made.delete(id)
    return this.blank.delete(id) || fresh
  }

  async attached(key: string, device: string): Promise<void> {
    const disk = await lookAtDevice(device)
    if (disk !== undefined) this.disks.set(key, { device: disk.device, sequence: disk.sequence })
  }

  detached(key: string): void {
    this.disks.delete(key)
  }

  /** Where an object is still mounted that somebody else has taken from this machine: its disk is cut off, or another. */
  async cutOff(key: string): Promise<{ device: string; readOnly: boolean } | undefined> {
    const disk = this.disks.get(key)
    if (disk === undefined) return undefined
    const [mount] = await mountsOf(disk.device)
    const now = await lookAtDevice(disk.device)
    // by now it may be another disk of that name, and its mount
    if (mount === undefined || (now !== undefined && now.sequence !== disk.sequence)) return undefined
    return { device: disk.device, readOnly: mount.readOnly }
  }

  gone(id: string, key: string): void {
    this.willChange(id)
    this.detached(key)
  }
}
