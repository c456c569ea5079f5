import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { JournalFile } from '../../src/store/sqlite/journal-file.ts'
import { testDir } from '../support/temp-dir.ts'

const OPTIONS = {
  name: 'test journal',
  version: 2,
  table: 'CREATE TABLE IF NOT EXISTS entries (id INTEGER)',
  without: 'nothing is lost',
}

function ids(file: JournalFile): unknown[] {
  return file.database
    .prepare('SELECT id FROM entries')
    .all()
    .map(({ id }) => id)
}

test('a transaction is there after a restart, and one that fails leaves nothing', () => {
  const path = join(testDir(), 'journal.db')
  const file = new JournalFile(path, OPTIONS)
  file.transaction(() => file.database.exec('INSERT INTO entries VALUES (1)'))
  const failing = () =>
    file.transaction(() => {
      file.database.exec('INSERT INTO entries VALUES (2)')
      throw new Error('no')
    })
  expect(failing).toThrow('no')
  file.close()
  file.close()
  const again = new JournalFile(path, OPTIONS)
  expect(ids(again)).toEqual([1])
  again.close()
})

test('a file of a newer version, a damaged one and one that can not be opened are told apart', () => {
  const dir = testDir()
  const path = join(dir, 'journal.db')
  new JournalFile(path, OPTIONS).close()
  const code = (of: string, version: number) => {
    try {
      new JournalFile(of, { ...OPTIONS, version }).close()
      return 'opened'
    } catch (thrown) {
      return (thrown as { code: string }).code
    }
  }
  expect(code(path, 1)).toBe('store_schema')
  expect(code(path, 3)).toBe('opened')
  writeFileSync(join(dir, 'damaged.db'), 'no database at all, and long enough to be looked at as one. '.repeat(20))
  expect(code(join(dir, 'damaged.db'), 2)).toBe('store_corrupt')
  // whoever reads "move it away" would lose a journal that is whole
  expect(code(join(dir, 'missing', 'journal.db'), 2)).toBe('state_dir')
})
