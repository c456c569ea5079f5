import type { DescService } from '@bufbuild/protobuf'
import { asGrpcError } from '../../csi/error-codes.ts'
import { Controller, GroupController, Identity, Node } from '../../csi/generated/csi/v1/csi_pb.js'
import { GrpcServer } from '../../csi/server.ts'
import { type CallContext, type CallLog, grpcService, type UnaryHandlers } from '../../csi/service.ts'
import { listenOnSocket } from '../docker/socket.ts'
import { identityService } from './identity.ts'

export interface CsiDoorParts {
  /** Absolute path. Only root may connect: whoever may can mount. */
  readonly socket: string
  readonly version: string
  /** Each service is there if its handlers are; Identity always is. */
  readonly node?: UnaryHandlers<typeof Node> | undefined
  readonly controller?: UnaryHandlers<typeof Controller> | undefined
  readonly groupController?: UnaryHandlers<typeof GroupController> | undefined
  /** Whether a call would find what it needs, for Probe. */
  readonly ready: () => boolean | Promise<boolean>
  readonly log: CallLog & { warn(data: object): void }
  /** Called first when the door closes: what only waits ends, with an answer that says so. */
  readonly closing?: AbortController | undefined
}

export interface CsiDoor {
  /** @throws invalid_option, in_use */
  listen(): Promise<void>
  /** What is mounted stays mounted. */
  close(): Promise<void>
}

/** How long a call that is really being worked on may take to end when the door closes, ms. */
const CLOSE_MS = 5000

/** A CSI plugin (container-storage-interface/spec, v1) on a unix socket. */
export function createCsiDoor(parts: CsiDoorParts): CsiDoor {
  const { log, socket, node, controller, groupController, version, ready } = parts
  const identity = identityService({
    version,
    ready,
    controller: controller !== undefined,
    groupController: groupController !== undefined,
  })
  const serve = <S extends DescService>(service: S, handlers: UnaryHandlers<S> | undefined) =>
    handlers === undefined ? [] : [grpcService(service, loud(handlers, log), log)]
  const server = new GrpcServer([
    ...serve(Identity, identity),
    ...serve(Node, node),
    ...serve(Controller, controller),
    ...serve(GroupController, groupController),
  ])
  return {
    listen: () => listenOnSocket(server.listener, socket),
    async close() {
      parts.closing?.abort()
      await server.close(CLOSE_MS)
    },
  }
}

/** Says in the log what is refused: orchestrators tend to show their users something else. */
function loud<S extends DescService>(handlers: UnaryHandlers<S>, log: CsiDoorParts['log']): UnaryHandlers<S> {
  type Handler = (request: never, context: CallContext) => Promise<object>
  const said = Object.entries<Handler | undefined>(handlers as Record<string, Handler | undefined>).map(
    ([call, handler]) => [
      call,
      async (request: never, context: CallContext) => {
        try {
          return await handler?.(request, context)
        } catch (thrown) {
          const { code, message } = asGrpcError(thrown)
          if (!context.signal.aborted) log.warn({ event: 'csi.refused', call, code, message })
          throw thrown
        }
      },
    ],
  )
  return Object.fromEntries(said)
}
