import { describe, expect, onTestFinished, test } from 'vitest'
import { Controller } from '../../src/controller/controller.ts'
import type { NodeStream } from '../../src/controller/sessions.ts'
import type { Assignment, CallBody, CallReply, NodeCall } from '../../src/model/node-protocol.ts'
import { createIds } from '../../src/runtime/ids.ts'
import { MemoryDisk, MemoryStore } from '../../src/store/memory.ts'
import { CAPABILITIES } from '../support/node-client.ts'
import { addPool, ask, Gate, INSTALLATION } from './support/bench.ts'
import { quiet, TestClock } from './support/test-clock.ts'

const LEASE_MS = 15_000

class Stream implements NodeStream {
  readonly sent: Assignment[] = []
  closed = false

  send(assignment: Assignment): void {
    this.sent.push(assignment)
  }

  close(): void {
    this.closed = true
  }
}

/** A machine as the controller hears of it. */
class Machine {
  readonly #controller: Controller
  readonly nodeId: string
  readonly machineId: string
  bootId = 'boot-1'
  session = ''

  constructor(controller: Controller, nodeId: string, machineId = 'machine-1') {
    this.#controller = controller
    this.nodeId = nodeId
    this.machineId = machineId
  }

  call<K extends NodeCall>(name: K, body: CallBody<K>): Promise<CallReply<K>> {
    const session = this.session === '' ? {} : { session: this.session }
    const envelope = { protocol: 1, term: 0, bootId: this.bootId, ...session }
    return this.#controller.nodes.call(this.nodeId, name, envelope, body)
  }

  async hello(): Promise<this> {
    this.session = ''
    this.session = (await this.call('hello', { machineId: this.machineId, version: '1', watchdog: false })).session
    return this
  }
}

async function lead(disk = new MemoryDisk(INSTALLATION), clock = new TestClock(), gate = new Gate()) {
  const store = new MemoryStore(disk, { delay: gate.pass })
  const newUuid = () => crypto.randomUUID()
  const controller = new Controller({ store, clock, newId: createIds(clock), newUuid, leaseMs: LEASE_MS })
  await controller.start()
  onTestFinished(() => controller.stop())
  return { controller, engine: controller.engine, clock, disk, gate }
}

/** A node that is connected and has one volume attached. */
async function withNode() {
  const made = await lead()
  const { engine, controller } = made
  const poolId = await addPool(engine)
  const join = { kind: 'node.join', name: 'node-1', joinTokenId: undefined, credentialHash: 'c' } as const
  const { node } = (await ask(engine, { ...join, machineId: 'machine-1', labels: {} })).answer as {
    node: { id: string }
  }
  const machine = await new Machine(controller, node.id).hello()
  await machine.call('pools', { pools: [{ poolId, ok: true, capabilities: CAPABILITIES }] })
  const volume = { name: 'v', poolId, role: 'ads', sizeMiB: 5, iops: 0, fs: 'raw', access: 'single-writer' } as const
  const rest = {
    source: undefined,
    holdId: undefined,
    protected: false,
    labels: {},
    bandwidth: 0,
    fingerprint: undefined,
  }
  await ask(engine, { kind: 'volume.create', volume: { ...volume, ...rest } })
  // the conductor gives the work to the node
  await made.clock.pass(10)
  const operationId = await engine.read((state) => [...state.openOperations][0] as string)
  await machine.call('result', { operationId, attempt: 1, outcome: { ok: true, facts: {} }, detached: [] })
  const { attachment } = await machine.call('claim', { volume: 'v', user: { door: 'rest', id: 'u' }, mode: 'rw' })
  return { ...made, poolId, nodeId: node.id, machine, attachment }
}

const nodeState = (controller: Controller, nodeId: string) =>
  controller.engine.read((state) => state.get('node', nodeId)?.state)

describe('a lease', () => {
  test('that is renewed keeps the node up', async () => {
    const { controller, clock, machine, nodeId } = await withNode()
    for (let n = 0; n < 10; n += 1) {
      await clock.pass(LEASE_MS - 1000)
      await machine.call('renew', {})
    }
    expect(await nodeState(controller, nodeId)).toBe('up')
  })

  test('that runs out loses the node; its volumes stay attached and counted', async () => {
    const { controller, engine, clock, machine, nodeId, attachment } = await withNode()
    const stream = new Stream()
    await controller.sessions.connect(nodeId, machine.session, stream)
    await clock.pass(LEASE_MS - 100)
    expect(await nodeState(controller, nodeId)).toBe('up')
    await clock.pass(1000)
    expect(await nodeState(controller, nodeId)).toBe('lost')
    expect(stream.closed).toBe(true)
    const kept = await engine.read((state) => state.get('attachment', attachment.id))
    expect(kept).toMatchObject({ nodeId, epoch: attachment.epoch })
    await expect(machine.call('renew', {})).rejects.toMatchObject({ code: 'stale_session' })
    await machine.hello()
    expect(await nodeState(controller, nodeId)).toBe('up')
  })

  test('begins anew when the machine of the controller has slept: nobody could renew it', async () => {
    const { controller, clock, nodeId } = await withNode()
    clock.suspend(3 * 60 * 60 * 1000)
    await clock.pass(LEASE_MS - 1000)
    expect(await nodeState(controller, nodeId)).toBe('up')
    await clock.pass(2000)
    expect(await nodeState(controller, nodeId)).toBe('lost')
  })

  test('does not run out because the wall clock is set', async () => {
    const { controller, clock, nodeId } = await withNode()
    clock.setWall(24 * 60 * 60 * 1000)
    await clock.pass(5000)
    expect(await nodeState(controller, nodeId)).toBe('up')
  })

  test('counts as renewed when a new leader starts', async () => {
    const { controller, clock, disk, machine, nodeId } = await withNode()
    await clock.pass(LEASE_MS - 1000)
    await controller.stop()
    const next = await lead(disk, clock)
    const same = new Machine(next.controller, nodeId)
    same.session = machine.session
    await clock.pass(LEASE_MS - 1000)
    expect(await nodeState(next.controller, nodeId)).toBe('up')
    await same.call('renew', {})
    await clock.pass(LEASE_MS - 1000)
    expect(await nodeState(next.controller, nodeId)).toBe('up')
    await clock.pass(2000)
    expect(await nodeState(next.controller, nodeId)).toBe('lost')
  })

  test('is recorded as lost though ten thousand commands are waiting', async () => {
    const { controller, engine, clock, gate, poolId, nodeId } = await withNode()
    await clock.pass(LEASE_MS - 600)
    gate.shut()
    const role = 'ads'
    const hold = { kind: 'hold.create', poolId, role, sizeMiB: 1, iops: 0, expiresAt: undefined, labels: {} } as const
    const flood = Array.from({ length: 10_000 }, () => ask(engine, hold))
    await clock.pass(2000)
    gate.open()
    await Promise.all(flood)
    await clock.pass(100)
    expect(await nodeState(controller, nodeId)).toBe('lost')
  })
})

describe('a node id', () => {
  test('is refused to a second machine while the first one is leased', async () => {
    const { controller, machine, nodeId } = await withNode()
    const second = new Machine(controller, nodeId, 'machine-2')
    await expect(second.hello()).rejects.toMatchObject({ code: 'node_id_in_use' })
    await machine.call('renew', {})
  })

  test('is refused to it after the lease too, as long as volumes may be attached to the first one', async () => {
    const { controller, clock, machine, nodeId, attachment } = await withNode()
    await clock.pass(LEASE_MS + 1000)
    const second = new Machine(controller, nodeId, 'machine-2')
    await expect(second.hello()).rejects.toMatchObject({ code: 'node_id_in_use' })
    await machine.hello()
    const report = {
      attachmentId: attachment.id,
      epoch: attachment.epoch,
      claims: attachment.claims,
      state: 'detached',
    }
    const user = { door: 'rest', id: 'u' }
    await machine.call('release', { volumeId: attachment.volume.id, user, report: { ...report, state: 'detached' } })
    await clock.pass(LEASE_MS + 1000)
    await second.hello()
    expect(await nodeState(controller, nodeId)).toBe('up')
    await expect(machine.call('renew', {})).rejects.toMatchObject({ code: 'stale_session' })
  })
})

describe('a session that has ended', () => {
  test('is refused whatever it asks for, and gets no stream', async () => {
    const { controller, machine, nodeId } = await withNode()
    const old = new Machine(controller, nodeId)
    old.session = machine.session
    const stream = new Stream()
    expect(await controller.sessions.connect(nodeId, old.session, stream)).toBe(true)
    await machine.hello()
    expect(stream.closed).toBe(true)
    const user = { door: 'rest', id: 'u2' }
    const calls = [
      old.call('renew', {}),
      old.call('pools', { pools: [] }),
      old.call('attachments', { reports: [] }),
      old.call('claim', { volume: 'v', user, mode: 'rw' }),
      old.call('inventory', { poolId: 'pool-1', objects: [], complete: true }),
    ]
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'stale_session' })
    expect(await controller.sessions.connect(nodeId, old.session, new Stream())).toBe(false)
  })
})

describe('the stream of a node', () => {
  test('gets the whole assignment at once, then the newest one after every change', async () => {
    const { controller, machine, nodeId, attachment, poolId } = await withNode()
    const stream = new Stream()
    await controller.sessions.connect(nodeId, machine.session, stream)
    expect(stream.sent).toHaveLength(1)
    expect(stream.sent[0]).toMatchObject({ attachments: [{ id: attachment.id }], pools: [{ id: poolId }] })
    await machine.call('release', { volumeId: attachment.volume.id, user: { door: 'rest', id: 'u' } })
    await quiet()
    expect(stream.sent).toHaveLength(2)
    expect(stream.sent[1]).toMatchObject({ attachments: [{ id: attachment.id, users: [] }] })
    expect(stream.sent[1]?.pools).toBeUndefined()
    expect(stream.sent[1]?.revision).toBeGreaterThan(stream.sent[0]?.revision ?? 0)
  })

  test('is told of what is durable only, and of many changes that come meanwhile as one', async () => {
    const { controller, engine, machine, nodeId, gate, poolId } = await withNode()
    const stream = new Stream()
    await controller.sessions.connect(nodeId, machine.session, stream)
    gate.shut()
    const changes = Array.from({ length: 30 }, (_, n) =>
      ask(engine, { kind: 'pool.update', poolId, set: { labels: { n: String(n) } } }),
    )
    await quiet()
    const more = Array.from({ length: 30 }, (_, n) => ask(engine, { kind: 'pool.update', poolId, set: { iops: n } }))
    await quiet()
    expect(stream.sent).toHaveLength(1)
    gate.open()
    await Promise.all([...changes, ...more])
    await quiet()
    expect(stream.sent.length).toBeLessThanOrEqual(4)
    expect(stream.sent.at(-1)?.revision).toBe(await engine.read((state) => state.revision))
  })
})
