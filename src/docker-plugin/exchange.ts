import { type IncomingMessage, type RequestOptions, request } from 'node:http'
import { request as requestTls } from 'node:https'
import { isIP } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { Endpoint } from './discovery.ts'
import type { Answer } from './reply.ts'

/** A list of a hundred thousand volumes has about 10 MiB. */
const MAX_BODY = 64 * 1024 * 1024
const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 500

/** No whole answer came. */
export class Unanswered extends Error {
  /** Whether the plugin may have got the call. */
  readonly sent: boolean

  constructor(sent: boolean, message: string) {
    super(message)
    this.sent = sent
  }
}

export interface ExchangeOptions {
  readonly signal: AbortSignal
  /** How long a plugin that is not there (it restarts, say) is waited for, ms. */
  readonly waitMs: number
  /** Whether the call may be sent again when the connection broke in the middle. */
  readonly repeatable: boolean
}

/**
 * One call of the Docker plugin protocol (docker/cli docs/extend/plugin_api.md): a POST on a connection of its own. A
 * refused connection is tried again, as Docker does it.
 * @param locate where the plugin is now; undefined when it is nowhere
 * @throws Unanswered
 */
export async function exchange(
  locate: () => Endpoint | undefined,
  path: string,
  body: string,
  { signal, waitMs, repeatable }: ExchangeOptions,
): Promise<Answer> {
  const end = performance.now() + waitMs
  for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 2, LONGEST_PAUSE_MS)) {
    try {
      const endpoint = locate()
      if (endpoint === undefined) throw new Unanswered(false, 'it is not there')
      return await post(endpoint, path, body, signal)
    } catch (thrown) {
      if (!(thrown instanceof Unanswered) || (thrown.sent && !repeatable)) throw thrown
      if (signal.aborted || performance.now() + wait > end) throw thrown
      await pause(wait, undefined, { signal }).catch(() => undefined)
    }
  }
}

async function post(endpoint: Endpoint, path: string, body: string, signal: AbortSignal): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  let sent = false
  const broken = (error: NodeJS.ErrnoException) => reject(new Unanswered(sent, reason(error)))
  const call = begin(endpoint, optionsOf(endpoint, path, body, signal), (message) => {
    collect(message, resolve, broken)
  })
  call.on('socket', (socket) => {
    const ready = () => {
      sent = true
    }
    socket.once(endpoint.kind === 'tls' ? 'secureConnect' : 'connect', ready)
  })
  call.on('error', broken)
  call.end(body)
  return await promise
}

function begin(endpoint: Endpoint, options: RequestOptions, onAnswer: (message: IncomingMessage) => void) {
  if (endpoint.kind !== 'tls') return request(options, onAnswer)
  const { insecure, ...files } = endpoint.tls
  const name = isIP(endpoint.host) === 0 ? { servername: endpoint.host } : {}
  return requestTls({ ...options, ...name, ...files, rejectUnauthorized: !insecure }, onAnswer)
}

/** Docker sends no Content-Type, and plugins don't look at Host. */
function optionsOf(endpoint: Endpoint, path: string, body: string, signal: AbortSignal): RequestOptions {
  const place = endpoint.kind === 'unix' ? { socketPath: endpoint.path } : { host: endpoint.host, port: endpoint.port }
  const headers = {
    Host: endpoint.kind === 'unix' ? 'localhost' : `${endpoint.host}:${endpoint.port}`,
    Accept: 'application/vnd.docker.plugins.v1.2+json',
    'User-Agent': 'holdfast',
    'Content-Length': Buffer.byteLength(body),
  }
  return { ...place, method: 'POST', path, headers, agent: false, signal }
}

function collect(message: IncomingMessage, whole: (answer: Answer) => void, broken: (error: Error) => void): void {
  const parts: Buffer[] = []
  let size = 0
  message.on('data', (part: Buffer) => {
    parts.push(part)
    size += part.length
    if (size > MAX_BODY) message.destroy(new Error('the answer has more than 64 MiB'))
  })
  message.on('error', broken)
  message.on('close', () => broken(new Error('the connection was closed in the middle of the answer')))
  message.on('end', () => {
    if (message.complete) whole({ status: message.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') })
  })
}

function reason({ code, message }: NodeJS.ErrnoException): string {
  if (code?.startsWith('HPE_') === true) return 'it does not speak HTTP'
  return code ?? message
}
