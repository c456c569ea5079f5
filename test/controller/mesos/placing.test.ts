import { describe, expect, it } from 'vitest'
import { projectPool } from '../../../src/controller/mesos/project.ts'
import { rendezvous } from '../../../src/controller/mesos/rendezvous.ts'
import type { Command } from '../../../src/ledger/commands.ts'
import { execute } from '../../../src/ledger/decide.ts'
import type { LedgerState } from '../../../src/ledger/state.ts'
import type { MesosWish, VolumeRequest } from '../../../src/ledger/volume-create.ts'
import type { PoolMesos, Reservation } from '../../../src/model/mesos.ts'
import { CAPABLE, connecting, emptyState, founding, Ids, START } from '../../ledger/support/world.ts'

const SHOWN: PoolMesos = {
  roles: ['ads'],
  reservation: 'dynamic',
  unreserved: false,
  spread: 0,
  float: true,
  block: false,
  bandwidth: false,
}

/** Four nodes with an agent each, and a pool that all of them reach. */
class Small {
  readonly state: LedgerState = emptyState()
  readonly #ids = new Ids()
  readonly poolId: string
  readonly nodes: string[]

  constructor(mesos: Partial<PoolMesos> = {}, guard: 'verified' | 'absent' = 'verified') {
    for (const command of founding()) this.do(command)
    for (const command of connecting(this.state)) this.do(command)
    this.poolId = [...this.state.all('pool').keys()][0] ?? ''
    this.nodes = [...this.state.all('node').keys()]
    this.do({ kind: 'pool.update', poolId: this.poolId, set: { mesos: { ...SHOWN, ...mesos } } })
    this.do({ kind: 'guard.set', state: guard, why: [] })
    for (const nodeId of this.nodes) this.agent(nodeId)
  }

  do(command: Command): unknown {
    const decision = execute(this.state, command, { now: START, newId: this.#ids.next, actor: 'tester' })
    if (!decision.ok) throw decision.error
    return decision.answer
  }

  agent(nodeId: string): void {
    this.do({ kind: 'provider.set', nodeId, poolId: this.poolId, agentId: nodeId, providerId: 'p' })
  }

  /** A volume that is ready. */
  volume(name: string, more: { role?: string; fs?: 'raw'; access?: 'read-only'; mesos?: MesosWish } = {}): string {
    const { role = 'ads', fs = 'ext4', access = 'single-writer', mesos } = more
    const volume: VolumeRequest = {
      ...{ name, poolId: this.poolId, role, sizeMiB: 10, iops: 7, fs, access, source: undefined },
      ...{ holdId: undefined, protected: false, labels: {}, bandwidth: 0, fingerprint: undefined },
      ...(mesos === undefined ? {} : { mesos }),
    }
    const { id } = this.do({ kind: 'volume.create', volume }) as { id: string }
    for (;;) {
      const [operationId] = this.state.operationsBySubject.get(id)
      if (operationId === undefined) return id
      this.#work(operationId)
    }
  }

  #work(operationId: string): void {
    const nodeId = this.nodes[0] ?? ''
    const session = this.state.get('node', nodeId)?.session ?? ''
    const uuid = '00000000-0000-4000-8000-000000000001'
    this.do({ kind: 'operation.assign', operationId, nodeId, session, uuid, deadlineAt: START + 1000 })
    const { attempt } = this.state.get('operation', operationId) ?? { attempt: 0 }
    const used = [...this.state.all('attachment').values()].map(({ id, claims }) => ({ attachmentId: id, claims }))
    const outcome = { ok: true, facts: {} } as const
    this.do({ kind: 'operation.result', operationId, attempt, nodeId, session, outcome, detached: used })
  }

  /** On which nodes a volume is seen. */
  seen(volumeId: string): string[] {
    return this.nodes.filter((nodeId) => this.disk(nodeId, volumeId) !== undefined)
  }

  disk(nodeId: string, volumeId: string) {
    return this.project(nodeId)?.disks.find((each) => each.volumeId === volumeId)
  }

  project(nodeId = this.nodes[0] ?? '') {
    return projectPool(this.state, nodeId, this.poolId, 'holdfast')
  }
}

const madeOn = (home: string, more: Partial<MesosWish> = {}): MesosWish => {
  const reservations: Reservation[] = [{ type: 'DYNAMIC', role: 'ads', principal: 'holdfast' }]
  return { target: 'MOUNT', float: true, home, reservations, persistAs: 'holdfast', ...more }
}

describe('an idle volume that floats', () => {
  it('is seen on every node that reaches the pool', () => {
    const small = new Small()
    expect(small.seen(small.volume('a', { mesos: madeOn(small.nodes[2] ?? '') }))).toEqual(small.nodes)
    expect(small.seen(small.volume('by-hand'))).toEqual(small.nodes)
  })

  it('is seen on as many as are asked for, its home first, always the same ones', () => {
    const small = new Small({ spread: 2 })
    for (const home of small.nodes) {
      const seen = small.seen(small.volume(`of-${home}`, { mesos: madeOn(home) }))
      expect(seen).toHaveLength(2)
      expect(seen).toContain(home)
    }
    const id = small.volume('by-hand')
    const before = small.seen(id)
    expect(before).toHaveLength(2)
    const other = small.nodes.find((each) => !before.includes(each)) ?? ''
    small.do({ kind: 'node.update', nodeId: other, set: { cordoned: true } })
    expect(small.seen(id)).toEqual(before)
  })

  it('is seen elsewhere when a node that was chosen is lost, cordoned, or has no agent any more', () => {
    const small = new Small({ spread: 1 })
    const id = small.volume('a', { mesos: madeOn(small.nodes[1] ?? '') })
    expect(small.seen(id)).toEqual([small.nodes[1]])
    const [, nodeId = ''] = small.nodes
    small.do({ kind: 'node.update', nodeId, set: { cordoned: true } })
    const elsewhere = small.seen(id)
    expect(elsewhere).toHaveLength(1)
    expect(elsewhere).not.toContain(nodeId)
    small.do({ kind: 'node.update', nodeId, set: { cordoned: false } })
    small.do({ kind: 'provider.forget', nodeId, poolId: small.poolId })
    expect(small.seen(id)).toEqual(elsewhere)
    small.agent(nodeId)
    small.do({ kind: 'node.lost', nodeId, session: small.state.get('node', nodeId)?.session ?? '' })
    expect(small.seen(id)).toEqual(elsewhere)
  })
})

describe('a volume that does not float', () => {
  it('is seen at home alone, and one that no agent made on one node', () => {
    for (const small of [new Small({ float: false }), new Small({}, 'absent')]) {
      const [, , home = ''] = small.nodes
      expect(small.seen(small.volume('a', { mesos: madeOn(home) }))).toEqual([home])
      expect(small.seen(small.volume('by-hand'))).toHaveLength(1)
    }
    const floating = new Small()
    const [home = ''] = floating.nodes
    expect(floating.seen(floating.volume('bare', { mesos: madeOn(home, { float: false }) }))).toEqual([home])
  })
})

it('a volume that nobody may write to, a raw one, or one of a role that the pool is not for, is seen nowhere', () => {
  const small = new Small()
  expect(small.seen(small.volume('read', { access: 'read-only' }))).toEqual([])
  expect(small.seen(small.volume('raw', { fs: 'raw' }))).toEqual([])
  expect(small.seen(small.volume('other', { role: 'ops' }))).toEqual([])
  const block = new Small({ block: true })
  const id = block.volume('raw', { fs: 'raw' })
  expect(block.disk(block.nodes[0] ?? '', id)).toMatchObject({ target: 'BLOCK' })
  expect(block.disk(block.nodes[0] ?? '', id)).not.toHaveProperty('persistence')
})

it('a volume in use is seen by its user alone; while it is let go of, where it was; in use by another door, nowhere', () => {
  const small = new Small()
  const id = small.volume('a')
  const [first = '', second = ''] = small.nodes
  const mesos = { door: 'mesos', id: 'agent' }
  const claim = (nodeId: string, user: { door: string; id: string }) => {
    small.do({
      kind: 'attachment.claim',
      volumeId: id,
      nodeId,
      user,
      mode: 'rw',
      bandwidth: undefined,
      mountAt: undefined,
    })
  }
  claim(second, mesos)
  expect(small.seen(id)).toEqual([second])
  expect(small.disk(second, id)?.usedHere).toBe(true)
  small.do({ kind: 'node.update', nodeId: second, set: { cordoned: true } })
  expect(small.disk(second, id)?.usedHere).toBe(true)
  small.do({ kind: 'node.update', nodeId: second, set: { cordoned: false } })
  small.do({ kind: 'attachment.unclaim', volumeId: id, nodeId: second, user: mesos })
  expect(small.seen(id)).toEqual([second])
  expect(small.disk(second, id)?.usedHere).toBe(false)
  claim(second, { door: 'docker', id: 'c' })
  expect(small.seen(id)).toEqual([])
  claim(second, mesos)
  expect(small.seen(id)).toEqual([second])
  expect(small.seen(id)).not.toContain(first)
})

it('reservations are of the kind that the pool says, and a refined stack is shown as it was made', () => {
  const small = new Small({ reservation: 'static' })
  const id = small.volume('a')
  expect(small.project()?.raw[0]?.reservations).toEqual([{ type: 'STATIC', role: 'ads', principal: 'holdfast' }])
  expect(small.disk(small.nodes[0] ?? '', id)).toMatchObject({
    reservations: [{ type: 'STATIC', role: 'ads', principal: 'holdfast' }],
    persistence: { id, principal: 'holdfast' },
    containerPath: 'data',
    metadata: { labels: expect.arrayContaining([{ key: 'iops', value: '7' }]) },
  })
  const reservations: Reservation[] = [
    { type: 'DYNAMIC', role: 'ads', principal: 'f', labels: { labels: [{ key: 'k', value: 'v' }] } },
    { type: 'DYNAMIC', role: 'ads/web' },
  ]
  const refined = small.volume('b', { mesos: madeOn(small.nodes[0] ?? '', { reservations }) })
  expect(small.disk(small.nodes[0] ?? '', refined)?.reservations).toEqual(reservations)
})

it('without a profile that can be used nothing can be taken, so nothing is shown', () => {
  const small = new Small()
  const raw = () => small.project()?.raw.map((each) => each.sizeMiB)
  const profile = (name: string, set: object) => {
    const base = { fs: 'ext4', access: 'single-writer', iops: 0, iopsPerGiB: 0 } as const
    small.do({ kind: 'profile.set', name, set: { ...base, ...set } })
  }
  expect(raw()).toEqual([0])
  profile('elsewhere', { pools: ['loop~b~one'] })
  profile('unknown', { fs: 'btrfs' })
  profile('device', { fs: 'raw' })
  profile('dead', { access: 'read-only' })
  expect(CAPABLE.filesystems).not.toContain('btrfs')
  expect(raw()).toEqual([0])
  profile('costly', { iops: 1001 })
  expect(raw()).toEqual([0])
  profile('dense', { iops: 500, iopsPerGiB: 500 })
  expect(raw()).toEqual([1024])
  profile('plain', {})
  expect(raw()).toEqual([1500])
})

it('choosing by rendezvous moves only what it must', () => {
  const nodes = Array.from({ length: 20 }, (_, index) => `node-${index}`)
  const volumes = Array.from({ length: 500 }, (_, index) => `vol-${index}`)
  const before = new Map(volumes.map((id) => [id, rendezvous(id, nodes, 3)]))
  const counts = Map.groupBy([...before.values()].flat(), (id) => id)
  // 75 on each, if they were spread by chance
  for (const id of nodes) expect(counts.get(id)?.length ?? 0).toBeGreaterThan(40)
  for (const [id, chosen] of before) {
    expect(new Set(chosen).size).toBe(3)
    const without = rendezvous(id, nodes.filter((each) => each !== 'node-7').reverse(), 3)
    expect(chosen.filter((each) => each !== 'node-7').every((each) => without.includes(each))).toBe(true)
    if (!chosen.includes('node-7')) expect(without).toEqual(chosen)
  }
})
