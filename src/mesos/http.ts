import { Agent, errors, request } from 'undici'
import { HoldfastError } from '../model/errors.ts'
import { formatCount } from '../model/units.ts'
import { tlsTrouble } from './tls-trouble.ts'

export interface MesosHttpOptions {
  /** For HTTP Basic, which is what stock masters and agents take. */
  readonly credentials?: { readonly principal: string; readonly secret: string } | undefined
  /** PEM of the authority that signed Mesos' certificates, where it is not a public one. */
  readonly ca?: string | undefined
  /** Limit for a whole call, ms; 30,000 if not given. A stream only has to begin within it. */
  readonly timeoutMs?: number
  /** Largest body taken, bytes; 256 MiB if not given: the state of a large cluster. */
  readonly maxBytes?: number
}

export interface Answer {
  readonly status: number
  readonly text: string
  /** Of a redirect. */
  readonly location?: string
}

export interface CallOptions {
  /** Gives the call up. */
  readonly signal?: AbortSignal
  /** Instead of the limit of all calls, ms. */
  readonly timeoutMs?: number
}

export type StreamAnswer =
  | { readonly status: 200; readonly body: AsyncIterable<Uint8Array>; readonly streamId: string | undefined }
  | Answer

const TIMEOUT_MS = 30_000
const MAX_BYTES = 256 * 1024 * 1024

/** JSON calls to masters and agents. Redirects are answers; who calls decides whether to follow. */
export class MesosHttp {
  readonly #options: MesosHttpOptions
  readonly #agent: Agent
  readonly #timeoutMs: number

  constructor(options: MesosHttpOptions = {}) {
    this.#options = options
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    const connect = { timeout: this.#timeoutMs, ...(options.ca === undefined ? {} : { ca: options.ca }) }
    this.#agent = new Agent({ connect, headersTimeout: this.#timeoutMs, bodyTimeout: this.#timeoutMs })
  }

  /** @throws mesos_unreachable, and mesos_protocol for a body that is too long; every status is an answer */
  post(url: string, call: object, options: CallOptions = {}): Promise<Answer> {
    return this.#once(url, call, options)
  }

  /** For the older endpoints. @throws as `post` */
  get(url: string, options: CallOptions = {}): Promise<Answer> {
    return this.#once(url, undefined, options)
  }

  async #once(url: string, call: object | undefined, options: CallOptions): Promise<Answer> {
    const deadline = AbortSignal.timeout(options.timeoutMs ?? this.#timeoutMs)
    const signal = options.signal === undefined ? deadline : AbortSignal.any([deadline, options.signal])
    try {
      const { statusCode, headers, body } = await this.#send(url, call, signal)
      const text = await this.#read(url, body, headers['content-length'])
      const location = headers.location
      return { status: statusCode, text, ...(typeof location === 'string' ? { location } : {}) }
    } catch (thrown) {
      throw unreachable(url, thrown)
    }
  }

  /**
   * A call that is answered by a stream of records. The stream is silent for as long as it likes.
   * @param signal ends the stream, which then throws
   * @throws as `post`
   */
  async stream(url: string, call: object, signal: AbortSignal): Promise<StreamAnswer> {
    try {
      const { statusCode, headers, body } = await this.#send(url, call, signal, { bodyTimeout: 0 })
      if (statusCode === 200) {
        const id = headers['mesos-stream-id']
        return { status: 200, body: named(url, body), streamId: typeof id === 'string' ? id : undefined }
      }
      const location = headers.location
      const text = await this.#read(url, body, headers['content-length'])
      return { status: statusCode, text, ...(typeof location === 'string' ? { location } : {}) }
    } catch (thrown) {
      throw unreachable(url, thrown)
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  /** @param call absent: a GET */
  #send(url: string, call: object | undefined, signal: AbortSignal, more: { bodyTimeout?: number } = {}) {
    const { credentials } = this.#options
    const pair = credentials === undefined ? '' : `${credentials.principal}:${credentials.secret}`
    return request(url, {
      method: call === undefined ? 'GET' : 'POST',
      dispatcher: this.#agent,
      signal,
      headers: {
        ...(call === undefined ? {} : { 'content-type': 'application/json' }),
        accept: 'application/json',
        ...(pair === '' ? {} : { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }),
      },
      ...(call === undefined ? {} : { body: JSON.stringify(call) }),
      ...more,
    })
  }

  async #read(
    url: string,
    body: AsyncIterable<Uint8Array> & { destroy(): unknown },
    length: string | string[] | undefined,
  ) {
    const limit = this.#options.maxBytes ?? MAX_BYTES
    const tooLong = (bytes: number) => {
      body.destroy()
      const what = `${url} answers with ${formatCount(bytes)} bytes or more; at most ${formatCount(limit)} are taken`
      return new HoldfastError('mesos_protocol', what)
    }
    if (Number(length) > limit) throw tooLong(Number(length))
    const chunks: Uint8Array[] = []
    let bytes = 0
    for await (const chunk of body) {
      bytes += chunk.length
      if (bytes > limit) throw tooLong(bytes)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks).toString()
  }
}

/** The same, but what breaks it says where. */
async function* named(url: string, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  try {
    yield* body
  } catch (thrown) {
    throw unreachable(url, thrown)
  }
}

function unreachable(url: string, thrown: unknown): HoldfastError {
  if (thrown instanceof HoldfastError) return thrown
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : ''
  const late = thrown instanceof DOMException && thrown.name === 'TimeoutError'
  const why = late ? 'no answer in time' : (tlsTrouble(thrown) ?? whyOf(thrown))
  return new HoldfastError('mesos_unreachable', `${url}: ${why}`, { code }, { cause: thrown })
}

function whyOf(thrown: unknown): string {
  // several addresses were tried, each has its own message
  if (thrown instanceof AggregateError) return thrown.errors.map(whyOf).join('; ')
  if (thrown instanceof errors.UndiciError || thrown instanceof Error) return thrown.message
  return String(thrown)
}
