import { DatabaseSync } from 'node:sqlite'
import { HoldfastError } from '../../model/errors.ts'
import { failureOf, isCorrupt } from './failure.ts'

export interface JournalOptions {
  /** For messages: `node journal`. */
  readonly name: string
  /** Of the tables; counted up when they change. */
  readonly version: number
  /** The table, made when it is missing. */
  readonly table: string
  /** What starting with an empty one means, for a damaged file. */
  readonly without: string
}

/**
 * A small SQLite file that one process writes: a transaction is on the disk when it returns.
 * @throws store_corrupt, store_schema, state_dir
 */
export class JournalFile {
  readonly database: DatabaseSync

  constructor(path: string, { name, version, table, without }: JournalOptions) {
    try {
      this.database = new DatabaseSync(path)
      this.database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000')
      this.database.exec(table)
      this.#checkVersion(`${name} ${path}`, version)
    } catch (thrown) {
      if (thrown instanceof HoldfastError) throw thrown
      const failure = failureOf(thrown)
      const what = `${name} ${path}: ${failure.message}`
      if (!isCorrupt(failure))
        throw new HoldfastError('state_dir', `${what}; its file system must be local and writable`)
      throw new HoldfastError('store_corrupt', `${what}; move the file away to start with an empty one (${without})`)
    }
  }

  #checkVersion(what: string, version: number): void {
    const { user_version } = this.database.prepare('PRAGMA user_version').get() as { user_version: number }
    if (user_version > version) {
      throw new HoldfastError('store_schema', `${what} was written by a newer version; install that`)
    }
    this.database.exec(`PRAGMA user_version = ${version}`)
  }

  transaction(write: () => void): void {
    this.database.exec('BEGIN IMMEDIATE')
    try {
      write()
      this.database.exec('COMMIT')
    } catch (thrown) {
      if (this.database.isTransaction) this.database.exec('ROLLBACK')
      throw thrown
    }
  }

  close(): void {
    if (this.database.isOpen) this.database.close()
  }
}
