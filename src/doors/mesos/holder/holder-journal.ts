import { DatabaseSync } from 'node:sqlite'
import { HoldfastError } from '../../../model/errors.ts'
import type { JournalWrite } from './protocol.ts'

const VERSION = 1

/**
 * What the logic must not forget: an agent keeps nothing of its providers, so this is the only record of what they owe.
 * The entries mean nothing here. A write is durable when it returns.
 * @throws store_corrupt, store_schema
 */
export class HolderJournal {
  readonly #database: DatabaseSync

  constructor(path: string) {
    try {
      this.#database = new DatabaseSync(path)
      this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000')
      this.#database.exec('CREATE TABLE IF NOT EXISTS entries (id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID')
      this.#checkVersion(path)
    } catch (thrown) {
      if (thrown instanceof HoldfastError) throw thrown
      const why = thrown instanceof Error ? thrown.message : String(thrown)
      throw new HoldfastError(
        'store_corrupt',
        `provider journal ${path}: ${why}; move the file away to start with an empty one (what operations owe is lost)`,
      )
    }
  }

  #checkVersion(path: string): void {
    const { user_version } = this.#database.prepare('PRAGMA user_version').get() as { user_version: number }
    if (user_version > VERSION) {
      throw new HoldfastError('store_schema', `provider journal ${path} was written by a newer version; install that`)
    }
    this.#database.exec(`PRAGMA user_version = ${VERSION}`)
  }

  entries(): JournalWrite[] {
    const rows = this.#database.prepare('SELECT id, json FROM entries ORDER BY id').all()
    return rows.map(({ id, json }) => [String(id), JSON.parse(String(json))])
  }

  write(writes: readonly JournalWrite[]): void {
    if (writes.length === 0) return
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      const remove = this.#database.prepare('DELETE FROM entries WHERE id = ?')
      const put = this.#database.prepare(
        'INSERT INTO entries VALUES (?, ?) ON CONFLICT DO UPDATE SET json = excluded.json',
      )
      for (const [id, value] of writes) {
        if (value === null) remove.run(id)
        else put.run(id, JSON.stringify(value))
      }
      this.#database.exec('COMMIT')
    } catch (thrown) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw thrown
    }
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close()
  }
}
