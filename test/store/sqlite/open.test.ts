import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { beforeEach, describe, expect, test } from 'vitest'
import { openSqliteStore } from '../../../src/store/sqlite/open.ts'
import { needs } from '../../support/missing.ts'
import { testDir } from '../../support/temp-dir.ts'
import { commitNext, loadAll, put, storeContract } from '../contract.ts'
import { ChildWriter } from './support/children.ts'

storeContract('sqlite', () => {
  const directory = testDir()
  return { open: () => openSqliteStore({ directory }), shared: false }
})

describe('the state directory', () => {
  test('is made with its parents, and only its owner may enter it', async () => {
    const directory = join(testDir(), 'a', 'b', 'state')
    await (await openSqliteStore({ directory })).close()
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    expect(statSync(join(directory, '..')).mode & 0o777).toBe(0o777 & ~process.umask())
  })

  needs('root').test('that belongs to another user is refused, naming path, owner and chown', async () => {
    const directory = join(testDir(), 'state')
    mkdirSync(directory, { mode: 0o700 })
    chownSync(directory, 1234, 1234)
    await expect(openSqliteStore({ directory })).rejects.toMatchObject({
      code: 'state_dir',
      message: expect.stringMatching(new RegExp(`${directory} belongs to uid 1234.*chown -R 0 ${directory}`)),
    })
    expect(readdirSync(directory)).toEqual([])
  })

  test.each(['750', '701', '777'])('with mode %s is refused, naming chmod', async (mode) => {
    const directory = join(testDir(), 'state')
    mkdirSync(directory)
    chmodSync(directory, Number.parseInt(mode, 8))
    await expect(openSqliteStore({ directory })).rejects.toMatchObject({
      code: 'state_dir',
      message: expect.stringContaining(`chmod 700 ${directory}`),
    })
    expect(readdirSync(directory)).toEqual([])
  })

  test('that is a file is refused', async () => {
    const directory = join(testDir(), 'state')
    writeFileSync(directory, '')
    await expect(openSqliteStore({ directory })).rejects.toMatchObject({ code: 'state_dir' })
  })

  test('whose lock file is no lock file is refused, and the advice helps', async () => {
    const directory = testDir()
    const lock = join(directory, 'controller.lock')
    writeFileSync(lock, 'x'.repeat(5000))
    await expect(openSqliteStore({ directory })).rejects.toMatchObject({
      code: 'state_dir',
      message: expect.stringContaining('remove it'),
    })
    rmSync(lock)
    await (await openSqliteStore({ directory })).close()
  })
})

describe('the lock of a state directory', () => {
  test('is held by a living controller, and goes with it when that is killed', async () => {
    const directory = testDir()
    const child = new ChildWriter(directory)
    await child.leading()
    await expect(openSqliteStore({ directory })).rejects.toMatchObject({
      code: 'fenced',
      message: expect.stringMatching(new RegExp(`${directory} is in use by another controller.*Stop it first`)),
    })
    await child.kill()
    const store = await openSqliteStore({ directory })
    await store.campaign()
    await store.close()
  })

  test('goes with a store that closes, and with one that could not be opened', async () => {
    const directory = testDir()
    await (await openSqliteStore({ directory })).close()
    const file = join(directory, 'holdfast.db')
    const whole = readFileSync(file)
    writeFileSync(file, 'not a store')
    await expect(openSqliteStore({ directory })).rejects.toMatchObject({ code: 'store_corrupt' })
    writeFileSync(file, whole)
    await (await openSqliteStore({ directory })).close()
  })
})

describe('a damaged store', () => {
  let directory: string
  let file: string

  beforeEach(async () => {
    directory = testDir()
    file = join(directory, 'holdfast.db')
    const store = await openSqliteStore({ directory })
    let head = await store.campaign()
    for (let i = 0; i < 20; i += 1) {
      const changes = Array.from({ length: 100 }, (_, j) =>
        put(`vol-${i}-${j}`, JSON.stringify({ text: 'y'.repeat(200) })),
      )
      head = await commitNext(store, head, changes)
    }
    await store.close()
  })

  async function expectRefused(code: string, message: string | RegExp): Promise<void> {
    const before = readFileSync(file)
    await expect(openSqliteStore({ directory })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    })
    expect(readFileSync(file).equals(before), 'the file was left untouched').toBe(true)
  }

  test('of garbage is refused and left untouched', async () => {
    writeFileSync(file, Buffer.alloc(20_000, 'garbage'))
    await expectRefused('store_corrupt', file)
  })

  test('of no bytes at all is refused, not taken for a new one', async () => {
    truncateSync(file, 0)
    await expectRefused('store_corrupt', 'not a Holdfast store')
  })

  test('cut short is refused and left untouched', async () => {
    truncateSync(file, Math.floor(statSync(file).size / 2 / 4096) * 4096)
    await expectRefused('store_corrupt', 'damaged')
  })

  test('with a page of other bytes is refused and left untouched', async () => {
    const bytes = readFileSync(file)
    bytes.fill(0x5a, 50 * 4096, 51 * 4096)
    writeFileSync(file, bytes)
    await expectRefused('store_corrupt', 'damaged')
  })

  test('that is a database of something else is refused and left untouched', async () => {
    rmSync(file)
    const database = new DatabaseSync(file)
    database.exec('CREATE TABLE other (a)')
    database.close()
    await expectRefused('store_corrupt', 'not a Holdfast store')
  })

  test.each(['meta', 'records', 'events'])('without its table %s is refused', async (table) => {
    change(`DROP TABLE ${table}`)
    await expectRefused('store_corrupt', table)
  })

  test('without its head is refused', async () => {
    change('DELETE FROM meta')
    await expectRefused('store_corrupt', 'no head')
  })

  test('whose file is gone but whose log is there is refused, not made anew', async () => {
    rmSync(file)
    writeFileSync(`${file}-wal`, 'log')
    await expect(openSqliteStore({ directory })).rejects.toMatchObject({ code: 'store_corrupt' })
    expect(readdirSync(directory).sort()).toEqual(['controller.lock', 'holdfast.db-wal'])
  })

  test('with one bit flipped in the text of a record is refused when it is loaded', async () => {
    const bytes = readFileSync(file)
    const at = bytes.lastIndexOf('yyyyyyyyyy')
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    writeFileSync(file, bytes)
    const store = await openSqliteStore({ directory })
    await expect(loadAll(store)).rejects.toMatchObject({
      code: 'store_corrupt',
      message: expect.stringMatching(/record volume vol-\d+-\d+ of revision \d+ is not what was written/),
    })
    await store.close()
  })

  test.each([
    ['a record of the future', "UPDATE records SET revision = 1000 WHERE id = 'vol-3-3'"],
    ['a record under another name', "UPDATE records SET id = 'other' WHERE id = 'vol-3-3'"],
    ['a number that is not safe', "UPDATE records SET revision = 9223372036854775807 WHERE id = 'vol-3-3'"],
  ])('with %s is refused when it is loaded', async (_, sql) => {
    change(sql)
    const store = await openSqliteStore({ directory })
    await expect(loadAll(store)).rejects.toMatchObject({ code: 'store_corrupt' })
    await store.close()
  })

  test('a store of a newer layout is refused, naming both layouts, and left untouched', async () => {
    change('UPDATE meta SET schema = 2')
    await expectRefused('store_schema', /layout 2.*knows layout 1/)
  })

  test('what an interrupted making left behind is no obstacle', async () => {
    rmSync(file)
    writeFileSync(`${file}.new`, 'half made')
    const store = await openSqliteStore({ directory })
    expect(await store.campaign()).toMatchObject({ revision: 0, term: 1 })
    expect((await loadAll(store)).records).toEqual([])
    await store.close()
    expect(readdirSync(directory).sort()).toEqual(['controller.lock', 'holdfast.db'])
  })

  function change(sql: string): void {
    const database = new DatabaseSync(file)
    database.exec(sql)
    database.close()
  }
})
