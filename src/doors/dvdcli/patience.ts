import { failed } from './failure.ts'
import type { Unanswered } from './wire.ts'

const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 1000
/** A plugin that always ends in the middle of a call does not restart: the call ends it. */
const MOST_BREAKS = 10

/** How long a call is repeated that nobody answers. */
export class Patience {
  readonly #waitMs: number
  readonly #repeatable: boolean
  #since: number | undefined
  #breaks = 0
  #pause = FIRST_PAUSE_MS

  constructor(waitMs: number, repeatable: boolean) {
    this.#waitMs = waitMs
    this.#repeatable = repeatable
  }

  /** @returns ms until the next attempt @throws Failure when there is to be none */
  after({ sent, message }: Unanswered, path: string): number {
    if (sent) this.#breaks += 1
    if (sent && (!this.#repeatable || this.#breaks > MOST_BREAKS)) {
      throw failed(`${message} in the middle of ${path.slice(1)}; whether that was done is not known`)
    }
    const now = performance.now()
    // a plugin that has just been there has all of the time to come back
    this.#since = sent ? now : (this.#since ?? now)
    const left = this.#since + this.#waitMs - now
    if (left <= 0) throw failed(`${message} (waited ${this.#waitMs / 1000} s)`)
    const pause = Math.min(this.#pause, left)
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS)
    return pause
  }
}
