import { describe, expect, onTestFinished, test } from 'vitest'
import { Controller } from '../../src/controller/controller.ts'
import type { Engine } from '../../src/controller/engine.ts'
import { UNTIL_FORGOTTEN } from '../../src/ledger/clock.ts'
import type { LedgerState } from '../../src/ledger/state.ts'
import type { Hold } from '../../src/model/hold.ts'
import { createIds } from '../../src/runtime/ids.ts'
import { MemoryDisk, MemoryStore } from '../../src/store/memory.ts'
import { addPool, ask, holdCommand, holdsOf, INSTALLATION } from './support/bench.ts'
import { TestClock } from './support/test-clock.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

interface Options {
  readonly disk?: MemoryDisk
  readonly clock?: TestClock
  readonly trustClock?: boolean
}

async function lead({
  disk = new MemoryDisk(INSTALLATION),
  clock = new TestClock(),
  trustClock = false,
}: Options = {}) {
  const store = new MemoryStore(disk)
  const newUuid = () => crypto.randomUUID()
  const controller = new Controller({ store, clock, newId: createIds(clock), newUuid, trustClock })
  await controller.start()
  onTestFinished(() => controller.stop())
  return { controller, engine: controller.engine, store, clock, disk }
}

async function withPool(options: Options = {}) {
  const made = await lead(options)
  return { ...made, poolId: await addPool(made.engine) }
}

/** Most of a long time passes as sleep, so that not every second of it is gone through. */
async function later(clock: TestClock, ms: number): Promise<void> {
  clock.suspend(ms - 3 * SECOND)
  await clock.pass(3 * SECOND)
}

const suspended = (state: LedgerState) => state.get('clock', 'clock') !== undefined
const count = (kind: 'hold' | 'token' | 'key' | 'operation' | 'provider') => (state: LedgerState) =>
  state.all(kind).size

/** A raw volume that a node made. */
async function availableVolume(engine: Engine, poolId: string): Promise<string> {
  const machine = { machineId: 'm', labels: {} }
  const join = { kind: 'node.join', name: 'node-1', joinTokenId: undefined, credentialHash: 'c', ...machine } as const
  const { node } = (await ask(engine, join)).answer as { node: { id: string } }
  const nodeId = node.id
  const session = 'session-1'
  const hello = { bootId: 'b', machineId: 'm', version: '1', watchdog: false, leased: false }
  await ask(engine, { kind: 'node.session', nodeId, session, ...hello })
  await ask(engine, { kind: 'node.reach', nodeId, session, reach: [poolId] })
  const volume = { name: 'v', poolId, role: 'ads', sizeMiB: 5, iops: 0, fs: 'raw', access: 'single-writer' } as const
  const rest = {
    source: undefined,
    holdId: undefined,
    protected: false,
    labels: {},
    bandwidth: 0,
    fingerprint: undefined,
  }
  const { id } = (await ask(engine, { kind: 'volume.create', volume: { ...volume, ...rest } })).answer as { id: string }
  const operationId = await engine.read((state) => [...state.openOperations][0] as string)
  const uuid = crypto.randomUUID()
  await ask(engine, { kind: 'operation.assign', operationId, nodeId, session, uuid, deadlineAt: engine.now() + HOUR })
  const outcome = { ok: true, facts: {} } as const
  await ask(engine, { kind: 'operation.result', operationId, attempt: 1, nodeId, session, outcome, detached: [] })
  return id
}

describe('a wall clock that leaps ahead while the controller runs', () => {
  test('by more than an hour is not followed, and nothing expires until an operator confirms it', async () => {
    const { engine, clock, poolId } = await withPool()
    const begun = engine.now()
    await ask(engine, holdCommand(poolId, { expiresAt: begun + HOUR }))
    clock.setWall(5 * HOUR)
    expect(engine.now()).toBe(begun)
    await ask(engine, holdCommand(poolId))
    expect(await engine.read(suspended)).toBe(true)
    await later(clock, 2 * HOUR)
    expect(engine.now()).toBe(begun + 2 * HOUR)
    // its own time has come, but the ledger does not know which clock to believe
    expect(await holdsOf(engine)).toHaveLength(2)
    await engine.confirmClock('operator')
    expect(engine.now()).toBe(begun + 7 * HOUR)
    await clock.pass(2 * SECOND)
    expect(await engine.read(suspended)).toBe(false)
    expect(await holdsOf(engine)).toHaveLength(1)
  })

  test('is noticed by a quiet controller too', async () => {
    const { engine, clock } = await withPool()
    clock.setWall(5 * HOUR)
    await clock.pass(11 * MINUTE)
    expect(await engine.read(suspended)).toBe(true)
  })

  test('is confirmed for good, though others are asking for things at that moment', async () => {
    const { engine, clock, poolId } = await withPool()
    clock.setWall(5 * HOUR)
    await ask(engine, holdCommand(poolId))
    const flood = Array.from({ length: 250 }, () => ask(engine, holdCommand(poolId)))
    const confirmed = engine.confirmClock('operator')
    const after = Array.from({ length: 250 }, () => ask(engine, holdCommand(poolId)))
    await Promise.all([...flood, confirmed, ...after])
    await ask(engine, holdCommand(poolId))
    expect(await engine.read(suspended)).toBe(false)
    expect(engine.now()).toBe(clock.now())
  })

  test('by less than an hour is followed', async () => {
    const { engine, clock, poolId } = await withPool()
    await ask(engine, holdCommand(poolId, { expiresAt: engine.now() + 30 * MINUTE }))
    clock.setWall(59 * MINUTE)
    await clock.pass(2 * SECOND)
    expect(await holdsOf(engine)).toEqual([])
    expect(await engine.read(suspended)).toBe(false)
  })
})

test('a wall clock that is set back does not take the ledger with it', async () => {
  const { engine, clock, poolId } = await withPool()
  const { answer } = await ask(engine, holdCommand(poolId, { expiresAt: engine.now() + HOUR }))
  clock.setWall(-10 * DAY)
  await later(clock, 30 * MINUTE)
  const { answer: after } = await ask(engine, holdCommand(poolId))
  expect((after as Hold).createdAt - (answer as Hold).createdAt).toBe(30 * MINUTE)
  await later(clock, 31 * MINUTE)
  expect(await holdsOf(engine)).toHaveLength(1)
  expect(await engine.read(suspended)).toBe(false)
})

test('a machine that slept for hours raises no alarm, and what had its time in the meantime ends', async () => {
  const { engine, clock, poolId } = await withPool()
  await ask(engine, holdCommand(poolId, { expiresAt: engine.now() + 2 * HOUR }))
  clock.suspend(3 * HOUR)
  await clock.pass(2 * SECOND)
  expect(await engine.read(suspended)).toBe(false)
  expect(await holdsOf(engine)).toEqual([])
})

describe('a controller that was away', () => {
  async function away(ms: number, trustClock = false) {
    const first = await withPool()
    await ask(first.engine, holdCommand(first.poolId, { expiresAt: first.engine.now() + 30 * MINUTE }))
    await first.controller.stop()
    const left = first.engine.now()
    first.clock.reboot(ms)
    return { left, ...(await lead({ disk: first.disk, clock: first.clock, trustClock })) }
  }

  test('for less than an hour goes on', async () => {
    const { engine, clock } = await away(59 * MINUTE)
    expect(engine.now()).toBe(clock.now())
    await clock.pass(2 * SECOND)
    expect(await holdsOf(engine)).toEqual([])
  })

  test('for longer lets nothing expire and stays in its own time, as the clock may be what is wrong', async () => {
    const { engine, clock, left } = await away(3 * HOUR)
    expect(await engine.read(suspended)).toBe(true)
    expect(engine.now()).toBe(left)
    await clock.pass(2 * SECOND)
    expect(await holdsOf(engine)).toHaveLength(1)
    await engine.confirmClock('operator')
    expect(engine.now()).toBe(clock.now())
    await clock.pass(2 * SECOND)
    expect(await holdsOf(engine)).toEqual([])
  })

  test('and finds a clock years ahead, which is then put right, is back in the present', async () => {
    const { engine, clock, left } = await away(4 * 365 * DAY)
    clock.setWall(-4 * 365 * DAY)
    await engine.confirmClock('operator')
    expect(engine.now()).toBe(left)
    await clock.pass(10 * MINUTE)
    expect(engine.now()).toBe(clock.now())
  })

  test('trusts the clock when it was told to', async () => {
    const { engine, clock } = await away(3 * HOUR, true)
    expect(await engine.read(suspended)).toBe(false)
    expect(engine.now()).toBe(clock.now())
    await clock.pass(2 * SECOND)
    expect(await holdsOf(engine)).toEqual([])
  })

  test('long, but was only quiet before, is told from one that ran: a quiet controller writes the time down', async () => {
    const first = await withPool()
    await first.clock.pass(90 * MINUTE)
    await first.controller.stop()
    first.clock.reboot(50 * MINUTE - 11 * MINUTE)
    const { engine } = await lead(first)
    expect(await engine.read(suspended)).toBe(false)
  })
})

describe('what has had its time', () => {
  test('a token ends', async () => {
    const { engine, clock } = await withPool()
    const token = { hash: 'a'.repeat(64), tokenRole: 'reader', roles: undefined, nodeId: undefined, note: '' } as const
    await ask(engine, { kind: 'token.create', ...token, expiresAt: engine.now() + HOUR })
    await later(clock, 59 * MINUTE)
    expect(await engine.read(count('token'))).toBe(1)
    await later(clock, 2 * MINUTE)
    expect(await engine.read(count('token'))).toBe(0)
  })

  test('an idempotency key is forgotten, not earlier: until then it gives its first answer', async () => {
    const { engine, clock, poolId } = await withPool()
    const expiresAt = engine.now() + DAY
    const { answer } = await ask(engine, holdCommand(poolId), 'k', expiresAt)
    await later(clock, DAY - MINUTE)
    expect((await ask(engine, holdCommand(poolId), 'k', expiresAt)).answer).toEqual(answer)
    await later(clock, 2 * MINUTE)
    expect(await engine.read(count('key'))).toBe(0)
    expect((await ask(engine, holdCommand(poolId), 'k')).answer).not.toEqual(answer)
  })

  test('more keys than fit into one pass are forgotten within seconds, also after a restart, which finds them in no order', async () => {
    const first = await withPool()
    const { engine, clock, poolId } = first
    // the store gives them back by the name they have: what ends last comes first
    const until = (n: number) => engine.now() + DAY + (999 - n) * SECOND
    const name = (n: number) => `key-${String(n).padStart(3, '0')}`
    await Promise.all(Array.from({ length: 1000 }, (_, n) => ask(engine, holdCommand(poolId), name(n), until(n))))
    await first.controller.stop()
    const next = await lead({ ...first, trustClock: true })
    await later(clock, DAY + 500 * SECOND)
    const left = await next.engine.read(count('key'))
    expect(left).toBeLessThan(505)
    expect(left).toBeGreaterThan(490)
    await later(clock, 502 * SECOND)
    expect(await next.engine.read(count('key'))).toBe(0)
  })

  test('a key that is kept until somebody forgets it stays, and keeps no other from ending', async () => {
    const { engine, clock, poolId } = await withPool()
    const { answer } = await ask(engine, holdCommand(poolId), 'kept', UNTIL_FORGOTTEN)
    await ask(engine, holdCommand(poolId), 'k', engine.now() + DAY)
    await later(clock, DAY + MINUTE)
    expect(await engine.read((state) => [...state.all('key').keys()])).toEqual(['kept'])
    expect((await ask(engine, holdCommand(poolId), 'kept', UNTIL_FORGOTTEN)).answer).toEqual(answer)
    await ask(engine, { kind: 'keys.forget', ids: ['kept', 'never'] })
    expect(await engine.read(count('key'))).toBe(0)
  })

  test('what was kept for the agent of a node or of a pool that is no more is forgotten', async () => {
    const { engine, clock, poolId } = await withPool()
    const join = { name: 'node-1', joinTokenId: undefined, machineId: 'm', labels: {} } as const
    const { answer } = await ask(engine, { kind: 'node.join', ...join, credentialHash: 'b'.repeat(64) })
    const nodeId = (answer as { node: { id: string } }).node.id
    await ask(engine, { kind: 'provider.set', nodeId, poolId, agentId: 'a', providerId: 'p' })
    await later(clock, MINUTE)
    expect(await engine.read(count('provider'))).toBe(1)
    await ask(engine, { kind: 'node.remove', nodeId })
    await later(clock, MINUTE)
    expect(await engine.read(count('provider'))).toBe(0)
  })

  test('a finished operation is kept for a day', async () => {
    const { engine, clock, poolId } = await withPool()
    const imported = { object: 'disk-1', name: 'v1', role: 'ads', sizeMiB: 5, access: 'single-writer' } as const
    const { answer } = await ask(engine, { kind: 'volume.import', poolId, ...imported })
    const [operation] = await engine.read((state) => [...state.all('operation').keys()])
    await ask(engine, { kind: 'operation.cancel', operationId: String(operation) })
    expect(answer).toMatchObject({ state: 'importing' })
    await later(clock, DAY - MINUTE)
    expect(await engine.read(count('operation'))).toBe(1)
    await later(clock, 2 * MINUTE)
    expect(await engine.read(count('operation'))).toBe(0)
  })

  test('a volume in the trash is deleted', async () => {
    const { engine, clock, poolId } = await withPool()
    const volumeId = await availableVolume(engine, poolId)
    await ask(engine, { kind: 'volume.delete', volumeId, trashMs: HOUR })
    const stateOf = () => engine.read((state) => state.get('volume', volumeId)?.state)
    await later(clock, 59 * MINUTE)
    expect(await stateOf()).toBe('trash')
    await later(clock, 2 * MINUTE)
    expect(await stateOf()).toBe('deleting')
  })

  test('events are forgotten after a week, also by a controller that was restarted in between', async () => {
    const first = await withPool()
    for (let n = 0; n < 20; n += 1) await ask(first.engine, holdCommand(first.poolId))
    await later(first.clock, 4 * DAY)
    const middle = await first.engine.read((state) => state.revision)
    await first.controller.stop()
    const { engine, clock, store } = await lead(first)
    await later(clock, 3 * DAY + 2 * HOUR)
    const { oldest, events } = await store.events(0, 1000)
    expect(oldest).toBeGreaterThan(20)
    expect(oldest).toBeLessThanOrEqual(middle)
    expect(events[0]?.revision).toBe(oldest)
    expect(engine.now() - (JSON.parse(events[0]?.json ?? '') as { at: number }).at).toBeLessThan(7 * DAY + 2 * HOUR)
  })
})
