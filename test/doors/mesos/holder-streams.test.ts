import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../../support/until.ts'
import { holderWorld, subscribe, updateState } from './support/holder-world.ts'
import { publish, RawAgent } from './support/raw-agent.ts'

test('events come up in order, whatever the borders of chunks', async () => {
  const agent = await RawAgent.start()
  const { logic } = holderWorld()
  agent.onSubscribe = (_, response) => agent.open(response)
  subscribe(logic, agent.url)
  await agent.opened()
  const records = [{ type: 'SUBSCRIBED', subscribed: { provider_id: { value: 'x' } } }, publish('ü'), publish('2')].map(
    (each) => JSON.stringify(each),
  )
  const bytes = Buffer.concat(records.map((text) => Buffer.from(`${Buffer.byteLength(text)}\n${text}`)))
  for (const byte of bytes) agent.streams[0]?.write(Buffer.from([byte]))
  await until(() => logic.events.length === 3, { what: 'three events' })
  expect(logic.events.map((each) => each.kind === 'event' && each.event)).toEqual(
    records.map((text) => JSON.parse(text)),
  )
  expect(logic.events.map(({ seq }) => seq)).toEqual([1, 2, 3])
})

const GARBAGE: [what: string, bytes: string, says: RegExp][] = [
  ['a frame of 2 GB is announced', '2147483648\n', /2147483648 bytes/],
  ['the length is no number', 'hello\n', /decimal number/],
  ['the frame is no JSON', '3\nabc', /JSON/],
  ['the event is no object', '4\nnull', /object with a type/],
  ['the first event is another one', '20\n{"type":"TEARDOWN"} ', /SUBSCRIBED/],
]

test.each(GARBAGE)('a stream in which %s is closed, and others are not', async (_, bytes, says) => {
  const agent = await RawAgent.start()
  const other = await RawAgent.start()
  const { logic } = holderWorld()
  agent.onSubscribe = (_asked, response) => {
    agent.open(response)
    response.write(bytes)
  }
  subscribe(logic, other.url, undefined, 'other')
  subscribe(logic, agent.url)
  expect(await logic.closed()).toMatchObject({ key: 'p', reason: 'garbage', text: expect.stringMatching(says) })
  await other.opened()
  expect(other.ended).toEqual([])
})

test('an end within a frame is an end, and the half of it is no event', async () => {
  const agent = await RawAgent.start()
  const { logic } = holderWorld()
  subscribe(logic, agent.url)
  await logic.event('SUBSCRIBED')
  agent.streams[0]?.write('100\n{"type":"TEAR')
  agent.streams[0]?.end()
  expect(await logic.closed()).toMatchObject({ reason: 'ended', text: expect.stringContaining('of a record') })
  expect(logic.events).toHaveLength(2)
})

test('200 and the end without SUBSCRIBED means that the id is unknown', async () => {
  const agent = await RawAgent.start()
  const { logic } = holderWorld()
  agent.onSubscribe = (_, response) => {
    agent.open(response)
    response.end()
  }
  subscribe(logic, agent.url, 'old')
  expect(await logic.closed()).toMatchObject({ reason: 'unknown-id' })
})

test.each([
  [400, 'Expecting type to be present'],
  [503, 'Agent has not finished recovery'],
])('status %d is told with its text', async (status, text) => {
  const agent = await RawAgent.start()
  const { logic } = holderWorld()
  agent.onSubscribe = (_, response) => response.writeHead(status).end(text)
  subscribe(logic, agent.url)
  expect(await logic.closed()).toMatchObject({ reason: 'refused', status, text })
})

test('a redirect is not followed: round and round it would go', async () => {
  const agent = await RawAgent.start()
  const { logic } = holderWorld()
  agent.onSubscribe = (_, response) =>
    response.writeHead(307, { location: `${agent.url}/api/v1/resource_provider` }).end()
  subscribe(logic, agent.url)
  expect(await logic.closed()).toMatchObject({ reason: 'refused', status: 307 })
  expect(agent.subscribes).toHaveLength(1)
})

test('an endless refusal is cut, not read', async () => {
  const agent = await RawAgent.start()
  const { logic } = holderWorld()
  agent.onSubscribe = (_, response) => {
    response.writeHead(500)
    const more = () => {
      while (response.write('x'.repeat(65_536)));
    }
    response.on('drain', more)
    more()
  }
  subscribe(logic, agent.url)
  const { text = '' } = await logic.closed()
  expect(text.length).toBeLessThanOrEqual(4096)
})

test('what dribbles or says nothing is given up at the deadline', async () => {
  const agent = await RawAgent.start()
  const { logic } = holderWorld({ subscribeMs: 400 })
  agent.onSubscribe = (_, response) => {
    agent.open(response)
    response.write('60')
  }
  subscribe(logic, agent.url)
  expect(await logic.closed()).toMatchObject({ reason: 'silent' })
})

test('something that speaks no HTTP, or nothing at all, is a refusal', async () => {
  const server = createServer((socket) =>
    socket
      .on('error', () => undefined)
      .resume()
      .end('SSH-2.0-OpenSSH_9.2\r\n'),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())))
  const { logic } = holderWorld()
  subscribe(logic, `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  expect(await logic.closed()).toMatchObject({ reason: 'refused' })
  subscribe(logic, 'http://127.0.0.1:1', undefined, 'nobody')
  await until(() => logic.events.some((each) => each.key === 'nobody' && each.kind === 'closed'), {
    what: 'the refusal',
  })
})

test('a second subscription under an id waits until the agent has had a second to see the end of the first', async () => {
  const agent = await RawAgent.start()
  const { logic } = holderWorld()
  subscribe(logic, agent.url, 'one')
  await agent.opened()
  await logic.event('SUBSCRIBED')
  agent.streams[0]?.end()
  await logic.closed()
  subscribe(logic, agent.url, 'one')
  await until(() => agent.subscribes.length === 2, { what: 'the second subscription' })
  const gap = (agent.subscribes[1]?.at ?? 0) - (agent.ended[0] ?? 0)
  expect(gap).toBeGreaterThan(900)
})

test('the first subscription under a known id waits as well: an earlier process may just have ended', async () => {
  const agent = await RawAgent.start()
  const start = performance.now()
  const { logic } = holderWorld()
  subscribe(logic, agent.url, 'one')
  subscribe(logic, agent.url, undefined, 'new')
  await until(() => agent.subscribes.length === 2, { what: 'both' })
  const info = agent.subscribes.map(
    ({ body }) => (body.subscribe as { resource_provider_info: { name: string } }).resource_provider_info.name,
  )
  expect(info).toEqual(['new', 'p'])
  expect((agent.subscribes[1]?.at ?? 0) - start).toBeGreaterThan(900)
})

test('an id never has two streams, nor has a key', async () => {
  const agent = await RawAgent.start()
  const { logic } = holderWorld()
  subscribe(logic, agent.url, 'one')
  subscribe(logic, agent.url, 'one')
  subscribe(logic, agent.url, 'one', 'second')
  expect(await logic.closed()).toMatchObject({ key: 'second', reason: 'refused' })
  await agent.opened()
  expect(agent.subscribes).toHaveLength(1)
})

test('a new logic hears of the open stream, of the journal and of what was not consumed', async () => {
  const agent = await RawAgent.start()
  const { logic } = holderWorld()
  expect(logic.hellos[0]).toMatchObject({
    fresh: true,
    streams: [],
    journal: [],
    events: [],
    settings: { some: 'settings' },
  })
  subscribe(logic, agent.url)
  const { seq } = await logic.event('SUBSCRIBED')
  agent.send(publish('kept'))
  await logic.event('PUBLISH_RESOURCES')
  logic.ready({
    writes: [
      ['b', 2],
      ['a', 1],
    ],
    consumed: [seq],
  })
  // said in the same moment as the end: it still counts
  logic.restart()
  expect(logic.hellos[1]).toMatchObject({
    fresh: false,
    streams: [{ key: 'p', state: 'open', providerId: 'id-of-p' }],
    journal: [
      ['a', 1],
      ['b', 2],
    ],
    events: [{ kind: 'event', key: 'p', event: publish('kept') }],
  })
  expect(logic.hellos[1]?.events).toHaveLength(1)
})

test('while nobody consumes, only so much is read; then it goes on', async () => {
  const agent = await RawAgent.start()
  const { logic } = holderWorld({ inbox: { events: 10, bytes: 2 ** 30 } })
  subscribe(logic, agent.url)
  await logic.event('SUBSCRIBED')
  const filler = 'x'.repeat(200_000)
  for (let number = 0; number < 100; number += 1) agent.send({ type: 'RECONCILE_OPERATIONS', number, filler })
  await until(() => logic.events.length >= 10, { what: 'the inbox to be full' })
  // a call goes through all the while
  await logic.done(logic.ready({ calls: [{ key: 'p', body: updateState('1') }] }))
  expect(logic.events.length).toBeLessThan(60)
  while (logic.events.length < 101) {
    const before = logic.events.length
    logic.ready({ consumed: logic.events.map(({ seq }) => seq) })
    await until(() => logic.events.length > before, { what: 'more events' })
  }
  expect(logic.events.map(({ seq }) => seq)).toEqual(Array.from({ length: 101 }, (_, index) => index + 1))
})

test('nonsense from the logic is logged and does no harm', async () => {
  const agent = await RawAgent.start()
  const { logic, logs } = holderWorld()
  subscribe(logic, agent.url)
  await logic.event('SUBSCRIBED')
  for (const nonsense of [
    {},
    { kind: 'ready' },
    { kind: 'ready', writes: [], consumed: 1, calls: {} },
    { kind: 'subscribe' },
  ]) {
    logic.say(nonsense as never)
  }
  logic.say({ kind: 'ready', id: 9, writes: [], consumed: [], calls: [{ key: 'p', body: null as never }] })
  await logic.done(logic.ready({ calls: [{ key: 'p', body: updateState('1') }] }))
  expect(agent.ended).toEqual([])
  expect(logs.length).toBeGreaterThan(0)
})

test('a planned stop waits for the logic, hands on what it says, and then closes the streams', async () => {
  const agent = await RawAgent.start()
  const { holder, logic } = holderWorld()
  subscribe(logic, agent.url)
  await logic.event('SUBSCRIBED')
  const stopping = holder.stop(10_000, new AbortController().signal)
  await until(() => logic.said.some((each) => each.kind === 'stop'), { what: 'the word' })
  expect(agent.ended).toEqual([])
  logic.say({ kind: 'stopped', unacknowledged: ['CREATE_DISK 1 is still under way'] })
  expect(await stopping).toEqual(['CREATE_DISK 1 is still under way'])
  await until(() => agent.ended.length === 1, { what: 'the end of the stream' })
})

test('a planned stop of a logic that says nothing ends at its limit, or when it is told to', async () => {
  const first = holderWorld()
  expect(await first.holder.stop(100, new AbortController().signal)).toHaveLength(1)
  const second = holderWorld()
  const now = new AbortController()
  const stopping = second.holder.stop(60_000, now.signal)
  now.abort()
  expect(await stopping).toHaveLength(1)
})
