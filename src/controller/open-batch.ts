import type { Accepted } from '../ledger/decide.ts'
import type { LedgerEvent } from '../model/event.ts'
import type { Change } from '../model/records.ts'
import { BATCH_BYTES, BATCH_RECORDS, type RecordChange, type StoredEvent } from '../store/store.ts'

/** Something that waits for a batch to be durable. */
export interface Waiter {
  readonly release: () => void
  readonly fail: () => void
}

/** What became of a decision that was offered to a batch. */
export type Taken =
  | 'taken'
  /** Fits into the next one. */
  | 'full'
  /** Fits into none. */
  | 'too-large'

/** Commands that were decided together and will be committed together. */
export class OpenBatch {
  readonly changes: Change[] = []
  readonly events: LedgerEvent[] = []
  readonly stored: StoredEvent[] = []
  readonly waiters: Waiter[] = []
  /** Time of the last command in it, ms since 1970. */
  at = 0
  #bytes = 0
  readonly #records = new Map<string, RecordChange>()

  get isEmpty(): boolean {
    return this.events.length === 0
  }

  get records(): RecordChange[] {
    return [...this.#records.values()]
  }

  /** Takes a decision's changes, if they fit. */
  take(decision: Accepted): Taken {
    const { event } = decision
    if (event === undefined) return 'taken'
    const written = decision.changes.map(serialise)
    const stored = { revision: event.revision, json: JSON.stringify(event) }
    let size = Buffer.byteLength(stored.json)
    for (const each of written) size += bytesOf(each)
    if (written.length > BATCH_RECORDS || size > BATCH_BYTES) return 'too-large'
    // a record that is written again counts anew, which is more than it takes
    if (this.#records.size + written.length > BATCH_RECORDS || this.#bytes + size > BATCH_BYTES) return 'full'
    this.#bytes += size
    for (const change of decision.changes) this.changes.push(change)
    for (const each of written) this.#records.set(`${each.kind}/${each.id}`, each)
    this.events.push(event)
    this.stored.push(stored)
    this.at = event.at
    return 'taken'
  }
}

function serialise({ kind, id, record }: Change): RecordChange {
  return { kind, id, json: record === undefined ? undefined : JSON.stringify(record) }
}

/** In UTF-8, as the store counts them. */
function bytesOf({ kind, id, json }: RecordChange): number {
  return Buffer.byteLength(kind) + Buffer.byteLength(id) + (json === undefined ? 0 : Buffer.byteLength(json))
}
