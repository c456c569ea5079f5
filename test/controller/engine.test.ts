import { describe, expect, test } from 'vitest'
import type { Hold } from '../../src/model/hold.ts'
import { BATCH_BYTES, BATCH_RECORDS, type Batch } from '../../src/store/store.ts'
import { addPool, ask, bench, holdCommand, holdsOf, poolCommand, watch } from './support/bench.ts'
import { quiet } from './support/test-clock.ts'

async function started() {
  const made = bench()
  await made.engine.start()
  const poolId = await addPool(made.engine)
  return { ...made, poolId }
}

function bytesOf({ changes, events }: Batch): number {
  const texts = [...changes.flatMap(({ kind, id, json }) => [kind, id, json ?? '']), ...events.map(({ json }) => json)]
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
}

describe('commands that arrive together', () => {
  test('share a batch, and are decided in the order in which they came', async () => {
    const { engine, poolId, batches } = await started()
    const before = batches.length
    const asked = Array.from({ length: 80 }, (_, n) => ask(engine, holdCommand(poolId, { sizeMiB: n + 1 })))
    const answers = await Promise.all(asked)
    expect(batches.length - before).toBe(1)
    const revisions = answers.map(({ revision }) => revision)
    expect(revisions).toEqual(revisions.map((_, n) => (revisions[0] as number) + n))
    expect(answers.map(({ answer }) => (answer as Hold).sizeMiB)).toEqual(asked.map((_, n) => n + 1))
  })

  test('are committed in few batches, none sent before the one before it is known', async () => {
    const { engine, poolId, batches } = await started()
    const before = batches.length
    await Promise.all(Array.from({ length: 1000 }, () => ask(engine, holdCommand(poolId))))
    expect(batches.length - before).toBe(1000 / BATCH_RECORDS)
    for (const [index, batch] of batches.entries()) {
      expect(batch.previousRevision).toBe(batches[index - 1]?.revision ?? 0)
    }
    expect(engine.leading).toBe(true)
  })

  test('come while a batch is written: they are decided meanwhile, and sent as one behind it', async () => {
    const { engine, poolId, batches, gate } = await started()
    const before = batches.length
    gate.shut()
    const first = ask(engine, holdCommand(poolId))
    await quiet()
    const decided: number[] = []
    const later = Array.from({ length: 10 }, (_, n) =>
      ask(engine, () => {
        decided.push(n)
        return holdCommand(poolId)
      }),
    )
    await quiet()
    expect(decided).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(batches.length).toBe(before)
    gate.open()
    const revisions = (await Promise.all([first, ...later])).map(({ revision }) => revision)
    expect(revisions).toEqual([...revisions].sort((a, b) => a - b))
    expect(batches.length - before).toBe(2)
  })

  test('never make a batch that a store could not take, whatever is in their labels', async () => {
    const { engine, poolId, batches } = await started()
    // three bytes a letter: more bytes than characters
    const labels = Object.fromEntries(Array.from({ length: 64 }, (_, n) => [`label-${n}`, '語'.repeat(255)]))
    await Promise.all(
      Array.from({ length: 60 }, (_, n) =>
        ask(engine, holdCommand(poolId, { labels }), n % 2 === 0 ? `k${n}` : undefined),
      ),
    )
    expect(batches.length).toBeGreaterThan(3)
    for (const batch of batches) {
      expect(batch.changes.length).toBeLessThanOrEqual(BATCH_RECORDS)
      expect(bytesOf(batch)).toBeLessThanOrEqual(BATCH_BYTES)
    }
  })

  test('of which one alone is too large for any batch: that one is refused, the others are done', async () => {
    const { engine, poolId } = await started()
    const labels = Object.fromEntries(Array.from({ length: 64 }, (_, n) => [`label-${n}`, '語'.repeat(10_000)]))
    const around = [
      ask(engine, holdCommand(poolId)),
      ask(engine, holdCommand(poolId, { labels })),
      ask(engine, holdCommand(poolId)),
    ]
    const [before, large, after] = await Promise.allSettled(around)
    expect(large).toMatchObject({ status: 'rejected', reason: { code: 'body_too_large' } })
    expect([before?.status, after?.status]).toEqual(['fulfilled', 'fulfilled'])
    expect(await holdsOf(engine)).toHaveLength(2)
  })

  test('wait up to ten thousand; more are told to come back, but for those of the controller itself', async () => {
    const { engine, poolId, gate } = await started()
    gate.shut()
    const waiting = Array.from({ length: 10_000 }, () => ask(engine, holdCommand(poolId)))
    await expect(ask(engine, holdCommand(poolId))).rejects.toMatchObject({ code: 'overloaded' })
    const own = engine.submit({ actor: 'controller', command: { kind: 'clock.tick' }, internal: true })
    gate.open()
    await Promise.all([...waiting, own])
    expect(await holdsOf(engine)).toHaveLength(10_000)
  })
})

describe('while a batch is on its way to the disk', () => {
  test('nothing of it shows: no answer, no refusal that follows from it, no read, no event, no announcement', async () => {
    const { engine, store, poolId, gate } = await started()
    const head = (await engine.read((state) => state.revision)) as number
    const announced: number[] = []
    engine.onCommitted(({ revision }) => announced.push(revision))
    gate.shut()
    const made = watch(ask(engine, holdCommand(poolId, { sizeMiB: 1_000_000 })))
    await quiet()
    const refused = watch(ask(engine, holdCommand(poolId, { sizeMiB: 1 })))
    const repeated = watch(ask(engine, poolCommand('one', 5)))
    const read = watch(holdsOf(engine))
    const failing = watch(
      engine.read(() => {
        throw new Error('not there')
      }),
    )
    await quiet()
    expect([made, refused, repeated, read, failing].map(({ now }) => now)).toEqual(Array(5).fill('waiting'))
    expect(engine.durable).toBeUndefined()
    expect(announced).toEqual([])
    gate.open()
    await quiet()
    expect([made, refused, repeated, read, failing].map(({ now }) => now)).toEqual([
      'done',
      'does_not_fit',
      'name_taken',
      'done',
      'internal',
    ])
    expect(announced).toEqual([head + 1])
    expect((await store.events(head, 10)).events.map(({ revision }) => revision)).toEqual([head + 1])
    expect(engine.durable).toBeDefined()
  })

  test('what depends on the batch behind it waits for that one', async () => {
    const { engine, poolId, gate } = await started()
    gate.shut()
    const first = watch(ask(engine, holdCommand(poolId)))
    await quiet()
    const second = watch(ask(engine, holdCommand(poolId)))
    await quiet()
    const read = watch(holdsOf(engine))
    // to the disk and back: then the first is known, and the second on its way
    for (let way = 0; way < 2; way += 1) {
      gate.open()
      gate.shut()
      await quiet()
    }
    expect([first.now, second.now, read.now]).toEqual(['done', 'waiting', 'waiting'])
    gate.open()
    await quiet()
    expect([second.now, read.now]).toEqual(['done', 'done'])
  })
})

describe('when the outcome of a commit is unknown', () => {
  test.each(['unknown-applied', 'unknown-lost', 'unsynced'] as const)(
    '(%s) all that waited is told so, and a retry gives one answer',
    async (fault) => {
      const { engine, poolId, faults, gate } = await started()
      const down: string[] = []
      engine.onDown(({ code }) => down.push(code))
      faults.push(fault)
      gate.shut()
      const sent = watch(ask(engine, holdCommand(poolId, { sizeMiB: 7 }), 'one'))
      await quiet()
      const behind = watch(ask(engine, holdCommand(poolId, { sizeMiB: 8 }), 'two'))
      const refused = watch(ask(engine, holdCommand(poolId, { sizeMiB: 10 ** 9 })))
      const read = watch(holdsOf(engine))
      await quiet()
      gate.open()
      await quiet()
      expect([sent, behind, refused, read].map(({ now }) => now)).toEqual([
        'unknown_outcome',
        'unknown_outcome',
        'unknown_outcome',
        'not_ready',
      ])
      expect(down).toEqual(['unknown_outcome'])
      expect(engine.leading).toBe(false)
      await expect(ask(engine, holdCommand(poolId))).rejects.toMatchObject({ code: 'not_ready' })
      await engine.start()
      const one = await ask(engine, holdCommand(poolId, { sizeMiB: 7 }), 'one')
      const two = await ask(engine, holdCommand(poolId, { sizeMiB: 8 }), 'two')
      expect((await ask(engine, holdCommand(poolId, { sizeMiB: 7 }), 'one')).answer).toEqual(one.answer)
      expect((await ask(engine, holdCommand(poolId, { sizeMiB: 8 }), 'two')).answer).toEqual(two.answer)
      expect((await holdsOf(engine)).map(({ sizeMiB }) => sizeMiB).sort()).toEqual([7, 8])
    },
  )

  test('what was not decided yet is told that it was not done', async () => {
    const { engine, poolId, faults, gate } = await started()
    faults.push('unknown-lost')
    gate.shut()
    const all = Array.from({ length: 2 * BATCH_RECORDS + 5 }, () => watch(ask(engine, holdCommand(poolId))))
    await quiet()
    gate.open()
    await quiet()
    const ends = all.map(({ now }) => now)
    expect(ends.slice(0, 2 * BATCH_RECORDS).every((end) => end === 'unknown_outcome')).toBe(true)
    expect(ends.slice(2 * BATCH_RECORDS)).toEqual(Array(5).fill('not_ready'))
  })

  test('another that took the lead makes this one step down, and nothing of it is written', async () => {
    const { engine, poolId, disk, clock, batches } = await started()
    const other = bench(clock, disk)
    await other.engine.start()
    await expect(ask(engine, holdCommand(poolId))).rejects.toMatchObject({ code: 'unknown_outcome' })
    expect(engine.leading).toBe(false)
    expect(batches).toHaveLength(2)
    expect(await holdsOf(other.engine)).toEqual([])
  })
})

describe('stopping', () => {
  test('finishes what is under way, and refuses what comes after', async () => {
    const { engine, poolId, gate, disk, clock } = await started()
    gate.shut()
    const first = watch(ask(engine, holdCommand(poolId)))
    await quiet()
    const second = watch(ask(engine, holdCommand(poolId)))
    await quiet()
    const stopped = watch(engine.stop())
    await quiet()
    expect([first.now, second.now, stopped.now]).toEqual(['waiting', 'waiting', 'waiting'])
    gate.open()
    await quiet()
    expect([first.now, second.now, stopped.now]).toEqual(['done', 'done', 'done'])
    await expect(ask(engine, holdCommand(poolId))).rejects.toMatchObject({ code: 'not_ready' })
    const next = bench(clock, disk)
    await next.engine.start()
    expect(await holdsOf(next.engine)).toHaveLength(2)
  })

  test('answers everything that was asked for, done or not', async () => {
    const { engine, poolId, disk, clock } = await started()
    const all = Array.from({ length: 500 }, () => watch(ask(engine, holdCommand(poolId))))
    await engine.stop()
    await quiet()
    const done = all.filter(({ now }) => now === 'done').length
    expect(all.filter(({ now }) => now === 'not_ready')).toHaveLength(500 - done)
    const next = bench(clock, disk)
    await next.engine.start()
    expect(await holdsOf(next.engine)).toHaveLength(done)
  })
})
