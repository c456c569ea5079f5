import type { ProviderCall, ProviderEvent } from '../../../mesos/provider-protocol.ts'
import { asHoldfastError } from '../../../model/errors.ts'
import type { RestartedChildOptions } from '../../../programs/restarted-child.ts'
import type { AgentAccess } from '../agent-access.ts'
import type { Closed, StreamLimits } from './agent-stream.ts'
import type { HolderJournal } from './holder-journal.ts'
import { Inbox, type InboxLimits, type Kept } from './inbox.ts'
import { isLogicMessage } from './logic-messages.ts'
import { type CallResult, HOLDER_PROTOCOL, type HolderMessage, type LogicMessage, type StreamKey } from './protocol.ts'
import { PUBLISH_MS, PublishWatch } from './publish-watch.ts'
import { Streams } from './streams.ts'

export interface HolderLimits extends StreamLimits {
  readonly inbox: InboxLimits
  readonly publishMs: number
}

export const HOLDER_LIMITS: HolderLimits = {
  maxEventBytes: 64 * 1024 * 1024,
  subscribeMs: 30_000,
  // a master gives an agent up after that long, too (agent_ping_timeout × max_agent_ping_timeouts)
  callMs: 75_000,
  inbox: { events: 10_000, bytes: 128 * 1024 * 1024 },
  publishMs: PUBLISH_MS,
}

/** The child that runs the logic. */
export interface LogicProcess {
  start(): void
  send(message: object): void
  restart(): void
  close(): Promise<void>
}

export interface HolderParts {
  readonly journal: Pick<HolderJournal, 'entries' | 'write'>
  /** Makes the child; not started yet. */
  readonly logic: (events: Pick<RestartedChildOptions, 'onMessage' | 'onStart' | 'onEnd'>) => LogicProcess
  /** Handed to the logic as they are. */
  readonly settings: unknown
  /** What it takes to speak with the agent, as it is now. @throws when a file of it can't be read */
  readonly access?: () => AgentAccess
  readonly limits?: Partial<HolderLimits>
  readonly log: (event: string, data: Record<string, unknown>) => void
  readonly now?: () => number
}

type Ready = Extract<LogicMessage, { kind: 'ready' }>

/**
 * Owns the streams to the agent. An ill-timed end of one can abort an agent or a master (facts of Mesos: its checks in
 * slave.cpp and master.cpp), so this does nothing that can fail: it writes what the logic says, makes its calls, hands
 * events up, and keeps them while the logic is away.
 */
export class Holder {
  readonly #parts: HolderParts
  readonly #limits: HolderLimits
  readonly #streams: Streams
  readonly #inbox: Inbox
  readonly #publishes: PublishWatch
  readonly #logic: LogicProcess
  readonly #now: () => number
  /** Messages of the logic that are not written yet, in order. */
  readonly #queue: LogicMessage[] = []
  /** Cancels the flush that is due. */
  #cancelFlush: (() => void) | undefined
  #life = 0
  #fresh = true
  #failedWrites = 0
  #stopping: PromiseWithResolvers<readonly string[]> | undefined
  #stopAt = 0
  #logicSince = 0

  constructor(parts: HolderParts) {
    this.#parts = parts
    this.#limits = { ...HOLDER_LIMITS, ...parts.limits }
    this.#now = parts.now ?? (() => performance.now())
    this.#inbox = new Inbox(this.#limits.inbox, this.#now)
    this.#publishes = new PublishWatch(this.#limits.publishMs, (key, uuid, seq) =>
      this.#guard('publish', () => this.#late(key, uuid, seq)),
    )
    this.#streams = new Streams({
      limits: this.#limits,
      access: parts.access ?? (() => ({})),
      now: this.#now,
      log: parts.log,
      onEvent: (key, event, bytes) => this.#guard('event', () => this.#event(key, event, bytes)),
      onClosed: (key, closed) => this.#guard('closed', () => this.#closed(key, closed)),
    })
    this.#logic = parts.logic({
      onStart: () => this.#guard('start', () => this.#greet()),
      onMessage: (message) => this.#guard('message', () => this.#take(message)),
      onEnd: (how, againInMs) => parts.log('logic.ended', { how, againInMs }),
    })
  }

  start(): void {
    this.#logic.start()
  }

  /** The logic begins a new life, perhaps of a newer version; the streams stay as they are. */
  restartLogic(): void {
    this.#logic.restart()
  }

  /**
   * Withdraws in good order and closes the streams.
   * @param limitMs then the streams are closed all the same
   * @returns what nobody has acknowledged, in sentences
   */
  async stop(limitMs: number, now: AbortSignal): Promise<readonly string[]> {
    const stopping = Promise.withResolvers<readonly string[]>()
    this.#stopping = stopping
    const give = () => stopping.resolve(['the provider had no time to withdraw in good order'])
    const timer = setTimeout(give, limitMs)
    now.addEventListener('abort', give, { once: true })
    if (now.aborted) give()
    this.#stopAt = this.#now() + limitMs
    this.#send({ kind: 'stop', limitMs })
    const left = await stopping.promise
    clearTimeout(timer)
    await this.close()
    return left
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    this.#publishes.close()
    this.#cancelFlush?.()
    await this.#logic.close()
    this.#streams.closeAll()
  }

  #greet(): void {
    this.#life += 1
    this.#logicSince = this.#now()
    // what an earlier life said is done before the journal is read; what can't be written now was never said
    this.#flush()
    this.#queue.length = 0
    this.#send({
      kind: 'hello',
      protocol: HOLDER_PROTOCOL,
      settings: this.#parts.settings,
      fresh: this.#fresh,
      streams: this.#streams.views,
      journal: this.#parts.journal.entries(),
      events: this.#inbox.all(),
    })
    this.#fresh = false
    if (this.#stopping !== undefined) this.#send({ kind: 'stop', limitMs: Math.max(0, this.#stopAt - this.#now()) })
  }

  #send(message: HolderMessage): void {
    this.#logic.send(message)
  }

  #event(key: StreamKey, event: ProviderEvent, bytes: number): void {
    const kept: Kept = { kind: 'event', seq: this.#inbox.nextSeq(), key, event }
    const publish = event.type === 'PUBLISH_RESOURCES' ? event.publish_resources?.uuid?.value : undefined
    if (publish !== undefined) this.#publishes.asked(key, publish, kept.seq)
    this.#tell(kept, bytes)
    if (this.#inbox.isFull) this.#streams.pause()
  }

  #closed(key: StreamKey, closed: Closed): void {
    this.#inbox.consume(this.#publishes.forget(key))
    this.#tell({ kind: 'closed', seq: this.#inbox.nextSeq(), key, ...closed }, 0)
  }

  #tell(kept: Kept, bytes: number): void {
    this.#inbox.add(kept, bytes)
    this.#send({ ...kept, ageMs: 0 })
  }

  #take(message: unknown): void {
    if (!isLogicMessage(message)) {
      this.#parts.log('logic.nonsense', { message: JSON.stringify(message)?.slice(0, 300) })
      return
    }
    this.#queue.push(message)
    if (this.#cancelFlush !== undefined) return
    const due = setImmediate(() => this.#guard('flush', () => this.#flush()))
    this.#cancelFlush = () => clearImmediate(due)
  }

  /** Writes first what all waiting messages want written, and then does what they ask for. */
  #flush(): void {
    this.#cancelFlush?.()
    this.#cancelFlush = undefined
    const messages = this.#queue.splice(0)
    const readies = messages.filter((each): each is Ready => each.kind === 'ready')
    try {
      this.#parts.journal.write(readies.flatMap(({ writes }) => writes))
      this.#failedWrites = 0
    } catch (thrown) {
      this.#queue.unshift(...messages)
      this.#notWritten(thrown)
      return
    }
    for (const message of messages) this.#guard(message.kind, () => this.#obey(message))
  }

  /** What can't be written may not be said: it waits until it can. */
  #notWritten(thrown: unknown): void {
    this.#failedWrites += 1
    const againInMs = Math.min(5000, 100 * 2 ** Math.min(this.#failedWrites, 10))
    this.#parts.log('journal.failed', { message: asHoldfastError(thrown).message, againInMs })
    const due = setTimeout(() => this.#guard('flush', () => this.#flush()), againInMs)
    this.#cancelFlush = () => clearTimeout(due)
  }

  #obey(message: LogicMessage): void {
    if (message.kind === 'subscribe') this.#streams.subscribe(message)
    else if (message.kind === 'close') this.#streams.close(message.key)
    else if (message.kind === 'stopped') this.#stopping?.resolve(message.unacknowledged)
    else this.#ready(message)
  }

  #ready({ id, consumed, calls }: Ready): void {
    this.#send({ kind: 'written', id })
    this.#inbox.consume(consumed)
    if (this.#inbox.hasRoom) this.#streams.resume()
    const life = this.#life
    const results = calls.map(({ key, body }) => this.#call(key, body))
    void Promise.all(results).then((done) => {
      if (life === this.#life) this.#send({ kind: 'done', id, results: done })
    })
  }

  async #call(key: StreamKey, body: ProviderCall): Promise<CallResult> {
    if (body.type === 'UPDATE_PUBLISH_RESOURCES_STATUS') {
      const uuid = body.update_publish_resources_status.uuid.value
      if (!this.#publishes.answer(key, uuid)) return { status: 0, text: 'it was answered before' }
    }
    return (await this.#streams.get(key)?.call(body)) ?? { closed: true }
  }

  /** A logic that lives answers long before that: it hangs, or it is away. The task fails instead of hanging. */
  #late(key: StreamKey, uuid: string, seq: number): void {
    this.#inbox.consume([seq])
    const stream = this.#streams.get(key)
    this.#parts.log('publish.late', { stream: key, uuid })
    if (stream?.providerId !== undefined) {
      void stream.call({
        type: 'UPDATE_PUBLISH_RESOURCES_STATUS',
        resource_provider_id: { value: stream.providerId },
        update_publish_resources_status: { uuid: { value: uuid }, status: 'FAILED' },
      })
    }
    if (this.#now() - this.#logicSince > this.#limits.publishMs) this.restartLogic()
  }

  /** Nothing that goes wrong here may end the process, and with it the streams. */
  #guard(what: string, call: () => void): void {
    try {
      call()
    } catch (thrown) {
      this.#parts.log('holder.failed', { what, message: asHoldfastError(thrown).message })
    }
  }
}
