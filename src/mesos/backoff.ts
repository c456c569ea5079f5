/** Growing pauses between attempts, ms: doubled each time up to a limit, from the start again after a success. */
export class Backoff {
  readonly #first: number
  readonly #limit: number
  #next: number

  constructor(first: number, limit: number) {
    this.#first = first
    this.#limit = limit
    this.#next = first
  }

  next(): number {
    const pause = this.#next
    this.#next = Math.min(this.#limit, pause * 2)
    return pause
  }

  reset(): void {
    this.#next = this.#first
  }
}
