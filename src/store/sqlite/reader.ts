import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { HoldfastError } from '../../model/errors.ts'
import type { EventPage, Head, StoredEvent, StoredRecord } from '../store.ts'
import { corrupt, failureOf, fileError } from './failure.ts'
import { headOf, inspect, recordSum, SELECT_HEAD } from './schema.ts'

/** Milliseconds to wait while another program recovers the log. */
const BUSY_TIMEOUT = 5_000

/** What one row of the record query is, in the order of its columns. */
type RecordRow = [kind: string, id: string, revision: number, sum: number, json: string]

/**
 * A read-only connection. It sees durable batches only: in a write-ahead log with `synchronous = FULL` a commit
 * becomes visible after the log was synced.
 */
export class Reader {
  readonly #file: string
  readonly #database: DatabaseSync
  readonly #head: StatementSync
  readonly #records: StatementSync
  readonly #trimmed: StatementSync
  readonly #events: StatementSync

  /** @throws store_corrupt, store_schema, state_dir */
  static open(file: string): Reader {
    return guarded(file, () => {
      const database = new DatabaseSync(file, { readOnly: true, timeout: BUSY_TIMEOUT })
      try {
        inspect(database, file)
        return new Reader(file, database)
      } catch (thrown) {
        database.close()
        throw thrown
      }
    })
  }

  private constructor(file: string, database: DatabaseSync) {
    this.#file = file
    this.#database = database
    this.#head = this.#database.prepare(SELECT_HEAD)
    this.#records = this.#database.prepare('SELECT kind, id, revision, sum, json FROM records')
    this.#records.setReturnArrays(true)
    this.#trimmed = this.#database.prepare('SELECT trimmed FROM meta')
    this.#events = this.#database.prepare(
      'SELECT revision, json FROM events WHERE revision > ? ORDER BY revision LIMIT ?',
    )
  }

  /** @throws store_corrupt when a record is not what was written */
  load(onRecord: (record: StoredRecord) => void): Head {
    return this.#snapshot(() => {
      const head = headOf(this.#head.get(), this.#file)
      for (const row of this.#records.iterate() as unknown as Iterable<RecordRow>) {
        onRecord(this.#checked(row, head))
      }
      return head
    })
  }

  events(after: number, limit: number): EventPage {
    return this.#snapshot(() => {
      const trimmed = Number(this.#trimmed.get()?.trimmed)
      const events = this.#events.all(after, limit) as unknown as StoredEvent[]
      return {
        events: events.map(({ revision, json }) => ({ revision, json })),
        oldest: trimmed === 0 ? 0 : trimmed + 1,
      }
    })
  }

  /** @throws store_corrupt, store_schema, state_dir */
  inspect(): void {
    guarded(this.#file, () => inspect(this.#database, this.#file))
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close()
  }

  #checked([kind, id, revision, sum, json]: RecordRow, head: Head): StoredRecord {
    if (revision > head.revision || sum !== recordSum(kind, id, revision, json)) {
      throw corrupt(this.#file, `the record ${kind} ${id} of revision ${revision} is not what was written`)
    }
    return { kind, id, revision, json }
  }

  /** One view of the file for several queries: without it a batch may come in between. */
  #snapshot<Result>(read: () => Result): Result {
    return guarded(this.#file, () => {
      this.#database.exec('BEGIN')
      try {
        return read()
      } finally {
        this.#database.exec('ROLLBACK')
      }
    })
  }
}

function guarded<Result>(file: string, work: () => Result): Result {
  try {
    return work()
  } catch (thrown) {
    if (thrown instanceof HoldfastError) throw thrown
    const failure = failureOf(thrown)
    // what is not from SQLite comes from the caller's `onRecord`
    throw failure.result === undefined ? thrown : fileError(file, failure)
  }
}
