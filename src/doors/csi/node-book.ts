import type { Journal, StagedEntry } from '../../node/journal.ts'

/** What callers have staged, by path. It outlives the daemon, and the machine: see node-mesos.ts. */
export class StagedBook {
  readonly #journal: Journal
  readonly #entries: Map<string, StagedEntry>

  constructor(journal: Journal) {
    this.#journal = journal
    this.#entries = journal.entries('staged')
  }

  at(path: string): StagedEntry | undefined {
    return this.#entries.get(path)
  }

  get all(): IterableIterator<[path: string, entry: StagedEntry]> {
    return this.#entries.entries()
  }

  /** What is staged of a volume, by its id or the name that it was staged under. */
  of(idOrName: string): StagedEntry | undefined {
    return [...this.#entries.values()].find((entry) => isAbout(entry, idOrName))
  }

  /** Durable when it returns. */
  write(path: string, entry: StagedEntry | undefined): void {
    this.#journal.write({ kind: 'staged', id: path, value: entry })
    if (entry === undefined) this.#entries.delete(path)
    else this.#entries.set(path, entry)
  }
}

/** Whether a caller means the volume of an entry: by id, or by the name that it staged it under. */
export function isAbout({ volumeId, asked }: StagedEntry, idOrName: string): boolean {
  return idOrName === volumeId || idOrName === asked
}
