import type { Clock } from '../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { Assignment, CallBody, DetachProof, WorkOrder } from '../model/node-protocol.ts'
import type { Journal, WorkEntry } from './journal.ts'
import type { Steps } from './steps.ts'

type Result = CallBody<'result'>

/** How long to wait before what failed is tried again: to tell of a result, or to let go of a volume. */
const AGAIN_MS = 3000

export interface WorkerParts {
  readonly steps: Steps
  readonly journal: Journal
  readonly clock: Clock
  /** Tells the controller how a piece of work ended; rejects when it could not be told. */
  readonly tell: (result: Result) => Promise<void>
  readonly progress: (operationId: string, attempt: number, done: number) => void
  readonly log: (event: string, data: Record<string, unknown>) => void
}

interface Running {
  readonly order: WorkOrder
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
  readonly #lettingGo = new Set<string>()
  /** Newest attempt of work that was ended and forgotten. */
  readonly #forgotten = new Map<string, number>()
  #newest: Assignment | undefined
  #stopped = false

  constructor(parts: WorkerParts) {
    this.#parts = parts
    this.#entries = parts.journal.entries('work')
  }

  assign(assignment: Assignment): void {
    this.#newest = assignment
    const ordered = new Set(assignment.work.map((order) => order.operationId))
    for (const [id, { order, result }] of this.#entries) {
      if (ordered.has(id)) continue
      // taken back, and perhaps given to another node: then not one step more
      if (this.#running.has(id)) this.#abort(id, `attempt ${order.attempt} was taken back`)
      // told, and taken note of
      else if (result?.outcome.ok === true || isProven(order, result?.detached)) this.#record(id, undefined)
      else this.#letGoLater(order.operationId)
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
      const { attempt } = running.order
      if (attempt < order.attempt) this.#abort(id, `attempt ${attempt} was taken back`)
      const cancelled = order.cancel && attempt === order.attempt
      if (cancelled) running.abort.abort(new HoldfastError('cancelled', 'the operation was cancelled'))
      return
    }
    const entry = this.#entries.get(id)
    if (entry !== undefined && entry.order.attempt > order.attempt) return
    if (entry?.order.attempt === order.attempt) {
      if (entry.result !== undefined) this.#tellAgain(order, entry.result)
      else this.#start(order, (signal) => this.#cleanUp(order, signal))
      return
    }
    this.#record(id, { order, result: undefined })
    // an attempt is made once, also when it was taken back for a while
    const again = (this.#forgotten.get(id) ?? 0) >= order.attempt
    if (order.cancel || again) {
      this.#start(order, (signal) => this.#cleanUp(order, signal))
      return
    }
    this.#start(order, (signal) => this.#run(order, signal))
  }

  #abort(id: string, why: string): void {
    this.#running.get(id)?.abort.abort(new HoldfastError('interrupted', why))
  }

  #start(order: WorkOrder, work: (signal: AbortSignal) => Promise<Result>): void {
    const abort = new AbortController()
    this.#running.set(order.operationId, { order, abort })
    void work(abort.signal)
      .then((result) => this.#ended(order, result))
      .finally(() => {
        this.#running.delete(order.operationId)
        // it may have been ordered anew while an earlier attempt was still running
        const newest = this.#newest?.work.find((each) => each.operationId === order.operationId)
        if (newest !== undefined && newest.attempt > order.attempt) this.#follow(newest)
      })
  }

  /** After a start of the daemon: what was interrupted must not stand in anybody's way until the controller answers. */
  async recover(): Promise<void> {
    const interrupted = [...this.#entries.values()].filter(({ result }) => result === undefined)
    // each stands in line with what else is done to its volume, and holds up no other
    for (const { order } of interrupted) this.#start(order, (signal) => this.#cleanUp(order, signal))
  }

  /**
   * Breaks off work on volumes of some pools.
   * @returns how much of it still runs, or may: what an earlier life of the daemon began counts until it was let go of
   */
  breakOff(pool: (poolId: string) => boolean): number {
    let left = 0
    for (const [id, { order, result }] of this.#entries) {
      if (!pool(order.poolId) || result?.outcome.ok === true || isProven(order, result?.detached)) continue
      left += 1
      this.#abort(id, 'the lease of this node is running out')
    }
    return left
  }

  #ended(order: WorkOrder, result: Result): void {
    // a daemon that is going down leaves it to its next life to look what is really there
    if (this.#stopped) return
    this.#record(order.operationId, { order, result })
    const { outcome } = result
    const how = outcome.ok ? { ok: true } : { ok: false, code: outcome.code, message: outcome.message }
    this.#parts.log('work.ended', { operation: order.operationId, attempt: order.attempt, step: order.step, ...how })
    this.#tellAgain(order, result)
  }

  /** A result without the proof that its volumes were let go of leaves them stuck: that is tried until it works. */
  #tellAgain(order: WorkOrder, result: Result): void {
    void this.#tell(result)
    if (!result.outcome.ok && !isProven(order, result.detached)) this.#letGoLater(order.operationId)
  }

  #letGoLater(operationId: string): void {
    if (this.#lettingGo.has(operationId)) return
    this.#lettingGo.add(operationId)
    this.#parts.clock.after(AGAIN_MS, () => {
      this.#lettingGo.delete(operationId)
      if (!this.#stopped) void this.#letGoAgain(operationId)
    })
  }

  async #letGoAgain(operationId: string): Promise<void> {
    const entry = this.#entries.get(operationId)
    if (entry === undefined || entry.result?.outcome.ok === true || this.#running.has(operationId)) return
    // as the controller has it by now: others may have claimed the volume since
    const detached = await this.#parts.steps.letGo(this.#ordered(entry.order) ?? entry.order).catch(() => [])
    if (this.#stopped || this.#entries.get(operationId) !== entry) return
    // that may have taken long: the first assignment of this life may have come meanwhile, and want to be told
    const order = this.#ordered(entry.order)
    if (order === undefined && isProven(entry.order, detached)) {
      // before the first assignment nobody knows yet whether it is wanted still
      if (this.#newest !== undefined) this.#record(operationId, undefined)
      else if (entry.result !== undefined)
        this.#record(operationId, { ...entry, result: { ...entry.result, detached } })
    } else if (order === undefined || entry.result === undefined) {
      this.#letGoLater(operationId)
    } else {
      const result = { ...entry.result, detached }
      this.#record(operationId, { order, result })
      this.#tellAgain(order, result)
    }
  }

  /** The same attempt as the controller has it now, if it still wants it. */
  #ordered({ operationId, attempt }: WorkOrder): WorkOrder | undefined {
    return this.#newest?.work.find((each) => each.operationId === operationId && each.attempt === attempt)
  }

  async #run(order: WorkOrder, signal: AbortSignal): Promise<Result> {
    const { steps, progress } = this.#parts
    const { operationId, attempt } = order
    try {
      const facts = await steps.run(order, (done) => progress(operationId, attempt, done), signal)
      const detached = await steps.letGo(this.#ordered(order) ?? order)
      return { operationId, attempt, outcome: { ok: true, facts }, detached }
    } catch (thrown) {
      const { code, message } = asHoldfastError(signal.aborted ? signal.reason : thrown)
      return this.#fail(order, code, message)
    }
  }

  async #fail(order: WorkOrder, code: string, message: string): Promise<Result> {
    const { steps } = this.#parts
    const detached: DetachProof[] = await steps.letGo(this.#ordered(order) ?? order).catch(() => [])
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
      this.#parts.clock.after(AGAIN_MS, () => {
        const entry = this.#entries.get(result.operationId)
        if (!this.#stopped && entry?.result === result && this.#ordered(entry.order)) void this.#tell(result)
      })
    } finally {
      this.#telling.delete(result.operationId)
      // a later attempt may have ended in the meantime, or this one have let go of more
      const newest = this.#entries.get(result.operationId)?.result
      const newer = newest !== undefined && newest !== result && newest.attempt >= result.attempt
      if (newer && !this.#stopped) void this.#tell(newest)
    }
  }

  #record(id: string, entry: WorkEntry | undefined): void {
    this.#parts.journal.write({ kind: 'work', id, value: entry })
    const before = this.#entries.get(id)
    if (entry === undefined && before !== undefined) this.#forgotten.set(id, before.order.attempt)
    if (entry === undefined) this.#entries.delete(id)
    else this.#entries.set(id, entry)
  }
}

/** Whether everything that the step worked on was let go of, after the last who claimed it. */
function isProven(order: WorkOrder, detached: readonly DetachProof[] = []): boolean {
  return [order, order.source].every((used) => {
    if (used?.attachmentId === undefined) return true
    return detached.some((proof) => proof.attachmentId === used.attachmentId && proof.claims === used.claims)
  })
}
