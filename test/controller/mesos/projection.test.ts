import { describe, expect, it } from 'vitest'
import { type PoolView, poolView } from '../../../src/controller/mesos/pool-view.ts'
import { projectPool } from '../../../src/controller/mesos/project.ts'
import { holdsByRole, largestUnder, roomOf } from '../../../src/controller/mesos/room.ts'
import { usableProfiles } from '../../../src/controller/mesos/usable.ts'
import type { Command } from '../../../src/ledger/commands.ts'
import { decide } from '../../../src/ledger/decide.ts'
import type { LedgerState } from '../../../src/ledger/state.ts'
import type { VolumeRequest } from '../../../src/ledger/volume-create.ts'
import type { ProjectedRaw, Projection } from '../../../src/mesos/projection.ts'
import type { Pool } from '../../../src/model/pool.ts'
import { type Profile, profileIops } from '../../../src/model/profile.ts'
import type { Volume } from '../../../src/model/volume.ts'
import { WEIGHTED } from '../../ledger/support/commands.ts'
import { poolMesos } from '../../ledger/support/commands-mesos.ts'
import { LedgerRun } from '../../ledger/support/ledger-run.ts'
import { Random } from '../../ledger/support/random.ts'
import { scaled } from '../../support/scale.ts'

const PRINCIPAL = 'holdfast'

/** What a provider would ask for in a role's name. */
function disk(pool: Pool, role: string, sizeMiB: number, profile: Profile): VolumeRequest {
  return {
    name: 'mesos-try',
    poolId: pool.id,
    role,
    sizeMiB,
    iops: profileIops(profile, sizeMiB),
    fs: profile.fs,
    access: profile.access,
    source: undefined,
    holdId: undefined,
    ownHolds: true,
    protected: false,
    labels: {},
    bandwidth: 0,
    fingerprint: undefined,
  }
}

function outcome(state: LedgerState, volume: VolumeRequest): string {
  let made = 0
  const newId = () => {
    made += 1
    return `try-${made}`
  }
  const decision = decide(state, { kind: 'volume.create', volume }, { now: state.at, newId, actor: 'framework' })
  return decision.ok ? 'accepted' : decision.error.code
}

function mostModest(state: LedgerState, pool: Pool, role: string): Profile | undefined {
  const room = roomOf(state, pool, role, holdsByRole(state, pool.id).get(role))
  return usableProfiles(state, pool).sort((a, b) => largestUnder(room, b) - largestUnder(room, a))[0]
}

const counts = { exact: 0, nothing: 0, spread: 0, used: 0, unguarded: 0 }

/** Guarded: a role is shown exactly what the ledger would grant it. */
function checkRaw(state: LedgerState, pool: Pool, { raw }: Projection): void {
  expect(raw.map((each) => each.reservations.map(({ role }) => role))).toEqual(pool.mesos?.roles.map((role) => [role]))
  for (const { reservations, sizeMiB } of raw) {
    const role = reservations[0]?.role ?? ''
    const profile = mostModest(state, pool, role)
    if (profile === undefined || pool.state === 'draining' || !pool.marked) {
      expect(sizeMiB).toBe(0)
      counts.nothing += 1
      continue
    }
    const most = pool.capabilities?.maxObjectMiB ?? 0
    if (sizeMiB > 0 && sizeMiB <= most) expect(outcome(state, disk(pool, role, sizeMiB, profile))).toBe('accepted')
    if (sizeMiB >= most) continue
    const more = usableProfiles(state, pool).map((each) => outcome(state, disk(pool, role, sizeMiB + 1, each)))
    for (const each of more) expect(['does_not_fit', 'quota_exceeded']).toContain(each)
    counts.exact += 1
  }
}

/** Unguarded: what is reserved by frameworks stays, and the rest is not more than is free. */
function checkUnreserved(state: LedgerState, pool: Pool, nodeId: string, raw: readonly ProjectedRaw[]): void {
  const [free, ...own] = raw
  expect(free?.reservations).toEqual([])
  const stacks = state.get('provider', `${nodeId}.${pool.id}`)?.reserved ?? []
  expect(own).toEqual(stacks)
  const reserved = stacks.reduce((sum, each) => sum + each.sizeMiB, 0)
  expect(free?.sizeMiB).toBeLessThanOrEqual(Math.max(0, freeMiB(state, pool) - reserved))
  expect(free?.sizeMiB).toBeGreaterThanOrEqual(0)
  counts.unguarded += 1
}

function freeMiB(state: LedgerState, pool: Pool): number {
  const limit = Math.floor((pool.capacityMiB * pool.overcommitThousandths) / 1000) - pool.reserveMiB
  return Math.max(0, limit - state.sum(`pool/${pool.id}/mib`))
}

/** Every volume is where it is used, or on no more nodes than may see it. */
function checkDisks(view: PoolView, seen: ReadonlyMap<string, Projection>): void {
  const { state, pool } = view
  for (const volumeId of state.volumesByPool.get(pool.id)) {
    const volume = state.get('volume', volumeId)
    const on = [...seen].filter(([, { disks }]) => disks.some((each) => each.volumeId === volumeId)).map(([id]) => id)
    if (volume?.state !== 'available') expect(on).toEqual([])
    else if (state.attachmentsByVolume.get(volumeId).size > 0) checkUsed(state, volumeId, on, seen)
    else checkIdle(view, volume, on)
  }
}

function checkUsed(
  state: LedgerState,
  volumeId: string,
  on: readonly string[],
  seen: ReadonlyMap<string, Projection>,
): void {
  const attachments = [...state.attachmentsByVolume.get(volumeId)].map((id) => state.get('attachment', id))
  for (const nodeId of on) {
    const mine = attachments.find((each) => each?.nodeId === nodeId)
    const claimed = mine?.users.some(({ door }) => door === 'mesos') === true
    expect(mine).toBeDefined()
    expect(claimed || mine?.users.length === 0).toBe(true)
    const disk = seen.get(nodeId)?.disks.find((each) => each.volumeId === volumeId)
    expect(disk?.usedHere).toBe(claimed)
    counts.used += claimed ? 1 : 0
  }
}

function checkIdle({ state, guarded, mesos }: PoolView, volume: Volume, on: readonly string[]): void {
  const floats = guarded && mesos.float && volume.mesos?.float !== false
  const everywhere = floats && mesos.spread === 0
  if (everywhere) return
  expect(on.length).toBeLessThanOrEqual(floats ? mesos.spread : 1)
  const home = volume.mesos?.home
  if (!floats && home !== undefined && state.get('node', home) !== undefined)
    expect([home]).toEqual(expect.arrayContaining([...on]))
  counts.spread += on.length
}

function check(state: LedgerState): void {
  for (const pool of state.all('pool').values()) {
    const seen = new Map<string, Projection>()
    for (const node of state.all('node').values()) {
      const projection = projectPool(state, node.id, pool.id, PRINCIPAL)
      expect(projection !== undefined).toBe(pool.mesos !== undefined && node.reach.includes(pool.id))
      if (projection === undefined) continue
      seen.set(node.id, projection)
      if (!projection.guarded) expect(projection.shrink).toBe('never')
      const preReserved = projection.guarded && pool.mesos?.unreserved === false
      if (node.cordoned) checkCordoned(projection, preReserved)
      else if (preReserved) checkRaw(state, pool, projection)
      else checkUnreserved(state, pool, node.id, projection.raw)
    }
    const view = poolView(state, pool.id, PRINCIPAL)
    if (view !== undefined) checkDisks(view, seen)
  }
}

/** Nothing new is to go there. */
function checkCordoned({ raw, disks }: Projection, preReserved: boolean): void {
  const ours = preReserved ? raw : raw.filter((each) => each.reservations.length === 0)
  expect(ours.filter((each) => each.sizeMiB > 0)).toEqual([])
  expect(disks.filter((each) => !each.usedHere)).toEqual([])
}

/** So that most of a life goes on under a verified guard, in pools that are shown. */
const SELDOM = new Set(['guard.set', 'profile.delete', 'node.reach', 'volume.missing'])
const LIKELY = WEIGHTED.filter((kind, index) => !SELDOM.has(kind) || index % 2 === 0)

function shown(state: LedgerState, random: Random): Command[] {
  const profiles = [
    { fs: 'ext4', access: 'single-writer', iops: 0, iopsPerGiB: 0 },
    { fs: 'xfs', access: 'single-writer', iops: 20, iopsPerGiB: 0 },
    { fs: 'ext4', access: 'single-writer', iops: 5, iopsPerGiB: 30 },
  ] as const
  const pools = [...state.all('pool').keys()]
  const nodes = [...state.all('node').keys()]
  return [
    { kind: 'guard.set', state: 'verified', why: [] },
    ...profiles.slice(random.int(0, 2)).map((set, index): Command => ({ kind: 'profile.set', name: `p${index}`, set })),
    ...pools.map((poolId, index): Command => {
      const draining = index === 2 && random.chance(0.6) ? { state: 'draining' as const } : {}
      return { kind: 'pool.update', poolId, set: { mesos: poolMesos(random), ...draining } }
    }),
    ...pools.flatMap((poolId) =>
      nodes.map((nodeId): Command => ({ kind: 'provider.set', nodeId, poolId, agentId: 'a', providerId: 'p' })),
    ),
  ]
}

describe('what agents are to say', { timeout: scaled(120_000) }, () => {
  it.each([11, 12, 13, 14, 15, 16])('is what the ledger would grant, through all of random life %i', (life) => {
    const random = new Random(life)
    const ledger = new LedgerRun()
    for (const command of shown(ledger.state, random)) ledger.perform(command, undefined, ledger.state.at)
    for (let step = 0; step < scaled(900); step += 1) {
      ledger.step({ kind: random.pick(LIKELY) ?? 'clock.tick', seed: random.int(0, 2 ** 31) })
      if (step % 6 === 0) check(ledger.state)
    }
  })

  it('has been compared in every way', () => {
    for (const [what, count] of Object.entries(counts)) expect(count, what).toBeGreaterThan(20)
  })
})
