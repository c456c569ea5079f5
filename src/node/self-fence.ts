import type { Clock } from '../model/clock.ts'
import { deadline } from './deadline.ts'
import type { Hands } from './hands.ts'
import type { NodePools } from './pools.ts'
import type { Slot } from './slot.ts'
import type { VolumeTable } from './volume-table.ts'

/** How long before the end of the lease the I/O must have stopped. */
const MARGIN_MS = 5000
const EVERY_MS = 500

/** A watchdog is of use only when it resets the machine well within the lease: within a third of it. */
export function watchdogServes(watchdog: Watchdog | undefined, leaseMs: number): boolean {
  return watchdog?.armed === true && watchdog.timeoutMs * 3 <= leaseMs
}

/** A watchdog independent of this daemon: it resets the machine unless it is fed. */
export interface Watchdog {
  readonly armed: boolean
  /** ms after the last feeding at which the machine is reset. */
  readonly timeoutMs: number
  feed(): void
}

export interface SelfFenceParts {
  readonly clock: Clock
  readonly pools: NodePools
  readonly table: VolumeTable
  readonly hands: Hands
  readonly watchdog: Watchdog | undefined
  readonly leaseUntil: () => number
  readonly log: (event: string, data: Record<string, unknown>) => void
}

/**
 * Under `fence: self` the machine stops its own I/O before its lease can run out elsewhere: filesystems are shut down
 * without flushing, and where that is not possible, or does not succeed, the watchdog is not fed any more and resets
 * the machine. Volumes of pools with another policy are never touched: no running task is harmed because a
 * controller is away.
 */
export class SelfFence {
  readonly #parts: SelfFenceParts
  #cancelTimer: (() => void) | undefined
  #stopped = true

  constructor(parts: SelfFenceParts) {
    this.#parts = parts
  }

  start(): void {
    this.#stopped = false
    this.#tick()
  }

  stop(): void {
    this.#stopped = true
    this.#cancelTimer?.()
  }

  #tick(): void {
    if (this.#stopped) return
    void this.#check()
    this.#cancelTimer = this.#parts.clock.after(EVERY_MS, () => this.#tick())
  }

  /** The latest moment at which I/O may still go on: what the watchdog needs to act is taken off, too. */
  get #stopAt(): number {
    return this.#parts.leaseUntil() - MARGIN_MS - (this.#parts.watchdog?.timeoutMs ?? 0)
  }

  async #check(): Promise<void> {
    const { watchdog, clock } = this.#parts
    const exposed = this.#exposed()
    if (exposed.length === 0 || clock.boottime() < this.#stopAt) {
      watchdog?.feed()
      return
    }
    const stopped = await Promise.all(exposed.map((slot) => this.#stopVolume(slot)))
    if (stopped.every(Boolean)) watchdog?.feed()
  }

  /** Volumes that may write, in pools that rely on this node to stop by itself, and have not been stopped. */
  #exposed(): Slot[] {
    const { table, pools } = this.#parts
    return [...table.slots].filter(
      (slot) => slot.entry !== undefined && !slot.stopped && pools.spec(slot.entry.volume.poolId)?.fence === 'self',
    )
  }

  async #stopVolume(slot: Slot): Promise<boolean> {
    const { hands, clock, log } = this.#parts
    const entry = slot.entry
    if (entry === undefined || entry.mode === 'ro') return true
    if (entry.volume.fs === 'raw') return false
    try {
      await hands.stop(entry.target, deadline(clock, 2000))
      slot.stopped = true
      log('volume.stopped', { volume: entry.volume.name, reason: 'the lease is running out' })
      return true
    } catch (thrown) {
      log('volume.not-stopped', { volume: entry.volume.name, message: String(thrown) })
      return false
    }
  }
}
