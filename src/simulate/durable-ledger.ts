import type { LedgerEvent } from '../model/event.ts'
import { RECORD_KINDS, type RecordKind, type RecordTypes } from '../model/records.ts'
import type { MemoryDisk } from '../store/memory.ts'
import type { Batch } from '../store/store.ts'

type Records = { [K in RecordKind]: Map<string, RecordTypes[K]> }

/** One record that a durable batch changed. */
export type DurableChange = {
  [K in RecordKind]: {
    readonly kind: K
    readonly id: string
    readonly before: RecordTypes[K] | undefined
    readonly after: RecordTypes[K] | undefined
  }
}[RecordKind]

export interface DurableBatch {
  readonly batch: Batch
  readonly changes: readonly DurableChange[]
  readonly events: readonly LedgerEvent[]
}

/** What is durable on the store's disk, followed batch by batch and kept apart from everything that the program keeps. */
export class DurableLedger {
  readonly #disk: MemoryDisk
  readonly #records: Records
  /** By the revision that it follows, the newest batch that the disk took; one before it was lost unsynced. */
  readonly #taken = new Map<number, Batch>()
  readonly #watchers: ((batch: DurableBatch) => void)[] = []
  revision = 0
  at = 0
  readonly events: LedgerEvent[] = []
  /** Names of objects of every volume and snapshot that ever was recorded, as `<pool>/<object>`. */
  readonly objectsEver = new Set<string>()

  constructor(disk: MemoryDisk) {
    this.#disk = disk
    this.#records = Object.fromEntries(RECORD_KINDS.map((kind) => [kind, new Map()])) as unknown as Records
  }

  watch(watcher: (batch: DurableBatch) => void): void {
    this.#watchers.push(watcher)
  }

  get<K extends RecordKind>(kind: K, id: string): RecordTypes[K] | undefined {
    return (this.#records[kind] as Map<string, RecordTypes[K]>).get(id)
  }

  all<K extends RecordKind>(kind: K): RecordTypes[K][] {
    return [...(this.#records[kind] as Map<string, RecordTypes[K]>).values()]
  }

  /** The disk took a batch; it may still lose it. */
  took(batch: Batch): void {
    this.#taken.set(batch.previousRevision, batch)
  }

  /** Follows the disk. @returns what is wrong with its chain, if anything is */
  follow(): string | undefined {
    while (this.revision !== this.#disk.head.revision) {
      const batch = this.#taken.get(this.revision)
      if (batch === undefined) return `revision ${this.#disk.head.revision} follows from no batch that was sent`
      const wrong = this.#apply(batch)
      if (wrong !== undefined) return wrong
    }
    return undefined
  }

  #apply(batch: Batch): string | undefined {
    this.#taken.delete(batch.previousRevision)
    const events = batch.events.map((event) => JSON.parse(event.json) as LedgerEvent)
    for (const event of events) {
      if (event.revision !== this.revision + 1) return `event ${event.revision} follows ${this.revision}`
      if (event.at < this.at) return `time went back from ${this.at} to ${event.at} in event ${event.revision}`
      this.revision = event.revision
      this.at = event.at
      this.events.push(event)
    }
    if (this.revision !== batch.revision) return `batch to ${batch.revision} has events up to ${this.revision}`
    const changes = batch.changes.map(({ kind, id, json }) => this.#change(kind as RecordKind, id, json))
    for (const watcher of this.#watchers) watcher({ batch, changes, events })
    return undefined
  }

  #change(kind: RecordKind, id: string, json: string | undefined): DurableChange {
    const records = this.#records[kind] as Map<string, unknown>
    const before = records.get(id)
    const after = json === undefined ? undefined : (JSON.parse(json) as unknown)
    if (after === undefined) records.delete(id)
    else records.set(id, after)
    if (kind === 'volume' || kind === 'snapshot') {
      const owner = (after ?? before) as RecordTypes['volume'] | undefined
      if (owner !== undefined) this.objectsEver.add(`${owner.poolId}/${owner.object}`)
    }
    return { kind, id, before, after } as DurableChange
  }

  /** The volume or snapshot that an object belongs to. */
  ownerOf(poolId: string, object: string): RecordTypes['volume'] | RecordTypes['snapshot'] | undefined {
    for (const kind of ['volume', 'snapshot'] as const) {
      for (const record of this.#records[kind].values()) {
        if (record.object === object && record.poolId === poolId) return record
      }
    }
    return undefined
  }

  volumeOf(poolId: string, object: string): RecordTypes['volume'] | undefined {
    for (const volume of this.#records.volume.values()) {
      if (volume.object === object && volume.poolId === poolId) return volume
    }
    return undefined
  }

  attachmentOf(volumeId: string, nodeId: string): RecordTypes['attachment'] | undefined {
    for (const attachment of this.#records.attachment.values()) {
      if (attachment.volumeId === volumeId && attachment.nodeId === nodeId) return attachment
    }
    return undefined
  }
}
