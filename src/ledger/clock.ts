import { HoldfastError } from '../model/errors.ts'
import type { ClockSuspension } from '../model/records.ts'
import { about, type Outcome } from './outcome.ts'
import type { LedgerState } from './state.ts'
import type { Transaction } from './transaction.ts'

export type ClockCommand =
  /** Keeps the time of the store fresh while nothing else happens. */
  | { kind: 'clock.tick' }
  | { kind: 'clock.suspend'; from: number; to: number }
  | { kind: 'clock.confirm' }
  | { kind: 'keys.expire'; ids: string[] }
  /** Nobody will ask again under these keys. */
  | { kind: 'keys.forget'; ids: string[] }

type Of<K extends ClockCommand['kind']> = Extract<ClockCommand, { kind: K }>

/** When a key ends that is kept until somebody says that nobody will ask again. */
export const UNTIL_FORGOTTEN = Number.MAX_SAFE_INTEGER

/** A step forward of more than this suspends every expiry until an operator confirms the clock. */
export const FORWARD_JUMP_MS = 60 * 60 * 1000

/** Whether expiry is suspended, so that nothing may be thrown away because of the time. */
export function expirySuspended(state: LedgerState): boolean {
  return state.get('clock', 'clock') !== undefined
}

/** @throws clock_suspended for what would end something because of the time */
export function checkExpiry(tx: Transaction): void {
  if (!expirySuspended(tx.state)) return
  throw new HoldfastError('clock_suspended', 'the clock jumped; nothing expires until an operator confirms it')
}

export function suspendExpiry(tx: Transaction, command: Of<'clock.suspend'>): Outcome<ClockSuspension> {
  const before = tx.get('clock', 'clock')
  const suspension = tx.put('clock', { id: 'clock', from: before?.from ?? command.from, to: command.to })
  return about('clock', suspension, 'clock.jumped', { from: command.from, to: command.to })
}

export function confirmClock(tx: Transaction): Outcome<ClockSuspension> {
  const suspension = tx.get('clock', 'clock')
  if (suspension === undefined) throw new HoldfastError('wrong_state', 'expiry is not suspended')
  tx.remove('clock', 'clock')
  return about('clock', suspension, 'clock.confirmed')
}

export function tickClock(tx: Transaction): Outcome<null> {
  const subject = { kind: 'clock', id: 'clock' } as const
  return { answer: null, always: true, event: { type: 'clock.ticked', subject, data: { at: tx.now } } }
}

/** Forgets idempotency keys whose time is over. */
export function expireKeys(tx: Transaction, command: Of<'keys.expire'>): Outcome<null> {
  checkExpiry(tx)
  for (const id of command.ids) {
    const key = tx.get('key', id)
    if (key !== undefined && key.expiresAt <= tx.now) tx.remove('key', id)
  }
  return {
    answer: null,
    event: { type: 'keys.expired', subject: { kind: 'key', id: 'key' }, data: { count: command.ids.length } },
  }
}

/** Not being there is a success. */
export function forgetKeys(tx: Transaction, command: Of<'keys.forget'>): Outcome<null> {
  for (const id of command.ids) if (tx.get('key', id) !== undefined) tx.remove('key', id)
  return {
    answer: null,
    event: { type: 'keys.forgotten', subject: { kind: 'key', id: 'key' }, data: { count: command.ids.length } },
  }
}
