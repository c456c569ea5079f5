import type { IncomingMessage, RequestOptions } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { type ErrorCode, HoldfastError, isErrorCode } from '../model/errors.ts'
import { randomUuid, requester } from './builtins.ts'

export interface ClientOptions {
  readonly api: string
  /** Where `api` came from, for messages. */
  readonly apiOrigin: string
  readonly token: string | undefined
  /** PEM of the authority to believe, besides the system's. */
  readonly ca?: string | undefined
  /** One key for the one change that this command makes; made up if not given. */
  readonly idempotencyKey?: string | undefined
}

export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>

export interface Answer<T> {
  readonly status: number
  readonly body: T
}

interface Ask {
  readonly method: string
  readonly path: string
  readonly headers: Record<string, string>
  readonly body?: string | undefined
  readonly timeoutMs: number
}

const TIMEOUT_MS = 30_000
/** Pauses before an answer is asked for again when the first one was lost or the controller is just starting. */
const PAUSES_MS = [200, 400, 800, 1600]
const AGAIN: ReadonlySet<string> = new Set<ErrorCode>(['unknown_outcome', 'not_ready', 'overloaded', 'unreachable'])

/** Speaks to the controller by node:http, which starts much faster than what daemons use. */
export class Client {
  readonly #options: ClientOptions
  readonly #base: URL
  readonly #request: ReturnType<typeof requester>

  constructor(options: ClientOptions) {
    this.#options = options
    this.#base = new URL(options.api)
    this.#request = requester(this.#base.protocol)
  }

  get api(): string {
    return this.#options.api
  }

  async get<T>(path: string, query: Query = {}, timeoutMs = TIMEOUT_MS): Promise<T> {
    const { body } = await this.#repeat<T>({ method: 'GET', path: withQuery(path, query), headers: {}, timeoutMs })
    return body
  }

  /** Asks for a change, under a key, so that asking again after a lost answer does it once. */
  async change<T>(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown, query: Query = {}) {
    const headers: Record<string, string> = { 'idempotency-key': this.#options.idempotencyKey ?? randomUuid() }
    const text = body === undefined ? undefined : JSON.stringify(body)
    return this.#repeat<T>({ method, path: withQuery(path, query), headers, body: text, timeoutMs: TIMEOUT_MS })
  }

  /** Every item of a list, or the first `limit`. */
  async list<T>(path: string, query: Query = {}, limit = Number.POSITIVE_INFINITY): Promise<T[]> {
    const items: T[] = []
    let cursor: string | undefined
    do {
      const size = Math.min(1000, limit - items.length)
      const page = await this.get<{ items: T[]; next?: string }>(path, { ...query, limit: size, cursor })
      items.push(...page.items)
      cursor = page.next
    } while (cursor !== undefined && items.length < limit)
    return items
  }

  /** Opens a stream; its end, error and closing are the caller's. @throws the problem that was answered instead */
  async stream(
    path: string,
    query: Query,
    headers: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> {
    const ask = { method: 'GET', path: withQuery(path, query), headers, timeoutMs: TIMEOUT_MS }
    const response = await this.#send(ask, signal)
    if (response.statusCode === 200) return response
    return this.#read(response).then(() => {
      throw new HoldfastError('internal', `${this.api} answered ${response.statusCode} instead of a stream`)
    })
  }

  async #repeat<T>(ask: Ask): Promise<Answer<T>> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return (await this.#read(await this.#send(ask))) as Answer<T>
      } catch (thrown) {
        const pause = PAUSES_MS[attempt]
        if (pause === undefined || !isWorthRepeating(thrown, attempt)) throw thrown
        await delay(pause)
      }
    }
  }

  async #send(ask: Ask, signal?: AbortSignal): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const request = this.#request(new URL(ask.path, this.#base), this.#requestOptions(ask, signal), resolve)
    request.once('error', (error) => reject(this.#unreachable(error)))
    request.once('timeout', () => request.destroy(new Error(`no answer within ${ask.timeoutMs / 1000} s`)))
    request.end(ask.body)
    const response = await promise
    request.setTimeout(0)
    return response
  }

  #requestOptions(ask: Ask, signal: AbortSignal | undefined): RequestOptions & { ca?: string } {
    const { token, ca } = this.#options
    const headers: Record<string, string | number> = { accept: 'application/json', ...ask.headers }
    if (token !== undefined) headers.authorization = `Bearer ${token}`
    if (ask.body !== undefined) {
      headers['content-type'] = 'application/json'
      headers['content-length'] = Buffer.byteLength(ask.body)
    }
    return {
      method: ask.method,
      headers,
      timeout: ask.timeoutMs,
      ...(signal === undefined ? {} : { signal }),
      ...(ca === undefined ? {} : { ca }),
    }
  }

  /** @throws what the controller refused */
  async #read(response: IncomingMessage): Promise<Answer<unknown>> {
    const status = response.statusCode ?? 0
    let text = ''
    response.setEncoding('utf8')
    try {
      for await (const chunk of response) text += chunk
    } catch (thrown) {
      throw this.#unreachable(thrown as Error)
    }
    const body = text === '' ? undefined : parse(text)
    if (status >= 200 && status < 300) return { status, body }
    throw problem(status, body, this.api)
  }

  #unreachable(error: NodeJS.ErrnoException): HoldfastError {
    const { api, apiOrigin } = this.#options
    const why = error.code === 'ECONNREFUSED' ? 'nothing listens there' : error.message || error.code || 'no connection'
    return new HoldfastError(
      'unreachable',
      `no controller at ${api} (from ${apiOrigin}): ${why}`,
      { refused: error.code === 'ECONNREFUSED' },
      { cause: error },
    )
  }
}

/** Nothing was sent when the first connection was refused, and a command should not hang because of a wrong address. */
function isWorthRepeating(thrown: unknown, attempt: number): boolean {
  if (!(thrown instanceof HoldfastError) || !AGAIN.has(thrown.code)) return false
  return !(attempt === 0 && thrown.code === 'unreachable' && cannotSucceed(thrown))
}

function cannotSucceed(error: HoldfastError): boolean {
  const code = (error.cause as NodeJS.ErrnoException | undefined)?.code ?? ''
  return error.data.refused === true || code === 'ENOTFOUND' || code === 'EAI_AGAIN' || /CERT|TLS|SSL|SELF/.test(code)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A problem document as the error that it tells of. */
function problem(status: number, body: unknown, api: string): HoldfastError {
  const { code, detail, ...data } = (body ?? {}) as Record<string, unknown>
  if (isErrorCode(code)) return new HoldfastError(code, typeof detail === 'string' ? detail : '', data)
  return new HoldfastError('internal', `${api} answered ${status} without a reason; is that a Holdfast controller?`)
}

function withQuery(path: string, query: Query): string {
  const parameters = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) {
    if (value === undefined) continue
    for (const each of Array.isArray(value) ? value : [value]) parameters.append(key, String(each))
  }
  const text = parameters.toString()
  return text === '' ? path : `${path}?${text}`
}

/** One part of a path, e.g. a name; a role's slashes are escaped. */
export function part(text: string): string {
  // "." and ".." would be taken out of the path; nothing has such a name, and the answer says so
  return text === '.' || text === '..' ? `%22${text}%22` : encodeURIComponent(text)
}
