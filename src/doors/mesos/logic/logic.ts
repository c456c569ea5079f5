import type { ProjectionLine } from '../../../mesos/projection.ts'
import type { ProviderEvent } from '../../../mesos/provider-protocol.ts'
import { asHoldfastError } from '../../../model/errors.ts'
import { heard } from '../advertise/operations.ts'
import { wantDisks, wantNothing, wantPool, wantRaw } from '../advertise/wanted.ts'
import type { CallResult, Hello, StreamEvent } from '../holder/protocol.ts'
import { Bandwidths } from './bandwidths.ts'
import { Book, type ProviderState } from './book.ts'
import { Desk, type Effects, type Reply } from './desk.ts'
import { isSpeculative, type OperationRecord } from './operation-record.ts'
import { Operations } from './operations.ts'
import { Owed } from './owed.ts'
import { PlannedStop } from './planned-stop.ts'
import { ProviderReport } from './provider-report.ts'
import { Publishes } from './publishes.ts'
import { QuickOperations } from './quick-operations.ts'
import { restore } from './restore.ts'
import { SlowOperations } from './slow-operations.ts'
import { Subscriptions } from './subscriptions.ts'
import { Updates } from './updates.ts'
import { Uses } from './uses.ts'

export type Input =
  | Hello
  | StreamEvent
  | { readonly kind: 'done'; readonly id: number; readonly results: readonly CallResult[] }
  | { readonly kind: 'reply'; readonly id: string; readonly reply: Reply }
  | { readonly kind: 'line'; readonly line: ProjectionLine }
  /** A heartbeat of the controller's stream. */
  | { readonly kind: 'heartbeat' }
  /** Its stream is open: it begins with everything. */
  | { readonly kind: 'controller' }
  | { readonly kind: 'stop'; readonly limitMs: number }
  | { readonly kind: 'tick' }

export interface LogicOptions {
  readonly agentUrl: string
  /** A random UUID of version 4, base64. */
  readonly newUuid: () => string
  /** RFC 3339, for reports. */
  readonly wallClock: () => string
  /** How long a task may wait for its volumes, ms. */
  readonly publishMs: number
}

/** How long what was written down waits for the controller's own word after a start, ms. */
const TRUST_MS = 3000

/**
 * The provider of one machine as a state machine: `step` takes what has happened and gives what is to be done. It has no
 * clock, no randomness and no I/O of its own; what it must remember is in `writes`.
 */
export class Logic {
  readonly #desk: Desk
  readonly #book: Book
  readonly #owed: Owed
  readonly #uses: Uses
  readonly #bandwidths: Bandwidths
  readonly #operations: Operations
  readonly #slow: SlowOperations
  readonly #publishes: Publishes
  readonly #subscriptions: Subscriptions
  readonly #updates: Updates
  readonly #stop: PlannedStop
  readonly #report: ProviderReport
  readonly #results = new Map<number, readonly ((result: CallResult) => void)[]>()
  /** Pools that the controller has named since its stream was opened. */
  #named = new Set<string>()
  #lastId = 0

  constructor({ agentUrl, newUuid, wallClock, publishMs }: LogicOptions) {
    const desk = new Desk(newUuid)
    const book = new Book(desk, agentUrl)
    this.#desk = desk
    this.#book = book
    this.#owed = new Owed(book)
    this.#bandwidths = new Bandwidths(book)
    this.#uses = new Uses({
      book,
      onFindings: (found, askedAt) => this.#bandwidths.found(found, askedAt),
      isWatching: () => this.#bandwidths.isTaken,
    })
    this.#slow = new SlowOperations({
      book,
      operations: () => this.#operations,
      isUsed: (volumeId) => this.#uses.has(volumeId),
      isOwed: (poolId) => this.#owed.has(poolId),
    })
    const quick = new QuickOperations({ book, owed: this.#owed, operations: () => this.#operations })
    this.#operations = new Operations({
      book,
      owed: this.#owed,
      perform: (provider, record) => {
        if (isSlow(record)) this.#slow.begin(provider, record)
        else quick.perform(provider, record)
      },
    })
    this.#publishes = new Publishes({
      book,
      uses: this.#uses,
      bandwidths: this.#bandwidths,
      answerMs: publishMs,
      onFailure: (provider, message) => this.#report.publishFailed(provider, message, wallClock()),
    })
    this.#subscriptions = new Subscriptions({
      book,
      onSubscribed: (provider) => this.#tellId(provider),
      onClosed: (provider) => this.#publishes.closed(provider),
      onTornDown: ({ poolId }) => this.#owed.add({ ...idEntry(poolId), method: 'DELETE' }),
      onForgotten: (provider) => this.#operations.drop(provider),
    })
    this.#updates = new Updates({
      book,
      operations: (provider) => this.#operations.reported(provider),
      onCarried: (ids) => this.#operations.carry(ids),
      onAccepted: (provider) => this.#operations.sendStatuses(provider),
    })
    this.#stop = new PlannedStop({ book, operations: this.#operations, publishes: this.#publishes })
    this.#report = new ProviderReport({
      book,
      operations: this.#operations,
      subscriptions: this.#subscriptions,
      uses: this.#uses,
    })
  }

  /**
   * @param now whole ms of a clock that never jumps
   * @returns what is to be done, and the id under which the results of its calls are to come back
   */
  step(now: number, input: Input): { readonly id: number; readonly effects: Effects } {
    this.#desk.now = now
    this.#desk.runTimers()
    this.#take(input)
    this.#updates.pump()
    this.#report.review()
    const { effects, onResult } = this.#desk.take()
    this.#lastId += 1
    if (onResult.length > 0) this.#results.set(this.#lastId, onResult)
    return { id: this.#lastId, effects }
  }

  #take(input: Input): void {
    switch (input.kind) {
      case 'hello':
        this.#start(input)
        return
      case 'event':
      case 'closed':
        this.#streamEvent(input)
        return
      case 'done':
        this.#done(input.id, input.results)
        return
      case 'reply':
        this.#desk.reply(input.id, input.reply)
        return
      case 'line':
        heard(this.#book.agent, this.#desk.now)
        this.#line(input.line)
        return
      case 'heartbeat':
        heard(this.#book.agent, this.#desk.now)
        return
      case 'controller':
        this.#named = new Set()
        this.#owed.review()
        this.#slow.review()
        return
      case 'stop':
        this.#stop.begin(input.limitMs)
        return
      case 'tick':
        return
    }
  }

  #start(hello: Hello): void {
    restore(hello, {
      book: this.#book,
      operations: this.#operations,
      owed: this.#owed,
      uses: this.#uses,
      bandwidths: this.#bandwidths,
      slow: this.#slow,
    })
    for (const event of hello.events) this.#streamEvent(event)
    for (const provider of this.#book.providers.values()) {
      for (const record of this.#operations.of(provider)) if (isSlow(record)) this.#slow.resume(provider, record)
      const { subscribed, fresh, repeat } = this.#book.pool(provider.poolId)
      // what an update carries follows it; the agent has the last one already
      if (subscribed && !fresh && !repeat) this.#operations.sendStatuses(provider)
    }
    this.#owed.review()
    this.#uses.watch()
    this.#subscriptions.start()
    this.#report.start()
    this.#desk.after(TRUST_MS, 'trust', () => this.#subscriptions.settled())
  }

  #streamEvent(input: StreamEvent): void {
    const provider = this.#book.providers.get(input.key)
    // PUBLISH_RESOURCES is consumed when it is answered
    const isPublish = input.kind === 'event' && input.event.type === 'PUBLISH_RESOURCES'
    if (!isPublish || provider === undefined) this.#desk.consume(input.seq)
    if (provider === undefined) return
    if (input.kind === 'closed') {
      this.#subscriptions.closed(provider, input)
      return
    }
    try {
      this.#event(provider, input.event, input)
    } catch (thrown) {
      // an event that can't be read would come again to the next life, and end that, too
      const { message } = asHoldfastError(thrown)
      this.#desk.log('event.unreadable', { pool: provider.poolId, type: input.event.type, message })
      this.#desk.consume(input.seq)
    }
  }

  #event(provider: ProviderState, event: ProviderEvent, { seq, ageMs }: { seq: number; ageMs: number }): void {
    switch (event.type) {
      case 'SUBSCRIBED':
        this.#subscriptions.subscribed(provider, event.subscribed.provider_id.value)
        return
      case 'APPLY_OPERATION':
        this.#operations.apply(provider, event.apply_operation)
        return
      case 'PUBLISH_RESOURCES': {
        const { uuid, resources = [] } = event.publish_resources
        this.#publishes.begin(provider, uuid.value, resources, seq, ageMs)
        return
      }
      case 'ACKNOWLEDGE_OPERATION_STATUS': {
        const { operation_uuid, status_uuid } = event.acknowledge_operation_status
        this.#operations.acknowledged(operation_uuid, status_uuid)
        return
      }
      case 'RECONCILE_OPERATIONS':
        this.#operations.reconcile(provider, event.reconcile_operations.operation_uuids ?? [])
        return
      case 'TEARDOWN':
        this.#subscriptions.tornDown(provider)
        return
    }
  }

  #done(id: number, results: readonly CallResult[]): void {
    const onResult = this.#results.get(id) ?? []
    this.#results.delete(id)
    for (const [index, call] of onResult.entries()) call(results[index] ?? { closed: true })
  }

  #line(line: ProjectionLine): void {
    const { agent, providers } = this.#book
    const { now } = this.#desk
    if (line.kind === 'complete') {
      for (const poolId of providers.keys()) if (!this.#named.has(poolId)) wantNothing(agent, poolId, now)
      this.#subscriptions.settled()
      return
    }
    const poolId = line.kind === 'pool' ? line.projection.poolId : line.poolId
    this.#named.add(poolId)
    if (this.#book.stopping) return
    if (line.kind === 'pool') {
      this.#book.provider(line.projection)
      this.#subscriptions.controllerKnows(poolId, line.providerId)
      wantPool(agent, line.projection, now)
      this.#subscriptions.review()
    } else if (line.kind === 'raw') wantRaw(agent, poolId, line.raw, now)
    else if (line.kind === 'disks') wantDisks(agent, poolId, line.set, line.removed)
    else wantNothing(agent, poolId, now)
  }

  #tellId({ poolId, providerId }: ProviderState): void {
    const { agentId } = this.#book
    this.#owed.add({ ...idEntry(poolId), method: 'PUT', body: { agentId, providerId } })
  }
}

/** The newest word on a provider's id is the only one that counts. */
function idEntry(poolId: string) {
  return { id: `${poolId}:provider`, path: `/v1/mesos/providers/${poolId}` }
}

function isSlow({ info }: OperationRecord): boolean {
  return !isSpeculative(info) && (info.type === 'CREATE_DISK' || info.type === 'DESTROY_DISK')
}
