import { DatabaseSync } from 'node:sqlite'
import { HoldfastError } from '../model/errors.ts'
import type { Journal, JournalChange, JournalEntries, JournalKind } from './journal.ts'

const VERSION = 1

/** The node's journal in a small SQLite file: one fsync per write. @throws store_corrupt, store_schema */
export class SqliteJournal implements Journal {
  readonly #database: DatabaseSync

  constructor(path: string) {
    try {
      this.#database = new DatabaseSync(path)
      this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000')
      this.#database.exec('CREATE TABLE IF NOT EXISTS entries (kind TEXT, id TEXT, json TEXT, PRIMARY KEY (kind, id))')
      this.#checkVersion(path)
    } catch (thrown) {
      if (thrown instanceof HoldfastError) throw thrown
      const why = thrown instanceof Error ? thrown.message : String(thrown)
      throw new HoldfastError(
        'store_corrupt',
        `node journal ${path}: ${why}; move the file away to start with an empty one (volumes that are mounted stay so)`,
      )
    }
  }

  #checkVersion(path: string): void {
    const { user_version } = this.#database.prepare('PRAGMA user_version').get() as { user_version: number }
    if (user_version > VERSION) {
      throw new HoldfastError('store_schema', `node journal ${path} was written by a newer version; install that one`)
    }
    this.#database.exec(`PRAGMA user_version = ${VERSION}`)
  }

  entries<K extends JournalKind>(kind: K): Map<string, JournalEntries[K]> {
    const rows = this.#database.prepare('SELECT id, json FROM entries WHERE kind = ?').all(kind)
    return new Map(rows.map((row) => [String(row.id), JSON.parse(String(row.json))]))
  }

  write(...changes: JournalChange[]): void {
    if (changes.length === 0) return
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      for (const { kind, id, value } of changes) {
        if (value === undefined) this.#database.prepare('DELETE FROM entries WHERE kind = ? AND id = ?').run(kind, id)
        else {
          this.#database
            .prepare('INSERT INTO entries VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET json = excluded.json')
            .run(kind, id, JSON.stringify(value))
        }
      }
      this.#database.exec('COMMIT')
    } catch (thrown) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw thrown
    }
  }

  close(): void {
    this.#database.close()
  }
}
