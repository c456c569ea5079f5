/**
 * The interface of a store: it keeps records and the history of events, and decides who may write. It knows nothing
 * of what the records mean.
 *
 * Batches are strictly chained: a batch names the revision it was decided on, and is refused unless that is the head
 * and the writer's term is the current one, both compared inside the transaction that writes. A store keeps the
 * newest version of every record, the events, and the head: `{installation, revision, term, at}`.
 */

/** Limits of a batch, so that every store can take it (etcd: 128 operations and 1.5 MiB a transaction). */
export const BATCH_RECORDS = 100
export const BATCH_BYTES = 1024 * 1024
/** What one command may change at most. */
export const COMMAND_RECORDS = 60
/** The version of the record layout that this program writes. A newer one in a store stops the start. */
export const SCHEMA_VERSION = 1

/** A record to write (`json`), or to remove (`json` undefined). */
export interface RecordChange {
  readonly kind: string
  readonly id: string
  readonly json: string | undefined
}

export interface StoredRecord {
  readonly kind: string
  readonly id: string
  readonly revision: number
  readonly json: string
}

/** One event in the history: what one accepted command did. The revision is its number. */
export interface StoredEvent {
  readonly revision: number
  readonly json: string
}

export interface Batch {
  /** Term under which it was decided. */
  readonly term: number
  /** Head that it was decided on. */
  readonly previousRevision: number
  /** Head after it; each accepted command adds one. */
  readonly revision: number
  /** Time of the last command in it, ms since 1970; never goes back. */
  readonly at: number
  readonly changes: readonly RecordChange[]
  readonly events: readonly StoredEvent[]
}

export interface Head {
  /** UUID made when the store was first opened. */
  readonly installation: string
  readonly revision: number
  readonly term: number
  /** Time of the last batch, ms since 1970; 0 when there was none. */
  readonly at: number
}

export interface EventPage {
  readonly events: readonly StoredEvent[]
  /** Oldest revision still kept, 0 when nothing was trimmed. */
  readonly oldest: number
}

export interface Store {
  /**
   * Becomes the only writer: raises the term, durably, so that every earlier writer is refused from now on.
   * @throws fenced when the store is locked by a living writer that will not give way (embedded store)
   * @throws store_corrupt, store_schema, state_dir
   */
  campaign(): Promise<Head>

  /** Reads every record at the head, in no particular order, calling `onRecord` for each. */
  load(onRecord: (record: StoredRecord) => void): Promise<Head>

  /**
   * Writes a batch durably: when this resolves, it survives a power cut.
   * @throws fenced when the head or the term is another; nothing was written
   * @throws unknown_outcome for anything else: it may or may not have been written; campaign and load again
   */
  commit(batch: Batch): Promise<void>

  /**
   * Shows that no other writer has campaigned, at some moment between the call and its answer.
   * @throws fenced when one has; unknown_outcome when it cannot be told
   */
  confirm(): Promise<void>

  /** Events with a revision greater than `after`, at most `limit`, oldest first. */
  events(after: number, limit: number): Promise<EventPage>

  /** Forgets events up to and including a revision. */
  trimEvents(through: number): Promise<void>

  close(): Promise<void>
}
