import { expirySuspended } from '../ledger/clock.ts'
import type { Command } from '../ledger/commands.ts'
import type { LedgerState } from '../ledger/state.ts'
import type { Clock } from '../model/clock.ts'
import { isFinished } from '../model/operation.ts'
import type { Store } from '../store/store.ts'
import type { Engine } from './engine.ts'

const EVERY_MS = 1000
/** A quiet store's time is refreshed this often, so that a restart can tell how long it was away. */
const TICK_MS = 10 * 60_000
const PER_PASS = 50
/** Finished operations are kept for a day, and not more than this many. */
const OPERATION_KEEP_MS = 24 * 60 * 60_000
const OPERATION_KEEP = 10_000
/** Events are kept for a week, and not more than a million. */
const EVENT_KEEP = 1_000_000
const EVENT_KEEP_MS = 7 * 24 * 60 * 60_000

export interface HousekeeperParts {
  readonly engine: Engine
  readonly store: Store
  readonly clock: Clock
}

/** Ends what has had its time: holds, the trash, tokens, idempotency keys, finished operations, old events. */
export class Housekeeper {
  readonly #parts: HousekeeperParts
  #cancelTimer: (() => void) | undefined
  #stopped = true
  #passes = 0
  /** Revisions with their times, an hour apart, to find where a week ago was. */
  #marks: { revision: number; at: number }[] = []

  constructor(parts: HousekeeperParts) {
    this.#parts = parts
  }

  start(): void {
    this.#stopped = false
    this.#next()
  }

  stop(): void {
    this.#stopped = true
    this.#cancelTimer?.()
  }

  #next(): void {
    if (this.#stopped) return
    this.#cancelTimer = this.#parts.clock.after(EVERY_MS, () => {
      void this.#pass().then(() => this.#next())
    })
  }

  async #pass(): Promise<void> {
    const { engine } = this.#parts
    if (!engine.leading) return
    this.#passes += 1
    const now = engine.now()
    const due = await engine.read((state) => this.#due(state, now)).catch(() => [])
    // a refusal means that somebody else was faster; the next pass looks again
    for (const command of due) await engine.submit({ actor: 'controller', command }).catch(() => undefined)
    if (this.#passes % 3600 === 1) await this.#trimEvents(now)
  }

  #due(state: LedgerState, now: number): Command[] {
    const due: Command[] = []
    if (!expirySuspended(state)) {
      due.push(...expired(state, now))
      const keys = oldKeys(state, now)
      if (keys.length > 0) due.push({ kind: 'keys.expire', ids: keys })
      const operations = oldOperations(state, now)
      if (operations.length > 0) due.push({ kind: 'operations.prune', ids: operations })
    }
    if (now - state.at >= TICK_MS) due.push({ kind: 'clock.tick' })
    return due
  }

  async #trimEvents(now: number): Promise<void> {
    const { engine, store } = this.#parts
    const mark = await engine.read((state) => ({ revision: state.revision, at: now })).catch(() => undefined)
    if (mark === undefined) return
    this.#marks.push(mark)
    const old = this.#marks.filter((each) => now - each.at > EVENT_KEEP_MS)
    this.#marks = this.#marks.filter((each) => now - each.at <= EVENT_KEEP_MS)
    const through = Math.max(mark.revision - EVENT_KEEP, ...old.map((each) => each.revision), 0)
    if (through > 0) await store.trimEvents(through).catch(() => undefined)
  }
}

function expired(state: LedgerState, now: number): Command[] {
  const due: Command[] = []
  for (const id of state.expiring) {
    if (due.length >= PER_PASS) break
    const hold = state.get('hold', id)
    const token = state.get('token', id)
    const volume = state.get('volume', id)
    if (hold?.expiresAt !== undefined && hold.expiresAt <= now) {
      due.push({ kind: 'hold.release', holdId: id, reason: 'expired' })
    } else if (token?.expiresAt !== undefined && token.expiresAt <= now) {
      due.push({ kind: 'token.revoke', tokenId: id, reason: 'expired' })
    } else if (volume?.purgeAt !== undefined && volume.purgeAt <= now) {
      due.push({ kind: 'volume.purge', volumeId: id })
    }
  }
  return due
}

/** Keys stand in the order in which they were made, and all live equally long: the first that is not due ends it. */
function oldKeys(state: LedgerState, now: number): string[] {
  const due: string[] = []
  for (const key of state.all('key').values()) {
    if (key.expiresAt > now || due.length >= PER_PASS) break
    due.push(key.id)
  }
  return due
}

function oldOperations(state: LedgerState, now: number): string[] {
  const due: string[] = []
  const tooMany = state.all('operation').size - OPERATION_KEEP
  for (const operation of state.all('operation').values()) {
    if (due.length >= PER_PASS) break
    if (!isFinished(operation)) continue
    const old = (operation.finishedAt ?? 0) + OPERATION_KEEP_MS <= now
    if (old || due.length < tooMany) due.push(operation.id)
    else if (tooMany <= 0) break
  }
  return due
}
