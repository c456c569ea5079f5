import { Type } from 'typebox'
import { roleIops, roleMiB } from '../../ledger/accounts.ts'
import { freeOf } from '../../ledger/limits.ts'
import type { LedgerState } from '../../ledger/state.ts'
import { holdRemainder } from '../../model/hold.ts'
import { roleAndAncestors } from '../../model/names.ts'
import { Deficit } from '../../model/records.ts'
import { Quota } from '../../model/role.ts'
import { shownSchema, withTimes } from './rest-schema.ts'
import { deficits, finite } from './show-pools.ts'

const Amounts = Type.Object({ sizeMiB: Type.Integer(), iops: Type.Integer() })
const Free = Type.Union([Type.Integer(), Type.Null()])

export const ShownRole = shownSchema(
  Type.Object({
    role: Type.String(),
    quota: Quota,
    /** Volumes, snapshots and the trash, those of its children included. */
    used: Amounts,
    /** What holds set aside, those of its children included. */
    held: Amounts,
    /** Null: no quota limits it. */
    free: Type.Object({ sizeMiB: Free, iops: Free }),
    deficit: Type.Optional(Type.Array(Deficit)),
  }),
)

interface Held {
  sizeMiB: number
  iops: number
}

/** What holds set aside, by role, each charged to its parents too. */
export function heldByRole(state: LedgerState): Map<string, Held> {
  const held = new Map<string, Held>()
  for (const hold of state.all('hold').values()) {
    const rest = holdRemainder(hold)
    for (const role of roleAndAncestors(hold.role)) {
      const sum = held.get(role) ?? { sizeMiB: 0, iops: 0 }
      held.set(role, { sizeMiB: sum.sizeMiB + rest.sizeMiB, iops: sum.iops + rest.iops })
    }
  }
  return held
}

/** Every role that has a quota or uses anything. */
export function knownRoles(state: LedgerState): Set<string> {
  const roles = new Set(state.all('role').keys())
  for (const account of state.sums().keys()) {
    if (account.startsWith('role/')) roles.add(account.slice('role/'.length, account.lastIndexOf('/')))
  }
  return roles
}

export function showRole(state: LedgerState, role: string, allHeld: ReadonlyMap<string, Held>): unknown {
  const held = allHeld.get(role) ?? { sizeMiB: 0, iops: 0 }
  return withTimes({
    role,
    quota: state.get('role', role)?.quota ?? {},
    used: { sizeMiB: state.sum(roleMiB(role)) - held.sizeMiB, iops: state.sum(roleIops(role)) - held.iops },
    held,
    free: { sizeMiB: finite(freeOf(state, roleMiB(role))), iops: finite(freeOf(state, roleIops(role))) },
    ...deficits(state, [roleMiB(role), roleIops(role)]),
  })
}
