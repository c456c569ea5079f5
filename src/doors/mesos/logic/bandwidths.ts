import type { HoldfastError } from '../../../model/errors.ts'
import type { Findings } from './agent-look.ts'
import type { Book, ProviderState } from './book.ts'
import { isPassing } from './desk.ts'

const SETTLE_MS = 2000
const CLEAN_LOOKS = 2
const PAUSE_MS = 500

interface Taken {
  /** What the controller counts for this agent, in the node's unit. */
  amount: number
  /** What is wanted instead, and by whom. */
  wanted: number | undefined
  readonly waiting: Set<BandwidthWaiting>
  open: number
  answeredAt: number
  /** Looks in a row that found less in use. */
  lower: number
}

export interface BandwidthWaiting {
  readonly onGranted: () => void
  readonly onRefused: (error: HoldfastError) => void
}

/** Storage bandwidth that the tasks of the agent have taken: Mesos divides it, the ledger admits it. */
export class Bandwidths {
  readonly #book: Book
  readonly #taken = new Map<string, Taken>()

  constructor(book: Book) {
    this.#book = book
  }

  get isTaken(): boolean {
    return [...this.#taken.values()].some(({ amount, open }) => amount > 0 || open > 0)
  }

  restore(poolId: string, amount: number): void {
    this.#of(poolId).amount = amount
    this.#of(poolId).answeredAt = this.#book.desk.now
  }

  /** A publish lists so much in all, its own task included. */
  claim(poolId: string, amount: number, waiting: BandwidthWaiting): void {
    const taken = this.#of(poolId)
    taken.open += 1
    taken.lower = 0
    if (amount <= taken.amount) {
      waiting.onGranted()
      return
    }
    taken.waiting.add(waiting)
    taken.wanted = Math.max(taken.wanted ?? 0, amount)
    this.#put(poolId, taken)
  }

  answered(poolId: string, waiting: BandwidthWaiting): void {
    const taken = this.#of(poolId)
    taken.waiting.delete(waiting)
    taken.open -= 1
    taken.answeredAt = this.#book.desk.now
  }

  /** Gives back what nothing has any more. */
  found({ bandwidth }: Findings, askedAt: number): void {
    for (const [poolId, taken] of this.#taken) {
      const provider = this.#book.providers.get(poolId)
      const used = Math.ceil(bandwidth.get(provider?.providerId ?? '') ?? 0)
      const isEarly = taken.open > 0 || askedAt < taken.answeredAt + SETTLE_MS
      taken.lower = isEarly || used >= taken.amount ? 0 : taken.lower + 1
      if (taken.lower < CLEAN_LOOKS) continue
      taken.wanted = used
      this.#put(poolId, taken)
    }
  }

  amount({ poolId }: ProviderState): number {
    return this.#taken.get(poolId)?.amount ?? 0
  }

  #of(poolId: string): Taken {
    const known = this.#taken.get(poolId)
    if (known !== undefined) return known
    const taken: Taken = {
      amount: 0,
      wanted: undefined,
      waiting: new Set(),
      open: 0,
      answeredAt: Number.NEGATIVE_INFINITY,
      lower: 0,
    }
    this.#taken.set(poolId, taken)
    return taken
  }

  #put(poolId: string, taken: Taken): void {
    const { desk } = this.#book
    const { wanted } = taken
    const name = `bandwidth ${poolId}`
    if (wanted === undefined || desk.isAsked(name)) return
    // what may be taken is written down before: after a restart the looks give it back
    if (wanted > taken.amount) desk.write(`bandwidth/${poolId}`, { amount: wanted })
    const path = `/v1/mesos/providers/${poolId}/bandwidth`
    desk.ask(name, { kind: 'rest', method: 'PUT', path, body: { bandwidth: wanted } }, (reply) => {
      if (reply.ok) return this.#set(poolId, taken, wanted)
      if (isPassing(reply.error)) {
        desk.after(PAUSE_MS, name, () => this.#put(poolId, taken))
        return
      }
      taken.wanted = undefined
      desk.write(`bandwidth/${poolId}`, { amount: taken.amount })
      const all = [...taken.waiting]
      taken.waiting.clear()
      for (const each of all) each.onRefused(reply.error)
    })
  }

  #set(poolId: string, taken: Taken, amount: number): void {
    taken.amount = amount
    this.#book.desk.write(`bandwidth/${poolId}`, amount === 0 ? null : { amount })
    if (taken.wanted !== undefined && taken.wanted > amount) {
      this.#put(poolId, taken)
      return
    }
    taken.wanted = undefined
    const all = [...taken.waiting]
    taken.waiting.clear()
    for (const each of all) each.onGranted()
  }
}
