import { FORWARD_JUMP_MS } from '../ledger/clock.ts'
import type { Command } from '../ledger/commands.ts'
import { type Accepted, type Decision, execute, type Key, remembered } from '../ledger/decide.ts'
import { LedgerState } from '../ledger/state.ts'
import type { Clock } from '../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { LedgerEvent } from '../model/event.ts'
import type { NewId } from '../model/ids.ts'
import { type Change, RECORD_KINDS, type RecordKind } from '../model/records.ts'
import { BATCH_BYTES, BATCH_RECORDS, type RecordChange, type Store, type StoredEvent } from '../store/store.ts'
import { LedgerTime } from './ledger-time.ts'

/** What is asked of the engine. */
export interface Request {
  readonly actor: string
  readonly key?: Key | undefined
  /** The command, or what makes it from the state at the moment of decision (placement does). May throw. */
  readonly command: Command | ((state: LedgerState) => Command)
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

interface Decided {
  readonly job: Job
  readonly decision: Decision
}

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
 * batch; batches are strictly chained. Every answer, a refusal or a read too, is given only when the state that it
 * comes from is durable. When a commit fails or its outcome is unknown, all that waited for it is told so and the
 * engine is down until it is started again.
 */
export class Engine {
  readonly #parts: EngineParts
  #state: LedgerState | undefined
  #time: LedgerTime | undefined
  #term = 0
  /** The loop is going. */
  #running = false
  /** A batch is decided but not known to be durable: the state is ahead of what may be told. */
  #ahead = false
  #queue: Job[] = []
  #readers: (() => void)[] = []
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
    for (const change of changes) state.apply(change)
    state.revision = head.revision
    state.at = head.at
    this.#term = term
    this.#time = new LedgerTime(this.#parts.clock, head.at)
    this.#state = state
    const away = this.#parts.clock.now() - head.at
    if (head.at > 0 && away > FORWARD_JUMP_MS && this.#parts.trustClock !== true) {
      const jump = { from: head.at, to: head.at + away }
      await this.submit({ actor: 'controller', command: { kind: 'clock.suspend', ...jump } })
    }
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

  /** Told of every durable batch, at the moment when the state is exactly what is durable. */
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
    if (this.#queue.length >= MAX_WAITING) {
      return Promise.reject(new HoldfastError('overloaded', `${MAX_WAITING} commands are waiting; try again shortly`))
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ request, resolve, reject })
      this.#kick()
    })
  }

  /** Reads the state at a durable revision. `read` must not wait for anything. */
  read<T>(read: (state: LedgerState) => T): Promise<T> {
    if (this.#state === undefined) return Promise.reject(notReady())
    return new Promise((resolve, reject) => {
      const run = () => {
        if (this.#state === undefined) return reject(notReady())
        try {
          resolve(read(this.#state))
        } catch (thrown) {
          reject(asHoldfastError(thrown))
        }
      }
      if (this.#ahead) this.#readers.push(run)
      else run()
    })
  }

  /** The state, for those who are called at a durable moment (`onCommitted` listeners). */
  get durable(): LedgerState | undefined {
    return this.#ahead ? undefined : this.#state
  }

  /** An operator confirmed the wall clock. */
  async confirmClock(actor: string): Promise<void> {
    await this.submit({ actor, command: { kind: 'clock.confirm' } })
    this.#time?.adopt()
  }

  /** The ledger's time, ms since 1970. */
  now(): number {
    return this.#time?.read().now ?? this.#parts.clock.now()
  }

  /** Waits until nothing is under way, then leads no longer. */
  async stop(): Promise<void> {
    while (this.#ahead) await new Promise<void>((resolve) => this.#readers.push(resolve))
    this.#state = undefined
    for (const job of this.#queue.splice(0)) job.reject(notReady())
  }

  #kick(): void {
    if (this.#running) return
    this.#running = true
    // what arrives in the same turn of the event loop is decided together
    queueMicrotask(() => void this.#run())
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0 && this.#state !== undefined) {
      const state: LedgerState = this.#state
      const { decided, changes, records, events } = this.#decide(state)
      if (events.length > 0) {
        this.#ahead = true
        try {
          await this.#commit(state, records, events)
        } catch (thrown) {
          this.#stepDown(decided, asHoldfastError(thrown))
          break
        }
        this.#ahead = false
      }
      this.#settle(state, decided, changes, events)
    }
    this.#ahead = false
    this.#running = false
    this.#flushReaders()
  }

  /** Decides as many of the waiting commands as one batch can hold. */
  #decide(state: LedgerState) {
    const decided: Decided[] = []
    const changes: Change[] = []
    const records = new Map<string, RecordChange>()
    const events: LedgerEvent[] = []
    let bytes = 0
    const time = (this.#time as LedgerTime).read()
    if (time.jump !== undefined && state.get('clock', 'clock') === undefined) {
      this.#queue.unshift(internalJob({ kind: 'clock.suspend', ...time.jump }))
    }
    while (this.#queue.length > 0) {
      const job = this.#queue[0] as Job
      const decision = this.#execute(state, job.request, time.now)
      if (decision.ok) {
        const written = serialise(decision)
        const size = written.reduce((sum, each) => sum + (each.json?.length ?? 0) + 64, 0)
        const full = records.size + written.length > BATCH_RECORDS || bytes + size > BATCH_BYTES / 2
        if (full && decided.length > 0) {
          decision.undo()
          break
        }
        bytes += size
        changes.push(...decision.changes)
        for (const each of written) records.set(`${each.kind}/${each.id}`, each)
        if (decision.event !== undefined) events.push(decision.event)
      }
      this.#queue.shift()
      decided.push({ job, decision })
    }
    return { decided, changes, records: [...records.values()], events }
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

  async #commit(state: LedgerState, changes: RecordChange[], events: LedgerEvent[]): Promise<void> {
    const stored: StoredEvent[] = events.map((event) => ({ revision: event.revision, json: JSON.stringify(event) }))
    await this.#parts.store.commit({
      term: this.#term,
      previousRevision: (events[0] as LedgerEvent).revision - 1,
      revision: state.revision,
      at: state.at,
      changes,
      events: stored,
    })
  }

  #settle(state: LedgerState, decided: Decided[], changes: Change[], events: LedgerEvent[]): void {
    for (const { job, decision } of decided) {
      if (decision.ok) job.resolve({ answer: decision.answer, revision: state.revision })
      else job.reject(decision.error)
    }
    if (events.length > 0) {
      for (const listener of this.#listeners) listener({ changes, events, revision: state.revision })
    }
    this.#flushReaders()
  }

  #flushReaders(): void {
    const readers = this.#readers
    this.#readers = []
    for (const read of readers) read()
  }

  #stepDown(decided: Decided[], error: HoldfastError): void {
    this.#state = undefined
    const unknown = new HoldfastError(
      'unknown_outcome',
      `the store did not confirm (${error.message}); repeat with the same idempotency key`,
    )
    const waiting = this.#queue
    this.#queue = []
    for (const { job } of decided) job.reject(unknown)
    for (const job of waiting) job.reject(notReady())
    for (const listener of this.#downListeners) listener(error)
  }
}

function serialise(decision: Accepted): RecordChange[] {
  return decision.changes.map(({ kind, id, record }) => ({
    kind,
    id,
    json: record === undefined ? undefined : JSON.stringify(record),
  }))
}

function internalJob(command: Command): Job {
  return { request: { actor: 'controller', command }, resolve: () => {}, reject: () => {} }
}

function notReady(): HoldfastError {
  return new HoldfastError('not_ready', 'the controller is loading or has stepped down; try again shortly')
}
