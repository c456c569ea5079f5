import { HoldfastError } from '../model/errors.ts'
import { Chain, checkBatch } from './batch.ts'
import type { Batch, EventPage, Head, Store, StoredEvent, StoredRecord } from './store.ts'

/**
 * What becomes of a batch:
 * - `ok`: written, and acknowledged;
 * - `unsynced`: written but not synced, and the answer is lost. The next campaign syncs it; a crash before drops it;
 * - `unknown-applied`: written and synced, but the answer is lost;
 * - `unknown-lost`: never written, and the answer is lost.
 */
export type CommitFault = 'ok' | 'unsynced' | 'unknown-applied' | 'unknown-lost'

export interface MemoryFaults {
  /** Asked once for a batch, when it reaches the disk and before it is compared with the head. */
  readonly beforeCommit?: (batch: Batch) => CommitFault
}

export interface MemoryOptions {
  readonly faults?: MemoryFaults
  /** Awaited on the way to the disk and on the way back, by every call. Default: none. */
  readonly delay?: () => Promise<void>
}

/**
 * The disk below one or more memory stores. Without timers and without chance: what happens depends only on the
 * calls and their order.
 */
export class MemoryDisk {
  readonly #records = new Map<string, StoredRecord>()
  #events: StoredEvent[] = []
  #trimmed = 0
  #head: Head
  /** A batch that was written but not synced; more than one there cannot be, as its writer stops. */
  #unsynced: Batch | undefined
  #crashes = 0

  constructor(installation: string) {
    this.#head = { installation, revision: 0, term: 0, at: 0 }
  }

  /** A power cut: what is not synced is gone, and so is every call that has not reached the disk. */
  crash(): void {
    this.#unsynced = undefined
    this.#crashes += 1
  }

  get crashes(): number {
    return this.#crashes
  }

  /** The durable head. */
  get head(): Head {
    return this.#head
  }

  campaign(): Head {
    const pending = this.#unsynced
    this.#unsynced = undefined
    if (pending !== undefined && pending.term === this.#head.term) this.#apply(pending)
    this.#head = { ...this.#head, term: this.#head.term + 1 }
    return this.#head
  }

  accepts(batch: Batch): boolean {
    const { revision, term } = this.#head
    return this.#unsynced === undefined && batch.previousRevision === revision && batch.term === term
  }

  write(batch: Batch, synced: boolean): void {
    if (synced) this.#apply(batch)
    else this.#unsynced = batch
  }

  load(onRecord: (record: StoredRecord) => void): Head {
    for (const record of this.#records.values()) onRecord(record)
    return this.#head
  }

  events(after: number, limit: number): EventPage {
    const events = this.#events.filter((event) => event.revision > after).slice(0, limit)
    return { events, oldest: this.#trimmed === 0 ? 0 : this.#trimmed + 1 }
  }

  trim(through: number): void {
    this.#trimmed = Math.max(this.#trimmed, Math.min(through, this.#head.revision))
    this.#events = this.#events.filter((event) => event.revision > this.#trimmed)
  }

  #apply({ revision, at, changes, events }: Batch): void {
    for (const { kind, id, json } of changes) {
      const key = JSON.stringify([kind, id])
      if (json === undefined) this.#records.delete(key)
      else this.#records.set(key, { kind, id, revision, json })
    }
    for (const event of events) this.#events.push({ revision: event.revision, json: event.json })
    this.#head = { ...this.#head, revision, at }
  }
}

/** A store on a {@link MemoryDisk}, for simulations: several may share a disk, as several controllers share etcd. */
export class MemoryStore implements Store {
  readonly #disk: MemoryDisk
  readonly #options: MemoryOptions
  readonly #chain = new Chain()
  #term: number | undefined
  #closed = false

  constructor(disk: MemoryDisk, options: MemoryOptions = {}) {
    this.#disk = disk
    this.#options = options
  }

  campaign(): Promise<Head> {
    return this.#chain.run(async () => {
      const head = await this.#call(() => this.#disk.campaign())
      this.#term = head.term
      return head
    })
  }

  load(onRecord: (record: StoredRecord) => void): Promise<Head> {
    return this.#call(() => this.#disk.load(onRecord))
  }

  async commit(batch: Batch): Promise<void> {
    this.#requireOpen()
    checkBatch(batch)
    await this.#chain.run(async () => {
      this.#requireLead()
      try {
        await this.#call(() => this.#write(batch))
      } catch (thrown) {
        if (thrown instanceof HoldfastError && thrown.code === 'unknown_outcome') this.#term = undefined
        throw thrown
      }
    })
  }

  confirm(): Promise<void> {
    const term = this.#term
    return this.#call(() => {
      if (term !== undefined && term === this.#disk.head.term) return
      throw new HoldfastError('fenced', 'Another writer has campaigned since this one did.')
    })
  }

  events(after: number, limit: number): Promise<EventPage> {
    return this.#call(() => this.#disk.events(after, limit))
  }

  async trimEvents(through: number): Promise<void> {
    this.#requireOpen()
    this.#requireLead()
    await this.#call(() => this.#disk.trim(through))
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  /** To the disk and back. A crash or a close on the way there leaves nothing done; on either way, no answer. */
  async #call<Result>(work: () => Result): Promise<Result> {
    this.#requireOpen()
    const { crashes } = this.#disk
    await this.#options.delay?.()
    this.#requireAnswer(crashes)
    const result = work()
    await this.#options.delay?.()
    this.#requireAnswer(crashes)
    return result
  }

  #write(batch: Batch): void {
    const fault = this.#options.faults?.beforeCommit?.(batch) ?? 'ok'
    if (fault === 'unknown-lost') throw unknown('the batch was lost on its way')
    if (!this.#disk.accepts(batch)) {
      const { revision, term } = this.#disk.head
      throw new HoldfastError(
        'fenced',
        `A batch on revision ${batch.previousRevision} of term ${batch.term} was refused: the store is at revision ` +
          `${revision} of term ${term}. Campaign and load again.`,
        { revision, term },
      )
    }
    this.#disk.write(batch, fault !== 'unsynced')
    if (fault !== 'ok') throw unknown('the answer was lost on its way')
  }

  #requireAnswer(crashes: number): void {
    if (this.#closed || crashes !== this.#disk.crashes) throw unknown('the disk or the store stopped')
  }

  #requireOpen(): void {
    if (this.#closed) throw new HoldfastError('internal', 'The store is closed.')
  }

  #requireLead(): void {
    if (this.#term !== undefined) return
    throw new HoldfastError('fenced', 'The store takes no batch: it does not lead; campaign and load first.')
  }
}

function unknown(why: string): HoldfastError {
  return new HoldfastError(
    'unknown_outcome',
    `The store did not answer: ${why}. What was asked may or may not be done.`,
  )
}
