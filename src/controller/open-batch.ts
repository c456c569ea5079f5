import type { Accepted } from '../ledger/decide.ts'
import type { LedgerEvent } from '../model/event.ts'
import type { Change } from '../model/records.ts'
import { BATCH_BYTES, BATCH_RECORDS, type RecordChange, type StoredEvent } from '../store/store.ts'

/** Something that waits for a batch to be durable. */
export interface Waiter {
  readonly release: () => void
  readonly fail: () => void
}

/** Bytes that a record or event takes beside its JSON. */
const OVERHEAD = 64

/** Commands that were decided together and will be committed together. */
export class OpenBatch {
  readonly changes: Change[] = []
  readonly events: LedgerEvent[] = []
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

  get stored(): StoredEvent[] {
    return this.events.map((event) => ({ revision: event.revision, json: JSON.stringify(event) }))
  }

  /** Takes a decision's changes; false when they do not fit any more. */
  take(decision: Accepted): boolean {
    const written = serialise(decision)
    let size = 0
    for (const each of written) size += (each.json?.length ?? 0) + OVERHEAD
    const full = this.#records.size + written.length > BATCH_RECORDS || this.#bytes + size > BATCH_BYTES / 2
    if (full && !this.isEmpty) return false
    this.#bytes += size
    for (const change of decision.changes) this.changes.push(change)
    for (const each of written) this.#records.set(`${each.kind}/${each.id}`, each)
    if (decision.event !== undefined) {
      this.events.push(decision.event)
      this.at = decision.event.at
    }
    return true
  }
}


function serialise(decision: Accepted): RecordChange[] {
  return decision.changes.map(({ kind, id, record }) => ({
    kind,
    id,
    json: record === undefined ? undefined : JSON.stringify(record),
  }))
}
