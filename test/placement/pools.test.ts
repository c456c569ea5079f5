import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { execute } from '../../src/ledger/decide.ts'
import type { LedgerState } from '../../src/ledger/state.ts'
import type { Candidate } from '../../src/model/candidate.ts'
import { HoldfastError } from '../../src/model/errors.ts'
import type { Pool } from '../../src/model/pool.ts'
import { placeVolumes, rankPools, type Wish } from '../../src/placement/pools.ts'
import { Ids } from '../ledger/support/world.ts'
import { scaled } from '../support/scale.ts'
import { CAPABILITIES, type Kept, node, pool, stateOf, volume, wish } from './support/records.ts'

interface Room {
  readonly capacityMiB: number
  readonly iops: number
  readonly usedMiB: number
  readonly usedIops: number
  readonly draining: boolean
  readonly reached: boolean
  readonly ssd: boolean
  readonly maxObjectMiB: number
}

const room: fc.Arbitrary<Room> = fc.record({
  capacityMiB: fc.integer({ min: 3, max: 22 }),
  iops: fc.integer({ min: 0, max: 10 }),
  usedMiB: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0, max: 6 }) }, fc.integer({ min: 0, max: 22 })),
  usedIops: fc.integer({ min: 0, max: 11 }),
  draining: fc.integer({ min: 0, max: 9 }).map((each) => each === 9),
  reached: fc.integer({ min: 0, max: 9 }).map((each) => each > 0),
  ssd: fc.boolean(),
  maxObjectMiB: fc.constantFrom(5, 50, 50),
})
const rooms = fc.array(room, { minLength: 1, maxLength: 4 })
const asked = fc.record({
  sizeMiB: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 12 })),
  iops: fc.integer({ min: 0, max: 4 }),
  ssd: fc.integer({ min: 0, max: 6 }).map((each) => each === 0),
})

function records(all: readonly Room[]): Kept[] {
  const kept: Kept[] = all.flatMap((each, index): Kept[] => {
    const { capacityMiB, iops, draining, ssd, maxObjectMiB, usedMiB, usedIops } = each
    const capabilities = { ...CAPABILITIES, maxObjectMiB }
    const state = draining ? 'draining' : 'active'
    const made = pool(`p${index}`, { capacityMiB, iops, state, capabilities, labels: ssd ? { disk: 'ssd' } : {} })
    const filler = volume(`f${index}`, made.id, { sizeMiB: usedMiB, iops: usedIops })
    return usedMiB === 0
      ? [['pool', made]]
      : [
          ['pool', made],
          ['volume', filler],
        ]
  })
  const reach = all.flatMap((each, index) => (each.reached ? [`pool-p${index}`] : []))
  return [...kept, ['node', node('n', { reach })]]
}

function wishes(all: readonly { sizeMiB: number; iops: number; ssd: boolean }[]): Wish[] {
  return all.map(({ sizeMiB, iops, ssd }, index) =>
    wish(`w${index}`, { sizeMiB, iops, poolLabels: ssd ? { disk: 'ssd' } : {} }),
  )
}

/** What is left in a room after taking these, or undefined when they do not fit; written without the ledger. */
function left(each: Room, taken: readonly Wish[]): { mib: number; iops: number } | undefined {
  const usedIops = each.usedMiB === 0 ? 0 : each.usedIops
  const mib = Math.max(0, each.capacityMiB - each.usedMiB) - taken.reduce((sum, one) => sum + one.sizeMiB, 0)
  const free = each.iops === 0 ? Number.POSITIVE_INFINITY : Math.max(0, each.iops - usedIops)
  const iops = free - taken.reduce((sum, one) => sum + one.iops, 0)
  const allowed = taken.every(
    (one) => one.sizeMiB <= each.maxObjectMiB && (each.ssd || one.poolLabels.disk === undefined),
  )
  return mib >= 0 && iops >= 0 && allowed && each.reached && !each.draining ? { mib, iops } : undefined
}

/** The best pool by trying all: least MiB left, then fewest IOPS, then by name. */
function bestOf(all: readonly Room[], one: Wish): string | undefined {
  const fitting = all.flatMap((each, index) => {
    const rest = left(each, [one])
    return rest === undefined ? [] : [{ ...rest, id: `pool-p${index}` }]
  })
  fitting.sort((a, b) => {
    if (a.mib !== b.mib) return a.mib - b.mib
    if (a.iops !== b.iops) return a.iops < b.iops ? -1 : 1
    return a.id < b.id ? -1 : 1
  })
  return fitting[0]?.id
}

/** Whether any way to spread the wishes over the rooms fits. */
function isPossible(all: readonly Room[], asked: readonly Wish[], spread: readonly number[] = []): boolean {
  if (spread.length === asked.length) {
    return all.every((each, index) => {
      const mine = asked.filter((_, position) => spread[position] === index)
      return mine.length === 0 || left(each, mine) !== undefined
    })
  }
  return all.some((_, index) => isPossible(all, asked, [...spread, index]))
}

function place(state: LedgerState, all: readonly Wish[]): string[] | undefined {
  try {
    return placeVolumes(state, all).requests.map((request) => request.poolId)
  } catch (thrown) {
    if (thrown instanceof HoldfastError && thrown.code === 'does_not_fit') return undefined
    throw thrown
  }
}

describe('choosing a pool', () => {
  it('chooses exactly what trying all pools would choose', () => {
    fc.assert(
      fc.property(rooms, asked, (all, one) => {
        const [single] = wishes([one])
        expect(place(stateOf(...records(all)), wishes([one]))?.[0]).toBe(bestOf(all, single as Wish))
      }),
      { numRuns: scaled(2000) },
    )
  })

  it('finds a place for a group whenever there is one, and only then; the ledger then accepts it', () => {
    const possible = { yes: 0, no: 0 }
    fc.assert(
      fc.property(rooms, fc.array(asked, { minLength: 2, maxLength: 4 }), (all, many) => {
        const state = stateOf(...records(all))
        const group = wishes(many)
        const chosen = place(state, group)
        expect(chosen !== undefined).toBe(isPossible(all, group))
        possible[chosen === undefined ? 'no' : 'yes'] += 1
        if (chosen === undefined) return
        const { requests } = placeVolumes(state, group)
        const command = { kind: 'group.create', name: undefined, onFailure: 'keep', volumes: requests } as const
        const decision = execute(state, command, { now: 1, newId: new Ids().next, actor: 'test' })
        expect(decision.ok ? 'accepted' : decision.error.message).toBe('accepted')
      }),
      { numRuns: scaled(3000) },
    )
    expect(Math.min(possible.yes, possible.no)).toBeGreaterThan(100)
  })

  it('takes back an early choice that leaves no place for the rest', () => {
    // the larger one fits snugly into either pool, but only one of them has IOPS for the smaller one
    const state = stateOf(
      ['pool', pool('a', { capacityMiB: 10, iops: 5 })],
      ['pool', pool('b', { capacityMiB: 12, iops: 1 })],
      ['node', node('n', { reach: ['pool-a', 'pool-b'] })],
    )
    const group = [wish('large', { sizeMiB: 10, iops: 1 }), wish('small', { sizeMiB: 9, iops: 5 })]
    expect(place(state, group)).toEqual(['pool-b', 'pool-a'])
  })

  it('does not depend on the order in which records came', () => {
    fc.assert(
      fc.property(
        rooms,
        fc.array(asked, { minLength: 1, maxLength: 3 }),
        fc.infiniteStream(fc.nat()),
        (all, many, keys) => {
          const kept = records(all)
          const order = new Map(kept.map((each) => [each, keys.next().value as number]))
          const shuffled = [...kept].sort((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0))
          expect(outcome(stateOf(...shuffled), wishes(many))).toEqual(outcome(stateOf(...kept), wishes(many)))
        },
      ),
      { numRuns: scaled(300) },
    )
  })

  it('counts what members of a group draw from one hold together', () => {
    const hold = {
      id: 'hold-h',
      poolId: 'pool-a',
      role: 'default',
      sizeMiB: 10,
      iops: 0,
      drawnMiB: 0,
      drawnIops: 0,
      labels: {},
      createdAt: 0,
    }
    const state = stateOf(['pool', pool('a')], ['hold', hold], ['node', node('n', { reach: ['pool-a'] })])
    const drawing = (name: string, sizeMiB: number) => wish(name, { sizeMiB, holdId: 'hold-h' })
    expect(place(state, [drawing('a', 4), drawing('b', 6)])).toEqual(['pool-a', 'pool-a'])
    expect(place(state, [drawing('a', 5), drawing('b', 6)])).toBeUndefined()
    expect(place(state, [wish('c', { sizeMiB: 4, holdId: 'hold-h', role: 'ads' })])).toBeUndefined()
  })

  it('says that a pool, a hold or a source is not there', () => {
    const state = stateOf(['pool', pool('a')])
    for (const missing of [
      { pool: 'nowhere' },
      { holdId: 'hold-none' },
      { source: { kind: 'volume', id: 'vol-none' } },
    ] as const) {
      expect(() => placeVolumes(state, [wish('w', missing)])).toThrow(expect.objectContaining({ code: 'not_found' }))
    }
  })

  it('does not copy where the driver cannot', () => {
    const plain = pool('a', { capabilities: { ...CAPABILITIES, snapshot: 'none' } })
    const source = { kind: 'volume', id: 'vol-v' } as const
    const state = stateOf(
      ['pool', plain],
      ['volume', volume('v', 'pool-a')],
      ['node', node('n', { reach: ['pool-a'] })],
    )
    expect(place(state, [wish('w', { source })])).toBeUndefined()
    expect(place(state, [wish('w')])).toEqual(['pool-a'])
  })

  it('passes over pools that are drained, unreached, or cannot make the filesystem', () => {
    const state = stateOf(
      ['pool', pool('draining', { state: 'draining' })],
      ['pool', pool('unreached')],
      ['pool', pool('raw', { capabilities: { ...CAPABILITIES, filesystems: [] } })],
      ['node', node('lost', { state: 'lost', reach: ['pool-unreached'] })],
      ['node', node('n', { reach: ['pool-draining', 'pool-raw'] })],
    )
    const { candidates, ranked } = rankPools(state, wish('w'))
    expect(ranked).toEqual([])
    expect(candidates.map((each) => each.checks.filter((check) => !check.ok).map((check) => check.what))).toEqual([
      ['state'],
      ['filesystem'],
      ['reach'],
    ])
  })
})

describe('explaining a pool', () => {
  it('gives true numbers and a smallest change that is enough, and nothing less is', () => {
    const applied = { less: 0, free: 0 }
    fc.assert(
      fc.property(rooms, asked, (all, one) => {
        const [single] = wishes([one])
        const state = stateOf(...records(all))
        const { candidates } = rankPools(state, single as Wish)
        expect(candidates).toHaveLength(all.length)
        for (const each of candidates) {
          expectTrueNumbers(each, all, single as Wish)
          expect(each.smallestChange !== undefined && each.fits).toBe(false)
          const change = /^(ask for|free) ([\d,]+) (MiB|IOPS)/.exec(each.smallestChange ?? '')
          if (change === null || each.smallestChange?.startsWith('ask for at most') === true) continue
          const amount = Number(change[2]?.replaceAll(',', ''))
          const kind = change[1] === 'free' ? 'free' : 'less'
          applied[kind] += 1
          expect(fitsAfter(each, all, single as Wish, kind, change[3] as 'MiB', amount)).toBe(true)
          expect(fitsAfter(each, all, single as Wish, kind, change[3] as 'MiB', amount - 1)).toBe(false)
        }
      }),
      { numRuns: scaled(2000) },
    )
    expect(Math.min(applied.less, applied.free)).toBeGreaterThan(50)
  })

  it('compares the numbers in its refusal, the nearest candidate first', () => {
    const state = stateOf(
      ['pool', pool('a', { capacityMiB: 1_000_000_000 })],
      ['volume', volume('v', 'pool-a', { sizeMiB: 750_000_000 })],
      ['node', node('n', { reach: ['pool-a'] })],
    )
    const refused = expect.objectContaining({
      code: 'does_not_fit',
      message: 'volume w, 750,000,000 MiB for role default: pool ceph~a~a: 250,000,000 MiB free, 750,000,000 asked',
    })
    expect(() => placeVolumes(state, [wish('w', { sizeMiB: 750_000_000 })])).toThrow(refused)
  })
})

function expectTrueNumbers(each: Candidate, all: readonly Room[], one: Wish): void {
  const mine = all[Number(each.id.replace('pool-p', ''))] as Room
  const usedIops = mine.usedMiB === 0 ? 0 : mine.usedIops
  const mib = each.checks.find((check) => check.what === 'mib')
  expect(mib).toMatchObject({
    asked: one.sizeMiB,
    free: Math.max(0, mine.capacityMiB - mine.usedMiB),
    limit: mine.capacityMiB,
  })
  const iops = each.checks.find((check) => check.what === 'iops')
  if (mine.iops === 0) expect(iops).toBeUndefined()
  else expect(iops).toMatchObject({ asked: one.iops, free: Math.max(0, mine.iops - usedIops), limit: mine.iops })
  expect(each.fits).toBe(left(mine, [one]) !== undefined)
}

/** Whether the pool fits when the wish asks for less, or when the pool has that much more room. */
function fitsAfter(
  each: Candidate,
  all: readonly Room[],
  one: Wish,
  kind: 'less' | 'free',
  unit: 'MiB' | 'IOPS',
  amount: number,
): boolean {
  const less = unit === 'MiB' ? { sizeMiB: one.sizeMiB - amount } : { iops: one.iops - amount }
  const changed = kind === 'less' ? { ...one, ...less } : one
  const kept = records(all).map((record): Kept => {
    if (kind === 'less' || record[0] !== 'pool' || record[1].id !== each.id) return record
    const mine: Pool = record[1]
    const more = unit === 'MiB' ? { capacityMiB: mine.capacityMiB + amount } : { iops: mine.iops + amount }
    return ['pool', { ...mine, ...more }]
  })
  return rankPools(stateOf(...kept), changed).ranked.some((fitting) => fitting.id === each.id)
}

function outcome(state: LedgerState, all: readonly Wish[]): unknown {
  try {
    return placeVolumes(state, all)
  } catch (thrown) {
    if (!(thrown instanceof HoldfastError)) throw thrown
    return { message: thrown.message, data: thrown.data }
  }
}
