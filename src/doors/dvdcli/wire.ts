import { connect, type Socket } from 'node:net'
import { type Endpoint, showEndpoint } from './discovery.ts'
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

/**
 * One call of the Docker plugin protocol (docker/cli docs/extend/plugin_api.md): a POST on a connection of its own.
 * There is no time limit. @throws Unanswered, or Failure for what no repeating helps
 */
export async function exchange(endpoint: Endpoint, path: string, body: string): Promise<Answer> {
  const socket = await open(endpoint)
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const reader = new AnswerReader()
  const broken = (why: string) => reject(new Unanswered(true, why))
  const read = (step: () => Answer | undefined) => {
    try {
      const answer = step()
      if (answer !== undefined) resolve(answer)
    } catch (thrown) {
      reject(thrown instanceof NotHttp ? failed(`${showEndpoint(endpoint)} does not speak HTTP`) : thrown)
    }
  }
  socket.on('data', (bytes: Buffer) => read(() => reader.push(bytes)))
  socket.on('error', (error) => broken(error.message))
  socket.on('close', () => {
    read(() => reader.end())
    broken('the connection was closed')
  })
  socket.write(request(endpoint, path, body))
  try {
    return await promise
  } finally {
    socket.destroy()
  }
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
    'Connection: close',
  ]
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

async function open(endpoint: Endpoint): Promise<Socket> {
  const [socket, ready] = await dial(endpoint)
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const refused = (error: NodeJS.ErrnoException) => {
    const { code = 'unknown error', message } = error
    reject(
      ABSENT.has(code) ? new Unanswered(false, code) : failed(`${showEndpoint(endpoint)} is not reached: ${message}`),
    )
  }
  socket.once('error', refused)
  socket.once(ready, () => {
    socket.off('error', refused)
    resolve(socket)
  })
  return promise
}

async function dial(endpoint: Endpoint): Promise<[Socket, string]> {
  if (endpoint.kind === 'unix') return [connect(endpoint.path), 'connect']
  const { host, port } = endpoint
  if (endpoint.kind === 'tcp') return [connect({ host, port }), 'connect']
  // only here: it takes long to load
  const [tls, { isIP }] = await Promise.all([import('node:tls'), import('node:net')])
  const { insecure, ...files } = endpoint.tls
  const name = isIP(host) === 0 ? { servername: host } : {}
  return [tls.connect({ host, port, ...name, ...files, rejectUnauthorized: !insecure }), 'secureConnect']
}
