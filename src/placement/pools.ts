import { poolIops, poolMiB } from '../ledger/accounts.ts'
import { freeOf, limitOf } from '../ledger/limits.ts'
import type { LedgerState } from '../ledger/state.ts'
import type { VolumeRequest } from '../ledger/volume-create.ts'
import type { Candidate } from '../model/candidate.ts'
import { HoldfastError } from '../model/errors.ts'
import { holdRemainder } from '../model/hold.ts'
import { canCopy, type Pool, sizeInPool } from '../model/pool.ts'
import type { RecordTypes } from '../model/records.ts'
import { formatCount, formatMiB, quote } from '../model/units.ts'
import { candidate, fits, type Judgement } from './candidate.ts'

/** A volume as asked for, its pool not chosen yet. */
export type Wish = Omit<VolumeRequest, 'poolId'> & {
  /** Name or id of the only pool that may be taken. */
  readonly pool: string | undefined
  /** Lists of names or ids; the pool must be in each of them. */
  readonly pools?: readonly (readonly string[])[]
  /** Labels that the pool must have. */
  readonly poolLabels: Readonly<Record<string, string>>
}

export interface Placement {
  readonly requests: VolumeRequest[]
  /** For each wish, the pools that were considered; put into words when it is asked for. */
  readonly considered: Candidate[][]
}

/** Takes that earlier members of the same group have made, by pool or, where they draw on one, by hold. */
type Taken = Map<string, { sizeMiB: number; iops: number }>

const NOTHING = { sizeMiB: 0, iops: 0 } as const

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
  const chosen = new Array<{ ranking: Ranking; pool: Pool }>(wishes.length)
  // the largest first: what is hard to place must not find its place taken
  const order = wishes.map((_, index) => index).sort((a, b) => size(wishes, b) - size(wishes, a) || a - b)
  const taken: Taken = new Map()
  let tries = 0
  let refusal: { wish: Wish; ranking: Ranking } | undefined

  const place = (position: number): boolean => {
    const index = order[position]
    if (index === undefined) return true
    const wish = wishes[index] as Wish
    const ranking = rankPools(state, wish, taken)
    for (const pool of ranking.ranked) {
      tries += 1
      if (tries > MAX_TRIES) return false
      const from = wish.holdId ?? pool.id
      const before = taken.get(from)
      add(taken, from, inPool(pool, wish))
      chosen[index] = { ranking, pool }
      if (place(position + 1)) return true
      if (before === undefined) taken.delete(from)
      else taken.set(from, before)
    }
    refusal ??= { wish, ranking }
    return false
  }

  if (!place(0)) {
    const { wish, ranking } = refusal as { wish: Wish; ranking: Ranking }
    throw doesNotFit(wish, ranking.candidates, wishes.length)
  }
  return {
    requests: wishes.map((wish, index) => withPool(wish, (chosen[index] as { pool: Pool }).pool)),
    get considered() {
      return chosen.map(({ ranking, pool }) =>
        ranking.candidates.map((each) => (each.id === pool.id ? { ...each, chosen: true } : each)),
      )
    },
  }
}

function size(wishes: readonly Wish[], index: number): number {
  return wishes[index]?.sizeMiB ?? 0
}

function add(taken: Taken, from: string, wish: Wish): void {
  const before = taken.get(from) ?? NOTHING
  taken.set(from, { sizeMiB: before.sizeMiB + wish.sizeMiB, iops: before.iops + wish.iops })
}

/** What is asked, as the pool can make it. */
function inPool(pool: Pool, wish: Wish): Wish {
  return pool.capabilities?.unitMiB === undefined ? wish : { ...wish, sizeMiB: sizeInPool(pool, wish.sizeMiB) }
}

function withPool(wish: Wish, pool: Pool): VolumeRequest {
  const { pool: _, pools: __, poolLabels: ___, ...request } = wish
  return { ...request, poolId: pool.id }
}

export interface Ranking {
  /** Those that fit, best first. */
  readonly ranked: Pool[]
  /** Every pool with its comparisons, by name; put into words when it is asked for. */
  readonly candidates: Candidate[]
}

/** Compares every pool that a volume could go to. */
export function rankPools(state: LedgerState, wish: Wish, taken: Taken = new Map()): Ranking {
  const judged = poolsFor(state, wish).map((pool) => ({
    pool,
    judgements: checkPool(state, pool, inPool(pool, wish), taken),
  }))
  const fitting = judged
    .filter(({ judgements }) => fits(judgements))
    .map(({ pool }) => {
      const used = taken.get(pool.id) ?? NOTHING
      const leftMiB = freeOf(state, poolMiB(pool.id)) - used.sizeMiB - sizeInPool(pool, wish.sizeMiB)
      const leftIops = freeOf(state, poolIops(pool.id)) - used.iops - wish.iops
      return { pool, leftMiB, leftIops }
    })
  fitting.sort(
    (a, b) => a.leftMiB - b.leftMiB || compare(a.leftIops, b.leftIops) || (a.pool.name < b.pool.name ? -1 : 1),
  )
  return {
    ranked: fitting.map((each) => each.pool),
    // by name, so that a refusal reads the same after a restart
    get candidates() {
      judged.sort((a, b) => (a.pool.name < b.pool.name ? -1 : 1))
      return judged.map(({ pool, judgements }) => candidate('pool', pool, judgements))
    },
  }
}

/** Both may be infinite, and then they are equal. */
function compare(a: number, b: number): number {
  return a === b ? 0 : a - b
}

function poolsFor(state: LedgerState, wish: Wish): Pool[] {
  if (wish.pool !== undefined) return [findPool(state, wish.pool)]
  if (wish.holdId !== undefined) return [findPool(state, need(state, 'hold', wish.holdId).poolId)]
  if (wish.source !== undefined) return [findPool(state, need(state, wish.source.kind, wish.source.id).poolId)]
  return [...state.all('pool').values()]
}

function need<K extends 'hold' | 'volume' | 'snapshot'>(state: LedgerState, kind: K, id: string): RecordTypes[K] {
  const record = state.get(kind, id)
  if (record !== undefined) return record
  throw new HoldfastError('not_found', `no such ${kind} ${quote(id)}`, { kind, id })
}

function checkPool(state: LedgerState, pool: Pool, wish: Wish, taken: Taken): Judgement[] {
  const checks = wish.holdId === undefined ? checkRoom(state, pool, wish, taken) : checkHold(state, pool, wish, taken)
  checks.push({
    what: 'state',
    ok: pool.state === 'active',
    text: () => (pool.state === 'active' ? 'takes new volumes' : 'is being drained'),
    change: () => `make pool ${pool.name} active again`,
  })
  checks.push(
    ...checkNamed(pool, wish),
    ...checkLabels(pool, wish),
    ...checkCapabilities(pool, wish),
    checkReach(state, pool),
  )
  return checks
}

function checkRoom(state: LedgerState, pool: Pool, wish: Wish, taken: Taken): Judgement[] {
  const used = taken.get(pool.id) ?? NOTHING
  const room = (account: string, earlier: number, limit: number) => ({
    free: limit - state.sum(account) - earlier,
    limit,
    where: 'in this pool',
  })
  const mib = poolMiB(pool.id)
  const checks = [compareAmount('mib', 'MiB free', wish.sizeMiB, room(mib, used.sizeMiB, limitOf(state, mib) ?? 0))]
  if (pool.iops > 0) {
    checks.push(compareAmount('iops', 'IOPS free', wish.iops, room(poolIops(pool.id), used.iops, pool.iops)))
  }
  return checks
}

function checkHold(state: LedgerState, pool: Pool, wish: Wish, taken: Taken): Judgement[] {
  const hold = need(state, 'hold', wish.holdId ?? '')
  const used = taken.get(hold.id) ?? NOTHING
  const rest = holdRemainder(hold)
  const mib = { free: rest.sizeMiB - used.sizeMiB, limit: hold.sizeMiB, where: undefined }
  const iops = { free: rest.iops - used.iops, limit: hold.iops, where: undefined }
  return [
    {
      what: 'hold',
      ok: hold.poolId === pool.id && hold.role === wish.role,
      text: () => `the hold is for role ${hold.role} in pool ${findPool(state, hold.poolId).name}`,
    },
    compareAmount('hold-mib', 'MiB left in the hold', wish.sizeMiB, mib),
    compareAmount('hold-iops', 'IOPS left in the hold', wish.iops, iops),
  ]
}

interface Room {
  /** Below 0 in deficit. */
  readonly free: number
  readonly limit: number
  /** Where more can be freed; undefined: nowhere. */
  readonly where: string | undefined
}

function compareAmount(what: string, unit: string, asked: number, { free, limit, where }: Room): Judgement {
  const room = Math.max(0, free)
  const ok = asked <= room
  const short = unit.split(' ')[0] ?? ''
  return {
    what,
    ok,
    asked,
    free: room,
    limit,
    text: () => `${formatCount(room)} ${unit}, ${formatCount(asked)} asked`,
    ...(ok || room === 0 ? {} : { change: () => `ask for ${formatCount(asked - room)} ${short} less` }),
    ...(ok || room > 0 || where === undefined
      ? {}
      : { change: () => `free ${formatCount(asked - free)} ${short} ${where}` }),
  }
}

function checkNamed(pool: Pool, { pools = [] }: Wish): Judgement[] {
  return pools.map((allowed) => {
    const ok = allowed.includes(pool.id) || allowed.includes(pool.name)
    return { what: 'pools', ok, text: () => (ok ? 'is one of those asked for' : 'is not one of those asked for') }
  })
}

function checkLabels(pool: Pool, wish: Wish): Judgement[] {
  return Object.entries(wish.poolLabels).map(([key, value]) => ({
    what: 'label',
    ok: pool.labels[key] === value,
    asked: `${key}=${value}`,
    text: () => `label ${key} is ${pool.labels[key] ?? 'not set'}, ${value} asked`,
  }))
}

function checkCapabilities(pool: Pool, wish: Wish): Judgement[] {
  const { capabilities } = pool
  if (capabilities === undefined) return []
  const checks: Judgement[] = [
    {
      what: 'object-size',
      ok: wish.sizeMiB <= capabilities.maxObjectMiB,
      asked: wish.sizeMiB,
      limit: capabilities.maxObjectMiB,
      text: () => `objects of up to ${formatMiB(capabilities.maxObjectMiB)}, ${formatMiB(wish.sizeMiB)} asked`,
      change: () => `ask for at most ${formatMiB(capabilities.maxObjectMiB)}`,
    },
  ]
  if (wish.fs !== 'raw') {
    checks.push({
      what: 'filesystem',
      ok: capabilities.filesystems.includes(wish.fs),
      asked: wish.fs,
      text: () => `filesystems there: ${capabilities.filesystems.join(', ') || 'none'}; ${wish.fs} asked`,
      change: () =>
        capabilities.formats === 'backend'
          ? `ask for one of ${capabilities.filesystems.join(', ')}`
          : `install the tools of ${wish.fs} on a node that reaches it`,
    })
  } else if (!capabilities.block) {
    checks.push({ what: 'block', ok: false, asked: 'raw', text: () => 'has no block devices; raw asked' })
  }
  if (wish.access === 'many-writers') {
    const ok = wish.fs === 'directory' && capabilities.writersMany === true
    checks.push({
      what: 'access',
      ok,
      asked: wish.access,
      text: () => (ok ? 'shares its directories' : 'many-writers needs fs directory in a pool that shares directories'),
    })
  }
  if (wish.source !== undefined) {
    checks.push({
      what: 'copy',
      ok: canCopy(capabilities),
      text: () => (canCopy(capabilities) ? 'can copy volumes' : 'cannot copy volumes'),
    })
  }
  return checks
}

function checkReach(state: LedgerState, pool: Pool): Judgement {
  const nodes = state.nodesByPool.get(pool.id)
  const ok = some(nodes, (id) => state.get('node', id)?.state === 'up')
  return {
    what: 'reach',
    ok,
    text: () => {
      if (ok) return `${formatCount(nodes.size)} nodes reach it`
      return pool.marked ? 'no node reaches it now' : 'it has no marker yet'
    },
    change: () =>
      pool.marked ? 'bring a node up that reaches it' : `mark it: holdfast pool mark ${pool.name} --node NODE`,
  }
}

function some(ids: Iterable<string>, test: (id: string) => boolean): boolean {
  for (const id of ids) if (test(id)) return true
  return false
}

const SHOWN = 20

function doesNotFit(wish: Wish, candidates: readonly Candidate[], members: number): HoldfastError {
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
