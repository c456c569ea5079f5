import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type CallOptions, GrpcChannel } from '../../src/csi/client.ts'
import { Identity } from '../../src/csi/generated/csi/v1/csi_pb.js'
import { grpcService } from '../../src/csi/service.ts'
import { testDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { frame, lines, serving } from './support/serving.ts'

const soon = { deadlineMs: 10_000 }
const ready = () => grpcService(Identity, { probe: async () => ({ ready: true }) }, lines())

function probe(endpoint: string, options: CallOptions = soon) {
  const channel = new GrpcChannel(endpoint)
  onTestFinished(() => channel.close())
  return channel.client(Identity).probe({}, options)
}

/** A server of plain HTTP/2 that answers as it is told. */
async function answering(answer: (stream: ServerHttp2Stream) => void): Promise<string> {
  const server: Http2Server = createServer()
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    answer(stream)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function ok(stream: ServerHttp2Stream, body: Buffer, trailers: Record<string, string>): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers(trailers))
  stream.end(body)
}

function page(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 404, 'content-type': 'text/html' })
  stream.end('<html>')
}

test('a unix socket may be given as a URL or as a path', async () => {
  const { path } = await serving([ready()])
  for (const endpoint of [`unix://${path}`, `unix:${path}`, path]) {
    expect(await probe(endpoint)).toMatchObject({ ready: true })
  }
})

test('a server on TCP is reached, and its answer read', async () => {
  const endpoint = await answering((stream) => ok(stream, frame(Buffer.from([0x0a, 2, 8, 1])), { 'grpc-status': '0' }))
  expect(await probe(endpoint)).toMatchObject({ ready: true })
})

test.each(['', 'csi.sock', 'unix://csi.sock', 'tcp://somewhere', 'http://127.0.0.1:1', 'tcp://a:1/b'])(
  'the endpoint "%s" is refused',
  (endpoint) => {
    expect(() => new GrpcChannel(endpoint)).toThrow(expect.objectContaining({ code: 'invalid_option' }))
  },
)

test('a server that is not there is UNAVAILABLE at once, or at the deadline for who waits for it', async () => {
  const path = join(testDir(), 's.sock')
  await expect(probe(path)).rejects.toMatchObject({ name: 'GrpcError', code: 'UNAVAILABLE' })
  await expect(probe(path, { deadlineMs: 200, waitForReady: true })).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
  })
})

test('a server that comes later, or again, is used without anything being made new', async () => {
  const path = join(testDir(), 's.sock')
  const channel = new GrpcChannel(path)
  onTestFinished(() => channel.close())
  const early = channel.client(Identity).probe({}, { ...soon, waitForReady: true })
  const first = await serving([ready()], path)
  expect(await early).toMatchObject({ ready: true })
  await first.server.close(0)
  await serving([ready()], path)
  expect(await channel.client(Identity).probe({}, { ...soon, waitForReady: true })).toMatchObject({ ready: true })
})

test.each<[what: string, answer: (stream: ServerHttp2Stream) => void, code: string]>([
  ['no protobuf', (stream) => ok(stream, frame(Buffer.from([0x0a, 99])), { 'grpc-status': '0' }), 'INTERNAL'],
  ['no message', (stream) => ok(stream, Buffer.alloc(0), { 'grpc-status': '0' }), 'UNIMPLEMENTED'],
  ['a status that there is not', (stream) => ok(stream, Buffer.alloc(0), { 'grpc-status': '99' }), 'UNKNOWN'],
  ['no status', (stream) => ok(stream, Buffer.alloc(0), {}), 'INTERNAL'],
  ['a page for people', page, 'UNIMPLEMENTED'],
  [
    'more than 4 MiB',
    (stream) => ok(stream, frame(Buffer.alloc(5 << 20)), { 'grpc-status': '0' }),
    'RESOURCE_EXHAUSTED',
  ],
  ['a lost connection', (stream) => stream.session?.destroy(), 'UNAVAILABLE'],
])('an answer that is %s is an error', async (_what, answer, code) => {
  await expect(probe(await answering(answer))).rejects.toMatchObject({ name: 'GrpcError', code })
})

test('the library repeats no call by itself', async () => {
  let calls = 0
  const endpoint = await answering((stream) => {
    calls += 1
    ok(stream, Buffer.alloc(0), { 'grpc-status': '14', 'grpc-message': 'busy' })
  })
  await expect(probe(endpoint)).rejects.toMatchObject({ code: 'UNAVAILABLE', message: 'busy' })
  expect(calls).toBe(1)
})

test('a proxy for the web is not asked', async () => {
  let asked = 0
  const proxy = await answering(() => {
    asked += 1
  })
  const before = process.env.grpc_proxy
  process.env.grpc_proxy = proxy.replace('tcp:', 'http:')
  onTestFinished(() => {
    if (before === undefined) delete process.env.grpc_proxy
    else process.env.grpc_proxy = before
  })
  const endpoint = await answering((stream) => ok(stream, frame(Buffer.alloc(0)), { 'grpc-status': '0' }))
  expect(await probe(endpoint)).toMatchObject({ $typeName: 'csi.v1.ProbeResponse' })
  expect(asked).toBe(0)
})

test('closing a channel ends its connection', async () => {
  const { server, channel } = await serving([ready()])
  await channel.client(Identity).probe({}, soon)
  const count = () => new Promise<number>((resolve) => server.listener.getConnections((_error, sum) => resolve(sum)))
  expect(await count()).toBe(1)
  channel.close()
  await until(async () => (await count()) === 0, { what: 'the connection to end' })
})
