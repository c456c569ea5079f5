import type { OperationStatus } from '../../../src/mesos/resource.ts'
import { TestFramework } from '../../support/mesos/framework.ts'
import type { Offer, OfferOperation, TaskStatus } from '../../support/mesos/types.ts'
import type { Book } from './book.ts'

export interface StormFrameworkOptions {
  readonly name: string
  readonly roles: readonly string[]
  readonly masterUrl: string
  readonly book: Book
}

const FAILOVER_SECONDS = 600
const RETRY_MS = 100

/** A framework that comes back: after a master's fail-over under its old id, after its own TEARDOWN under a new one. */
export class StormFramework {
  readonly name: string
  readonly roles: readonly string[]
  readonly principal: string
  readonly #masterUrl: string
  readonly #book: Book
  readonly #heldSince = new Map<string, number>()
  #connection: TestFramework | undefined
  #id: string | undefined
  #connecting: Promise<void> | undefined
  #askedAgainAt = 0
  #triedAt = Number.NEGATIVE_INFINITY

  constructor({ name, roles, masterUrl, book }: StormFrameworkOptions) {
    this.name = name
    this.roles = roles
    this.principal = `principal-${name}`
    this.#masterUrl = masterUrl
    this.#book = book
  }

  get offers(): Offer[] {
    return [...(this.#connection?.offers.values() ?? [])]
  }

  get isConnected(): boolean {
    return this.#connection?.isConnected ?? false
  }

  /** Reads what has come, and sees to the connection. Called all the time. */
  tend(): void {
    this.#read()
    const now = performance.now()
    if (this.isConnected || this.#connecting !== undefined || now < this.#triedAt + RETRY_MS) return
    this.#triedAt = now
    this.#connecting = this.#connect()
      .catch(() => this.#book.count('SUBSCRIBE', 'no master'))
      .finally(() => {
        this.#connecting = undefined
      })
  }

  async #connect(): Promise<void> {
    this.#connection?.disconnect()
    this.#heldSince.clear()
    this.#connection = await TestFramework.connect(this.#masterUrl, {
      name: this.name,
      roles: this.roles,
      principal: this.principal,
      failoverTimeout: FAILOVER_SECONDS,
      ...(this.#id === undefined ? {} : { frameworkId: this.#id }),
    })
    this.#id = this.#connection.id
    this.#book.count('SUBSCRIBE', 'done')
    this.#askedAgainAt = 0
  }

  #read(): void {
    for (const { event } of this.#connection?.events.splice(0) ?? []) {
      const { offers, update, update_operation_status } = event as {
        offers?: { offers: readonly Offer[] }
        update?: { status: TaskStatus }
        update_operation_status?: { status: OperationStatus }
      }
      for (const offer of offers?.offers ?? []) this.#heldSince.set(offer.id.value, performance.now())
      if (update !== undefined) this.#book.taskStatus(update.status)
      if (update_operation_status !== undefined) this.#book.operationStatus(update_operation_status.status)
    }
    for (const id of this.#heldSince.keys()) if (!this.#connection?.offers.has(id)) this.#heldSince.delete(id)
  }

  /** Those that it has had for so long. */
  heldFor(milliseconds: number): Offer[] {
    const since = performance.now() - milliseconds
    return this.offers.filter(({ id }) => (this.#heldSince.get(id.value) ?? 0) <= since)
  }

  /** As real frameworks do: what has had no answer for a while is asked for again, with all that is known of it. */
  async reconcile(afterMs: number): Promise<void> {
    const now = performance.now()
    if (!this.isConnected || now < this.#askedAgainAt + afterMs) return
    this.#askedAgainAt = now
    const open = this.#book.openOperations.filter(
      ({ framework, askedAt }) => framework === this.name && now - askedAt > afterMs,
    )
    const operations = open.map(({ id, agentId, providerId }) => ({
      ...{ operationId: id, agentId },
      ...(providerId === undefined ? {} : { providerId }),
    }))
    if (operations.length > 0) await this.attempt(() => this.connection.reconcileOperations(operations))
    const tasks = this.#book.openTasks
      .filter(({ framework, sentAt }) => framework === this.name && now - sentAt > afterMs)
      .map(({ id, agentId }) => ({ task_id: { value: id }, agent_id: { value: agentId } }))
    if (tasks.length > 0) await this.attempt(() => this.connection.call({ type: 'RECONCILE', reconcile: { tasks } }))
  }

  get connection(): TestFramework {
    if (this.#connection === undefined) throw new Error(`${this.name} has never been connected`)
    return this.#connection
  }

  /** The master may die meanwhile: then the call was made, or not. */
  async attempt(call: () => Promise<unknown>): Promise<void> {
    try {
      await call()
    } catch {
      this.#book.count('CALL', 'broken off')
    }
  }

  accept(offers: readonly Offer[], operations: readonly OfferOperation[]): Promise<void> {
    return this.attempt(() => this.connection.accept(offers, operations))
  }

  decline(offers: readonly Offer[], refuseSeconds: number): Promise<void> {
    return this.attempt(() => this.connection.decline(offers, refuseSeconds))
  }

  kill(taskId: string): Promise<void> {
    return this.attempt(() => this.connection.kill(taskId))
  }

  revive(): Promise<void> {
    return this.attempt(() => this.connection.revive())
  }

  /** Its end, and a new framework in its place. Nobody is told how its operations and tasks end. */
  async teardown(): Promise<void> {
    await this.attempt(() => this.connection.teardown())
    this.#read()
    for (const operation of this.#book.openOperations) {
      if (operation.framework === this.name) this.#book.forget(operation, 'torn down')
    }
    for (const task of this.#book.openTasks) {
      if (task.framework === this.name) this.#book.taskForgotten(task, 'torn down')
    }
    this.#id = undefined
    this.#connection?.disconnect()
  }

  close(): void {
    this.#connection?.disconnect()
  }
}
