import { currentOf } from '../advertise/agent-state.ts'
import { heard } from '../advertise/operations.ts'
import { isNothing } from '../advertise/shown.ts'
import { wantNewVersion, wantNothing } from '../advertise/wanted.ts'
import type { Book, ProviderState } from './book.ts'
import type { Operations } from './operations.ts'
import type { Publishes } from './publishes.ts'

export interface PlannedStopParts {
  readonly book: Book
  readonly operations: Operations
  readonly publishes: Publishes
}

/** Offers of what was shown may be on their way for a whole allocation interval of the master (1 s by default). */
const QUIET_MS = 2000
/** How long offers that were made of the empty totals need to be rescinded. */
const RESCIND_MS = 500
/** Kept for saying what is left, before the holder loses patience. */
const LAST_WORD_MS = 500
const LOOK_MS = 50

/**
 * The end of a stream takes everything away at once, and what is on its way at that moment can abort the agent or the
 * master. So everything is withdrawn first: empty totals, a pause, one more version, all acknowledgements, and then the end.
 */
export class PlannedStop {
  readonly #parts: PlannedStopParts
  #phase: 'withdraw' | 'bump' | 'acknowledge' | 'over' = 'withdraw'
  /** Since when the phase's condition holds. */
  #since: number | undefined

  constructor(parts: PlannedStopParts) {
    this.#parts = parts
  }

  begin(limitMs: number): void {
    const { book } = this.#parts
    book.desk.after(Math.max(0, limitMs - LAST_WORD_MS), 'stop limit', () => this.#end())
    if (book.stopping) return
    book.stopping = true
    book.desk.log('stop.begun', { limitMs })
    for (const provider of book.providers.values()) {
      const shown = currentOf(book.pool(provider.poolId))
      if (shown !== undefined) book.shownBeforeStop.set(provider.poolId, shown)
      wantNothing(book.agent, provider.poolId, book.desk.now)
    }
    this.#look()
  }

  #look(): void {
    const { book } = this.#parts
    if (this.#phase === 'over') return
    // whatever the controller may still say, nothing is to be shown
    heard(book.agent, book.desk.now)
    this.#advance()
    book.desk.after(LOOK_MS, 'stop', () => this.#look())
  }

  #advance(): void {
    const { book, operations, publishes } = this.#parts
    const all = [...book.providers.values()]
    const open = all.filter(({ stream }) => stream === 'open')
    if (all.every(({ stream }) => stream === 'none')) {
      // nothing is left that could do harm, and nobody who could acknowledge anything
      this.#end()
    } else if (this.#phase === 'withdraw') {
      if (
        !this.#holdsFor(
          open.every((each) => this.#isEmpty(each)),
          QUIET_MS,
        )
      )
        return
      for (const { poolId } of open) wantNewVersion(book.agent, poolId)
      this.#enter('bump')
    } else if (this.#phase === 'bump') {
      if (
        this.#holdsFor(
          open.every((each) => !this.#isBumping(each)),
          RESCIND_MS,
        )
      )
        this.#enter('acknowledge')
    } else if (operations.records.size === 0 && publishes.size === 0) {
      this.#end()
    }
  }

  #isEmpty({ poolId }: ProviderState): boolean {
    const { shown, sent } = this.#parts.book.pool(poolId)
    return sent === undefined && (shown === undefined || isNothing(shown))
  }

  #isBumping({ poolId }: ProviderState): boolean {
    const { bump, sent } = this.#parts.book.pool(poolId)
    return bump || sent !== undefined
  }

  #holdsFor(condition: boolean, ms: number): boolean {
    const { now } = this.#parts.book.desk
    if (!condition) {
      this.#since = undefined
      return false
    }
    this.#since ??= now
    return now - this.#since >= ms
  }

  #enter(phase: 'bump' | 'acknowledge'): void {
    this.#phase = phase
    this.#since = undefined
  }

  #end(): void {
    if (this.#phase === 'over') return
    this.#phase = 'over'
    this.#parts.book.desk.stop([...this.#parts.operations.records.values()].map(sentenceOf))
  }
}

function sentenceOf({ id, info, status }: { id: string; info: { type: string }; status?: { state: string } }): string {
  if (status === undefined) return `${info.type} ${id} is still under way`
  return `${info.type} ${id} ended with ${status.state}, which nobody has acknowledged`
}
