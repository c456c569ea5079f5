import type { LedgerState } from '../../ledger/state.ts'
import { type RequiredAcls, requiredAcls } from '../../mesos/acls.ts'
import type { PoolMesos } from '../../model/mesos.ts'
import { roleAndAncestors } from '../../model/names.ts'
import { quote } from '../../model/units.ts'

export interface NeededAcls {
  readonly required: RequiredAcls
  /** Pools whose needs exclude each other, in sentences: what forbids has won. */
  readonly conflicts: readonly string[]
}

/** What one pool, or what is left of one, needs of one of its roles. */
interface Need {
  readonly role: string
  /** Of the pool, for messages. */
  readonly pool: string
  readonly mesos: Pick<PoolMesos, 'unreserved' | 'float'>
}

/**
 * What the masters must forbid for what is shown to Mesos:
 * - where capacity is shown reserved, nobody may reserve for its roles, or refine;
 * - where it is not, frameworks reserve it for the role itself, but what floats must not be refined;
 * - where disks float they come with their persistence, and nobody may make another one on capacity;
 * - where neither is so, frameworks do it all themselves, and nothing of the role is forbidden.
 * What our own principal made is never to be destroyed or unreserved.
 * @param more roles that are going to be added to a pool that is shown as usual
 */
export function neededAcls(state: LedgerState, principal: string, more: readonly string[] = []): NeededAcls {
  const asUsual = { unreserved: false, float: true }
  const needs = [...needsOf(state), ...more.map((role) => ({ role, pool: 'of a later day', mesos: asUsual }))]
  const forbidden = needs.filter(({ mesos }) => !mesos.unreserved || mesos.float)
  const reservedIn = firstPool(needs.filter(({ mesos }) => !mesos.unreserved))
  const floatingIn = firstPool(needs.filter(({ mesos }) => mesos.float))
  const roles = [...new Set(forbidden.map(({ role }) => role))]
  return {
    required: requiredAcls({
      principal,
      roles,
      reserveAllowedRoles: roles.filter((role) => !reservedIn.has(role)),
      createAllowedRoles: roles.filter((role) => !floatingIn.has(role)),
    }),
    conflicts: needs.flatMap((need) => conflictsOf(need, reservedIn, floatingIn)),
  }
}

function* needsOf(state: LedgerState): Generator<Need> {
  for (const { name, mesos } of state.all('pool').values()) {
    if (mesos !== undefined) for (const role of mesos.roles) yield { role, pool: name, mesos }
  }
  // a volume stays shown when its role has been taken from the pool
  for (const { role, poolId, mesos } of state.all('volume').values()) {
    const pool = state.get('pool', poolId)
    if (mesos?.float !== true || pool?.mesos === undefined || pool.mesos.roles.includes(role)) continue
    yield { role, pool: pool.name, mesos: { unreserved: true, float: pool.mesos.float } }
  }
}

/** Each role with the first pool that has it. */
function firstPool(needs: readonly Need[]): ReadonlyMap<string, string> {
  return new Map(needs.toReversed().map(({ role, pool }) => [role, pool]))
}

function conflictsOf({ role, pool, mesos }: Need, reservedIn: Pools, floatingIn: Pools): string[] {
  const sentences: string[] = []
  const reserved = mesos.unreserved ? roleAndAncestors(role).find((each) => reservedIn.has(each)) : undefined
  if (reserved !== undefined) {
    const where = `${quote(reserved)} has its capacity of pool ${reservedIn.get(reserved)} reserved already`
    sentences.push(`frameworks of the role ${quote(role)} cannot reserve what pool ${pool} shows unreserved: ${where}`)
  }
  const floating = mesos.float ? undefined : floatingIn.get(role)
  if (floating !== undefined) {
    const where = `those of pool ${floating} float, for the same role`
    sentences.push(
      `frameworks of the role ${quote(role)} cannot make the disks of pool ${pool} persistent, which do not float: ${where}`,
    )
  }
  return sentences
}

type Pools = ReadonlyMap<string, string>
