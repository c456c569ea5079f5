import { GrpcError } from '../../csi/grpc-error.ts'
import type { Candidate } from '../../model/candidate.ts'
import type { HoldfastError } from '../../model/errors.ts'

/** Comparisons that say what a pool can, whatever it has left. */
const ABILITIES: ReadonlySet<string> = new Set(['access', 'filesystem', 'block', 'copy'])
const PARAMETERS: ReadonlySet<unknown> = new Set(['pool', 'profile', 'hold'])

/**
 * A refused request for a volume as CreateVolume tells it: what no pool can is wrong in the request, what none has left
 * now is exhausted.
 * @param placed whether only some pools were asked: then others may be able to
 */
export function placement(error: HoldfastError, placed: boolean): Error {
  const { code, message, data } = error
  // not the source, which is what NOT_FOUND would be about
  if (code === 'not_found' && PARAMETERS.has(data.kind)) return status('INVALID_ARGUMENT', `parameters: ${message}`)
  if (code === 'role_not_allowed') return status('INVALID_ARGUMENT', message)
  if (code === 'in_use' || code === 'wrong_state') return status('FAILED_PRECONDITION', message)
  if (code !== 'does_not_fit') return error
  const considered = (data.considered ?? []) as readonly Candidate[]
  const nearest = considered[0]?.smallestChange
  const text = nearest === undefined ? message : `${message}; to make it fit: ${nearest}`
  if (placed || considered.length === 0) return status('RESOURCE_EXHAUSTED', text)
  if (considered.every((each) => fails(each, 'object-size'))) return status('OUT_OF_RANGE', text)
  const unable = considered.every(({ checks }) => checks.some(({ what, ok }) => !ok && ABILITIES.has(what)))
  return status(unable ? 'INVALID_ARGUMENT' : 'RESOURCE_EXHAUSTED', text)
}

function fails({ checks }: Candidate, wanted: string): boolean {
  return checks.some(({ what, ok }) => what === wanted && !ok)
}

function status(
  code: 'INVALID_ARGUMENT' | 'FAILED_PRECONDITION' | 'RESOURCE_EXHAUSTED' | 'OUT_OF_RANGE',
  text: string,
) {
  return new GrpcError(code, text)
}

/** Work on it that is under way, as the ledger refuses it. */
export function isBusy(error: HoldfastError): boolean {
  return error.code === 'in_use' && error.data.operation !== undefined
}
