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
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'
import { HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'
import { GrpcError, grpcCode } from './grpc-error.ts'
import { methodPath } from './service.ts'

export interface CallOptions {
  /** How long to wait for the answer, ms. After it the call fails with DEADLINE_EXCEEDED: its outcome is unknown. */
  readonly deadlineMs: number
  readonly signal?: AbortSignal
  /** Wait, until the deadline, for a server that is not there yet, instead of failing with UNAVAILABLE. */
  readonly waitForReady?: boolean
}

/** The unary methods of a service. Each throws `GrpcError` for every other status than OK. */
export type UnaryClient<S extends DescService> = {
  readonly [K in keyof S['method'] as S['method'][K] extends { methodKind: 'unary' } ? K : never]: (
    request: MessageInitShape<S['method'][K]['input']>,
    options: CallOptions,
  ) => Promise<MessageShape<S['method'][K]['output']>>
}

const CHANNEL_OPTIONS = {
  // the caller decides what is repeated, and where
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  // a plugin that was started again is used again soon
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 5000,
  // else a proxy for the web would get the secrets
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
}

/** A connection to one gRPC server, made at the first call and again whenever it breaks. */
export class GrpcChannel {
  readonly #client: Client

  /**
   * @param endpoint `unix:///path`, a bare absolute path, or `tcp://host:port` (no encryption)
   * @throws invalid_option
   */
  constructor(endpoint: string) {
    this.#client = new Client(target(endpoint), credentials.createInsecure(), CHANNEL_OPTIONS)
  }

  client<S extends DescService>(service: S): UnaryClient<S> {
    const unary = service.methods.filter((method) => method.methodKind === 'unary')
    const calls = unary.map((method) => [
      method.localName,
      (request: MessageInitShape<DescMethod['input']>, options: CallOptions) =>
        this.#call(method, create(method.input, request), options),
    ])
    return Object.fromEntries(calls) as UnaryClient<S>
  }

  close(): void {
    this.#client.close()
  }

  #call(method: DescMethod, request: Message, options: CallOptions): Promise<Message> {
    const { deadlineMs, signal, waitForReady = false } = options
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(new GrpcError('CANCELLED', 'cancelled before it was sent'))
      const metadata = new Metadata({ waitForReady })
      const call = this.#client.makeUnaryRequest<Message, Message>(
        methodPath(method),
        (message) => Buffer.from(toBinary(method.input, message)),
        (bytes) => fromBinary(method.output, bytes),
        request,
        metadata,
        { deadline: Date.now() + deadlineMs },
        (error, response) => {
          signal?.removeEventListener('abort', cancel)
          if (error !== null) reject(grpcError(error))
          else if (response === undefined) reject(new GrpcError('INTERNAL', `${method.name}: no answer came`))
          else resolve(response)
        },
      )
      const cancel = () => call.cancel()
      signal?.addEventListener('abort', cancel, { once: true })
    })
  }
}

function grpcError(error: ServiceError): GrpcError {
  const code = grpcCode(error.code)
  return new GrpcError(code === 'OK' ? 'UNKNOWN' : code, error.details, { cause: error })
}

/** What the grpc library calls a target (github.com/grpc/grpc, doc/naming.md). */
function target(endpoint: string): string {
  const path = /^(?:unix:\/\/|unix:)?(\/[^/].*)$/.exec(endpoint)?.[1]
  if (path !== undefined) return `unix:${path}`
  const address = /^tcp:\/\/([^/]+:\d+)$/.exec(endpoint)?.[1]
  if (address !== undefined) return `dns:${address}`
  throw new HoldfastError(
    'invalid_option',
    `endpoint ${quote(endpoint)}: give unix:///path/of/the.sock or tcp://host:port`,
  )
}
