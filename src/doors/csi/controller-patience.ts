import { GrpcError } from '../../csi/grpc-error.ts'
import type { CallContext } from '../../csi/service.ts'
import { type ErrorCode, HoldfastError } from '../../model/errors.ts'
import { patiently } from '../docker/patience.ts'

const LONG = Number.POSITIVE_INFINITY
/** Left of the caller's time for the answer to get there, ms. */
const MARGIN_MS = 300

/** Failures that resolve by themselves. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'unreachable',
  'unknown_outcome',
  'not_ready',
  'overloaded',
  'fenced',
] satisfies ErrorCode[])

export interface Patience {
  /** How long a call may take when its caller does not say, and at most, ms. */
  readonly answerMs: number
  /** Aborts when the door closes. */
  readonly closing: AbortSignal
}

/**
 * Repeats what is not done yet, or fails for a reason that passes, for as long as the caller waits.
 * @throws ABORTED for what is still being worked on then: the same call again goes on waiting
 */
export async function whileWaited<T>(
  { answerMs, closing }: Patience,
  { signal, deadline }: CallContext,
  attempt: (leftMs: number) => Promise<T>,
): Promise<T> {
  const left = deadline === undefined ? LONG : deadline - Date.now() - MARGIN_MS
  const forMs = Math.max(0, Math.min(answerMs, left))
  try {
    return await patiently({ forMs, signal: AbortSignal.any([signal, closing]), resolvesIn }, askOnce(attempt))
  } catch (thrown) {
    if (thrown instanceof HoldfastError && thrown.data.pending === true) {
      throw new GrpcError('ABORTED', `${thrown.message}; the same call again goes on waiting`, { cause: thrown })
    }
    if (thrown instanceof HoldfastError && thrown.cause instanceof GrpcError) throw thrown.cause
    throw thrown
  }
}

/** What has a status of its own already passes through. */
function askOnce<T>(attempt: (leftMs: number) => Promise<T>): (leftMs: number) => Promise<T> {
  return async (leftMs) => {
    try {
      return await attempt(leftMs)
    } catch (thrown) {
      if (!(thrown instanceof GrpcError)) throw thrown
      throw new HoldfastError('internal', thrown.message, {}, { cause: thrown })
    }
  }
}

function resolvesIn({ code, data }: HoldfastError): number {
  return data.pending === true || PASSING.has(code) ? LONG : 0
}

/** Thrown by an attempt that has to be repeated because something is still under way. */
export function pending(what: string): HoldfastError {
  return new HoldfastError('wrong_state', what, { pending: true })
}
