import { poolIops, poolMiB, roleIops, roleMiB } from '../../ledger/accounts.ts'
import { drawable } from '../../ledger/holds.ts'
import { freeOf } from '../../ledger/limits.ts'
import type { LedgerState } from '../../ledger/state.ts'
import { HoldfastError } from '../../model/errors.ts'
import { type Hold, holdRemainder } from '../../model/hold.ts'
import { roleAndAncestors } from '../../model/names.ts'
import type { Pool } from '../../model/pool.ts'
import { backableMiB, type Profile, profileIops } from '../../model/profile.ts'
import { formatCount, formatMiB } from '../../model/units.ts'

/** What is free of something, and who limits it: the pool, or the quota of a role. */
interface Free {
  readonly amount: number
  readonly role: string | undefined
}

/** What a role may still take of a pool: what its own holds have left, and the rest of what is free. */
export interface Room {
  readonly heldMiB: number
  readonly heldIops: number
  readonly mib: Free
  readonly iops: Free
}

/** The holds in a pool by their role. */
export function holdsByRole(state: LedgerState, poolId: string): ReadonlyMap<string, readonly Hold[]> {
  const holds = new Map<string, Hold[]>()
  for (const id of state.holdsByPool.get(poolId)) {
    const hold = state.get('hold', id)
    if (hold === undefined) continue
    const mine = holds.get(hold.role)
    if (mine === undefined) holds.set(hold.role, [hold])
    else mine.push(hold)
  }
  return holds
}

/** @param role undefined: what nobody's quota limits and nobody holds */
export function roomOf(state: LedgerState, pool: Pool, role: string | undefined, holds: readonly Hold[] = []): Room {
  let heldMiB = 0
  let heldIops = 0
  for (const hold of drawable(holds)) {
    const rest = holdRemainder(hold)
    heldMiB += rest.sizeMiB
    heldIops += rest.iops
  }
  const charged = role === undefined ? [] : roleAndAncestors(role)
  return {
    heldMiB,
    heldIops,
    mib: least(state, poolMiB(pool.id), charged, roleMiB),
    iops: least(state, poolIops(pool.id), charged, roleIops),
  }
}

function least(
  state: LedgerState,
  account: string,
  roles: readonly string[],
  accountOf: (role: string) => string,
): Free {
  let free: Free = { amount: freeOf(state, account), role: undefined }
  for (const role of roles) {
    const amount = freeOf(state, accountOf(role))
    if (amount < free.amount) free = { amount, role }
  }
  return free
}

/** The largest disk that the room has place for, IOPS aside. */
function roomMiB(room: Room): number {
  return room.heldMiB + room.mib.amount
}

/** The largest disk under a profile, MiB. */
export function largestUnder(room: Room, profile: Profile): number {
  return Math.min(roomMiB(room), backableMiB(profile, room.heldIops + room.iops.amount))
}

/** The largest disk under the most modest of the profiles, MiB; none usable: 0. */
export function largest(room: Room, profiles: readonly Profile[]): number {
  return profiles.reduce((most, profile) => Math.max(most, largestUnder(room, profile)), 0)
}

/** A disk as a framework asks for it. */
export interface Asked {
  readonly pool: Pool
  readonly role: string
  readonly sizeMiB: number
  readonly profile: Profile
}

/**
 * Refuses a disk for which there is no room, in a sentence by which the author of a framework can act.
 * @param others profiles that could be named instead
 * @throws does_not_fit, quota_exceeded
 */
export function checkRoom(room: Room, asked: Asked, others: readonly Profile[]): void {
  const { pool, role, sizeMiB, profile } = asked
  const fits = largestUnder(room, profile)
  if (sizeMiB <= fits) return
  const { sentence, limit } = whatLimits(room, asked)
  const best = others.map((each) => ({ each, mib: largestUnder(room, each) })).sort((a, b) => b.mib - a.mib)[0]
  const other =
    best === undefined || best.mib <= fits
      ? ''
      : `, or under profile ${best.each.id} for at most ${formatMiB(best.mib)}`
  const advice =
    fits > 0 ? `; ask for at most ${formatMiB(fits)}${other}` : other === '' ? '' : `; ask${other.slice(4)}`
  throw new HoldfastError(
    limit.role === undefined ? 'does_not_fit' : 'quota_exceeded',
    `pool ${pool.name}: ${formatMiB(fits)} free for role ${role}, ${formatCount(sizeMiB)} asked; ${sentence}${advice}`,
    { pool: pool.name, role, profile: profile.id, asked: sizeMiB, free: fits },
  )
}

function whatLimits(room: Room, { role, sizeMiB, profile }: Asked): { sentence: string; limit: Free } {
  const byIops = backableMiB(profile, room.heldIops + room.iops.amount) < roomMiB(room)
  const limit = byIops ? room.iops : room.mib
  const who = limit.role === undefined ? 'the pool has' : `the quota of role ${limit.role} leaves`
  const amount = byIops ? `${formatCount(limit.amount)} IOPS` : formatMiB(limit.amount)
  const held = byIops ? room.heldIops : room.heldMiB
  const holds = held === 0 ? '' : `, and the holds of role ${role} ${formatCount(held)}`
  const needs = byIops
    ? `profile ${profile.id} takes ${formatCount(profileIops(profile, sizeMiB))} IOPS for that, `
    : ''
  return { sentence: `${needs}${who} ${amount}${holds}`, limit }
}
