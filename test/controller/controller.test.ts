import { describe, expect, onTestFinished, test } from 'vitest'
import { Controller } from '../../src/controller/controller.ts'
import { createIds } from '../../src/runtime/ids.ts'
import { systemClock } from '../../src/runtime/system-clock.ts'
import { type CommitFault, MemoryDisk, MemoryStore } from '../../src/store/memory.ts'
import { openSqliteStore } from '../../src/store/sqlite/open.ts'
import { WriterThread } from '../../src/store/sqlite/writer-thread.ts'
import { testDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { addPool, ask, holdCommand, holdsOf, INSTALLATION, watch } from './support/bench.ts'
import { quiet, TestClock } from './support/test-clock.ts'

const HOUR = 60 * 60 * 1000

function onMemory(disk = new MemoryDisk(INSTALLATION), clock = new TestClock()) {
  const faults: CommitFault[] = []
  const states: string[] = []
  const store = new MemoryStore(disk, { faults: { beforeCommit: () => faults.shift() ?? 'ok' } })
  const controller = new Controller({
    store,
    clock,
    newId: createIds(clock),
    newUuid: () => crypto.randomUUID(),
    onState: (state, error) => states.push(error === undefined ? state : `${state}: ${error.code}`),
  })
  onTestFinished(() => controller.stop())
  return { controller, disk, clock, faults, states }
}

describe('a controller that stepped down', () => {
  test('loads what is true and leads again a second later; a retry gives one answer', async () => {
    const { controller, clock, faults, states } = onMemory()
    await controller.start()
    const poolId = await addPool(controller.engine)
    faults.push('unknown-applied')
    await expect(ask(controller.engine, holdCommand(poolId), 'k')).rejects.toMatchObject({ code: 'unknown_outcome' })
    expect(controller.engine.leading).toBe(false)
    await clock.pass(1000)
    expect(states).toEqual(['leading', 'down: unknown_outcome', 'leading'])
    const { answer } = await ask(controller.engine, holdCommand(poolId), 'k')
    expect(await holdsOf(controller.engine)).toEqual([answer])
  })

  test('tries once a second, however often the start itself is what fails', async () => {
    const { controller, clock, disk, faults } = onMemory()
    await controller.start()
    await addPool(controller.engine)
    const { term } = disk.head
    // each start finds the leap, and cannot write that down
    clock.setWall(5 * HOUR)
    faults.push(...Array<CommitFault>(11).fill('unknown-lost'))
    const tick = watch(ask(controller.engine, { kind: 'clock.tick' }))
    await clock.pass(10_500)
    expect(tick.now).toBe('unknown_outcome')
    expect(disk.head.term - term).toBe(10)
    await clock.pass(1000)
    expect(controller.engine.leading).toBe(true)
  })

  test('does not come back after it was stopped', async () => {
    const { controller, clock, disk, faults } = onMemory()
    await controller.start()
    faults.push('unknown-lost')
    await expect(addPool(controller.engine)).rejects.toMatchObject({ code: 'unknown_outcome' })
    await controller.stop()
    const { term } = disk.head
    await clock.pass(5000)
    expect(disk.head.term).toBe(term)
  })
})

test('a first start that fails in its middle leaves nothing behind that goes on trying', async () => {
  const first = onMemory()
  await first.controller.start()
  await addPool(first.controller.engine)
  await first.controller.stop()
  first.clock.reboot(5 * HOUR)
  const { controller, clock, disk, faults } = onMemory(first.disk, first.clock)
  faults.push('unknown-lost')
  await expect(controller.start()).rejects.toMatchObject({ code: 'unknown_outcome' })
  const { term } = disk.head
  await clock.pass(5000)
  expect(disk.head.term).toBe(term)
})

describe('on the embedded store', () => {
  async function onSqlite() {
    const writers: WriterThread[] = []
    const startWriter = () => {
      writers.push(new WriterThread())
      return writers.at(-1) as WriterThread
    }
    const store = await openSqliteStore({ directory: `${testDir()}/state`, startWriter })
    const newUuid = () => crypto.randomUUID()
    const controller = new Controller({ store, clock: systemClock, newId: createIds(systemClock), newUuid })
    onTestFinished(async () => {
      await controller.stop()
      await store.close()
    })
    await controller.start()
    return { controller, engine: controller.engine, writers, poolId: await addPool(controller.engine) }
  }

  test('callers who come together share few batches', async () => {
    const { engine, poolId } = await onSqlite()
    let batches = 0
    engine.onCommitted(() => {
      batches += 1
    })
    await Promise.all(Array.from({ length: 2000 }, () => ask(engine, holdCommand(poolId))))
    expect(batches).toBe(20)
    expect(await holdsOf(engine)).toHaveLength(2000)
  })

  test('when the writer dies in the middle of a flood, every command is done once or not at all', async () => {
    const { controller, engine, writers, poolId } = await onSqlite()
    const keys = Array.from({ length: 1000 }, (_, n) => `key ${n}`)
    const asked = keys.map((key, n) => ask(engine, holdCommand(poolId, { sizeMiB: n + 1 }), key))
    const settled = Promise.allSettled(asked)
    await asked[0]
    await writers[0]?.stop()
    const codes = (await settled).map((each) => (each.status === 'fulfilled' ? 'done' : each.reason.code))
    expect(codes[0]).toBe('done')
    expect(codes.at(-1)).not.toBe('done')
    expect(new Set(codes)).not.toContain('internal')
    await until(() => controller.engine.leading, { what: 'the controller to lead again' })
    const kept = await holdsOf(engine)
    for (const [n, code] of codes.entries()) {
      const found = kept.filter(({ sizeMiB }) => sizeMiB === n + 1).length
      expect(found).toBe(code === 'done' ? 1 : code === 'not_ready' ? 0 : found)
    }
    const again = await Promise.all(keys.map((key, n) => ask(engine, holdCommand(poolId, { sizeMiB: n + 1 }), key)))
    await quiet()
    const holds = await holdsOf(engine)
    expect(holds).toHaveLength(1000)
    expect(new Map(holds.map((hold) => [hold.id, hold]))).toEqual(
      new Map(again.map(({ answer }) => [(answer as { id: string }).id, answer])),
    )
    expect(writers).toHaveLength(2)
  })
})
