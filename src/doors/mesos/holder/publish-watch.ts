/** How long an agent may wait for the answer to PUBLISH_RESOURCES: it has no limit of its own, and the task hangs. */
export const PUBLISH_MS = 60_000

interface Open {
  readonly seq: number
  readonly timer: NodeJS.Timeout
}

/**
 * Every PUBLISH_RESOURCES is answered, and only once: the one rule of the protocol that holds while the logic is away.
 */
export class PublishWatch {
  readonly #limitMs: number
  readonly #onLate: (key: string, uuid: string, seq: number) => void
  readonly #open = new Map<string, Open>()

  constructor(limitMs: number, onLate: (key: string, uuid: string, seq: number) => void) {
    this.#limitMs = limitMs
    this.#onLate = onLate
  }

  asked(key: string, uuid: string, seq: number): void {
    const id = idOf(key, uuid)
    clearTimeout(this.#open.get(id)?.timer)
    const timer = setTimeout(() => {
      this.#open.delete(id)
      this.#onLate(key, uuid, seq)
    }, this.#limitMs)
    this.#open.set(id, { seq, timer })
  }

  /** An answer is about to be given. @returns false when there was one already */
  answer(key: string, uuid: string): boolean {
    const id = idOf(key, uuid)
    clearTimeout(this.#open.get(id)?.timer)
    return this.#open.delete(id)
  }

  /** The stream has ended: nobody waits any more. @returns the events that ask in vain */
  forget(key: string): number[] {
    const mine = [...this.#open].filter(([id]) => id.startsWith(`${key}\n`))
    for (const [id, { timer }] of mine) {
      clearTimeout(timer)
      this.#open.delete(id)
    }
    return mine.map(([, { seq }]) => seq)
  }

  close(): void {
    for (const { timer } of this.#open.values()) clearTimeout(timer)
    this.#open.clear()
  }
}

function idOf(key: string, uuid: string): string {
  return `${key}\n${uuid}`
}
