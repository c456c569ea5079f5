import { expirySuspended, UNTIL_FORGOTTEN } from '../ledger/clock.ts'
import type { Command } from '../ledger/commands.ts'
import type { LedgerState } from '../ledger/state.ts'
import type { Clock } from '../model/clock.ts'
import type { LedgerEvent } from '../model/event.ts'
import { isFinished } from '../model/operation.ts'
import type { Store } from '../store/store.ts'
import type { Engine } from './engine.ts'

const EVERY_MS = 1000
/** A quiet store's time is refreshed this often, so that a restart can tell how long it was away. */
const TICK_MS = 10 * 60_000
/** Of one kind; when there are more, the next pass follows at once. */
const PER_PASS = 50
/** Finished operations are kept for a day, and not more than this many. */
const OPERATION_KEEP_MS = 24 * 60 * 60_000
const OPERATION_KEEP = 10_000
/** Events are kept for a week, and not more than a million. */
const EVENT_KEEP = 1_000_000
const EVENT_KEEP_MS = 7 * 24 * 60 * 60_000
const TRIM_EVERY_MS = 60 * 60_000

export interface HousekeeperParts {
  readonly engine: Engine
  readonly store: Store
  readonly clock: Clock
}

/** Ends what has had its time: holds, the trash, tokens, idempotency keys, finished operations, old events. */
export class Housekeeper {
  readonly #parts: HousekeeperParts
  #cancelTimer: (() => void) | undefined
  /** Raised by every start and stop, so that a pass that was under way then starts no other. */
  #run = 0
  /** Time of the ledger when events were last trimmed. */
  #trimmedAt = 0

  constructor(parts: HousekeeperParts) {
    this.#parts = parts
  }

  start(): void {
    this.stop()
    this.#next(this.#run, EVERY_MS)
  }

  stop(): void {
    this.#run += 1
    this.#cancelTimer?.()
  }

  #next(run: number, delay: number): void {
    if (run !== this.#run) return
    this.#cancelTimer = this.#parts.clock.after(delay, () => {
      void this.#pass().then((more) => this.#next(run, more ? 0 : EVERY_MS))
    })
  }

  /** Whether more is due that can be done. */
  async #pass(): Promise<boolean> {
    const { engine } = this.#parts
    if (!engine.leading) return false
    const now = engine.now()
    const nothing = { commands: [], more: false }
    const { commands, more } = await engine.read((state) => due(state, now)).catch(() => nothing)
    const submit = (command: Command) => engine.submit({ actor: 'controller', command, internal: true })
    // a refusal means that somebody else was faster; the next pass looks again
    const done = await Promise.allSettled(commands.map(submit))
    if (now - this.#trimmedAt >= TRIM_EVERY_MS) await this.#trimEvents(now).catch(() => undefined)
    return more && done.some(({ status }) => status === 'fulfilled')
  }

  async #trimEvents(now: number): Promise<void> {
    const { engine, store } = this.#parts
    this.#trimmedAt = now
    const { head, suspended } = await engine.read((state) => {
      return { head: state.revision, suspended: expirySuspended(state) }
    })
    const old = suspended ? 0 : await lastBefore(store, now - EVENT_KEEP_MS, head)
    const through = Math.max(head - EVENT_KEEP, old)
    if (through > 0) await store.trimEvents(through)
  }
}

/** Revision of the last event before a time, 0 when there is none: events stand in the order of their times. */
async function lastBefore(store: Store, time: number, head: number): Promise<number> {
  let low = 0
  let high = head
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const [event] = (await store.events(middle, 1)).events
    const isOld = event !== undefined && (JSON.parse(event.json) as LedgerEvent).at < time
    if (isOld) low = event.revision
    else high = middle
  }
  return low
}

function due(state: LedgerState, now: number): { commands: Command[]; more: boolean } {
  const tick: Command[] = now - state.at >= TICK_MS ? [{ kind: 'clock.tick' }] : []
  if (expirySuspended(state)) return { commands: tick, more: false }
  const commands = [...expired(state, now), ...tick]
  const keys = oldKeys(state, now)
  const operations = oldOperations(state, now)
  const providers = orphanedProviders(state)
  const more = Math.max(commands.length, keys.length, operations.length, providers.length) >= PER_PASS
  if (keys.length > 0) commands.push({ kind: 'keys.expire', ids: keys })
  if (operations.length > 0) commands.push({ kind: 'operations.prune', ids: operations })
  return { commands: [...commands, ...providers], more }
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

/** What is kept for agents of nodes or pools that are no more; each may have any number of them. */
function orphanedProviders(state: LedgerState): Command[] {
  const due: Command[] = []
  for (const { nodeId, poolId } of state.all('provider').values()) {
    if (due.length >= PER_PASS) break
    const isThere = state.get('node', nodeId) !== undefined && state.get('pool', poolId) !== undefined
    if (!isThere) due.push({ kind: 'provider.forget', nodeId, poolId })
  }
  return due
}

/**
 * Keys stand in the order in which they were made, and those that end by the time all live equally long: the first that
 * is not due ends it. The others, of which there are few, are passed over.
 */
function oldKeys(state: LedgerState, now: number): string[] {
  const due: string[] = []
  for (const key of state.all('key').values()) {
    if (key.expiresAt === UNTIL_FORGOTTEN) continue
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
