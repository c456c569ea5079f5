import { describe, expect, test } from 'vitest'
import { type CommitFault, MemoryDisk, type MemoryOptions, MemoryStore } from '../../src/store/memory.ts'
import { commitNext, loadAll, next, put, storeContract } from './contract.ts'

const INSTALLATION = '00000000-0000-4000-8000-000000000001'

storeContract('memory', () => {
  const disk = new MemoryDisk(INSTALLATION)
  return { open: async () => new MemoryStore(disk), shared: true }
})

function faulty(disk: MemoryDisk, ...faults: CommitFault[]): MemoryStore {
  return new MemoryStore(disk, { faults: { beforeCommit: () => faults.shift() ?? 'ok' } })
}

async function ids(disk: MemoryDisk): Promise<string[]> {
  return (await loadAll(new MemoryStore(disk))).records.map((record) => record.id)
}

describe('faults of the memory store', () => {
  test.each<[CommitFault, string[]]>([
    ['unknown-applied', ['a', 'b']],
    ['unknown-lost', ['a']],
    ['unsynced', ['a', 'b']],
  ])('%s: the outcome is unknown until the next campaign shows it', async (fault, expected) => {
    const disk = new MemoryDisk(INSTALLATION)
    const store = faulty(disk, 'ok', fault)
    const head = await commitNext(store, await store.campaign(), [put('a')])
    const batch = next(head, [put('b')])
    await expect(store.commit(batch)).rejects.toMatchObject({ code: 'unknown_outcome' })
    await expect(store.commit(batch)).rejects.toMatchObject({ code: 'fenced' })
    const again = await store.campaign()
    expect(await ids(disk)).toEqual(expected)
    expect(again).toMatchObject({ revision: expected.length, term: head.term + 1 })
    await commitNext(store, again, [put('c')])
  })

  test('a crash drops what is not synced and keeps what is', async () => {
    const disk = new MemoryDisk(INSTALLATION)
    const store = faulty(disk, 'ok', 'unsynced')
    const head = await commitNext(store, await store.campaign(), [put('a')])
    await expect(store.commit(next(head, [put('b')]))).rejects.toMatchObject({ code: 'unknown_outcome' })
    disk.crash()
    const restarted = new MemoryStore(disk)
    expect(await restarted.campaign()).toMatchObject({ revision: 1 })
    expect(await ids(disk)).toEqual(['a'])
  })

  test('nobody reads a batch that is not synced', async () => {
    const disk = new MemoryDisk(INSTALLATION)
    const store = faulty(disk, 'unsynced')
    const head = await store.campaign()
    await expect(store.commit(next(head, [put('a')]))).rejects.toMatchObject({ code: 'unknown_outcome' })
    expect(await ids(disk)).toEqual([])
  })
})

describe('delays of the memory store', () => {
  /** A delay that waits until it is let go; the n-th call is the n-th way to or from the disk. */
  function gate(): { options: MemoryOptions; waiting: (() => void)[] } {
    const waiting: (() => void)[] = []
    return { options: { delay: () => new Promise<void>((resolve) => waiting.push(resolve)) }, waiting }
  }

  async function slowLeader(disk: MemoryDisk) {
    const { options, waiting } = gate()
    const store = new MemoryStore(disk, options)
    const campaign = store.campaign()
    waiting.shift()?.()
    await Promise.resolve()
    await Promise.resolve()
    waiting.shift()?.()
    return { store, waiting, head: await campaign }
  }

  test('a batch that arrives after another leader took over is refused', async () => {
    const disk = new MemoryDisk(INSTALLATION)
    const { store, waiting, head } = await slowLeader(disk)
    const late = store.commit(next(head, [put('late')]))
    await new MemoryStore(disk).campaign()
    waiting.shift()?.()
    await expect(late).rejects.toMatchObject({ code: 'fenced' })
    expect(await ids(disk)).toEqual([])
  })

  test('a batch that has not reached the disk at a crash is not written', async () => {
    const disk = new MemoryDisk(INSTALLATION)
    const { store, waiting, head } = await slowLeader(disk)
    const lost = store.commit(next(head, [put('lost')]))
    disk.crash()
    waiting.shift()?.()
    await expect(lost).rejects.toMatchObject({ code: 'unknown_outcome' })
    expect(await ids(disk)).toEqual([])
  })

  test('a batch whose answer is on its way at a crash is written, and its outcome unknown', async () => {
    const disk = new MemoryDisk(INSTALLATION)
    const { store, waiting, head } = await slowLeader(disk)
    const written = store.commit(next(head, [put('written')]))
    waiting.shift()?.()
    await Promise.resolve()
    await Promise.resolve()
    disk.crash()
    waiting.shift()?.()
    await expect(written).rejects.toMatchObject({ code: 'unknown_outcome' })
    expect(await ids(disk)).toEqual(['written'])
  })
})
