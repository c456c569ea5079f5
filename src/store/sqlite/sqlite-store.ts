import { HoldfastError } from '../../model/errors.ts'
import { Chain, checkBatch } from '../batch.ts'
import type { Batch, EventPage, Head, Store, StoredRecord } from '../store.ts'
import { type Failure, failureOf, fileError } from './failure.ts'
import type { DirectoryLock } from './lock.ts'
import type { Reader } from './reader.ts'
import { type Answer, flatten, type Request } from './writer-protocol.ts'
import type { WriterLink } from './writer-thread.ts'

/** Events forgotten in one transaction: a commit waits at most for one such part. */
const TRIM_PART = 2_000

export interface SqliteParts {
  readonly file: string
  readonly lock: DirectoryLock
  readonly reader: Reader
  readonly startWriter: () => WriterLink
}

/**
 * The embedded store: reads on the calling thread, writes in the writer's.
 *
 * After an outcome that is unknown it takes no batch until `campaign` has started a new writer and raised the term;
 * `load` then tells what was written. Reads between the two, or before the first campaign, may show that one batch
 * although its sync failed: answer from nothing but what was loaded after a campaign.
 */
export class SqliteStore implements Store {
  readonly #parts: SqliteParts
  readonly #chain = new Chain()
  #writer: WriterLink | undefined
  #state: 'following' | 'leading' | 'unknown' | 'closed' = 'following'

  constructor(parts: SqliteParts) {
    this.#parts = parts
  }

  async campaign(): Promise<Head> {
    this.#requireOpen()
    return await this.#chain.run(async () => {
      if (this.#state === 'unknown') await this.#restart()
      const answer = await this.#askOutsideOfCommit({ kind: 'campaign' })
      if (answer.kind !== 'head') throw unexpected(answer)
      this.#state = 'leading'
      return answer.head
    })
  }

  async load(onRecord: (record: StoredRecord) => void): Promise<Head> {
    this.#requireOpen()
    return this.#parts.reader.load(onRecord)
  }

  async commit(batch: Batch): Promise<void> {
    this.#requireOpen()
    checkBatch(batch)
    await this.#chain.run(async () => {
      const answer = await this.#askLeading(flatten(batch))
      if (answer.kind === 'fenced') throw this.#fenced(batch, answer.head)
      if (answer.kind !== 'done') throw unexpected(answer)
    })
  }

  /** The lock on the directory keeps every other writer out for as long as this one lives. */
  async confirm(): Promise<void> {
    this.#requireOpen()
    if (this.#state !== 'leading') throw this.#notLeading()
  }

  async events(after: number, limit: number): Promise<EventPage> {
    this.#requireOpen()
    return this.#parts.reader.events(after, limit)
  }

  async trimEvents(through: number): Promise<void> {
    for (let more = true; more; ) {
      this.#requireOpen()
      const answer = await this.#askLeading({ kind: 'trim', through, limit: TRIM_PART })
      if (answer.kind !== 'trimmed') throw unexpected(answer)
      more = answer.more
    }
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    // the writer closes last: the last connection moves the log into the main file and removes it
    this.#parts.reader.close()
    try {
      // a failure loses nothing: what was acknowledged is in the log, and the next opening reads that
      await this.#writer?.ask({ kind: 'close' }).catch(() => undefined)
      await this.#writer?.stop()
    } finally {
      this.#parts.lock.release()
    }
  }

  /** @throws unknown_outcome */
  async #askLeading(request: Request): Promise<Answer> {
    if (this.#state !== 'leading' || this.#writer === undefined) throw this.#notLeading()
    const answer = await failureAsAnswer(this.#writer.ask(request))
    if (answer.kind !== 'failed') return answer
    if (this.#state === 'leading') this.#state = 'unknown'
    throw new HoldfastError(
      'unknown_outcome',
      `Writing to the store ${this.#parts.file} failed: ${answer.failure.message}. It may or may not be written.`,
      { file: this.#parts.file, detail: answer.failure.message },
    )
  }

  /** @throws store_corrupt, state_dir */
  async #askOutsideOfCommit(request: Request): Promise<Answer> {
    if (this.#writer === undefined) await this.#start()
    const answer = await failureAsAnswer((this.#writer as WriterLink).ask(request))
    if (answer.kind !== 'failed') return answer
    this.#state = 'unknown'
    throw fileError(this.#parts.file, answer.failure)
  }

  async #restart(): Promise<void> {
    await this.#writer?.stop()
    this.#writer = undefined
    this.#parts.reader.inspect()
  }

  async #start(): Promise<void> {
    const writer = this.#parts.startWriter()
    const answer = await failureAsAnswer(writer.ask({ kind: 'open', file: this.#parts.file }))
    if (answer.kind === 'failed') {
      await writer.stop()
      throw fileError(this.#parts.file, answer.failure)
    }
    this.#writer = writer
  }

  #requireOpen(): void {
    if (this.#state === 'closed') throw new HoldfastError('internal', `The store ${this.#parts.file} is closed.`)
  }

  #notLeading(): HoldfastError {
    const why = this.#state === 'unknown' ? 'the outcome of an earlier write is unknown' : 'it does not lead yet'
    return new HoldfastError('fenced', `The store ${this.#parts.file} takes no batch: ${why}; campaign and load first.`)
  }

  #fenced(batch: Batch, head: Head): HoldfastError {
    return new HoldfastError(
      'fenced',
      `A batch on revision ${batch.previousRevision} of term ${batch.term} was refused: the store ${this.#parts.file} ` +
        `is at revision ${head.revision} of term ${head.term}. Campaign and load again.`,
      { revision: head.revision, term: head.term },
    )
  }
}

async function failureAsAnswer(asked: Promise<Answer>): Promise<Answer> {
  try {
    return await asked
  } catch (thrown) {
    const failure: Failure = failureOf(thrown)
    return { kind: 'failed', failure }
  }
}

function unexpected(answer: Answer): HoldfastError {
  return new HoldfastError('internal', `The writer of the store gave an answer of the wrong kind: ${answer.kind}.`)
}
