import type { Clock } from '../model/clock.ts'
import { HoldfastError } from '../model/errors.ts'

/** How long the first one waits for the last: while they stand still together, users wait with them. */
const LIMIT_MS = 20_000

/** Pieces of work that have to be at the same point at the same time: snapshots of several volumes at one moment. */
export class Gatherings {
  readonly #clock: Clock
  readonly #waiting = new Map<string, Meeting>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Waits at a point until as many as there are have come to it.
   * @throws interrupted when one of them does not come in time, or has failed
   */
  async meet(group: string, point: string, size: number, signal: AbortSignal): Promise<void> {
    const key = `${group}/${point}`
    const meeting = this.#waiting.get(key) ?? this.#call(key, size)
    meeting.come()
    const leave = () => meeting.fail(`one of its ${size} volumes was taken back`)
    signal.addEventListener('abort', leave, { once: true })
    if (signal.aborted) leave()
    try {
      await meeting.complete
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  /** One of a group will not come: the others need not wait. */
  fail(group: string, why: string): void {
    for (const [key, meeting] of this.#waiting) if (key.startsWith(`${group}/`)) meeting.fail(why)
  }

  #call(key: string, size: number): Meeting {
    const meeting = new Meeting(size)
    this.#waiting.set(key, meeting)
    const cancel = this.#clock.after(LIMIT_MS, () =>
      meeting.fail(`not all of its ${size} volumes could be stopped within ${LIMIT_MS / 1000} s`),
    )
    const over = () => {
      cancel()
      this.#waiting.delete(key)
    }
    meeting.complete.then(over, over)
    return meeting
  }
}

class Meeting {
  readonly complete: Promise<void>
  readonly #settle: { resolve: () => void; reject: (error: Error) => void }
  #missing: number

  constructor(size: number) {
    this.#missing = size
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.complete = promise
    this.#settle = { resolve, reject }
  }

  come(): void {
    this.#missing -= 1
    if (this.#missing === 0) this.#settle.resolve()
  }

  fail(why: string): void {
    this.#settle.reject(new HoldfastError('interrupted', `the snapshots were to be of one moment: ${why}`))
  }
}
