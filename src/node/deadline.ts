import type { Clock } from '../model/clock.ts'
import { HoldfastError } from '../model/errors.ts'

/** A signal that aborts after `ms`, by the node's own clock. */
export function deadline(clock: Clock, ms: number): AbortSignal {
  const abort = new AbortController()
  clock.after(ms, () => abort.abort(new HoldfastError('storage_timeout', `it did not end within ${ms / 1000} s`)))
  return abort.signal
}
