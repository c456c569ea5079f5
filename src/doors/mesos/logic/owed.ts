import type { Conversion } from '../advertise/conversion.ts'
import { recorded, unsettled } from '../advertise/operations.ts'
import type { Book } from './book.ts'
import { isPassing } from './desk.ts'

/** Something that the controller must be told, under `owed/<id>` in the journal. */
export interface OwedEntry {
  readonly id: string
  readonly method: 'PUT' | 'POST' | 'DELETE'
  readonly path: string
  readonly body?: object
  /** It waits for those whose id begins so. */
  readonly behind?: string
  /** What Mesos has done already, and the controller's projection does not say before it knows. */
  readonly conversion?: { readonly poolId: string; readonly conversion: Conversion }
}

const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 10_000

/** What was done here and the controller must hear of: repeated until it has. */
export class Owed {
  readonly #book: Book
  readonly #entries = new Map<string, OwedEntry>()
  readonly #failures = new Map<string, number>()

  constructor(book: Book) {
    this.#book = book
  }

  get count(): number {
    return this.#entries.size
  }

  /** Something that Mesos did in a pool is not recorded yet. */
  has(poolId: string): boolean {
    return [...this.#entries.values()].some(({ conversion }) => conversion?.poolId === poolId)
  }

  /** After a restart. */
  restore(entry: OwedEntry): void {
    this.#entries.set(entry.id, entry)
    const { conversion } = entry
    if (conversion !== undefined) unsettled(this.#book.agent, conversion.poolId, entry.id, conversion.conversion)
  }

  /** The newest entry under an id counts. */
  add(entry: OwedEntry): void {
    this.#entries.set(entry.id, entry)
    this.#book.desk.write(`owed/${entry.id}`, entry)
    this.#send(entry)
  }

  /** The idempotency key of an operation may be forgotten. */
  acknowledge(operation: string): void {
    const path = `/v1/mesos/operations/${operation}/acknowledged`
    this.add({ id: `${operation}:acknowledged`, method: 'POST', path, body: {}, behind: `${operation}:record` })
  }

  /** The controller is there: what waited is said. */
  review(): void {
    this.#failures.clear()
    for (const entry of this.#entries.values()) this.#send(entry)
  }

  #send(entry: OwedEntry): void {
    const { desk } = this.#book
    const { id, method, path, body, behind } = entry
    if (behind !== undefined && [...this.#entries.keys()].some((each) => each.startsWith(behind))) return
    const name = `owed ${id}`
    if (desk.isAsked(name)) return
    desk.ask(name, { kind: 'rest', method, path, ...(body === undefined ? {} : { body }) }, (reply) => {
      // a newer one has taken its place meanwhile
      const newest = this.#entries.get(id)
      if (newest !== entry) return newest === undefined ? undefined : this.#send(newest)
      if (reply.ok) return this.#done(entry)
      if (isPassing(reply.error)) return this.#later(entry)
      desk.log('controller.refused', { path, code: reply.error.code, message: reply.error.message })
      this.#done(entry)
    })
  }

  #later(entry: OwedEntry): void {
    const failures = this.#failures.get(entry.id) ?? 0
    this.#failures.set(entry.id, failures + 1)
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures, 10))
    this.#book.desk.after(pause, `owed ${entry.id}`, () => this.#send(entry))
  }

  #done({ id, conversion }: OwedEntry): void {
    const { desk, agent } = this.#book
    this.#entries.delete(id)
    this.#failures.delete(id)
    desk.cancel(`owed ${id}`)
    desk.write(`owed/${id}`, null)
    if (conversion !== undefined) recorded(agent, conversion.poolId, id, desk.now)
    for (const entry of this.#entries.values()) if (entry.behind !== undefined) this.#send(entry)
  }
}
