import { randomBytes } from 'node:crypto'
import type { Clock } from '../model/clock.ts'
import { formatId, type NewId } from '../model/ids.ts'

const DIGITS = '0123456789abcdefghijklmnopqrstuv'

/** Makes ids: time-ordered, with sixty random bits. */
export function createIds(clock: Clock): NewId {
  return (kind) => {
    let salt = ''
    for (const byte of randomBytes(12)) salt += DIGITS[byte & 31]
    return formatId(kind, clock.now(), salt)
  }
}
