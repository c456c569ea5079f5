import { FORWARD_JUMP_MS } from '../ledger/clock.ts'
import type { Clock } from '../model/clock.ts'

/**
 * The time that the ledger is given: it never goes back, and does not follow a wall clock that leaps ahead by more
 * than an hour while the machine's own count of time denies it.
 */
export class LedgerTime {
  readonly #clock: Clock
  #time: number
  #boottime: number

  /** @param last time of the last commit, 0 when there was none */
  constructor(clock: Clock, last: number) {
    this.#clock = clock
    this.#time = Math.max(last, clock.now())
    this.#boottime = clock.boottime()
  }

  /** Reads the time; `jump` when the wall clock leapt, in which case the time has gone on as if it had not. */
  read(): { now: number; jump: { from: number; to: number } | undefined } {
    const boottime = this.#clock.boottime()
    const expected = this.#time + Math.max(0, boottime - this.#boottime)
    const wall = this.#clock.now()
    const leapt = wall - expected > FORWARD_JUMP_MS
    this.#time = leapt ? expected : Math.max(expected, wall)
    this.#boottime = boottime
    return { now: this.#time, jump: leapt ? { from: expected, to: wall } : undefined }
  }

  /** An operator says that the wall clock is right. */
  adopt(): void {
    this.#time = Math.max(this.#time, this.#clock.now())
  }
}
