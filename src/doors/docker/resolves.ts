import type { ErrorCode, HoldfastError } from '../../model/errors.ts'

/** States of a volume that is not there yet. */
export const MAKING: ReadonlySet<unknown> = new Set(['requested', 'creating', 'formatting', 'importing'])
const PASSING: ReadonlySet<unknown> = new Set([...MAKING, 'deleting'])

const LONG = Number.POSITIVE_INFINITY
/** What a node sees only while it starts or somebody else has just let go. */
const SHORT = 10_000

/** How long a failure may take to resolve by itself, ms. What is not here never does. */
const RESOLVES_IN: Partial<Record<ErrorCode, number>> = {
  unreachable: LONG,
  unknown_outcome: LONG,
  not_ready: LONG,
  overloaded: LONG,
  fenced: LONG,
  stale_session: LONG,
  stale_epoch: LONG,
  awaiting_proof: LONG,
  interrupted: LONG,
  no_reach: SHORT,
  still_mounted: SHORT,
}

/** How long a failure may take to resolve by itself, ms; 0 if it never does. */
export function resolvesIn(error: HoldfastError): number {
  if (error.data.final === true) return 0
  if (error.code === 'wrong_state') return PASSING.has(error.data.state) ? LONG : 0
  return RESOLVES_IN[error.code] ?? 0
}
