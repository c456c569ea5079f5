import type { Clock } from '../../../src/model/clock.ts'

interface Timer {
  readonly at: number
  readonly call: () => void
}

/** A machine's clocks, moved by hand. */
export class TestClock implements Clock {
  #wall: number
  #boottime = 50_000
  /** Timers stand still while the machine is suspended, as Node's do. */
  #awake = 0
  readonly #timers = new Set<Timer>()

  constructor(wall = Date.UTC(2026, 0, 1)) {
    this.#wall = wall
  }

  now(): number {
    return this.#wall
  }

  boottime(): number {
    return this.#boottime
  }

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#awake + ms, call }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Time passes, and what is due is called, each with what follows from it. */
  async pass(ms: number): Promise<void> {
    const end = this.#awake + ms
    await quiet()
    for (;;) {
      const next = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.#timers.delete(next)
      this.#move(Math.max(0, next.at - this.#awake))
      next.call()
      await quiet()
    }
    this.#move(end - this.#awake)
  }

  /** Somebody sets the wall clock. */
  setWall(by: number): void {
    this.#wall += by
  }

  /** The machine sleeps: both clocks go on, no timer does. */
  suspend(ms: number): void {
    this.#wall += ms
    this.#boottime += ms
  }

  /** The machine is off, and its boottime begins anew. */
  reboot(ms: number): void {
    this.#wall += ms
    this.#boottime = 1000
  }

  #move(ms: number): void {
    this.#wall += ms
    this.#boottime += ms
    this.#awake += ms
  }
}

/** Lets everything run that waits for nothing but its turn. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}
