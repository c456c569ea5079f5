import { execFileSync } from 'node:child_process'
import { rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'
import { asHoldfastError } from '../../../src/model/errors.ts'
import { openSqliteStore } from '../../../src/store/sqlite/open.ts'
import { WriterThread } from '../../../src/store/sqlite/writer-thread.ts'
import { BATCH_RECORDS, type Head, type Store } from '../../../src/store/store.ts'
import { needs } from '../../support/missing.ts'
import { testDir } from '../../support/temp-dir.ts'
import { commitNext, loadAll, next, put } from '../contract.ts'

async function opened(...parameters: Parameters<typeof openSqliteStore>): Promise<Store> {
  const store = await openSqliteStore(...parameters)
  onTestFinished(() => store.close())
  return store
}

describe('a writer thread that dies', () => {
  test('leaves the outcome of the batch under way unknown; a campaign starts another, and a load shows it', async () => {
    const directory = testDir()
    const programs = [new URL('./support/dying-writer.ts', import.meta.url)]
    const store = await opened({ directory, startWriter: () => new WriterThread(programs.shift()) })
    const head = await commitNext(store, await store.campaign(), [put('a')])
    const batch = next(head, [put('b')])
    await expect(store.commit(batch)).rejects.toMatchObject({
      code: 'unknown_outcome',
      message: expect.stringContaining('died on purpose'),
    })
    await expect(store.commit(batch)).rejects.toMatchObject({
      code: 'fenced',
      message: expect.stringContaining('campaign and load first'),
    })
    const again = await store.campaign()
    const loaded = await loadAll(store)
    expect(loaded.head).toEqual(again)
    expect(loaded.records.map((record) => record.id)).toEqual(['a', 'b'])
    await commitNext(store, again, [put('c')])
  })

  test('does not keep the store from closing', async () => {
    const directory = testDir()
    const startWriter = () => new WriterThread(new URL('./support/dying-writer.ts', import.meta.url))
    const store = await openSqliteStore({ directory, startWriter })
    const head = await commitNext(store, await store.campaign(), [put('a')])
    await expect(store.commit(next(head, [put('b')]))).rejects.toMatchObject({ code: 'unknown_outcome' })
    await store.close()
    const second = await opened({ directory })
    expect((await loadAll(second)).records).toHaveLength(2)
  })
})

needs('root', 'mount').describe('a full file system', () => {
  function smallFileSystem(): string {
    const directory = testDir()
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0700', 'tmpfs', directory])
    onTestFinished(() => void execFileSync('umount', [directory]))
    return directory
  }

  /** Commits until it fails; the head of the last batch that was acknowledged, and the error. */
  async function commitUntilFull(store: Store, from: Head): Promise<{ head: Head; error: unknown }> {
    let head = from
    for (let n = 0; n < 100; n += 1) {
      const json = JSON.stringify({ n, text: 'z'.repeat(1000) })
      const changes = Array.from({ length: BATCH_RECORDS }, (_, i) => put(`vol-${n}-${i}`, json))
      try {
        head = await commitNext(store, head, changes)
      } catch (error) {
        return { head, error }
      }
    }
    throw new Error('the file system did not become full')
  }

  test('makes the outcome unknown; with space again, all that was acknowledged is there and it goes on', async () => {
    const directory = smallFileSystem()
    const store = await opened({ directory })
    const filler = join(directory, 'filler')
    const first = await store.campaign()
    writeFileSync(filler, Buffer.alloc(2 * 1024 * 1024))
    const { head, error } = await commitUntilFull(store, first)
    expect(asHoldfastError(error)).toMatchObject({ code: 'unknown_outcome', message: expect.stringContaining('full') })
    await expect(store.commit(next(head, [put('x')]))).rejects.toMatchObject({ code: 'fenced' })

    rmSync(filler)
    const again = await store.campaign()
    const { head: loadedHead, records } = await loadAll(store)
    expect(loadedHead).toEqual(again)
    expect([head.revision, head.revision + 1]).toContain(again.revision)
    expect(records).toHaveLength(again.revision * BATCH_RECORDS)
    const after = await commitNext(store, again, [put('y')])
    expect((await loadAll(store)).head).toMatchObject({ revision: after.revision })
  })

  test('that stays full is told by the campaign, and by an opening', async () => {
    const directory = smallFileSystem()
    const store = await opened({ directory })
    const { head } = await commitUntilFull(store, await store.campaign())
    const free = join(directory, 'free')
    expect(() => writeFileSync(free, Buffer.alloc(4 * 1024 * 1024))).toThrow('ENOSPC')
    await expect(store.campaign()).rejects.toMatchObject({
      code: 'state_dir',
      message: expect.stringContaining('free space'),
    })
    await store.close()

    rmSync(free)
    execFileSync('mount', ['-o', 'remount,size=16m', directory])
    const second = await opened({ directory })
    expect((await second.campaign()).revision).toBeGreaterThanOrEqual(head.revision)
  })

  test('refuses to make a store, and the next try with space makes it', async () => {
    const directory = smallFileSystem()
    const filler = join(directory, 'filler')
    expect(() => writeFileSync(filler, Buffer.alloc(5 * 1024 * 1024))).toThrow('ENOSPC')
    await expect(openSqliteStore({ directory })).rejects.toMatchObject({ code: 'state_dir' })
    rmSync(filler)
    const store = await opened({ directory })
    expect(await store.campaign()).toMatchObject({ revision: 0, term: 1 })
  })
})

describe('other programs at the file', () => {
  test('one that only reads does not hold up batches', async () => {
    const directory = testDir()
    const store = await opened({ directory })
    const head = await commitNext(store, await store.campaign(), [put('a')])
    const reader = new DatabaseSync(join(directory, 'holdfast.db'), { readOnly: true })
    onTestFinished(() => reader.close())
    reader.exec('BEGIN')
    const count = reader.prepare('SELECT count(*) AS n FROM records')
    expect(count.get()).toEqual({ n: 1 })
    await commitNext(store, head, [put('b')])
    expect(count.get()).toEqual({ n: 1 })
    reader.exec('COMMIT')
    expect(count.get()).toEqual({ n: 2 })
  })
})

test('the log does not grow without bound, and is gone after closing', async () => {
  const directory = testDir()
  const store = await openSqliteStore({ directory })
  let head = await store.campaign()
  const json = JSON.stringify('l'.repeat(2000))
  const changes = Array.from({ length: BATCH_RECORDS }, (_, i) => put(`vol-${i}`, json))
  const log = join(directory, 'holdfast.db-wal')
  for (let i = 0; i < 150; i += 1) head = await commitNext(store, head, changes)
  expect(statSync(log).size).toBeLessThan(8 * 1024 * 1024)
  await store.close()
  expect(statSync(log, { throwIfNoEntry: false })).toBeUndefined()
})
