import { lstatSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Identity, Node } from '../../src/csi/generated/csi/v1/csi_pb.js'
import { GrpcError } from '../../src/csi/grpc-error.ts'
import { type CallContext, grpcService, type UnaryHandlers } from '../../src/csi/service.ts'
import { HoldfastError } from '../../src/model/errors.ts'
import { until } from '../support/until.ts'
import { lines, rawCall, serving } from './support/serving.ts'

const soon = { deadlineMs: 10_000 }
type NodeHandlers = UnaryHandlers<typeof Node>

/** A handler that waits for its signal, and what the test sees of it. */
function waiting() {
  const seen: { context?: CallContext; ended?: boolean } = {}
  const nodeGetInfo: NodeHandlers['nodeGetInfo'] = async (_request, context) => {
    seen.context = context
    await new Promise((resolve) => context.signal.addEventListener('abort', resolve, { once: true }))
    seen.ended = true
    return {}
  }
  return { seen, handlers: { nodeGetInfo } }
}

test('requests and answers arrive whole, several services on one connection', async () => {
  const requests: unknown[] = []
  const { channel, path } = await serving([
    grpcService(Identity, { probe: async () => ({ ready: true }) }, lines()),
    grpcService(
      Node,
      {
        nodeExpandVolume: async (request) => {
          requests.push(request)
          return { capacityBytes: 2n ** 62n }
        },
      },
      lines(),
    ),
  ])
  expect(lstatSync(path).mode & 0o777).toBe(0o600)
  expect(await channel.client(Identity).probe({}, soon)).toMatchObject({ ready: true })
  const request = {
    volumeId: 'vol-ä€',
    capacityRange: { requiredBytes: 9_007_199_254_740_993n },
    volumeCapability: {
      accessType: { case: 'mount' as const, value: { fsType: 'xfs', mountFlags: ['noatime', 'discard'] } },
      accessMode: { mode: 7 },
    },
    secrets: { password: 's3cret' },
  }
  expect(await channel.client(Node).nodeExpandVolume(request, soon)).toMatchObject({ capacityBytes: 2n ** 62n })
  expect(requests).toMatchObject([request])
})

test('a handler may be a method of an object', async () => {
  class Handlers {
    readonly id = 'node-7'
    async nodeGetInfo() {
      return { nodeId: this.id, maxVolumesPerNode: 3n }
    }
  }
  const { channel } = await serving([grpcService(Node, new Handlers(), lines())])
  expect(await channel.client(Node).nodeGetInfo({}, soon)).toMatchObject({ nodeId: 'node-7', maxVolumesPerNode: 3n })
})

test.each<[thrown: unknown, code: string, message: string]>([
  [new GrpcError('OUT_OF_RANGE', 'too large by 3 MiB'), 'OUT_OF_RANGE', 'too large by 3 MiB'],
  [new HoldfastError('quota_exceeded', 'role ads: 5 of 4 GiB'), 'RESOURCE_EXHAUSTED', 'role ads: 5 of 4 GiB'],
  [new HoldfastError('unknown_outcome', 'ask again'), 'UNAVAILABLE', 'ask again'],
  [new TypeError('x is undefined'), 'INTERNAL', 'x is undefined'],
  ['just a text', 'INTERNAL', 'just a text'],
  // what would break an HTTP/2 header
  [new GrpcError('ABORTED', 'line\nline\0 100% ü \ud800'), 'ABORTED', 'line\nline\0 100% ü \ufffd'],
  [new GrpcError('ABORTED', 'é'.repeat(100_000)), 'ABORTED', 'é'.repeat(1024)],
])('a handler that throws %s answers %s', async (thrown, code, message) => {
  const log = lines()
  const { channel } = await serving([grpcService(Node, { nodeStageVolume: () => Promise.reject(thrown) }, log)])
  await expect(channel.client(Node).nodeStageVolume({}, soon)).rejects.toMatchObject({
    name: 'GrpcError',
    code,
    message,
  })
  expect(log.errors).toHaveLength(code === 'INTERNAL' ? 1 : 0)
  expect(log.debugs).toMatchObject([{ event: 'grpc.call', call: '/csi.v1.Node/NodeStageVolume', code }])
})

test('a handler that throws before it gives a promise, or gives what is no message, answers INTERNAL', async () => {
  const broken: NodeHandlers = {
    nodeStageVolume: () => {
      throw new HoldfastError('not_found', 'no such volume')
    },
    nodeGetInfo: async () => ({ maxVolumesPerNode: 'many' as unknown as bigint }),
  }
  const { channel } = await serving([grpcService(Node, broken, lines())])
  const node = channel.client(Node)
  await expect(node.nodeStageVolume({}, soon)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect(node.nodeGetInfo({}, soon)).rejects.toMatchObject({ code: 'INTERNAL' })
})

test('what is not served answers UNIMPLEMENTED: a method left out, a service, a name that CSI does not have', async () => {
  const { channel, path } = await serving([grpcService(Identity, { probe: async () => ({}) }, lines())])
  const unimplemented = { code: 'UNIMPLEMENTED' }
  await expect(channel.client(Identity).getPluginInfo({}, soon)).rejects.toMatchObject(unimplemented)
  await expect(channel.client(Node).nodeGetInfo({}, soon)).rejects.toMatchObject(unimplemented)
  // Mesos asks a v1 plugin and, at this answer, one of CSI 0.2
  expect(await rawCall(path, '/csi.v0.Identity/Probe', Buffer.alloc(5))).toMatchObject({ status: '12' })
})

test('a debug line names the call and hides its secrets', async () => {
  const log = lines()
  const { channel } = await serving([grpcService(Node, { nodePublishVolume: async () => ({}) }, log)])
  await channel.client(Node).nodePublishVolume({ volumeId: 'v1', readonly: true, secrets: { key: 'hunter2' } }, soon)
  expect(log.debugs).toMatchObject([
    {
      event: 'grpc.call',
      call: '/csi.v1.Node/NodePublishVolume',
      code: 'OK',
      ms: expect.any(Number),
      request: { volume_id: 'v1', readonly: true, secrets: { key: '(secret)' } },
    },
  ])
  expect(JSON.stringify(log.debugs)).not.toContain('hunter2')
})

test('a caller that cancels aborts the signal of its handler', async () => {
  const { seen, handlers } = waiting()
  const { channel } = await serving([grpcService(Node, handlers, lines())])
  const cancel = new AbortController()
  const call = channel.client(Node).nodeGetInfo({}, { ...soon, signal: cancel.signal })
  await until(() => seen.context, { what: 'the handler to start' })
  cancel.abort()
  await expect(call).rejects.toMatchObject({ code: 'CANCELLED' })
  await until(() => seen.ended, { what: 'the handler to hear of it' })
  await expect(channel.client(Node).nodeGetInfo({}, { ...soon, signal: cancel.signal })).rejects.toMatchObject({
    code: 'CANCELLED',
  })
})

test('a deadline reaches the handler, and its passing ends the call and aborts the signal', async () => {
  const { seen, handlers } = waiting()
  const { channel, path } = await serving([grpcService(Node, handlers, lines())])
  const started = Date.now()
  await expect(channel.client(Node).nodeGetInfo({}, { deadlineMs: 100 })).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
  })
  await until(() => seen.ended, { what: 'the handler to hear of it' })
  expect(seen.context?.deadline).toBeGreaterThan(started)
  expect(seen.context?.deadline).toBeLessThan(started + 2000)
  // a caller that does not end by itself is told by the server
  const call = rawCall(path, '/csi.v1.Node/NodeGetInfo', Buffer.alloc(5), { 'grpc-timeout': '100m' })
  expect(await call).toMatchObject({ status: '4' })
})

test('the signal of a call that was answered stays quiet, and a call may have no deadline', async () => {
  const seen: CallContext[] = []
  const nodeGetInfo: NodeHandlers['nodeGetInfo'] = async (_request, context) => {
    seen.push(context)
    return {}
  }
  const { channel, path, server } = await serving([grpcService(Node, { nodeGetInfo }, lines())])
  await channel.client(Node).nodeGetInfo({}, soon)
  expect(await rawCall(path, '/csi.v1.Node/NodeGetInfo', Buffer.alloc(5))).toMatchObject({ status: '0' })
  channel.close()
  await server.close(1000)
  expect(seen.map(({ signal, deadline }) => [signal.aborted, deadline === undefined])).toEqual([
    [false, false],
    [false, true],
  ])
})

test('closing lets a call end, and takes no new one', async () => {
  let finish = (_: object) => {}
  let started = false
  const nodeGetInfo: NodeHandlers['nodeGetInfo'] = () => {
    started = true
    return new Promise((resolve) => {
      finish = resolve
    })
  }
  const { channel, server } = await serving([grpcService(Node, { nodeGetInfo }, lines())])
  const call = channel.client(Node).nodeGetInfo({}, soon)
  await until(() => started, { what: 'the handler to start' })
  const closed = server.close(10_000)
  await until(() => !server.listener.listening, { what: 'the socket to be closed' })
  finish({ nodeId: 'n' })
  expect(await call).toMatchObject({ nodeId: 'n' })
  await closed
  await expect(channel.client(Node).nodeGetInfo({}, { deadlineMs: 1000 })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
  })
})

test('a call that takes longer than the limit of closing is cancelled', async () => {
  const { seen, handlers } = waiting()
  const { channel, server } = await serving([grpcService(Node, handlers, lines())])
  const call = channel.client(Node).nodeGetInfo({}, soon)
  const failed = expect(call).rejects.toMatchObject({ name: 'GrpcError' })
  await until(() => seen.context, { what: 'the handler to start' })
  const started = performance.now()
  await server.close(50)
  expect(performance.now() - started).toBeLessThan(5000)
  await failed
  await until(() => seen.ended, { what: 'the handler to hear of it' })
})
