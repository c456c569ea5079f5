import { describe, expect, it } from 'vitest'
import type { Engine } from '../../../src/controller/engine.ts'
import { projectPool } from '../../../src/controller/mesos/project.ts'
import type { ProviderSink } from '../../../src/controller/mesos/provider-stream.ts'
import { ProviderStreams, QUIET_MS } from '../../../src/controller/mesos/provider-streams.ts'
import type { LedgerState } from '../../../src/ledger/state.ts'
import type { Projection, ProjectionLine } from '../../../src/mesos/projection.ts'
import type { Node } from '../../../src/model/node.ts'
import { makeCommand, WEIGHTED } from '../../ledger/support/commands.ts'
import { poolMesos } from '../../ledger/support/commands-mesos.ts'
import { Random } from '../../ledger/support/random.ts'
import { connecting, founding, World } from '../../ledger/support/world.ts'
import { scaled } from '../../support/scale.ts'
import { ask, type Bench, bench } from '../support/bench.ts'
import { quiet } from '../support/test-clock.ts'

const PRINCIPAL = 'holdfast'
const PLAIN = { fs: 'ext4', access: 'single-writer', iops: 0, iopsPerGiB: 0 } as const

/** A reader that keeps what it was told; a slow one takes nothing more until it is let. */
class Reader implements ProviderSink {
  readonly pools = new Map<string, Projection>()
  readonly writes: ProjectionLine[][] = []
  slow = false
  waiting = false
  closed = false
  readonly #kinds: Set<string>

  /** @param kinds gets the kinds of all lines */
  constructor(kinds = new Set<string>()) {
    this.#kinds = kinds
  }

  write(text: string): boolean {
    expect(this.waiting, 'nothing is written to who has not taken the last').toBe(false)
    const lines = text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as ProjectionLine)
    this.writes.push(lines)
    for (const line of lines) this.#hear(line)
    this.waiting = this.slow
    return !this.slow
  }

  close(): void {
    this.closed = true
  }

  #hear(line: ProjectionLine): void {
    this.#kinds.add(line.kind)
    if (line.kind === 'pool') this.pools.set(line.projection.poolId, line.projection)
    else if (line.kind === 'gone') expect(this.pools.delete(line.poolId)).toBe(true)
    else if (line.kind !== 'complete') {
      const before = this.pools.get(line.poolId)
      if (before === undefined) throw new Error(`told of ${line.poolId}, which was never shown`)
      this.pools.set(line.poolId, line.kind === 'raw' ? { ...before, raw: line.raw } : changed(before, line))
    }
  }
}

function changed(before: Projection, line: Extract<ProjectionLine, { kind: 'disks' }>): Projection {
  const known = new Set(before.disks.map((each) => each.volumeId))
  for (const id of line.removed) expect(known.has(id), `${id} is removed, so it was shown`).toBe(true)
  const out = new Set([...line.removed, ...line.set.map((each) => each.volumeId)])
  return { ...before, disks: [...before.disks.filter((each) => !out.has(each.volumeId)), ...line.set] }
}

/** All that is true for a node, disks in one order. */
function truth(state: LedgerState, nodeId: string): Map<string, unknown> {
  const all = new Map<string, unknown>()
  for (const poolId of state.all('pool').keys()) {
    const projection = projectPool(state, nodeId, poolId, PRINCIPAL)
    if (projection !== undefined) all.set(poolId, inOrder(projection))
  }
  return all
}

function inOrder(projection: Projection): unknown {
  const disks = [...projection.disks].sort((a, b) => (a.volumeId < b.volumeId ? -1 : 1))
  return JSON.parse(JSON.stringify({ ...projection, disks }))
}

async function world(): Promise<Bench & { streams: ProviderStreams; state(): Promise<LedgerState> }> {
  const own = bench()
  await own.engine.start()
  const streams = new ProviderStreams(own.engine, own.clock, PRINCIPAL)
  for (const command of founding()) await ask(own.engine, command)
  const state = () => own.engine.read((each) => each)
  for (const command of connecting(await state())) await ask(own.engine, command)
  return { ...own, streams, state }
}

/** A ledger in use, with a reader on every node: some slow, some that come back. */
class Life {
  readonly #bench: Bench & { streams: ProviderStreams; state(): Promise<LedgerState> }
  readonly #random: Random
  readonly #readers = new Map<string, Reader>()
  readonly kinds = new Set<string>()

  private constructor(of: Awaited<ReturnType<typeof world>>, seed: number) {
    this.#bench = of
    this.#random = new Random(seed)
  }

  static async begin(seed: number): Promise<Life> {
    const life = new Life(await world(), seed)
    const { engine, state } = life.#bench
    const nodes = [...(await state()).all('node').keys()]
    await ask(engine, { kind: 'guard.set', state: 'verified', why: [] })
    for (const poolId of (await state()).all('pool').keys()) {
      await ask(engine, { kind: 'pool.update', poolId, set: { mesos: poolMesos(life.#random) } })
      for (const nodeId of nodes) {
        await ask(engine, { kind: 'provider.set', nodeId, poolId, agentId: 'a', providerId: 'p' })
      }
    }
    for (const nodeId of nodes) await life.#connect(nodeId)
    return life
  }

  async #connect(nodeId: string): Promise<void> {
    const reader = new Reader(this.kinds)
    this.#readers.set(nodeId, reader)
    await this.#bench.streams.connect(nodeId, reader)
  }

  async step(number: number): Promise<void> {
    const { engine, clock } = this.#bench
    const random = this.#random
    const seed = random.int(0, 2 ** 31)
    const kind = random.pick(WEIGHTED) ?? 'clock.tick'
    const command = (now: LedgerState) => makeCommand(kind, new World(now, new Random(seed), clock.now(), number))
    // what is refused changes nothing; many are decided together
    const asked = engine.submit({ actor: 'tester', command }).catch(() => undefined)
    if (random.chance(0.5)) await asked
    if (random.chance(0.2)) await clock.pass(random.int(0, 2 * QUIET_MS))
    await this.#trouble()
  }

  async #trouble(): Promise<void> {
    const random = this.#random
    const nodeId = random.pick([...this.#readers.keys()]) ?? ''
    const reader = this.#readers.get(nodeId)
    if (reader !== undefined && random.chance(0.05)) reader.slow = !reader.slow
    if (reader?.waiting === true && random.chance(0.3)) this.#drain(nodeId, reader)
    if (random.chance(0.01)) await this.#connect(nodeId)
  }

  #drain(nodeId: string, reader: Reader): void {
    reader.waiting = false
    this.#bench.streams.drained(nodeId)
  }

  /** Every slow reader catches up, every pause ends, and then all know the truth. */
  async compare(): Promise<void> {
    for (let turn = 0; turn < 4; turn += 1) {
      for (const [nodeId, reader] of this.#readers) {
        reader.slow = false
        this.#drain(nodeId, reader)
      }
      await this.#bench.clock.pass(QUIET_MS)
    }
    const now = await this.#bench.state()
    for (const [id, { pools }] of this.#readers) {
      const told = new Map([...pools].map(([poolId, projection]) => [poolId, inOrder(projection)]))
      expect(told).toEqual(truth(now, id))
    }
  }
}

describe('streams of providers', { timeout: scaled(120_000) }, () => {
  it.each([21, 22, 23, 24])('have told what is true whenever all is quiet, through random life %i', async (seed) => {
    const life = await Life.begin(seed)
    for (let step = 0; step < scaled(1200); step += 1) {
      await life.step(step)
      if (step % 50 === 49) await life.compare()
    }
    expect(life.kinds).toEqual(new Set(['pool', 'raw', 'disks', 'gone', 'complete']))
  })

  it('write at once to who was quiet, and once in a while to who is not', async () => {
    const { engine, clock, streams, state } = await world()
    const [nodeId = ''] = (await state()).all('node').keys()
    const [poolId = ''] = (await state()).all('pool').keys()
    await ask(engine, { kind: 'guard.set', state: 'verified', why: [] })
    await ask(engine, { kind: 'profile.set', name: 'p', set: PLAIN })
    await ask(engine, {
      kind: 'pool.update',
      poolId,
      set: { mesos: { ...poolMesos(new Random(1)), roles: ['ads'], unreserved: false } },
    })
    const reader = new Reader()
    await streams.connect(nodeId, reader)
    await clock.pass(QUIET_MS)
    const written = reader.writes.length
    const hold = () => {
      return ask(engine, {
        kind: 'hold.create',
        poolId,
        role: 'ops',
        sizeMiB: 1,
        iops: 0,
        expiresAt: undefined,
        labels: {},
      })
    }
    await hold()
    await quiet()
    expect(reader.writes.length).toBe(written + 1)
    for (let time = 0; time < 10; time += 1) await hold()
    await quiet()
    expect(reader.writes.length).toBe(written + 1)
    await clock.pass(QUIET_MS - 1)
    expect(reader.writes.length).toBe(written + 1)
    await clock.pass(1)
    expect(reader.writes.length).toBe(written + 2)
    expect(reader.writes.at(-1)).toMatchObject([{ kind: 'raw', raw: [{ sizeMiB: 1489 }] }])
  })

  it('tell a thousand nodes of one pool from one calculation', async () => {
    const { engine, clock, streams, state } = await world()
    const [poolId = ''] = (await state()).all('pool').keys()
    await ask(engine, { kind: 'guard.set', state: 'verified', why: [] })
    await ask(engine, {
      kind: 'pool.update',
      poolId,
      set: { mesos: { ...poolMesos(new Random(1)), roles: ['ads'], unreserved: false } },
    })
    await ask(engine, { kind: 'profile.set', name: 'p', set: PLAIN })
    const readers: Reader[] = []
    for (let index = 0; index < 1000; index += 1) {
      const name = `many-${index}`
      const credentialHash = `e${index}`.padStart(64, 'e').replaceAll(/[^0-9a-f]/g, 'a')
      const joined = await ask(engine, {
        kind: 'node.join',
        name,
        joinTokenId: undefined,
        credentialHash,
        machineId: name,
        labels: {},
      })
      const nodeId = (joined.answer as { node: { id: string } }).node.id
      const session = { session: name, bootId: name, machineId: name, version: '1', watchdog: false, leased: false }
      await ask(engine, { kind: 'node.session', nodeId, ...session })
      await ask(engine, { kind: 'node.reach', nodeId, session: name, reach: [poolId] })
      const reader = new Reader()
      readers.push(reader)
      await streams.connect(nodeId, reader)
    }
    await clock.pass(2 * QUIET_MS)
    const began = process.hrtime.bigint()
    await ask(engine, {
      kind: 'hold.create',
      poolId,
      role: 'ops',
      sizeMiB: 100,
      iops: 0,
      expiresAt: undefined,
      labels: {},
    })
    await quiet()
    const tookMs = Number(process.hrtime.bigint() - began) / 1e6
    const told = readers.map((reader) => reader.writes.at(-1)?.at(-1))
    expect(told.filter((line) => line?.kind === 'raw' && line.raw[0]?.sizeMiB === 1400)).toHaveLength(1000)
    // generous: what counts is that it is not a second's work
    expect(tookMs).toBeLessThan(1000)
  })

  it('tell of a quota that is used in another pool, and of bandwidth that attachments take', async () => {
    const { engine, clock, streams, state } = await world()
    const [poolId = '', otherId = ''] = (await state()).all('pool').keys()
    const [node] = (await state()).all('node').values()
    const nodeId = node?.id ?? ''
    await ask(engine, { kind: 'guard.set', state: 'verified', why: [] })
    await ask(engine, { kind: 'profile.set', name: 'p', set: PLAIN })
    const shown = { ...poolMesos(new Random(1)), roles: ['ads'], unreserved: false, bandwidth: true }
    await ask(engine, { kind: 'pool.update', poolId, set: { mesos: shown } })
    await ask(engine, { kind: 'node.update', nodeId, set: { bandwidth: 100 } })
    await ask(engine, { kind: 'role.set', role: 'ads', quota: { sizeMiB: 500 } })
    const reader = new Reader()
    await streams.connect(nodeId, reader)
    const told = async () => {
      await clock.pass(QUIET_MS)
      const { raw, bandwidth } = reader.pools.get(poolId) ?? { raw: [] }
      return [raw[0]?.sizeMiB, bandwidth]
    }
    expect(await told()).toEqual([500, 100])
    const hold = { poolId: otherId, role: 'ads/web', sizeMiB: 120, iops: 0, expiresAt: undefined, labels: {} }
    await ask(engine, { kind: 'hold.create', ...hold })
    expect(await told()).toEqual([380, 100])
    await ask(engine, { kind: 'role.delete', role: 'ads' })
    expect(await told()).toEqual([1500, 100])
    // somebody else's volume, of another pool, takes of the same node
    const volumeId = await imported(engine, otherId, node)
    const user = { door: 'docker', id: 'c' }
    const claim = { volumeId, nodeId, user, mode: 'rw', bandwidth: 30, mountAt: undefined } as const
    await ask(engine, { kind: 'attachment.claim', ...claim })
    expect(await told()).toEqual([1500, 70])
  })

  it('tell where else a volume is seen when an agent that saw it is no more', async () => {
    const { engine, clock, streams, state } = await world()
    const [poolId = ''] = (await state()).all('pool').keys()
    const nodes = [...(await state()).all('node').values()]
    await ask(engine, { kind: 'guard.set', state: 'verified', why: [] })
    const shown = { ...poolMesos(new Random(1)), roles: ['ops'], spread: 1, float: true, block: true }
    await ask(engine, { kind: 'pool.update', poolId, set: { mesos: shown } })
    const readers = new Map<string, Reader>()
    for (const { id: nodeId } of nodes) {
      await ask(engine, { kind: 'provider.set', nodeId, poolId, agentId: nodeId, providerId: 'p' })
      readers.set(nodeId, new Reader())
      await streams.connect(nodeId, readers.get(nodeId) as Reader)
    }
    const volumeId = await imported(engine, poolId, nodes[0])
    const seenOn = async () => {
      await clock.pass(QUIET_MS)
      const seen = [...readers].filter(([, { pools }]) => pools.get(poolId)?.disks[0]?.volumeId === volumeId)
      return seen.map(([nodeId]) => nodeId)
    }
    const [before = '', ...others] = await seenOn()
    expect(others).toEqual([])
    await ask(engine, { kind: 'provider.forget', nodeId: before, poolId })
    const after = await seenOn()
    expect(after).toHaveLength(1)
    expect(after).not.toContain(before)
  })
})

/** A volume that was there already. */
async function imported(engine: Engine, poolId: string, node: Node | undefined): Promise<string> {
  const command = { object: 'x', name: 'x', role: 'ops', sizeMiB: 1, access: 'single-writer' } as const
  const { answer } = await ask(engine, { kind: 'volume.import', poolId, ...command })
  const { id } = answer as { id: string }
  const { id: nodeId = '', session = '' } = node ?? {}
  const operationId = await engine.read((state) => [...state.operationsBySubject.get(id)][0] ?? '')
  const assigned = { operationId, nodeId, session, uuid: crypto.randomUUID(), deadlineAt: 10 ** 14 }
  await ask(engine, { kind: 'operation.assign', ...assigned })
  const attachments = await engine.read((state) => [...state.all('attachment').values()])
  const detached = attachments.map((each) => ({ attachmentId: each.id, claims: each.claims }))
  const outcome = { ok: true, facts: { sizeMiB: 1 } } as const
  await ask(engine, { kind: 'operation.result', operationId, attempt: 1, nodeId, session, outcome, detached })
  return id
}
