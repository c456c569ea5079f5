import type { Clock } from '../model/clock.ts'

/** A pause that can be cut short. A call that came before the pause counts for it. */
export class Waker {
  readonly #clock: Clock
  #woken = false
  #resume: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  wake(): void {
    this.#woken = true
    this.#resume?.()
  }

  /** Until `ms` are over or somebody wakes it. */
  async sleep(ms: number): Promise<void> {
    if (!this.#woken) {
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.after(ms, resolve)
        this.#resume = () => {
          cancel()
          resolve()
        }
      })
    }
    this.#resume = undefined
    this.#woken = false
  }
}
