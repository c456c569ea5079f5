import { randomUUID } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { HoldfastError } from '../../model/errors.ts'
import { type Head, SCHEMA_VERSION } from '../store.ts'
import { syncDirectory } from './directory.ts'
import { corrupt } from './failure.ts'

export const STORE_FILE = 'holdfast.db'

/** `HFLD` in ASCII, so that `file` and we can tell this database from any other. */
const APPLICATION_ID = 0x48464c44

/**
 * `trimmed` is the newest forgotten event, 0 when none was. A table without rowid writes one tree instead of two.
 * `sum` is a CRC-32 over a record: SQLite has no checksums of its own in the main file, and a flipped bit inside a
 * JSON text would otherwise be counted as true.
 */
const TABLES = `
  PRAGMA application_id = ${APPLICATION_ID};
  CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    schema INTEGER NOT NULL,
    installation TEXT NOT NULL,
    revision INTEGER NOT NULL,
    term INTEGER NOT NULL,
    at INTEGER NOT NULL,
    trimmed INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE records (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    schema INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (kind, id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE events (
    revision INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    json TEXT NOT NULL
  ) STRICT;
`

export const SELECT_HEAD = 'SELECT installation, revision, term, at FROM meta'

/** CRC-32 of a record: over its key and revision, then its JSON text. */
export function recordSum(kind: string, id: string, revision: number, json: string): number {
  return crc32(json, crc32(`${kind} ${id} ${revision} `))
}

/**
 * Makes an empty store, whole or not at all: it is built under another name and renamed, so that a store file that
 * is empty or lacks its tables is always a damaged one and never one half made.
 * @throws store_corrupt when the file is gone but its write-ahead log is there
 */
export function createIfMissing(file: string): void {
  if (existsSync(file)) return
  if (existsSync(`${file}-wal`)) throw corrupt(file, `the file is missing, but its log ${file}-wal is there`)
  const draft = `${file}.new`
  for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(draft + suffix, { force: true })
  const database = new DatabaseSync(draft)
  try {
    database.exec(TABLES)
    const insert = 'INSERT INTO meta VALUES (1, ?, ?, 0, 0, 0, 0)'
    database.prepare(insert).run(SCHEMA_VERSION, randomUUID())
    database.exec('PRAGMA journal_mode = WAL')
  } finally {
    database.close()
  }
  syncFile(draft)
  renameSync(draft, file)
  syncDirectory(dirname(file))
}

function syncFile(path: string): void {
  const descriptor = openSync(path, 'r+')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Whether the file is a whole store of a layout that this program knows. Reads every page (0.3 s for a million small
 * records when cached).
 * @throws store_corrupt, store_schema
 */
export function inspect(database: DatabaseSync, file: string): void {
  if (pragma(database, 'application_id') !== APPLICATION_ID) throw corrupt(file, 'it is not a Holdfast store')
  const meta = database.prepare('SELECT schema FROM meta').get()
  if (meta === undefined) throw corrupt(file, 'it has no head')
  if (typeof meta.schema !== 'number') throw corrupt(file, 'its layout version is not a number')
  if (meta.schema > SCHEMA_VERSION) {
    throw new HoldfastError(
      'store_schema',
      `The store ${file} has layout ${meta.schema}, written by a newer version; this one knows layout ${SCHEMA_VERSION}. ` +
        'Start that version, or restore a backup made before the upgrade.',
      { file, schema: meta.schema, known: SCHEMA_VERSION },
    )
  }
  const found = pragma(database, 'quick_check(1)')
  if (found !== 'ok') throw corrupt(file, String(found))
}

function pragma(database: DatabaseSync, name: string): unknown {
  return Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0]
}

/** @throws store_corrupt when a column is not what the layout says */
export function headOf(row: Record<string, unknown> | undefined, file: string): Head {
  const { installation, revision, term, at } = row ?? {}
  if (
    typeof installation !== 'string' ||
    typeof revision !== 'number' ||
    typeof term !== 'number' ||
    typeof at !== 'number'
  ) {
    throw corrupt(file, 'its head is missing or malformed')
  }
  return { installation, revision, term, at }
}
