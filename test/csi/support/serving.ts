import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { GrpcChannel } from '../../../src/csi/client.ts'
import { GrpcServer } from '../../../src/csi/server.ts'
import type { CallLog, GrpcService } from '../../../src/csi/service.ts'
import { listenOnSocket } from '../../../src/doors/docker/socket.ts'
import { testDir } from '../../support/temp-dir.ts'

export interface Lines extends CallLog {
  readonly debugs: Record<string, unknown>[]
  readonly errors: Record<string, unknown>[]
}

/** A log that keeps its lines, as JSON would hold them. */
export function lines(): Lines {
  const debugs: Record<string, unknown>[] = []
  const errors: Record<string, unknown>[] = []
  return {
    debugs,
    errors,
    isLevelEnabled: () => true,
    debug: (data) => void debugs.push(JSON.parse(JSON.stringify(data))),
    error: (data) => void errors.push(JSON.parse(JSON.stringify(data))),
  }
}

export interface Serving {
  readonly path: string
  readonly server: GrpcServer
  readonly channel: GrpcChannel
}

/** Serves on a new unix socket, with a channel to it; both are closed when the test ends. */
export async function serving(services: readonly GrpcService[], path = join(testDir(), 's.sock')): Promise<Serving> {
  const server = new GrpcServer(services)
  await listenOnSocket(server.listener, path)
  onTestFinished(() => server.close(0))
  const channel = new GrpcChannel(`unix://${path}`)
  onTestFinished(() => channel.close())
  return { path, server, channel }
}

export interface RawAnswer {
  readonly status: string | undefined
  readonly body: Buffer
}

/** One call as bytes, through Node's HTTP/2 client: the length-prefixed frame is the caller's to make. */
export async function rawCall(
  path: string,
  method: string,
  body: Buffer,
  headers: Record<string, string> = {},
): Promise<RawAnswer> {
  const session = connectHttp2('http://localhost', { createConnection: () => connect(path) })
  try {
    return await new Promise((resolve, reject) => {
      session.once('error', reject)
      const stream = session.request({
        ':method': 'POST',
        ':path': method,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...headers,
      })
      let status: string | undefined
      const chunks: Buffer[] = []
      const see = (seen: Record<string, unknown>) => {
        if (seen['grpc-status'] !== undefined) status = String(seen['grpc-status'])
      }
      stream.on('response', see)
      stream.on('trailers', see)
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      // a server may answer before it has read everything, and then resets the stream
      stream.on('error', () => {})
      stream.on('close', () => resolve({ status, body: Buffer.concat(chunks) }))
      stream.end(body)
    })
  } finally {
    session.destroy()
  }
}

/** A message as gRPC frames it: not compressed, four bytes of length. */
export function frame(message: Uint8Array, length = message.length): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(length, 1)
  return Buffer.concat([head, message])
}
