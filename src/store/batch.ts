import { HoldfastError } from '../model/errors.ts'
import { BATCH_BYTES, BATCH_RECORDS, type Batch } from './store.ts'

/**
 * Refuses a batch that no store could take: too many records, too many bytes, numbers that are not a step forward.
 * The bytes are those of kinds, ids and JSON texts in UTF-8, of records and events together.
 * @throws internal: the ledger splits its batches, so this is always a mistake in the program
 */
export function checkBatch(batch: Batch): void {
  const { previousRevision, revision, changes, events } = batch
  if (!Number.isSafeInteger(revision) || revision <= previousRevision) {
    throw mistake(`revision ${revision} must be a whole number above the previous one, ${previousRevision}`)
  }
  if (changes.length > BATCH_RECORDS) {
    throw mistake(`it changes ${changes.length} records; at most ${BATCH_RECORDS} are allowed`)
  }
  let last = previousRevision
  for (const event of events) {
    if (event.revision <= last || event.revision > revision) {
      throw mistake(`event ${event.revision} must be above ${last} and at most ${revision}`)
    }
    last = event.revision
  }
  const bytes = bytesOf(batch)
  if (bytes > BATCH_BYTES) throw mistake(`it has ${bytes} bytes; at most ${BATCH_BYTES} are allowed`)
}

function bytesOf(batch: Batch): number {
  let bytes = 0
  for (const { kind, id, json } of batch.changes) {
    bytes += Buffer.byteLength(kind) + Buffer.byteLength(id)
    if (json !== undefined) bytes += Buffer.byteLength(json)
  }
  for (const event of batch.events) bytes += Buffer.byteLength(event.json)
  return bytes
}

function mistake(what: string): HoldfastError {
  return new HoldfastError('internal', `A batch cannot be written: ${what}.`)
}

/** Holds batches to a strict chain: one may be sent only when the outcome of the one before it is known. */
export class Chain {
  #busy = false

  /** @throws internal when another batch is still under way; that one is not disturbed */
  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#busy) {
      throw new HoldfastError('internal', 'A batch was sent before the outcome of the one before it was known.')
    }
    this.#busy = true
    try {
      return await work()
    } finally {
      this.#busy = false
    }
  }
}
