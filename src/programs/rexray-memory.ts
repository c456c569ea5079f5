/** What a driver has seen of volumes itself. Nothing depends on it that may not be forgotten at any moment. */

/** For how long nobody but the operation that made it knows a volume, ms. */
const FRESH_MS = 300_000

export class RexrayMemory {
  /** When a volume was made that was not attached since, by id. */
  private readonly made = new Map<string, number>()
  private readonly blank = new Set<string>()
  /** By key of an object. */
  private readonly devices = new Map<string, string>()

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

  attached(key: string, device: string): void {
    this.devices.set(key, device)
  }

  detached(key: string): void {
    this.devices.delete(key)
  }

  /** Where an object was attached last, if nobody here has detached it. */
  deviceOf(key: string): string | undefined {
    return this.devices.get(key)
  }

  gone(id: string, key: string): void {
    this.willChange(id)
    this.detached(key)
  }
}
