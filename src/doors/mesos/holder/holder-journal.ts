import { JournalFile } from '../../../store/sqlite/journal-file.ts'
import type { JournalWrite } from './protocol.ts'

const OPTIONS = {
  name: 'provider journal',
  version: 1,
  table: 'CREATE TABLE IF NOT EXISTS entries (id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID',
  without: 'what operations owe is lost',
}

/**
 * What the logic must not forget: an agent keeps nothing of its providers, so this is the only record of what they owe.
 * The entries mean nothing here. A write is durable when it returns.
 * @throws store_corrupt, store_schema, state_dir
 */
export class HolderJournal {
  readonly #file: JournalFile

  constructor(path: string) {
    this.#file = new JournalFile(path, OPTIONS)
  }

  entries(): JournalWrite[] {
    const rows = this.#file.database.prepare('SELECT id, json FROM entries ORDER BY id').all()
    return rows.map(({ id, json }) => [String(id), JSON.parse(String(json))])
  }

  write(writes: readonly JournalWrite[]): void {
    if (writes.length === 0) return
    const { database } = this.#file
    this.#file.transaction(() => {
      const remove = database.prepare('DELETE FROM entries WHERE id = ?')
      const put = database.prepare('INSERT INTO entries VALUES (?, ?) ON CONFLICT DO UPDATE SET json = excluded.json')
      for (const [id, value] of writes) {
        if (value === null) remove.run(id)
        else put.run(id, JSON.stringify(value))
      }
    })
  }

  close(): void {
    this.#file.close()
  }
}
