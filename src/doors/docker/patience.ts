import { setTimeout as delay } from 'node:timers/promises'
import { asHoldfastError, HoldfastError } from '../../model/errors.ts'

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1000

export interface Patience {
  /** How long in all, ms. */
  readonly forMs: number
  /** Ends it early: the caller has gone, or the door closes. */
  readonly signal: AbortSignal
  /** How long a failure like this may take to resolve by itself, ms; 0 is not at all. */
  readonly resolvesIn: (error: HoldfastError) => number | Promise<number>
}

/**
 * Repeats what fails for a reason that resolves by itself, until it succeeds or the time is over; then the last
 * reason is told. An attempt is told how much of the time is left, ms. @throws not_ready when it was ended early
 */
export async function patiently<T>(patience: Patience, attempt: (leftMs: number) => Promise<T>): Promise<T> {
  const { forMs, signal, resolvesIn } = patience
  const start = performance.now()
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    let left: number
    try {
      return await attempt(Math.max(0, forMs - (performance.now() - start)))
    } catch (thrown) {
      const error = asHoldfastError(thrown)
      const limit = Math.min(forMs, await resolvesIn(error))
      if (limit === 0) throw error
      const waited = performance.now() - start
      left = limit - waited
      if (left <= 0) throw afterWaiting(error, waited)
    }
    await delay(Math.min(pause, left), undefined, { signal }).catch(() => {
      throw new HoldfastError('not_ready', 'the node daemon is stopping; try again when it is back')
    })
  }
}

function afterWaiting(error: HoldfastError, waitedMs: number): HoldfastError {
  const seconds = Math.round(waitedMs / 1000)
  return new HoldfastError(error.code, `${error.message} (waited ${seconds} s)`, error.data, { cause: error })
}
