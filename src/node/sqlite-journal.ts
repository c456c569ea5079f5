import { JournalFile } from '../store/sqlite/journal-file.ts'
import type { Journal, JournalChange, JournalEntries, JournalKind } from './journal.ts'

const OPTIONS = {
  name: 'node journal',
  version: 1,
  table: 'CREATE TABLE IF NOT EXISTS entries (kind TEXT, id TEXT, json TEXT, PRIMARY KEY (kind, id))',
  without: 'volumes that are mounted stay so',
}

/** The node's journal in a small SQLite file: one fsync per write. @throws store_corrupt, store_schema, state_dir */
export class SqliteJournal implements Journal {
  readonly #file: JournalFile

  constructor(path: string) {
    this.#file = new JournalFile(path, OPTIONS)
  }

  entries<K extends JournalKind>(kind: K): Map<string, JournalEntries[K]> {
    const rows = this.#file.database.prepare('SELECT id, json FROM entries WHERE kind = ?').all(kind)
    return new Map(rows.map((row) => [String(row.id), JSON.parse(String(row.json))]))
  }

  write(...changes: JournalChange[]): void {
    if (changes.length === 0) return
    const { database } = this.#file
    this.#file.transaction(() => {
      for (const { kind, id, value } of changes) {
        if (value === undefined) database.prepare('DELETE FROM entries WHERE kind = ? AND id = ?').run(kind, id)
        else {
          database
            .prepare('INSERT INTO entries VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET json = excluded.json')
            .run(kind, id, JSON.stringify(value))
        }
      }
    })
  }

  close(): void {
    this.#file.close()
  }
}
