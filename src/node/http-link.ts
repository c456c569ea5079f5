import type { Readable } from 'node:stream'
import { Agent, errors, request } from 'undici'
import { HoldfastError, isErrorCode } from '../model/errors.ts'
import type { Assignment, CallBody, CallReply, Envelope, NodeCall } from '../model/node-protocol.ts'
import { linesOf } from './lines.ts'
import type { ControllerLink } from './link.ts'

const CALL_MS = 10_000
/** The controller sends at least a heartbeat every five seconds. */
const STREAM_SILENCE_MS = 20_000

export interface HttpLinkOptions {
  /** e.g. `http://127.0.0.1:7420`. */
  readonly api: string
  readonly token: string
  /** PEM of the authority that signed the controller's certificate, where it is not a public one. */
  readonly ca?: string | undefined
}

/** What a door needs of the REST interface. */
export interface RestClient {
  /** @throws the problem that the controller answered, with its code; unreachable */
  rest<T>(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<T>
}

/** The node's way to its controller over HTTP. */
export class HttpLink implements ControllerLink, RestClient {
  readonly #options: HttpLinkOptions
  readonly #agent: Agent

  constructor(options: HttpLinkOptions) {
    this.#options = options
    const connect = options.ca === undefined ? { timeout: 5000 } : { timeout: 5000, ca: options.ca }
    this.#agent = new Agent({ connect, headersTimeout: CALL_MS, keepAliveTimeout: 60_000, bodyTimeout: CALL_MS })
  }

  call<K extends NodeCall>(name: K, envelope: Envelope, body: CallBody<K>): Promise<CallReply<K>> {
    return this.rest('POST', `/v1/node/${name}`, { envelope, body })
  }

  async rest<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    const waits = Number(/[?&]wait=(\d+)/.exec(path)?.[1] ?? 0) * 1000
    try {
      const answer = await request(`${this.#options.api}${path}`, {
        method: method as 'GET',
        dispatcher: this.#agent,
        headersTimeout: CALL_MS + waits,
        headers: {
          authorization: `Bearer ${this.#options.token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await answer.body.text()
      if (answer.statusCode >= 400) throw problem(answer.statusCode, text)
      return (text === '' ? {} : JSON.parse(text)) as T
    } catch (thrown) {
      throw thrown instanceof HoldfastError ? thrown : unreachable(this.#options.api, thrown)
    }
  }

  async open(
    session: string,
    onAssignment: (assignment: Assignment) => void,
    onClose: () => void,
  ): Promise<{ close(): void }> {
    const abort = new AbortController()
    try {
      const answer = await request(`${this.#options.api}/v1/node/stream?session=${encodeURIComponent(session)}`, {
        dispatcher: this.#agent,
        bodyTimeout: STREAM_SILENCE_MS,
        signal: abort.signal,
        headers: { authorization: `Bearer ${this.#options.token}` },
      })
      if (answer.statusCode !== 200) throw problem(answer.statusCode, await answer.body.text())
      void follow(answer.body, onAssignment).finally(onClose)
      return { close: () => abort.abort() }
    } catch (thrown) {
      throw thrown instanceof HoldfastError ? thrown : unreachable(this.#options.api, thrown)
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }
}

/** Reads one assignment per line until the stream ends, however it ends. Empty lines are heartbeats. */
async function follow(body: Readable, onAssignment: (assignment: Assignment) => void): Promise<void> {
  try {
    for await (const line of linesOf(body)) {
      if (line !== '') onAssignment(JSON.parse(line))
    }
  } catch {
    // a broken stream is an ended stream: the session connects anew
  }
}

function problem(status: number, text: string): HoldfastError {
  try {
    const { code, detail, title, ...data } = JSON.parse(text) as Record<string, unknown>
    if (isErrorCode(code)) return new HoldfastError(code, String(detail ?? title ?? code), data)
  } catch {
    // not a problem document: something else answered
  }
  return new HoldfastError('unreachable', `HTTP ${status} from something that is not a Holdfast controller`)
}

function unreachable(api: string, thrown: unknown): HoldfastError {
  const why = thrown instanceof errors.UndiciError || thrown instanceof Error ? thrown.message : String(thrown)
  return new HoldfastError('unreachable', `the controller at ${api} does not answer: ${why}`, {}, { cause: thrown })
}
