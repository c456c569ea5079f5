import { expirySuspended } from '../ledger/clock.ts'
import type { Command } from '../ledger/commands.ts'
import { type Decision, execute, type Key, remembered } from '../ledger/decide.ts'
import { LedgerState } from '../ledger/state.ts'
import type { Clock } from '../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { LedgerEvent } from '../model/event.ts'
import type { NewId } from '../model/ids.ts'
import { type Change, RECORD_KINDS, type RecordKind } from '../model/records.ts'
import { BATCH_BYTES, type Store } from '../store/store.ts'
import { LedgerTime } from './ledger-time.ts'
import { OpenBatch, type Waiter } from './open-batch.ts'

/** What is asked of the engine. */
export interface Request {
  readonly actor: string
  readonly key?: Key | undefined
  /** The command, or what makes it from the state at the moment of decision (placement does). May throw. */
  readonly command: Command | ((state: LedgerState) => Command)
  /** Of the controller itself: there are few of these, and they are not turned away when many commands wait. */
  readonly internal?: boolean
}

export interface Answer {
  readonly answer: unknown
  /** Durable revision that the answer comes from. */
  readonly revision: number
}

/** What one durable batch changed, command by command. */
export interface Committed {
  readonly changes: readonly Change[]
  readonly events: readonly LedgerEvent[]
  readonly revision: number
}

interface Job {
  readonly request: Request
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: HoldfastError) => void
}

const BY_ITSELF = { actor: 'controller', internal: true } as const

/** Commands that may wait; more are told to come back later. */
const MAX_WAITING = 10_000

export interface EngineParts {
  readonly store: Store
  readonly clock: Clock
  readonly newId: NewId
  /** Trust the wall clock at start, however long the controller was away (for throw-away installations). */
  readonly trustClock?: boolean
}

/**
 * Runs the ledger on a store. Commands that arrive together are decided one by one in memory and committed as one
 * batch; while a batch is being written the next one is decided, but none is sent before the one before it is known.
 * Every answer, a refusal or a read too, is given only when the state that it comes from is durable. When a commit
 * fails or its outcome is unknown, all that waited for it is told so and the engine is down until it is started again.
 */
export class Engine {
  readonly #parts: EngineParts
  #state: LedgerState | undefined
  #time: LedgerTime | undefined
  #term = 0
  #queue: Job[] = []
  /** Decided, not sent. */
  #open = new OpenBatch()
  /** Sent, and not known to be durable. */
  #sent: OpenBatch | undefined
  #scheduled = false
  #idle: (() => void)[] = []
  #confirming: Promise<void> | undefined
  #nextConfirm: Promise<void> | undefined
  readonly #listeners = new Set<(committed: Committed) => void>()
  readonly #downListeners = new Set<(error: HoldfastError) => void>()

  constructor(parts: EngineParts) {
    this.#parts = parts
  }

  /** Becomes the writer and loads everything. @throws fenced, store_corrupt, store_schema, state_dir */
  async start(): Promise<void> {
    const { term } = await this.#parts.store.campaign()
    const changes: Change[] = []
    const head = await this.#parts.store.load(({ kind, id, json }) => {
      if ((RECORD_KINDS as readonly string[]).includes(kind)) {
        changes.push({ kind: kind as RecordKind, id, record: JSON.parse(json) } as Change)
      }
    })
    const state = new LedgerState(head.installation)
    for (const change of inOrder(changes)) state.apply(change)
    state.revision = head.revision
    state.at = head.at
    this.#term = term
    const time = new LedgerTime(this.#parts.clock, head.at)
    if (head.at === 0 || this.#parts.trustClock === true) time.adopt()
    this.#time = time
    this.#state = state
    // away for long, or the clock is wrong: deciding anything suspends expiry first
    if (time.read().jump !== undefined) await this.submit({ ...BY_ITSELF, command: { kind: 'clock.tick' } })
  }

  get leading(): boolean {
    return this.#state !== undefined
  }

  get term(): number {
    return this.#term
  }

  get waiting(): number {
    return this.#queue.length
  }

  /** Told of every batch when it is durable. What more is to be read goes through `read`. */
  onCommitted(listener: (committed: Committed) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Told when the engine stepped down. */
  onDown(listener: (error: HoldfastError) => void): () => void {
    this.#downListeners.add(listener)
    return () => this.#downListeners.delete(listener)
  }

  /**
   * Asks for a command.
   * @throws the refusal; unknown_outcome when it may or may not have been done (repeat with the same key);
   *   overloaded, not_ready
   */
  submit(request: Request): Promise<Answer> {
    if (this.#state === undefined) return Promise.reject(notReady())
    if (this.#queue.length >= MAX_WAITING && request.internal !== true) {
      return Promise.reject(new HoldfastError('overloaded', `${MAX_WAITING} commands are waiting; try again shortly`))
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ request, resolve, reject })
      this.#kick()
    })
  }

  /** Reads the state, and answers when what was read is durable. `read` must not wait for anything. */
  read<T>(read: (state: LedgerState) => T): Promise<T> {
    if (this.#state === undefined) return Promise.reject(notReady())
    const state = this.#state
    return new Promise((resolve, reject) => {
      const fail = () => reject(notReady())
      try {
        const value = read(state)
        this.#whenDurable({ release: () => resolve(value), fail })
      } catch (thrown) {
        this.#whenDurable({ release: () => reject(asHoldfastError(thrown)), fail })
      }
    })
  }

  /**
   * Shows that no other controller leads, at some moment after the call. Calls share what they ask of the store.
   * @throws fenced, unknown_outcome, not_ready
   */
  confirm(): Promise<void> {
    if (this.#state === undefined) return Promise.reject(notReady())
    // the one that is under way may have looked before this call
    this.#nextConfirm ??= (this.#confirming ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => {
        this.#nextConfirm = undefined
        this.#confirming = this.#parts.store.confirm()
        return this.#confirming
      })
    return this.#nextConfirm
  }

  /** The state, if all of it is durable at this moment. */
  get durable(): LedgerState | undefined {
    return this.#open.isEmpty && this.#sent === undefined ? this.#state : undefined
  }

  /** An operator confirmed the wall clock. */
  async confirmClock(actor: string, key?: Key): Promise<unknown> {
    return (await this.submit({ actor, key, command: { kind: 'clock.confirm' } })).answer
  }

  /** The ledger's time, ms since 1970. */
  now(): number {
    return this.#time?.read().now ?? this.#parts.clock.now()
  }

  /** Waits until nothing is under way, then leads no longer. */
  async stop(): Promise<void> {
    while (this.#sent !== undefined || !this.#open.isEmpty) {
      await new Promise<void>((resolve) => this.#idle.push(resolve))
    }
    this.#state = undefined
    for (const job of this.#queue.splice(0)) job.reject(notReady())
  }

  /** What depends on the state as it is now is told when that is durable. */
  #whenDurable(waiter: Waiter): void {
    if (!this.#open.isEmpty) this.#open.waiters.push(waiter)
    else if (this.#sent !== undefined) this.#sent.waiters.push(waiter)
    else waiter.release()
  }

  #kick(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    // what arrives in the same turn of the event loop is decided together
    queueMicrotask(() => {
      this.#scheduled = false
      this.#advance()
      if (this.#sent === undefined && this.#open.isEmpty) for (const idle of this.#idle.splice(0)) idle()
    })
  }

  /** Decides what waits, as far as it fits into the open batch, and sends that batch if none is under way. */
  #advance(): void {
    const state = this.#state
    if (state === undefined) return
    this.#decide(state)
    if (this.#sent !== undefined || this.#open.isEmpty) return
    const batch = this.#open
    this.#sent = batch
    this.#open = new OpenBatch()
    this.#commit(batch).then(
      () => this.#settle(batch),
      (thrown) => this.#stepDown(asHoldfastError(thrown)),
    )
    // what did not fit is decided while that one is written
    if (this.#queue.length > 0) this.#decide(state)
  }

  #decide(state: LedgerState): void {
    const time = this.#time as LedgerTime
    let { now, jump } = time.read()
    if (jump !== undefined && !expirySuspended(state)) {
      this.#queue.unshift(internalJob({ kind: 'clock.suspend', ...jump }))
    }
    let taken = 0
    for (const job of this.#queue) {
      const decision = this.#offer(this.#execute(state, job.request, now))
      if (decision === 'full') break
      taken += 1
      if (decision.ok && decision.event?.type === 'clock.confirmed') {
        // now, not when that is durable: what is decided in between would find the jump again
        time.adopt()
        now = time.read().now
      }
      const { revision } = state
      const release = decision.ok
        ? () => job.resolve({ answer: decision.answer, revision })
        : () => this.#refuse(job, decision.error)
      this.#whenDurable({ release, fail: () => job.reject(unknownOutcome()) })
    }
    this.#queue.splice(0, taken)
  }

  /**
   * A refusal under a key says that nothing was done under it, also not by a leader that this one knows nothing of:
   * the caller may have asked before, without an answer.
   */
  #refuse(job: Job, error: HoldfastError): void {
    if (job.request.key === undefined) job.reject(error)
    else
      this.confirm().then(
        () => job.reject(error),
        () => job.reject(unknownOutcome()),
      )
  }

  /** Puts what was accepted into the open batch. */
  #offer(decision: Decision): Decision | 'full' {
    if (!decision.ok) return decision
    const taken = this.#open.take(decision)
    if (taken === 'taken') return decision
    decision.undo()
    return taken === 'full' ? 'full' : { ok: false, error: tooLarge() }
  }

  #execute(state: LedgerState, request: Request, now: number): Decision {
    const context = { now, newId: this.#parts.newId, actor: request.actor }
    try {
      // the first answer comes before anything is looked for: what fitted then may not fit now
      const first = request.key === undefined ? undefined : remembered(state, request.key)
      if (first !== undefined) return { ok: true, undo: () => {}, answer: first.answer, changes: [], event: undefined }
      const command = typeof request.command === 'function' ? request.command(state) : request.command
      return execute(state, command, context, request.key)
    } catch (thrown) {
      return { ok: false, error: asHoldfastError(thrown) }
    }
  }

  #commit(batch: OpenBatch): Promise<void> {
    const first = (batch.events[0] as LedgerEvent).revision
    const last = (batch.events.at(-1) as LedgerEvent).revision
    return this.#parts.store.commit({
      term: this.#term,
      previousRevision: first - 1,
      revision: last,
      at: batch.at,
      changes: batch.records,
      events: batch.stored,
    })
  }

  #settle(batch: OpenBatch): void {
    this.#sent = undefined
    for (const { release } of batch.waiters) release()
    const { changes, events } = batch
    const revision = (events.at(-1) as LedgerEvent).revision
    for (const listener of this.#listeners) tell(listener, { changes, events, revision })
    this.#advance()
    if (this.#sent === undefined && this.#open.isEmpty) for (const idle of this.#idle.splice(0)) idle()
  }

  #stepDown(error: HoldfastError): void {
    const decided = [...(this.#sent?.waiters ?? []), ...this.#open.waiters]
    const waiting = this.#queue
    this.#state = undefined
    this.#sent = undefined
    this.#open = new OpenBatch()
    this.#queue = []
    for (const { fail } of decided) fail()
    for (const job of waiting) job.reject(notReady())
    for (const idle of this.#idle.splice(0)) idle()
    for (const listener of this.#downListeners) listener(error)
  }
}

function internalJob(command: Command): Job {
  return { request: { ...BY_ITSELF, command }, resolve: () => {}, reject: () => {} }
}

/** Idempotency keys in the order in which they end: the store keeps no order, and the housekeeper goes by theirs. */
function inOrder(changes: Change[]): Change[] {
  const ends = ({ kind, record }: Change) => (kind === 'key' ? (record?.expiresAt ?? 0) : 0)
  return changes.sort((a, b) => ends(a) - ends(b))
}

function tooLarge(): HoldfastError {
  return new HoldfastError(
    'body_too_large',
    `what this would record has more than ${BATCH_BYTES / 1024} KiB: ask for fewer things at once, or with shorter labels`,
  )
}

/** A listener's trouble is its own: the commands that were told of are durable, and the next ones wait. */
function tell(listener: (committed: Committed) => void, committed: Committed): void {
  try {
    listener(committed)
  } catch (thrown) {
    process.emitWarning(asHoldfastError(thrown))
  }
}

function unknownOutcome(): HoldfastError {
  return new HoldfastError(
    'unknown_outcome',
    'the store did not confirm this; it may or may not be done: repeat it with the same idempotency key',
  )
}

function notReady(): HoldfastError {
  return new HoldfastError('not_ready', 'the controller is loading or has stepped down; try again shortly')
}
