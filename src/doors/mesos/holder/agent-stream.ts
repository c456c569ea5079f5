import type { ClientRequest, IncomingMessage } from 'node:http'
import type { ProviderCall, ProviderEvent, ProviderInfo, ProviderSubscribe } from '../../../mesos/provider-protocol.ts'
import { RecordDecoder } from '../../../mesos/record-io.ts'
import { tlsTrouble } from '../../../mesos/tls-trouble.ts'
import { asHoldfastError } from '../../../model/errors.ts'
import { quote } from '../../../model/units.ts'
import type { AgentAccess } from '../agent-access.ts'
import { AgentHttp, readShort } from './agent-http.ts'
import { CallQueue } from './call-queue.ts'
import type { CallResult, CloseReason } from './protocol.ts'

export interface StreamLimits {
  /** Largest event, bytes. */
  readonly maxEventBytes: number
  /** From the request to SUBSCRIBED, ms. */
  readonly subscribeMs: number
  /** One call in all, ms. */
  readonly callMs: number
}

export interface Closed {
  readonly reason: CloseReason
  readonly status?: number
  readonly text?: string
}

export interface AgentStreamParts {
  readonly agent: string
  readonly access: AgentAccess
  readonly info: ProviderInfo
  readonly limits: StreamLimits
  readonly onEvent: (event: ProviderEvent, bytes: number) => void
  /** Called once, whatever ends it. */
  readonly onClosed: (closed: Closed) => void
}

/** No agent says so by itself: its endpoint has no authentication. */
const UNAUTHENTICATED = "principal and secret are missing or wrong for what stands before the agent's provider endpoint"

/** One subscription at an agent, from its request to its end. */
export class AgentStream {
  readonly #parts: AgentStreamParts
  readonly #http: AgentHttp
  readonly #decoder: RecordDecoder
  #request: ClientRequest | undefined
  #response: IncomingMessage | undefined
  #calls: CallQueue | undefined
  #streamId = ''
  #deadline: NodeJS.Timeout | undefined
  #closed = false
  providerId: string | undefined
  /** Whether the agent has accepted the last UPDATE_STATE. */
  updated = false
  #updates = 0

  constructor(parts: AgentStreamParts) {
    this.#parts = parts
    this.#http = new AgentHttp(parts.agent, parts.access)
    const where = `the provider stream of ${parts.agent}`
    this.#decoder = new RecordDecoder({ maxBytes: parts.limits.maxEventBytes, where })
  }

  get isOpen(): boolean {
    return this.#calls !== undefined && !this.#closed
  }

  open(): void {
    const { info, limits } = this.#parts
    const subscribe: ProviderSubscribe = { type: 'SUBSCRIBE', subscribe: { resource_provider_info: info } }
    const body = JSON.stringify(subscribe)
    this.#deadline = setTimeout(() => this.#close({ reason: 'silent' }), limits.subscribeMs)
    this.#request = this.#http.open(
      { body },
      (response) => this.#answered(response),
      (error) =>
        this.#close(this.#response === undefined ? this.#refused(error) : { reason: 'ended', text: error.message }),
    )
  }

  async call(body: ProviderCall): Promise<CallResult> {
    if (this.#calls === undefined) return { closed: true }
    if (body.type !== 'UPDATE_STATE') return this.#calls.call(body)
    this.updated = false
    const update = ++this.#updates
    const result = await this.#calls.call(body)
    if (update === this.#updates) this.updated = 'status' in result && result.status === 202
    return result
  }

  /** Nothing more is read for now; the agent keeps what it has to say. */
  pause(): void {
    this.#response?.pause()
  }

  resume(): void {
    this.#response?.resume()
  }

  close(): void {
    this.#close({ reason: 'asked' })
  }

  #answered(response: IncomingMessage): void {
    this.#response = response
    const status = response.statusCode ?? 0
    if (status !== 200) {
      readShort(response, (said) => {
        const text = status === 401 ? UNAUTHENTICATED : said
        this.#close({ reason: 'refused', status, ...(text ? { text } : {}) })
      })
      return
    }
    const id = response.headers['mesos-stream-id']
    if (typeof id !== 'string' || id === '') {
      this.#close({ reason: 'garbage', text: 'the answer has no Mesos-Stream-Id' })
      return
    }
    this.#streamId = id
    response.on('data', (chunk: Buffer) => this.#read(chunk))
    response.once('end', () => this.#ended())
    response.once('error', (error) => this.#close({ reason: 'ended', text: error.message }))
    response.once('close', () => this.#ended())
  }

  #read(chunk: Buffer): void {
    if (this.#closed) return
    try {
      for (const record of this.#decoder.push(chunk)) {
        this.#take(parseEvent(record), record.length)
        if (this.#closed) return
      }
    } catch (thrown) {
      this.#close({ reason: 'garbage', text: asHoldfastError(thrown).message })
    }
  }

  #take(event: ProviderEvent, bytes: number): void {
    if (this.#calls === undefined) this.#subscribed(event)
    this.#parts.onEvent(event, bytes)
  }

  #subscribed(event: ProviderEvent): void {
    const id = event.type === 'SUBSCRIBED' ? event.subscribed?.provider_id?.value : undefined
    if (typeof id !== 'string' || id === '')
      throw new Error(`the first event is no SUBSCRIBED with an id: ${event.type}`)
    clearTimeout(this.#deadline)
    this.providerId = id
    this.#calls = new CallQueue({
      http: this.#http,
      streamId: this.#streamId,
      deadlineMs: this.#parts.limits.callMs,
      onSilent: () => this.#close({ reason: 'silent', text: 'a call was not answered in time' }),
    })
  }

  #refused(error: Error): Closed {
    return { reason: 'refused', text: `${this.#parts.agent}: ${tlsTrouble(error) ?? error.message}` }
  }

  #ended(): void {
    if (this.#closed) return
    const unknown = this.#calls === undefined && this.#parts.info.id !== undefined
    try {
      this.#decoder.end()
      this.#close({ reason: unknown ? 'unknown-id' : 'ended' })
    } catch (thrown) {
      this.#close({ reason: 'ended', text: asHoldfastError(thrown).message })
    }
  }

  #close(closed: Closed): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#deadline)
    this.#calls?.close()
    this.#request?.destroy()
    this.#http.close()
    this.#parts.onClosed(closed)
  }
}

/** @throws when it is not an event */
function parseEvent(record: string): ProviderEvent {
  const event: unknown = JSON.parse(record)
  if (event !== null && typeof event === 'object' && typeof (event as { type?: unknown }).type === 'string') {
    return event as ProviderEvent
  }
  throw new Error(`an event should be an object with a type, not ${quote(record)}`)
}
