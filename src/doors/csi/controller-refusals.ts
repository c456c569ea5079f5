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
  const tooLarge = everywhere(considered, (what) => what === 'object-size')
  if (tooLarge !== undefined) return status('OUT_OF_RANGE', `capacity_range: ${tooLarge}`)
  const unable = everywhere(considered, (what) => ABILITIES.has(what))
  return unable === undefined ? status('RESOURCE_EXHAUSTED', text) : status('INVALID_ARGUMENT', unable)
}

/** What every pool fails for such a reason, told of one; undefined: some do not. */
function everywhere(considered: readonly Candidate[], isReason: (what: string) => boolean): string | undefined {
  const failed = considered.map(({ checks }) => checks.filter(({ what, ok }) => !ok && isReason(what)).at(-1))
  if (failed.includes(undefined)) return undefined
  return `no pool can: ${considered[0]?.name}: ${failed[0]?.text}`
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
