import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { type Head, SCHEMA_VERSION } from '../store.ts'
import { headOf, recordSum, SELECT_HEAD } from './schema.ts'
import type { FlatBatch } from './writer-protocol.ts'

/** Milliseconds to wait for another program that has the file open (a backup, an sqlite3 shell). */
const BUSY_TIMEOUT = 5_000
/** Bytes that the write-ahead log keeps on disk after a burst made it longer. */
const LOG_SIZE_LIMIT = 64 * 1024 * 1024

/** The only writing connection to a store. Everything blocks, so it lives in a thread of its own. */
export class Writer {
  readonly #file: string
  readonly #database: DatabaseSync
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  readonly #advance: StatementSync
  readonly #put: StatementSync
  readonly #remove: StatementSync
  readonly #addEvent: StatementSync

  /** @throws whatever SQLite throws */
  constructor(file: string) {
    this.#file = file
    this.#database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT })
    try {
      // FULL: every COMMIT syncs the log before it returns; NORMAL would lose the last batches in a power cut
      this.#database.exec(`PRAGMA synchronous = FULL; PRAGMA journal_size_limit = ${LOG_SIZE_LIMIT}`)
      this.#emptyLog()
    } catch (thrown) {
      this.#database.close()
      throw thrown
    }
    const prepare = (sql: string) => this.#database.prepare(sql)
    this.#begin = prepare('BEGIN IMMEDIATE')
    this.#commit = prepare('COMMIT')
    this.#advance = prepare('UPDATE meta SET revision = ?, at = ? WHERE revision = ? AND term = ?')
    this.#put = prepare(
      'INSERT INTO records (kind, id, revision, schema, sum, json) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, id) ' +
        'DO UPDATE SET revision = excluded.revision, schema = excluded.schema, sum = excluded.sum, json = excluded.json',
    )
    this.#remove = prepare('DELETE FROM records WHERE kind = ? AND id = ?')
    this.#addEvent = prepare('INSERT INTO events (revision, at, json) VALUES (?, ?, ?)')
  }

  /** Raises the term. */
  campaign(): Head {
    return this.#transaction(() => {
      this.#database.exec('UPDATE meta SET term = term + 1')
      return this.#head()
    })
  }

  /** Writes a batch, or answers with the head when that or the term is not the batch's. */
  commit(batch: FlatBatch): Head | undefined {
    const { term, previousRevision, revision, at } = batch
    this.#begin.run()
    try {
      if (this.#advance.run(revision, at, previousRevision, term).changes !== 1) {
        const head = this.#head()
        this.#rollback()
        return head
      }
      this.#write(batch)
      this.#commit.run()
      return undefined
    } catch (thrown) {
      this.#rollback()
      throw thrown
    }
  }

  /** Forgets at most `limit` events, oldest first, up to and including `through`; whether some of them are left. */
  trim(through: number, limit: number): boolean {
    return this.#transaction(() => {
      const target = Math.min(through, this.#head().revision)
      const oldest = 'SELECT revision FROM events WHERE revision <= ? ORDER BY revision LIMIT ?'
      const row = this.#database
        .prepare(`SELECT count(*) AS n, max(revision) AS last FROM (${oldest})`)
        .get(target, limit)
      const more = row?.n === limit
      const last = more ? Number(row?.last) : target
      this.#database.prepare('DELETE FROM events WHERE revision <= ?').run(last)
      this.#database.prepare('UPDATE meta SET trimmed = max(trimmed, ?)').run(last)
      return more
    })
  }

  close(): void {
    this.#database.close()
  }

  #write({ revision, at, changes, events }: FlatBatch): void {
    for (let i = 0; i < changes.length; i += 3) {
      const kind = changes[i] as string
      const id = changes[i + 1] as string
      const json = changes[i + 2]
      if (json === undefined) this.#remove.run(kind, id)
      else this.#put.run(kind, id, revision, SCHEMA_VERSION, recordSum(kind, id, revision, json), json)
    }
    for (let i = 0; i < events.length; i += 2) {
      this.#addEvent.run(events[i] as number, at, events[i + 1] as string)
    }
  }

  #transaction<Result>(work: () => Result): Result {
    this.#begin.run()
    try {
      const result = work()
      this.#commit.run()
      return result
    } catch (thrown) {
      this.#rollback()
      throw thrown
    }
  }

  #rollback(): void {
    if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
  }

  #head(): Head {
    return headOf(this.#database.prepare(SELECT_HEAD).get(), this.#file)
  }

  /**
   * Moves the whole log into the main file. After a failed sync the kernel calls pages clean that never reached the
   * disk; batches appended behind such a hole would be acknowledged and still be lost in a power cut. So a writer
   * never continues a log that it did not begin.
   */
  #emptyLog(): void {
    const row = this.#database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()
    if (row?.busy !== 0)
      throw new Error('another program keeps reading it (a backup, an sqlite3 shell); end that first')
  }
}
