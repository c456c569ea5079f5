import { randomFillSync } from 'node:crypto'
import type { Clock } from '../model/clock.ts'
import { formatId, type NewId } from '../model/ids.ts'

const DIGITS = '0123456789abcdefghijklmnopqrstuv'
const SALT_LENGTH = 12

/** Makes ids: time-ordered, with sixty random bits. */
export function createIds(clock: Clock): NewId {
  // asking the system for a few bytes at a time costs more than all the rest of a command
  const pool = Buffer.alloc(4096)
  let used = pool.length
  return (kind) => {
    if (used + SALT_LENGTH > pool.length) {
      randomFillSync(pool)
      used = 0
    }
    let salt = ''
    for (let index = 0; index < SALT_LENGTH; index += 1) salt += DIGITS[(pool[used + index] as number) & 31]
    used += SALT_LENGTH
    return formatId(kind, clock.now(), salt)
  }
}
