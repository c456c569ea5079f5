/** The resource provider endpoint of an agent as bare HTTP: a test decides every byte of it. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import type { Certificate } from '../../../support/certificates.ts'
import { until } from '../../../support/until.ts'

export interface Asked {
  readonly body: { type: string; [key: string]: unknown }
  readonly streamId: string | undefined
  readonly authorization: string | undefined
  readonly at: number
}

export class RawAgent {
  readonly #server: Server | TlsServer
  readonly #scheme: string
  readonly #sockets = new Set<Socket>()
  readonly subscribes: Asked[] = []
  readonly calls: Asked[] = []
  /** Streams that are open, oldest first. */
  readonly streams: ServerResponse[] = []
  /** When streams ended on this side. */
  readonly ended: number[] = []
  /** Answers to calls; 202 if not given. */
  onCall: (asked: Asked, response: ServerResponse) => void = (_, response) => response.writeHead(202).end()
  /** Answers to SUBSCRIBE; a stream with SUBSCRIBED if not given. */
  onSubscribe: (asked: Asked, response: ServerResponse) => void = (asked, response) => this.accept(response, asked)

  constructor(certificate?: Certificate) {
    const listener = (request: IncomingMessage, response: ServerResponse) => void this.#serve(request, response)
    this.#scheme = certificate === undefined ? 'http' : 'https'
    this.#server = certificate === undefined ? createServer(listener) : createTlsServer(certificate, listener)
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  /** @param certificate for https */
  static async start(certificate?: Certificate): Promise<RawAgent> {
    const agent = new RawAgent(certificate)
    await new Promise<void>((resolve) => agent.#server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => agent.stop())
    return agent
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  accept(response: ServerResponse, { body }: Asked): void {
    const info = (body.subscribe as { resource_provider_info: { id?: { value: string }; name: string } })
      .resource_provider_info
    this.open(response)
    this.send(
      { type: 'SUBSCRIBED', subscribed: { provider_id: { value: info.id?.value ?? `id-of-${info.name}` } } },
      response,
    )
  }

  /** A stream without anything in it yet. */
  open(response: ServerResponse): void {
    response.writeHead(200, {
      'content-type': 'application/json',
      'mesos-stream-id': `stream-${this.subscribes.length}`,
    })
    response.flushHeaders()
    this.streams.push(response)
    response.once('close', () => {
      this.ended.push(performance.now())
      this.streams.splice(this.streams.indexOf(response), 1)
    })
  }

  send(event: object, stream: ServerResponse | undefined = this.streams.at(-1)): void {
    const text = JSON.stringify(event)
    stream?.write(`${Buffer.byteLength(text)}\n${text}`)
  }

  async opened(count = 1): Promise<void> {
    await until(() => this.streams.length >= count, { what: `${count} streams` })
  }

  async called(count: number): Promise<Asked[]> {
    await until(() => this.calls.length >= count, { what: `${count} calls` })
    return this.calls
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = ''
    for await (const chunk of request) text += chunk
    const body = JSON.parse(text)
    const { 'mesos-stream-id': id, authorization } = request.headers
    const streamId = typeof id === 'string' ? id : undefined
    const asked = { body, streamId, authorization, at: performance.now() }
    if (body.type === 'SUBSCRIBE') {
      this.subscribes.push(asked)
      this.onSubscribe(asked, response)
    } else {
      this.calls.push(asked)
      this.onCall(asked, response)
    }
  }
}

export function publish(uuid: string): object {
  return { type: 'PUBLISH_RESOURCES', publish_resources: { uuid: { value: uuid }, resources: [] } }
}
