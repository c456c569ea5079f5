import { poolIops, poolMiB } from '../ledger/accounts.ts'
import { freeOf, limitOf } from '../ledger/limits.ts'
import type { LedgerState } from '../ledger/state.ts'
import type { VolumeRequest } from '../ledger/volumes.ts'
import { HoldfastError } from '../model/errors.ts'
import { holdRemainder } from '../model/hold.ts'
import type { Pool } from '../model/pool.ts'
import { formatCount, formatMiB, quote } from '../model/units.ts'
import { type Candidate, type Check, candidate } from './candidate.ts'

/** A volume as asked for, its pool not chosen yet. */
export type Wish = Omit<VolumeRequest, 'poolId'> & {
  /** Name or id of the only pool that may be taken. */
  readonly pool: string | undefined
  /** Labels that the pool must have. */
  readonly poolLabels: Readonly<Record<string, string>>
}

export interface Placement {
  readonly requests: VolumeRequest[]
  /** For each wish, the pools that were considered. */
  readonly considered: Candidate[][]
}

/** Takes that earlier members of the same group have made. */
type Taken = Map<string, { sizeMiB: number; iops: number }>

/** How many ways to arrange a group are tried before it is refused. */
const MAX_TRIES = 10_000

/** Finds a pool by name or id. @throws not_found */
export function findPool(state: LedgerState, nameOrId: string): Pool {
  const pool = state.get('pool', state.poolByName.get(nameOrId) ?? nameOrId)
  if (pool !== undefined) return pool
  throw new HoldfastError('not_found', `no such pool ${quote(nameOrId)}`, { kind: 'pool', id: nameOrId })
}

/**
 * Chooses a pool for every wish, all or none (invariant I8). A pool fits when MiB *and* IOPS fit; of those that fit
 * the one that is left with the least is taken, then the one left with the fewest IOPS, then the first by name.
 * @throws does_not_fit with every candidate and its numbers; not_found for a pool, source or hold that is not there
 */
export function placeVolumes(state: LedgerState, wishes: readonly Wish[]): Placement {
  const requests = new Array<VolumeRequest>(wishes.length)
  const considered = new Array<Candidate[]>(wishes.length)
  // the largest first: what is hard to place must not find its place taken
  const order = wishes.map((_, index) => index).sort((a, b) => size(wishes, b) - size(wishes, a) || a - b)
  const taken: Taken = new Map()
  let tries = 0
  let refusal: { wish: Wish; candidates: Candidate[] } | undefined

  const place = (position: number): boolean => {
    const index = order[position]
    if (index === undefined) return true
    const wish = wishes[index] as Wish
    const { candidates, ranked } = rankPools(state, wish, taken)
    for (const pool of ranked) {
      tries += 1
      if (tries > MAX_TRIES) return false
      const before = taken.get(pool.id)
      if (wish.holdId === undefined) add(taken, pool.id, wish)
      if (place(position + 1)) {
        requests[index] = withPool(wish, pool)
        considered[index] = candidates.map((each) => (each.id === pool.id ? { ...each, chosen: true } : each))
        return true
      }
      if (before === undefined) taken.delete(pool.id)
      else taken.set(pool.id, before)
    }
    refusal ??= { wish, candidates }
    return false
  }

  if (place(0)) return { requests, considered }
  throw doesNotFit(refusal as { wish: Wish; candidates: Candidate[] }, wishes.length)
}

function size(wishes: readonly Wish[], index: number): number {
  return wishes[index]?.sizeMiB ?? 0
}

function add(taken: Taken, poolId: string, wish: Wish): void {
  const before = taken.get(poolId) ?? { sizeMiB: 0, iops: 0 }
  taken.set(poolId, { sizeMiB: before.sizeMiB + wish.sizeMiB, iops: before.iops + wish.iops })
}

function withPool(wish: Wish, pool: Pool): VolumeRequest {
  const { pool: _, poolLabels: __, ...request } = wish
  return { ...request, poolId: pool.id }
}

/** Every pool with its comparisons, and those that fit, best first. */
export function rankPools(
  state: LedgerState,
  wish: Wish,
  taken: Taken = new Map(),
): { candidates: Candidate[]; ranked: Pool[] } {
  const fitting: { pool: Pool; leftMiB: number; leftIops: number }[] = []
  const candidates = poolsFor(state, wish).map((pool) => {
    const used = taken.get(pool.id) ?? { sizeMiB: 0, iops: 0 }
    const judged = candidate('pool', pool, checkPool(state, pool, wish, used))
    if (judged.fits) {
      fitting.push({
        pool,
        leftMiB: freeOf(state, poolMiB(pool.id)) - used.sizeMiB - wish.sizeMiB,
        leftIops: freeOf(state, poolIops(pool.id)) - used.iops - wish.iops,
      })
    }
    return judged
  })
  fitting.sort(
    (a, b) => a.leftMiB - b.leftMiB || compare(a.leftIops, b.leftIops) || (a.pool.name < b.pool.name ? -1 : 1),
  )
  return { candidates, ranked: fitting.map((each) => each.pool) }
}

/** Both may be infinite, and then they are equal. */
function compare(a: number, b: number): number {
  return a === b ? 0 : a - b
}

function poolsFor(state: LedgerState, wish: Wish): Pool[] {
  if (wish.pool !== undefined) return [findPool(state, wish.pool)]
  const hold = wish.holdId === undefined ? undefined : state.get('hold', wish.holdId)
  if (hold !== undefined) return [findPool(state, hold.poolId)]
  const source = wish.source === undefined ? undefined : state.get(wish.source.kind, wish.source.id)
  if (source !== undefined) return [findPool(state, source.poolId)]
  return [...state.all('pool').values()]
}

type JudgedCheck = Check & { change?: string }

function checkPool(state: LedgerState, pool: Pool, wish: Wish, used: { sizeMiB: number; iops: number }): JudgedCheck[] {
  const checks: JudgedCheck[] = []
  const hold = wish.holdId === undefined ? undefined : state.get('hold', wish.holdId)
  if (hold !== undefined) {
    const rest = holdRemainder(hold)
    checks.push(compareAmount('hold-mib', 'MiB left in the hold', wish.sizeMiB, rest.sizeMiB, hold.sizeMiB))
    checks.push(compareAmount('hold-iops', 'IOPS left in the hold', wish.iops, rest.iops, hold.iops))
  } else {
    const mib = poolMiB(pool.id)
    checks.push(compareAmount('mib', 'MiB free', wish.sizeMiB, freeOf(state, mib) - used.sizeMiB, limitOf(state, mib)))
    const iops = poolIops(pool.id)
    if (pool.iops > 0) {
      checks.push(compareAmount('iops', 'IOPS free', wish.iops, freeOf(state, iops) - used.iops, limitOf(state, iops)))
    }
  }
  checks.push({
    what: 'state',
    ok: pool.state === 'active',
    text: pool.state === 'active' ? 'takes new volumes' : 'is being drained',
    change: `make pool ${pool.name} active again`,
  })
  checks.push(...checkLabels(pool, wish), ...checkCapabilities(pool, wish), checkReach(state, pool))
  return checks
}

function compareAmount(
  what: string,
  unit: string,
  asked: number,
  free: number,
  limit: number | undefined,
): JudgedCheck {
  const room = Math.max(0, free)
  const ok = asked <= free
  const short = unit.split(' ')[0] ?? ''
  return {
    what,
    ok,
    asked,
    free: room,
    ...(limit === undefined ? {} : { limit }),
    text: `${formatCount(room)} ${unit}, ${formatCount(asked)} asked`,
    ...(ok || room === 0 ? {} : { change: `ask for ${formatCount(asked - room)} ${short} less` }),
    ...(ok || room > 0 ? {} : { change: `free ${formatCount(asked)} ${short} in this pool` }),
  }
}

function checkLabels(pool: Pool, wish: Wish): JudgedCheck[] {
  return Object.entries(wish.poolLabels).map(([key, value]) => ({
    what: 'label',
    ok: pool.labels[key] === value,
    asked: `${key}=${value}`,
    text: `label ${key} is ${pool.labels[key] ?? 'not set'}, ${value} asked`,
  }))
}

function checkCapabilities(pool: Pool, wish: Wish): JudgedCheck[] {
  const { capabilities } = pool
  if (capabilities === undefined) return []
  const checks: JudgedCheck[] = [
    {
      what: 'object-size',
      ok: wish.sizeMiB <= capabilities.maxObjectMiB,
      asked: wish.sizeMiB,
      limit: capabilities.maxObjectMiB,
      text: `objects of up to ${formatMiB(capabilities.maxObjectMiB)}, ${formatMiB(wish.sizeMiB)} asked`,
      change: `ask for at most ${formatMiB(capabilities.maxObjectMiB)}`,
    },
  ]
  if (wish.fs !== 'raw') {
    checks.push({
      what: 'filesystem',
      ok: capabilities.filesystems.includes(wish.fs),
      asked: wish.fs,
      text: `filesystems there: ${capabilities.filesystems.join(', ') || 'none'}; ${wish.fs} asked`,
      change: `install the tools of ${wish.fs} on a node that reaches it`,
    })
  }
  return checks
}

function checkReach(state: LedgerState, pool: Pool): JudgedCheck {
  const nodes = state.nodesByPool.get(pool.id)
  const ok = some(nodes, (id) => state.get('node', id)?.state === 'up')
  return {
    what: 'reach',
    ok,
    text: ok
      ? `${formatCount(nodes.size)} nodes reach it`
      : pool.marked
        ? 'no node reaches it now'
        : 'it has no marker yet',
    change: pool.marked ? 'bring a node up that reaches it' : `mark it: holdfast pool mark ${pool.name} --node NODE`,
  }
}

function some(ids: Iterable<string>, test: (id: string) => boolean): boolean {
  for (const id of ids) if (test(id)) return true
  return false
}

const SHOWN = 20

function doesNotFit(refusal: { wish: Wish; candidates: Candidate[] }, members: number): HoldfastError {
  const { wish, candidates } = refusal
  const nearest = [...candidates].sort((a, b) => failures(a) - failures(b)).slice(0, SHOWN)
  const best = nearest[0]
  const group = members > 1 ? ` (one of ${members} asked for together, all or nothing)` : ''
  const asked = `${formatMiB(wish.sizeMiB)}${wish.iops > 0 ? ` and ${formatCount(wish.iops)} IOPS` : ''}`
  const why =
    best === undefined
      ? 'there is no pool'
      : candidates.length === 1
        ? `pool ${best.name}: ${best.ruledOutBy ?? 'another arrangement is needed'}`
        : `none of ${candidates.length} pools; nearest is ${best.name}: ${best.ruledOutBy ?? 'another arrangement is needed'}`
  return new HoldfastError('does_not_fit', `volume ${wish.name}${group}, ${asked} for role ${wish.role}: ${why}`, {
    considered: nearest,
  })
}

function failures(each: Candidate): number {
  return each.checks.filter((check) => !check.ok).length
}
