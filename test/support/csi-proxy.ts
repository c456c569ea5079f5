/** Stands between a CSI plugin and its user: passes every call on, unless it is told to misbehave. */
import { existsSync, rmSync } from 'node:fs'
import type { DescService } from '@bufbuild/protobuf'
import { GrpcChannel } from '../../src/csi/client.ts'
import { Controller, Identity, Node } from '../../src/csi/generated/csi/v1/csi_pb.js'
import { GrpcError } from '../../src/csi/grpc-error.ts'
import { GrpcServer } from '../../src/csi/server.ts'
import { type CallContext, grpcService, type UnaryHandlers } from '../../src/csi/service.ts'
import { listenOnSocket } from '../../src/doors/docker/socket.ts'

type Pass = () => Promise<unknown>
/** What is done in place of one call. @returns the answer */
export type CsiFault = (request: never, pass: Pass, signal: AbortSignal) => Promise<unknown>

const CALL_MS = 30_000
const QUIET = { isLevelEnabled: () => false, debug: () => undefined, error: () => undefined }

export class CsiProxy {
  readonly endpoint: string
  /** By method, such as `createVolume`. */
  readonly faults = new Map<string, CsiFault>()
  /** All calls as they came. */
  readonly calls: { method: string; request: Record<string, unknown> }[] = []
  readonly #socket: string
  readonly #channel: GrpcChannel
  #server: GrpcServer | undefined

  constructor(socket: string, plugin: string) {
    this.endpoint = `unix://${socket}`
    this.#socket = socket
    this.#channel = new GrpcChannel(plugin)
  }

  async start(): Promise<void> {
    const services = [this.#service(Identity), this.#service(Controller), this.#service(Node)]
    this.#server = new GrpcServer(services)
    await listenOnSocket(this.#server.listener, this.#socket)
  }

  /** As a plugin that ends: its calls are cut off, and its socket goes. */
  async stop(): Promise<void> {
    await this.#server?.close(0)
    this.#server = undefined
    if (existsSync(this.#socket)) rmSync(this.#socket)
  }

  async close(): Promise<void> {
    await this.stop()
    this.#channel.close()
  }

  /** How often a method was called. */
  count(method: string): number {
    return this.calls.filter((call) => call.method === method).length
  }

  #service<S extends DescService>(service: S) {
    const client = this.#channel.client(service) as Record<string, (...args: unknown[]) => Promise<unknown>>
    const handlers = service.methods.map((method) => {
      const name = method.localName
      const handler = async (request: never, { signal }: CallContext) => {
        this.calls.push({ method: name, request })
        const pass = async () => await client[name]?.(request, { deadlineMs: CALL_MS, signal })
        return await (this.faults.get(name)?.(request, pass, signal) ?? pass())
      }
      return [name, handler]
    })
    return grpcService(service, Object.fromEntries(handlers) as UnaryHandlers<S>, QUIET)
  }
}

export function refuse(code: GrpcError['code'], message = 'it was told to'): CsiFault {
  return () => Promise.reject(new GrpcError(code, message))
}

/** Never answers; the caller goes away at last. */
export const hang: CsiFault = (_request, _pass, signal) =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))

/** Does so once, and behaves then. */
export function once(fault: CsiFault): CsiFault {
  let done = false
  return (request, pass, signal) => {
    if (done) return pass()
    done = true
    return fault(request, pass, signal)
  }
}
