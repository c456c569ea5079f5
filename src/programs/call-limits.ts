/** Limits for calls to something that must not be asked too much: how many at once, and how often. */
import { HoldfastError } from '../model/errors.ts'

/** Lets so many pieces of work run at once, the others wait in the order of asking. */
export class Lane {
  private readonly waiting: (() => void)[] = []
  private free: number

  constructor(size: number) {
    this.free = size
  }

  /** @throws cancelled when the signal fires while it waits */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.enter(signal)
    try {
      return await work()
    } finally {
      const next = this.waiting.shift()
      if (next === undefined) this.free += 1
      else next()
    }
  }

  private async enter(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw cancelled()
    if (this.free > 0) {
      this.free -= 1
      return
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const leave = () => {
      this.waiting.splice(this.waiting.indexOf(resolve), 1)
      reject(cancelled())
    }
    this.waiting.push(resolve)
    signal.addEventListener('abort', leave, { once: true })
    await promise.finally(() => signal.removeEventListener('abort', leave))
  }
}

/** Spaces calls: after a short burst at most so many begin in a second. */
export class Pace {
  private readonly intervalMs: number
  private readonly burstMs: number
  /** When the next call would begin if all of them came evenly, on the clock of `performance.now`. */
  private due = 0

  /** @param perSecond calls; as many as come in two seconds, and two at least, may come at once */
  constructor(perSecond: number) {
    this.intervalMs = 1000 / perSecond
    this.burstMs = this.intervalMs * (Math.max(2, 2 * perSecond) - 1)
  }

  /** Returns when the next call may begin. @throws cancelled */
  async turn(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw cancelled()
    const now = performance.now()
    this.due = Math.max(now, this.due) + this.intervalMs
    const waitMs = this.due - this.intervalMs - this.burstMs - now
    if (waitMs > 0) await unlessAborted(new Promise((resolve) => setTimeout(resolve, waitMs)), signal)
  }
}

/** Waits for something that goes on without the caller. @throws cancelled */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw cancelled()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(cancelled())
  signal.addEventListener('abort', onAbort, { once: true })
  return await Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', onAbort))
}

function cancelled(): HoldfastError {
  return new HoldfastError('cancelled', 'It was cancelled while it waited for its turn')
}
