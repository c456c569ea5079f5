import {
  create,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf'
import type {
  handleUnaryCall,
  Metadata,
  MethodDefinition,
  ServerUnaryCall,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { asGrpcError } from './error-codes.ts'
import { GRPC_CODES, GrpcError } from './grpc-error.ts'
import { redacted } from './redact.ts'

export interface CallContext {
  /** Aborted when the caller goes away, cancels, or its deadline passes; never after the handler has ended. */
  readonly signal: AbortSignal
  /** When the caller stops waiting, ms since 1970; undefined: never. */
  readonly deadline: number | undefined
  readonly metadata: Metadata
}

/** The unary methods of a service; one that is left out answers UNIMPLEMENTED. */
export type UnaryHandlers<S extends DescService> = {
  readonly [K in keyof S['method'] as S['method'][K] extends { methodKind: 'unary' } ? K : never]?: (
    request: MessageShape<S['method'][K]['input']>,
    context: CallContext,
  ) => Promise<MessageInitShape<S['method'][K]['output']>>
}

export interface CallLog {
  isLevelEnabled(level: 'debug'): boolean
  debug(data: object): void
  error(data: object): void
}

/** What a `GrpcServer` serves. */
export interface GrpcService {
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
}

type AnyHandler = (request: Message, context: CallContext) => Promise<MessageInitShape<DescMethod['output']>>

/** Long enough for a sentence; HTTP/2 clients refuse headers of some KiB altogether. */
const MAX_MESSAGE = 1024

/**
 * Makes a gRPC service of handlers. A handler throws `GrpcError` or `HoldfastError` (see GRPC_CODE_OF); anything else
 * is INTERNAL and logged as an error. A request that cannot be decoded is INVALID_ARGUMENT.
 */
export function grpcService<S extends DescService>(service: S, handlers: UnaryHandlers<S>, log: CallLog): GrpcService {
  const definition: Record<string, MethodDefinition<Buffer, Buffer>> = {}
  const implementation: UntypedServiceImplementation = {}
  for (const method of service.methods) {
    const handler = handlers[method.localName as keyof UnaryHandlers<S>] as AnyHandler | undefined
    if (handler === undefined || method.methodKind !== 'unary') continue
    definition[method.name] = bytesMethod(method)
    // `this` is kept, so that handlers may be an object of a class
    implementation[method.name] = unaryCall(method, (request, context) => handler.call(handlers, request, context), log)
  }
  return { definition, implementation }
}

/** Bytes go through as they are: decoding in `unaryCall` lets its failures be ordinary answers. */
function bytesMethod(method: DescMethod): MethodDefinition<Buffer, Buffer> {
  const same = (bytes: Buffer) => bytes
  return {
    path: methodPath(method),
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  }
}

/** `/csi.v1.Node/NodeStageVolume` */
export function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`
}

function unaryCall(method: DescMethod, handler: AnyHandler, log: CallLog): handleUnaryCall<Buffer, Buffer> {
  return (call, callback) => {
    const started = performance.now()
    const cancel = cancellation(call)
    let request: Message | undefined
    const answer = async () => {
      request = decoded(method, call.request)
      const { signal } = cancel
      const response = await handler(request, { signal, deadline: deadlineOf(call), metadata: call.metadata })
      return Buffer.from(toBinary(method.output, create(method.output, response)))
    }
    const ended = (failed?: GrpcError) => {
      cancel.end()
      logCall(log, { method, request, failed, ms: Math.round(performance.now() - started) })
    }
    answer().then(
      (bytes) => {
        ended()
        callback(null, bytes)
      },
      (thrown: unknown) => {
        const failed = asGrpcError(thrown)
        ended(failed)
        callback({ code: GRPC_CODES[failed.code], details: statusMessage(failed.message) })
      },
    )
  }
}

function decoded(method: DescMethod, bytes: Buffer): Message {
  try {
    return fromBinary(method.input, bytes)
  } catch (cause) {
    throw new GrpcError('INVALID_ARGUMENT', `the request is not a ${method.input.typeName}`, { cause })
  }
}

/** gRPC says `cancelled` also after a call that was answered; handlers should not hear of that. */
function cancellation(call: ServerUnaryCall<Buffer, Buffer>): { signal: AbortSignal; end(): void } {
  const controller = new AbortController()
  const cancelled = () => controller.abort(new GrpcError('CANCELLED', 'the caller went away or waits no longer'))
  call.once('cancelled', cancelled)
  return { signal: controller.signal, end: () => void call.off('cancelled', cancelled) }
}

function deadlineOf(call: ServerUnaryCall<Buffer, Buffer>): number | undefined {
  const deadline = Number(call.getDeadline())
  return Number.isFinite(deadline) ? deadline : undefined
}

/** The grpc library throws on a lone surrogate. */
function statusMessage(message: string): string {
  return message.slice(0, MAX_MESSAGE).toWellFormed()
}

interface Ended {
  readonly method: DescMethod
  readonly request: Message | undefined
  readonly failed: GrpcError | undefined
  readonly ms: number
}

function logCall(log: CallLog, { method, request, failed, ms }: Ended): void {
  const call = methodPath(method)
  const code = failed?.code ?? 'OK'
  // a fault of ours, whoever reads debug lines or not
  if (code === 'INTERNAL') log.error({ event: 'grpc.failed', call, message: failed?.message, err: failed?.cause })
  if (!log.isLevelEnabled('debug')) return
  const shown = request && redacted(method.input, request)
  log.debug({ event: 'grpc.call', call, code, ms, request: shown, message: failed?.message })
}
