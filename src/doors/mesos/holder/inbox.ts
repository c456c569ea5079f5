import type { StreamEvent } from './protocol.ts'

/** Without what only the moment of sending knows. */
export type Kept = StreamEvent extends infer E ? (E extends StreamEvent ? Omit<E, 'ageMs'> : never) : never

interface Item {
  readonly event: Kept
  readonly bytes: number
  readonly at: number
}

export interface InboxLimits {
  readonly events: number
  readonly bytes: number
}

/** Events that the logic has not consumed, oldest first. When it is full the streams must wait. */
export class Inbox {
  readonly #limits: InboxLimits
  readonly #now: () => number
  readonly #items = new Map<number, Item>()
  #bytes = 0
  #lastSeq = 0

  /** @param now ms of a clock that never jumps */
  constructor(limits: InboxLimits, now: () => number) {
    this.#limits = limits
    this.#now = now
  }

  get isFull(): boolean {
    return this.#items.size >= this.#limits.events || this.#bytes >= this.#limits.bytes
  }

  /** Half of it is free again. */
  get hasRoom(): boolean {
    return this.#items.size * 2 <= this.#limits.events && this.#bytes * 2 <= this.#limits.bytes
  }

  nextSeq(): number {
    this.#lastSeq += 1
    return this.#lastSeq
  }

  add(event: Kept, bytes: number): void {
    this.#items.set(event.seq, { event, bytes, at: this.#now() })
    this.#bytes += bytes
  }

  consume(seqs: readonly number[]): void {
    for (const seq of seqs) {
      this.#bytes -= this.#items.get(seq)?.bytes ?? 0
      this.#items.delete(seq)
    }
  }

  all(): StreamEvent[] {
    const now = this.#now()
    return [...this.#items.values()].map(({ event, at }) => ({ ...event, ageMs: Math.round(now - at) }))
  }
}
