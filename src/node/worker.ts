import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { Assignment, CallBody, DetachProof, WorkOrder } from '../model/node-protocol.ts'
import type { Journal, WorkEntry } from './journal.ts'
import type { Steps } from './steps.ts'

type Result = CallBody<'result'>

export interface WorkerParts {
  readonly steps: Steps
  readonly journal: Journal
  /** Tells the controller how a piece of work ended; rejects when it could not be told. */
  readonly tell: (result: Result) => Promise<void>
  readonly progress: (operationId: string, attempt: number, done: number) => void
  readonly log: (event: string, data: Record<string, unknown>) => void
}

interface Running {
  readonly attempt: number
  readonly abort: AbortController
}

/**
 * Does the work that the controller ordered, each (operation, attempt) at most once: what was begun is in the journal,
 * and what was begun by an earlier life of the daemon is cleaned up and told as interrupted, never continued.
 */
export class Worker {
  readonly #parts: WorkerParts
  readonly #running = new Map<string, Running>()
  readonly #entries: Map<string, WorkEntry>
  readonly #telling = new Set<string>()
  #stopped = false

  constructor(parts: WorkerParts) {
    this.#parts = parts
    this.#entries = parts.journal.entries('work')
  }

  assign(assignment: Assignment): void {
    const ordered = new Set(assignment.work.map((order) => order.operationId))
    for (const [id, entry] of this.#entries) {
      // told, and taken note of: the order is gone
      if (!ordered.has(id) && entry.result !== undefined && !this.#running.has(id)) this.#record(id, undefined)
    }
    for (const order of assignment.work) this.#follow(order)
  }

  /** Ends what runs; the next life of the daemon cleans up after it. */
  stop(): void {
    this.#stopped = true
    for (const { abort } of this.#running.values()) abort.abort(new HoldfastError('interrupted', 'the node stops'))
  }

  get running(): number {
    return this.#running.size
  }

  #follow(order: WorkOrder): void {
    if (this.#stopped) return
    const id = order.operationId
    const running = this.#running.get(id)
    if (running !== undefined) {
      const cancelled = order.cancel && running.attempt === order.attempt
      if (cancelled) running.abort.abort(new HoldfastError('cancelled', 'the operation was cancelled'))
      return
    }
    const entry = this.#entries.get(id)
    if (entry !== undefined && entry.order.attempt > order.attempt) return
    if (entry?.order.attempt === order.attempt) {
      if (entry.result !== undefined) void this.#tell(entry.result)
      else this.#start(order, (signal) => this.#cleanUp(order, signal))
      return
    }
    this.#record(id, { order, result: undefined })
    if (order.cancel) {
      this.#start(order, (signal) => this.#cleanUp(order, signal))
      return
    }
    this.#start(order, (signal) => this.#run(order, signal))
  }

  #start(order: WorkOrder, work: (signal: AbortSignal) => Promise<Result>): void {
    const abort = new AbortController()
    this.#running.set(order.operationId, { attempt: order.attempt, abort })
    void work(abort.signal)
      .then((result) => this.#ended(order, result))
      .finally(() => this.#running.delete(order.operationId))
  }

  #ended(order: WorkOrder, result: Result): void {
    // a daemon that is going down leaves it to its next life to look what is really there
    if (this.#stopped) return
    this.#record(order.operationId, { order, result })
    const { outcome } = result
    const how = outcome.ok ? { ok: true } : { ok: false, code: outcome.code, message: outcome.message }
    this.#parts.log('work.ended', { operation: order.operationId, attempt: order.attempt, step: order.step, ...how })
    void this.#tell(result)
  }

  async #run(order: WorkOrder, signal: AbortSignal): Promise<Result> {
    const { steps, progress } = this.#parts
    const { operationId, attempt } = order
    try {
      const facts = await steps.run(order, (done) => progress(operationId, attempt, done), signal)
      const detached = await steps.letGo(order)
      return { operationId, attempt, outcome: { ok: true, facts }, detached }
    } catch (thrown) {
      const { code, message } = asHoldfastError(signal.aborted ? signal.reason : thrown)
      return this.#fail(order, code, message)
    }
  }

  async #fail(order: WorkOrder, code: string, message: string): Promise<Result> {
    const { steps } = this.#parts
    const detached: DetachProof[] = await steps.letGo(order).catch(() => [])
    const facts = await steps.facts(order).catch(() => ({}))
    const { operationId, attempt } = order
    return { operationId, attempt, outcome: { ok: false, code, message, facts }, detached }
  }

  /** Begun by an earlier life, or cancelled before it began. */
  async #cleanUp(order: WorkOrder, _signal: AbortSignal): Promise<Result> {
    await this.#parts.steps.recover(order).catch(() => undefined)
    if (order.cancel) return this.#fail(order, 'cancelled', 'the operation was cancelled')
    return this.#fail(order, 'interrupted', 'the node restarted in the middle of it')
  }

  async #tell(result: Result): Promise<void> {
    if (this.#telling.has(result.operationId)) return
    this.#telling.add(result.operationId)
    try {
      await this.#parts.tell(result)
    } catch {
      // told again with the next assignment, or after the next connection
    } finally {
      this.#telling.delete(result.operationId)
    }
  }

  #record(id: string, entry: WorkEntry | undefined): void {
    this.#parts.journal.write({ kind: 'work', id, value: entry })
    if (entry === undefined) this.#entries.delete(id)
    else this.#entries.set(id, entry)
  }
}
