import type { Clock } from '../model/clock.ts'
import { deadline } from './deadline.ts'
import type { Hands } from './hands.ts'
import type { NodePools } from './pools.ts'
import type { Slot } from './slot.ts'
import type { VolumeTable } from './volume-table.ts'

const EVERY_MS = 500
/** Of the lease: a third for heartbeats that are late, one for the watchdog to act, and one in which nothing is left. */
const THIRD = 3
/** Below, two heartbeats in a row could not be late without harm. */
const LEAST_LEASE_MS = 9000

/** A watchdog is of use only when it resets the machine well within the lease: within a third of it. */
export function watchdogServes(watchdog: Watchdog | undefined, leaseMs: number): boolean {
  return watchdog?.armed === true && watchdog.timeoutMs * THIRD <= leaseMs && leaseMs >= LEAST_LEASE_MS
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
  /** Boottime; 0 while there was no lease since the daemon started. */
  readonly leaseUntil: () => number
  readonly leaseMs: number
  /** Breaks off work that writes to such pools; how much of it still runs. */
  readonly breakOff: (pool: (poolId: string) => boolean) => number
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
  #startedAt = 0

  constructor(parts: SelfFenceParts) {
    this.#parts = parts
  }

  start(): void {
    this.#stopped = false
    this.#startedAt = this.#parts.clock.boottime()
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

  /**
   * The latest moment at which I/O may still go on: what the watchdog needs to act is taken off, too. The daemon's life
   * before this one fed the watchdog, or the machine would have been reset: so its lease runs for another third from
   * the start of this one, in half of which the controller must answer.
   */
  get #stopAt(): number {
    const { leaseMs, watchdog } = this.#parts
    const lease = this.#parts.leaseUntil()
    if (lease === 0) return this.#startedAt + leaseMs / THIRD / 2
    return lease - leaseMs / THIRD - (watchdog?.timeoutMs ?? 0)
  }

  /** Whether I/O may begin on volumes of a pool. */
  mayStart(poolId: string): boolean {
    return !this.#isSelf(poolId) || this.#parts.clock.boottime() < this.#stopAt
  }

  /** Whether something here relies on the watchdog: then it must not be disarmed. */
  get relied(): boolean {
    return this.#exposed().length > 0
  }

  async #check(): Promise<void> {
    const { watchdog, clock, breakOff } = this.#parts
    if (clock.boottime() < this.#stopAt) {
      watchdog?.feed()
      return
    }
    const working = breakOff((poolId) => this.#isSelf(poolId))
    const stopped = await Promise.all(this.#exposed().map((slot) => this.#stopVolume(slot)))
    if (working === 0 && stopped.every(Boolean)) watchdog?.feed()
  }

  #isSelf(poolId: string): boolean {
    return this.#parts.pools.spec(poolId)?.fence === 'self'
  }

  /**
   * Volumes in pools that rely on this node to stop by itself, and have not been stopped. Those that only read count
   * too: once the lease has run out somebody else may write.
   */
  #exposed(): Slot[] {
    return [...this.#parts.table.slots].filter(
      ({ entry, stopped }) => entry !== undefined && !stopped && this.#isSelf(entry.volume.poolId),
    )
  }

  async #stopVolume(slot: Slot): Promise<boolean> {
    const { hands, clock, log } = this.#parts
    const entry = slot.entry
    if (entry === undefined) return true
    if (entry.volume.fs === 'raw') return false
    try {
      // not mounted, and nothing under way that could mount it: there is nothing to stop
      // (a device that is left may be held through another mount namespace, and written to there)
      if (!(await hands.isMounted(entry.target))) {
        return slot.idle && !(await hands.isAttached(entry.volume, deadline(clock, 2000)))
      }
      await hands.stop(entry.target, deadline(clock, 2000))
      this.#parts.table.markStopped(slot)
      log('volume.stopped', { volume: entry.volume.name, reason: 'the lease is running out' })
      return true
    } catch (thrown) {
      log('volume.not-stopped', { volume: entry.volume.name, message: String(thrown) })
      return false
    }
  }
}
