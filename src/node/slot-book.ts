import type { Journal, JournalChange, SlotEntry } from './journal.ts'
import { Slot } from './slot.ts'

/** The slots of all volumes that are, or were, on this node, as the journal has them. */
export class SlotBook {
  readonly #journal: Journal
  readonly #slots = new Map<string, Slot>()
  /** Highest epoch seen of volumes that are not here now. */
  readonly #epochs: Map<string, number>

  constructor(journal: Journal) {
    this.#journal = journal
    this.#epochs = journal.entries('epoch')
    for (const [volumeId, entry] of journal.entries('slot')) {
      const slot = this.slot(volumeId)
      slot.entry = entry
      slot.actual = 'unknown'
      slot.stopped = entry.stopped === true
      slot.halfDown = entry.leaving === true
    }
  }

  slot(volumeId: string): Slot {
    let slot = this.#slots.get(volumeId)
    if (slot === undefined) {
      slot = new Slot(volumeId)
      this.#slots.set(volumeId, slot)
    }
    return slot
  }

  get(volumeId: string): Slot | undefined {
    return this.#slots.get(volumeId)
  }

  get all(): IterableIterator<Slot> {
    return this.#slots.values()
  }

  /** A slot by volume name or id. */
  find(nameOrId: string): Slot | undefined {
    const byId = this.#slots.get(nameOrId)
    if (byId !== undefined) return byId
    for (const slot of this.#slots.values()) if (slot.entry?.volume.name === nameOrId) return slot
    return undefined
  }

  /** Highest epoch ever seen of a volume, 0 when none was. */
  epochOf(slot: Slot): number {
    return Math.max(this.#epochs.get(slot.volumeId) ?? 0, slot.entry?.epoch ?? 0)
  }

  /** Written down before it is touched. */
  write(slot: Slot, entry: SlotEntry): void {
    this.#journal.write({ kind: 'slot', id: slot.volumeId, value: entry })
    slot.entry = entry
  }

  /** Nothing is left of it here; its epoch is remembered. */
  forget(slot: Slot, epoch: number = slot.entry?.epoch ?? 0): void {
    const seen = Math.max(epoch, slot.entry?.epoch ?? 0)
    const changes: JournalChange[] = [{ kind: 'epoch', id: slot.volumeId, value: seen }]
    if (slot.entry !== undefined) changes.push({ kind: 'slot', id: slot.volumeId, value: undefined })
    this.#journal.write(...changes)
    this.#epochs.set(slot.volumeId, seen)
    slot.clear()
  }

  /** Takes an empty slot out. */
  remove(slot: Slot): void {
    this.#slots.delete(slot.volumeId)
  }
}
