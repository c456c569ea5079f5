import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { Node } from '../../src/csi/generated/csi/v1/csi_pb.js'
import { grpcService } from '../../src/csi/service.ts'
import { until } from '../support/until.ts'
import { frame, lines, rawCall, type Serving, serving } from './support/serving.ts'

const STAGE = '/csi.v1.Node/NodeStageVolume'
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

async function served(): Promise<Serving & { requests: string[] }> {
  const requests: string[] = []
  const nodeStageVolume = async ({ volumeId }: { volumeId: string }) => {
    requests.push(volumeId)
    return {}
  }
  return { ...(await serving([grpcService(Node, { nodeStageVolume }, lines())])), requests }
}

/** That the server, whatever was done to it, still works for others. */
async function stillServes({ channel, requests }: Awaited<ReturnType<typeof served>>): Promise<void> {
  await channel.client(Node).nodeStageVolume({ volumeId: 'fine' }, { deadlineMs: 10_000 })
  expect(requests.at(-1)).toBe('fine')
}

/** Sends bytes and waits for the server to close the connection, or `ms`. */
function send(path: string, bytes: string | Uint8Array, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const timer = setTimeout(() => end(false), ms)
    const end = (closed: boolean) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(closed)
    }
    socket.on('error', () => {})
    socket.on('data', () => {})
    socket.on('close', () => end(true))
    socket.write(bytes)
  })
}

// gRPC's C core (Mesos, Python, PHP) names a unix socket's server by its path, percent-encoded; others say localhost.
test.each(['%2Frun%2Fholdfast%2Fcsi.sock', 'localhost', '[::]:0'])('the authority %s is served', async (authority) => {
  const { path, requests } = await served()
  const answer = await rawCall(path, STAGE, frame(Buffer.from([0x0a, 2, 0x76, 0x31])), { ':authority': authority })
  expect(answer).toMatchObject({ status: '0', body: frame(Buffer.alloc(0)) })
  expect(requests).toEqual(['v1'])
})

// Node's HTTP/2 allows neither. Old clients in Go sent such.
test.each(['', '/run/csi.sock'])('the authority "%s" is refused, without an answer', async (authority) => {
  const all = await served()
  const answer = await rawCall(all.path, STAGE, frame(Buffer.alloc(0)), { ':authority': authority })
  expect(answer).toMatchObject({ status: undefined })
  expect(all.requests).toEqual([])
  await stillServes(all)
})

test.each<[what: string, body: Buffer, status: string]>([
  ['a field that ends too early', frame(Buffer.from([0x0a, 200, 1])), '3'],
  ['a wire type that there is not', frame(Buffer.from([0x0f])), '3'],
  ['a text that is not UTF-8', frame(Buffer.from([0x0a, 2, 0xc3, 0x28])), '3'],
  ['a request of more than 4 MiB', frame(Buffer.alloc(4 * 1024 * 1024 + 1)), '8'],
  ['a length of more than 4 MiB without the bytes', frame(Buffer.alloc(9), 0xffffffff), '8'],
  ['a message said to be compressed that is not', Buffer.from([1, 0, 0, 0, 1, 7]), '13'],
])('%s is answered with an error', async (_what, body, status) => {
  const all = await served()
  const headers: Record<string, string> = body[0] === 1 ? { 'grpc-encoding': 'gzip' } : {}
  expect(await rawCall(all.path, STAGE, body, headers)).toMatchObject({ status })
  expect(all.requests).toEqual([])
  await stillServes(all)
})

test('a request of almost 4 MiB is taken', async () => {
  const all = await served()
  const volumeId = 'x'.repeat(4 * 1024 * 1024 - 16)
  await all.channel.client(Node).nodeStageVolume({ volumeId }, { deadlineMs: 10_000 })
  expect(all.requests).toEqual([volumeId])
})

test.each<[what: string, bytes: string]>([
  ['a request of HTTP/1', 'POST /csi.v1.Node/NodeStageVolume HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['a greeting of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'.padEnd(64, 'x')],
  ['a text', 'hello\n'.repeat(100)],
  ['a frame that is too long', `${PREFACE}\xff\xff\xff\x00\x00\x00\x00\x00\x01`],
  ['a header block that is no HPACK', `${PREFACE}\0\0\0\x04\0\0\0\0\0\0\0\x04\x01\x05\0\0\0\x01\xff\xff\xff\xff`],
])('%s ends that connection and no other', async (_what, text) => {
  const all = await served()
  await stillServes(all)
  expect(await send(all.path, Buffer.from(text, 'latin1'), 10_000)).toBe(true)
  await stillServes(all)
})

test('a call that is neither POST nor gRPC is refused', async () => {
  const all = await served()
  expect(await rawCall(all.path, STAGE, Buffer.alloc(5), { 'content-type': 'text/plain' })).toMatchObject({
    status: undefined,
  })
  await stillServes(all)
})

test('no bytes end the server', async () => {
  const all = await served()
  const bytes = fc.uint8Array({ maxLength: 200 })
  const frames = fc
    .tuple(fc.boolean(), bytes)
    .map(([greets, rest]) => Buffer.concat([Buffer.from(greets ? PREFACE : ''), rest]))
  await fc.assert(
    fc.asyncProperty(frames, async (sent) => void (await send(all.path, sent, 20))),
    { numRuns: 40 },
  )
  await fc.assert(
    fc.asyncProperty(bytes, async (message) => {
      expect((await rawCall(all.path, STAGE, frame(message))).status).toMatch(/^(0|3)$/)
    }),
    { numRuns: 60 },
  )
  await stillServes(all)
})

test('a connection that is lost in the middle of a call aborts its handler', async () => {
  let signal: AbortSignal | undefined
  const nodeGetInfo = (_request: object, context: { signal: AbortSignal }) => {
    signal = context.signal
    return new Promise<object>((resolve) => context.signal.addEventListener('abort', () => resolve({})))
  }
  const { path } = await serving([grpcService(Node, { nodeGetInfo }, lines())])
  const session = connectHttp2('http://localhost', { createConnection: () => connect(path) })
  onTestFinished(() => session.destroy())
  const stream = session.request({
    ':method': 'POST',
    ':path': '/csi.v1.Node/NodeGetInfo',
    'content-type': 'application/grpc',
  })
  stream.on('error', () => {})
  stream.end(Buffer.alloc(5))
  await until(() => signal, { what: 'the handler to start' })
  session.destroy()
  await until(() => signal?.aborted, { what: 'the handler to hear of it' })
})
