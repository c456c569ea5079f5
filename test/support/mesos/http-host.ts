/** A port on 127.0.0.1 whose owner can vanish: all sockets reset, nothing listening, and come back on the same port. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Certificate } from '../certificates.ts'
import { encodeRecord } from './record-io.ts'

export interface Call {
  readonly method: string
  readonly path: string
  readonly body: string
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

export class HttpHost {
  readonly #handle: (call: Call) => void
  readonly #sockets = new Set<Socket>()
  #server: Server | TlsServer | undefined
  #port = 0
  #certificate: Certificate | undefined

  /** @param certificate for https */
  constructor(handle: (call: Call) => void, certificate?: Certificate) {
    this.#handle = handle
    this.#certificate = certificate
  }

  /** From the next start on. */
  certify(certificate: Certificate): void {
    this.#certificate = certificate
  }

  get port(): number {
    return this.#port
  }

  get url(): string {
    return `${this.#certificate === undefined ? 'http' : 'https'}://127.0.0.1:${this.#port}`
  }

  /** @param port the first time only; afterwards it comes back where it was */
  async listen(port = this.#port): Promise<void> {
    const listener = (request: IncomingMessage, response: ServerResponse) => this.#receive(request, response)
    const keepAliveTimeout = 60_000
    const server =
      this.#certificate === undefined
        ? createServer({ keepAliveTimeout }, listener)
        : createTlsServer({ keepAliveTimeout, ...this.#certificate }, listener)
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      socket.on('error', () => {})
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', resolve)
    })
    this.#server = server
    this.#port = (server.address() as AddressInfo).port
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = []
    request.on('error', () => {})
    response.on('error', () => {})
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const path = request.url ?? '/'
      const body = Buffer.concat(chunks).toString()
      this.#handle({ method: request.method ?? 'GET', path, body, request, response })
    })
  }

  /** As when the process is killed: nothing listens, every open connection is reset. */
  drop(): void {
    this.#server?.close()
    this.#server = undefined
    for (const socket of this.#sockets) socket.resetAndDestroy()
    this.#sockets.clear()
  }
}

export interface Reply {
  readonly status: number
  readonly body: string | object
}

export function reply(status: number, body: string | object = ''): Reply {
  return { status, body }
}

export function answer(response: ServerResponse, status: number, body: string | object = ''): void {
  if (response.destroyed) return
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const type = typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json'
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text) })
  response.end(text)
}

/** A stream of events in RecordIO on the answer to a SUBSCRIBE. */
export class EventStream {
  readonly id: string
  readonly #response: ServerResponse
  #open = true

  /** @param onGone the other side closed it; not called when this side does */
  constructor(response: ServerResponse, id: string, onGone: () => void) {
    this.id = id
    this.#response = response
    response.writeHead(200, { 'Content-Type': 'application/json', 'Mesos-Stream-Id': id })
    response.flushHeaders()
    response.on('close', () => {
      if (!this.#open) return
      this.#open = false
      onGone()
    })
  }

  get isOpen(): boolean {
    return this.#open
  }

  send(event: object): boolean {
    if (!this.#open) return false
    this.#response.write(encodeRecord(event))
    return true
  }

  end(): void {
    if (!this.#open) return
    this.#open = false
    this.#response.end()
  }
}

/** @returns the JSON object of a call, or the answer that Mesos gives to something else */
export function parseCall(call: Call): { readonly json: Record<string, unknown> } | { readonly refused: Reply } {
  if (call.method !== 'POST') {
    return { refused: reply(405, `Expecting one of { 'POST' }, but received '${call.method}'`) }
  }
  if (!(call.request.headers['content-type'] ?? '').startsWith('application/json')) {
    return { refused: reply(415, "Expecting 'Content-Type' of application/json or application/x-protobuf") }
  }
  try {
    const json: unknown = JSON.parse(call.body)
    if (typeof json === 'object' && json !== null && !Array.isArray(json))
      return { json: json as Record<string, unknown> }
    return { refused: reply(400, 'Failed to parse body into JSON: not an object') }
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    return { refused: reply(400, `Failed to parse body into JSON: ${why}`) }
  }
}
