import { createServer, type Server as NetServer, type Socket } from 'node:net'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import type { GrpcService } from './service.ts'

/** What the specification's other implementations take (grpc-go's default), bytes. */
const MAX_REQUEST = 4 * 1024 * 1024
/** Calls at once on one connection; an orchestrator waits with the next ones. */
const MAX_CALLS = 256

/**
 * gRPC for connections that `listener` accepts: give that to `listenOnSocket`, which looks after the socket file and
 * who may use it. No keepalive: the kernel says at once when the other end of a unix socket is gone.
 */
export class GrpcServer {
  readonly listener: NetServer
  readonly #grpc: Server
  readonly #connections = new Set<Socket>()

  constructor(services: readonly GrpcService[]) {
    this.#grpc = new Server({
      'grpc.max_receive_message_length': MAX_REQUEST,
      'grpc.max_concurrent_streams': MAX_CALLS,
      'grpc.enable_channelz': 0,
    })
    for (const { definition, implementation } of services) this.#grpc.addService(definition, implementation)
    const injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure())
    this.listener = createServer((connection) => {
      this.#connections.add(connection)
      connection.once('close', () => this.#connections.delete(connection))
      injector.injectConnection(connection)
    })
  }

  /** Takes no more calls, lets those that run end, and after `limitMs` cancels them (their signals are aborted). */
  async close(limitMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      if (this.listener.listening) this.listener.close(() => resolve())
      else resolve()
    })
    // not forceShutdown of the library: without its channelz it knows no sessions
    const timer = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy()
    }, limitMs)
    await new Promise<void>((resolve) => this.#grpc.tryShutdown(() => resolve()))
    await closed
    clearTimeout(timer)
  }
}
