import type { Journal, JournalChange, JournalEntries, JournalKind } from '../node/journal.ts'

/** What is on a machine's own disk: it survives daemons and boots. */
export type JournalDisk = Map<JournalKind, Map<string, string>>

/** A journal on a machine's own disk. A write is durable when it returns, so nothing of it is ever lost. */
export class MemoryJournal implements Journal {
  readonly #disk: JournalDisk

  constructor(disk: JournalDisk) {
    this.#disk = disk
  }

  entries<K extends JournalKind>(kind: K): Map<string, JournalEntries[K]> {
    const entries = new Map<string, JournalEntries[K]>()
    for (const [id, json] of this.#disk.get(kind) ?? []) entries.set(id, JSON.parse(json) as JournalEntries[K])
    return entries
  }

  write(...changes: JournalChange[]): void {
    for (const { kind, id, value } of changes) {
      let entries = this.#disk.get(kind)
      if (entries === undefined) {
        entries = new Map()
        this.#disk.set(kind, entries)
      }
      if (value === undefined) entries.delete(id)
      else entries.set(id, JSON.stringify(value))
    }
  }

  close(): void {}
}
