import { HoldfastError } from '../model/errors.ts'
import { type Hold, holdRemainder } from '../model/hold.ts'
import { checkRole } from '../model/names.ts'
import { formatCount, formatMiB } from '../model/units.ts'
import { type Draw, MAX_DRAWS } from '../model/volume.ts'
import { checkExpiry } from './clock.ts'
import { about, type Outcome } from './outcome.ts'
import type { LedgerState } from './state.ts'
import type { Transaction } from './transaction.ts'

export type HoldCommand =
  | {
      kind: 'hold.create'
      poolId: string
      role: string
      sizeMiB: number
      iops: number
      expiresAt: number | undefined
      labels: Record<string, string>
    }
  | { kind: 'hold.release'; holdId: string; reason: 'asked' | 'expired' }

type Of<K extends HoldCommand['kind']> = Extract<HoldCommand, { kind: K }>

export function createHold(tx: Transaction, command: Of<'hold.create'>): Outcome<Hold> {
  const pool = tx.need('pool', command.poolId)
  if (command.expiresAt !== undefined && command.expiresAt <= tx.now) {
    throw new HoldfastError('invalid_option', 'the time at which the hold would expire has passed')
  }
  const expiry = command.expiresAt === undefined ? {} : { expiresAt: command.expiresAt }
  const hold = tx.put('hold', {
    id: tx.newId('hold'),
    poolId: pool.id,
    role: checkRole(command.role),
    sizeMiB: command.sizeMiB,
    iops: command.iops,
    drawnMiB: 0,
    drawnIops: 0,
    ...expiry,
    labels: command.labels,
    createdAt: tx.now,
  })
  return about('hold', hold, 'hold.created', {
    pool: pool.name,
    role: hold.role,
    sizeMiB: hold.sizeMiB,
    iops: hold.iops,
  })
}

/** Gives the unconsumed part back; volumes that drew on it keep what they have. */
export function releaseHold(tx: Transaction, command: Of<'hold.release'>): Outcome<Hold> {
  const hold = tx.need('hold', command.holdId)
  if (command.reason === 'expired') checkExpiry(tx)
  if (command.reason === 'expired' && (hold.expiresAt === undefined || hold.expiresAt > tx.now)) {
    throw new HoldfastError('wrong_state', `hold ${hold.id} has not expired`)
  }
  tx.remove('hold', hold.id)
  return about('hold', hold, command.reason === 'expired' ? 'hold.expired' : 'hold.released', {
    returned: holdRemainder(hold),
  })
}

/** Draws a volume's whole size and IOPS from a hold. @throws hold_too_small, wrong_state */
export function drawOnHold(
  tx: Transaction,
  holdId: string,
  want: { poolId: string; role: string; sizeMiB: number; iops: number },
): Draw[] {
  const hold = tx.need('hold', holdId)
  if (hold.poolId !== want.poolId || hold.role !== want.role) {
    throw new HoldfastError(
      'wrong_state',
      `hold ${hold.id} is for role ${hold.role} in pool ${tx.need('pool', hold.poolId).name}, not for this volume`,
    )
  }
  const rest = holdRemainder(hold)
  if (want.sizeMiB > rest.sizeMiB || want.iops > rest.iops) {
    throw new HoldfastError(
      'hold_too_small',
      `hold ${hold.id}: ${formatMiB(rest.sizeMiB)} and ${formatCount(rest.iops)} IOPS left, ${formatMiB(want.sizeMiB)} and ${formatCount(want.iops)} IOPS asked`,
      { left: rest, asked: { sizeMiB: want.sizeMiB, iops: want.iops } },
    )
  }
  return [draw(tx, hold, want.sizeMiB, want.iops)]
}

/** Of these holds those that a volume may draw on by itself: the oldest ones with something left. */
export function drawable(holds: readonly Hold[]): Hold[] {
  const left = holds.filter((hold) => hold.drawnMiB < hold.sizeMiB || hold.drawnIops < hold.iops)
  left.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))
  return left.slice(0, MAX_DRAWS)
}

/** Draws on the role's own holds in the pool, oldest first, as far as they go; the rest is taken of what is free. */
export function drawOnOwnHolds(
  tx: Transaction,
  want: { poolId: string; role: string; sizeMiB: number; iops: number },
): Draw[] {
  let { sizeMiB, iops } = want
  const draws: Draw[] = []
  for (const hold of drawable(holdsOf(tx.state, want.poolId, want.role))) {
    const rest = holdRemainder(hold)
    const part = { sizeMiB: Math.min(sizeMiB, rest.sizeMiB), iops: Math.min(iops, rest.iops) }
    if (part.sizeMiB === 0 && part.iops === 0) continue
    draws.push(draw(tx, hold, part.sizeMiB, part.iops))
    sizeMiB -= part.sizeMiB
    iops -= part.iops
  }
  return draws
}

function holdsOf(state: LedgerState, poolId: string, role: string): Hold[] {
  return [...state.holdsByPool.get(poolId)]
    .map((id) => state.get('hold', id))
    .filter((hold) => hold !== undefined)
    .filter((hold) => hold.role === role)
}

function draw(tx: Transaction, hold: Hold, sizeMiB: number, iops: number): Draw {
  tx.put('hold', { ...hold, drawnMiB: hold.drawnMiB + sizeMiB, drawnIops: hold.drawnIops + iops })
  return { holdId: hold.id, sizeMiB, iops }
}

/** Gives what was drawn back, to the holds that are still there. */
export function returnDraws(tx: Transaction, draws: readonly Draw[]): void {
  for (const { holdId, sizeMiB, iops } of draws) {
    const hold = tx.get('hold', holdId)
    if (hold === undefined) continue
    tx.put('hold', { ...hold, drawnMiB: hold.drawnMiB - sizeMiB, drawnIops: hold.drawnIops - iops })
  }
}
