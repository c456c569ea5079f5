import { join } from 'node:path'
import { HoldfastError } from '../../model/errors.ts'
import type { Store } from '../store.ts'
import { prepareDirectory } from './directory.ts'
import { failureOf, fileError } from './failure.ts'
import { DirectoryLock } from './lock.ts'
import { Reader } from './reader.ts'
import { createIfMissing, STORE_FILE } from './schema.ts'
import { SqliteStore } from './sqlite-store.ts'
import { type WriterLink, WriterThread } from './writer-thread.ts'

export interface SqliteOptions {
  /** The state directory; made when it is missing. On a local file system: SQLite's log does not work over NFS. */
  readonly directory: string
  /** How the writer is started. Default: a worker thread. */
  readonly startWriter?: () => WriterLink
}

/**
 * Opens the embedded store of a state directory, and holds the directory's lock until it is closed or the process
 * ends. The file is checked before anything could write to it.
 * @throws fenced when a living controller holds the directory
 * @throws state_dir, store_corrupt, store_schema
 */
export async function openSqliteStore(options: SqliteOptions): Promise<Store> {
  const directory = prepareDirectory(options.directory)
  const lock = new DirectoryLock(directory)
  const file = join(directory, STORE_FILE)
  try {
    createIfMissing(file)
    const startWriter = options.startWriter ?? (() => new WriterThread())
    return new SqliteStore({ file, lock, reader: Reader.open(file), startWriter })
  } catch (thrown) {
    lock.release()
    throw thrown instanceof HoldfastError ? thrown : fileError(file, failureOf(thrown))
  }
}
