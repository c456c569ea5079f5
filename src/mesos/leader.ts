import { HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'
import type { Answer } from './http.ts'

/** Who says which master leads, and wants to hear when that seems wrong. */
export interface Leader {
  readonly url: string | undefined
  recheck(): void
}

/** The error for an answer that is none of those that the call has. Tells the detector where that may help. */
export function unexpectedAnswer(leader: Leader, url: string, type: string, answer: Answer): HoldfastError {
  const { status, text, location } = answer
  if (status === 307 || status === 503) {
    leader.recheck()
    const why = status === 307 ? `it does not lead, and sends on to ${quote(location ?? '')}` : quote(text)
    return new HoldfastError('mesos_unreachable', `${url} does not answer ${type}: ${why}`, { status })
  }
  const why = status === 401 ? 'principal and secret are missing or wrong' : quote(text)
  return new HoldfastError('mesos_refused', `${url} refuses ${type} with ${status}: ${why}`, { status })
}
