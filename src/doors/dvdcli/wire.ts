import { connect, type Socket } from 'node:net'
import { type Endpoint, showEndpoint } from '../../docker-plugin/discovery.ts'
import { failed } from './failure.ts'
import { type Answer, AnswerReader, NotHttp } from './http-answer.ts'

/** No whole answer came. */
export class Unanswered extends Error {
  /** Whether the plugin may have got the call. */
  readonly sent: boolean

  constructor(sent: boolean, message: string) {
    super(message)
    this.sent = sent
  }
}

/** Why nobody listens, of which all can pass. What else can be wrong with an address is told at once. */
const ABSENT: ReadonlySet<unknown> = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'EAGAIN', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'],
  ...['ENOTFOUND', 'EAI_AGAIN'],
])

interface Running {
  readonly reader: AnswerReader
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

/**
 * A connection to a plugin, for one call after the other. A call is a POST of JSON (docker/cli
 * docs/extend/plugin_api.md). There is no time limit.
 */
export class Connection {
  readonly #endpoint: Endpoint
  readonly #socket: Socket
  #running: Running | undefined
  /** Whether another call may be made. */
  open = true

  private constructor(endpoint: Endpoint, socket: Socket) {
    this.#endpoint = endpoint
    this.#socket = socket
    socket.on('data', (bytes: Buffer) => this.#read((reader) => reader.push(bytes)))
    socket.on('error', (error: NodeJS.ErrnoException) => this.#broken(interrupted(endpoint, error)))
    socket.on('close', () => {
      this.#read((reader) => reader.end())
      this.#broken(new Unanswered(true, 'the connection was closed'))
    })
  }

  /** @throws Unanswered when nobody listens there, Failure for what no repeating helps */
  static async to(endpoint: Endpoint): Promise<Connection> {
    const [socket, ready] = endpoint.kind === 'unix' ? [connect(endpoint.path), 'connect'] : await dial(endpoint)
    await new Promise((resolve, reject) => {
      socket.once('error', (error: NodeJS.ErrnoException) => reject(notReached(endpoint, error)))
      socket.once(ready, resolve)
    })
    return new Connection(endpoint, socket)
  }

  /** @throws Unanswered, or Failure when what comes is not HTTP */
  call(path: string, body: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#running = { reader: new AnswerReader(), resolve, reject }
      this.#socket.write(request(this.#endpoint, path, body))
    })
  }

  close(): void {
    this.open = false
    this.#socket.destroy()
  }

  #read(step: (reader: AnswerReader) => Answer | undefined): void {
    const running = this.#running
    if (running === undefined) return
    try {
      const answer = step(running.reader)
      if (answer === undefined) return
      this.#running = undefined
      if (!running.reader.keepsOpen) this.close()
      running.resolve(answer)
    } catch (thrown) {
      if (!(thrown instanceof NotHttp)) throw thrown
      this.close()
      running.reject(failed(`${showEndpoint(this.#endpoint)} does not speak HTTP`))
    }
  }

  #broken(why: Error): void {
    this.close()
    this.#running?.reject(why)
    this.#running = undefined
  }
}

function notReached(endpoint: Endpoint, { code = '', message }: NodeJS.ErrnoException): Error {
  if (ABSENT.has(code)) return new Unanswered(false, code)
  return failed(`${showEndpoint(endpoint)} is not reached: ${message}`)
}

/** With TLS 1.3 a server refuses the certificate of a caller only after that could send. */
function interrupted(endpoint: Endpoint, { code = '', message }: NodeJS.ErrnoException): Error {
  if (ABSENT.has(code)) return new Unanswered(true, code)
  return failed(`${showEndpoint(endpoint)} has broken off: ${message}`)
}

/** Docker sends no Content-Type, and plugins don't look at Host. */
function request(endpoint: Endpoint, path: string, body: string): string {
  const host = endpoint.kind === 'unix' ? 'localhost' : `${endpoint.host}:${endpoint.port}`
  const lines = [
    `POST ${path} HTTP/1.1`,
    `Host: ${host}`,
    'User-Agent: dvdcli',
    'Accept: application/vnd.docker.plugins.v1.2+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

async function dial(endpoint: Exclude<Endpoint, { kind: 'unix' }>): Promise<[Socket, string]> {
  const { host, port } = endpoint
  if (endpoint.kind === 'tcp') return [connect({ host, port }), 'connect']
  // only here: it takes long to load
  const tls = await import('node:tls')
  const { isIP } = await import('node:net')
  const { insecure, ...files } = endpoint.tls
  const name = isIP(host) === 0 ? { servername: host } : {}
  return [tls.connect({ host, port, ...name, ...files, rejectUnauthorized: !insecure }), 'secureConnect']
}
