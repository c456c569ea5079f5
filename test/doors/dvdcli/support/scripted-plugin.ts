import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'

/** An answer; or none, a part of one, or the end of the connection. */
export type Step = { readonly status?: number; readonly text: string } | 'hang' | 'half' | 'cut'
/** @param call `Get db`, `Activate` @param times how often this call came before */
export type Script = (call: string, times: number, body: Readonly<Record<string, unknown>>) => Step | object

const VOLUME_DRIVER = { Implements: ['VolumeDriver'] }

/** A plugin that answers what a test says, also what no plugin should; on a real socket. */
export class ScriptedPlugin {
  /** In the order of their coming. */
  readonly calls: string[] = []
  readonly bodies: string[] = []
  readonly #script: Script
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  constructor(script: Script, tls?: ServerOptions) {
    this.#script = script
    const listener: RequestListener = (request, response) => void this.#serve(request, response)
    this.#server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  /** @param where a path, or a port of the loopback interface, 0 for any @returns the port */
  listen(where: string | number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      const ready = () => resolve(typeof where === 'string' ? 0 : (this.#server.address() as AddressInfo).port)
      if (typeof where === 'string') this.#server.listen(where, ready)
      else this.#server.listen(where, '127.0.0.1', ready)
    })
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
    })
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = ''
    for await (const chunk of request) text += chunk
    const body = text === '' ? {} : JSON.parse(text)
    const call = [request.url?.split('.').at(-1), body.Name].filter(Boolean).join(' ')
    const times = this.calls.filter((each) => each === call).length
    this.calls.push(call)
    this.bodies.push(text)
    const step = this.#script(call, times, body)
    if (step === 'hang') return
    if (step === 'cut') request.socket.destroy()
    else if (step === 'half') {
      response.writeHead(200, { 'content-length': 1000 })
      response.write('{"Mountpoint": "/mn', () => request.socket.destroy())
    } else if ('text' in step) response.writeHead(step.status ?? 200).end(step.text)
    else response.end(JSON.stringify(step))
  }
}

/** A driver with one volume `db`, mounted at /mnt/db; what is given comes first. */
export function driverWith(
  given: Readonly<Record<string, Step | object | ((times: number) => Step | object)>>,
): Script {
  return (call, times) => {
    const [method = ''] = call.split(' ')
    const own = given[call] ?? given[method]
    if (typeof own === 'function') return (own as (times: number) => Step | object)(times)
    if (own !== undefined) return own
    if (method === 'Activate') return VOLUME_DRIVER
    if (call === 'Get db') return { Volume: { Name: 'db' } }
    if (method === 'Get') return { Volume: null }
    if (method === 'Mount') return { Mountpoint: `/mnt/${call.split(' ')[1]}`, Err: '' }
    return { Err: '' }
  }
}
