import { FORWARD_JUMP_MS } from '../ledger/clock.ts'
import type { Clock } from '../model/clock.ts'

/**
 * The time that the ledger is given: it never goes back, and does not follow a wall clock that leaps ahead by more
 * than an hour while the machine's own count of time denies it. At a start there is no such count: then a wall clock
 * that is more than an hour ahead of the last commit is not followed either, until somebody says that it is right. If
 * it were, one wrong clock at boot would put the ledger into the future for ever.
 */
export class LedgerTime {
  readonly #clock: Clock
  #time: number
  #boottime: number

  /** @param last time of the last commit, 0 when there was none */
  constructor(clock: Clock, last: number) {
    this.#clock = clock
    this.#time = last
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

  /** Somebody who may know says that the wall clock is right. */
  adopt(): void {
    this.#time = Math.max(this.#time, this.#clock.now())
  }
}
