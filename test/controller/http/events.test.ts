import { connect } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { until } from '../../support/until.ts'
import { type Rest, testRest } from './rest.ts'

interface Seen {
  readonly id: number
  readonly type: string
  // biome-ignore lint/suspicious/noExplicitAny: looked into field by field
  readonly data: any
}

/** Follows the stream until the test ends. */
async function follow(rest: Rest, query: string, headers: Record<string, string> = {}) {
  const abort = new AbortController()
  onTestFinished(() => abort.abort())
  const seen: Seen[] = []
  const answer = await fetch(`${rest.url}/v1/events${query}`, {
    headers: { authorization: `Bearer ${rest.admin}`, ...headers },
    signal: abort.signal,
  })
  const end = read(answer, seen).catch(() => undefined)
  return { answer, seen, end, abort: () => abort.abort() }
}

async function read(answer: Response, seen: Seen[]): Promise<void> {
  let rest = ''
  const decoder = new TextDecoder()
  for await (const chunk of answer.body ?? []) {
    const blocks = (rest + decoder.decode(chunk, { stream: true })).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
      )
      if (fields.data !== undefined)
        seen.push({ id: Number(fields.id), type: fields.event ?? '', data: JSON.parse(fields.data) })
    }
  }
}

const roles = async (rest: Rest, from: number, to: number) => {
  for (let index = from; index < to; index += 1)
    await rest.ask('PUT', `/v1/roles/r${index}`, { quota: { iops: index } })
}
const ids = (seen: readonly Seen[]) => seen.map((each) => each.id)
const upTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

it('replays the past and follows the present, without a gap or a repetition, while much happens', async () => {
  const rest = await testRest()
  await roles(rest, 0, 30)
  const writing = Promise.all([0, 1, 2, 3].map((part) => roles(rest, 100 + part * 100, 150 + part * 100)))
  const early = await follow(rest, '?after=0')
  const late = await follow(rest, '', { 'last-event-id': '17' })
  await writing
  await until(() => early.seen.length >= 230 && late.seen.length >= 213, { what: 'all events' })
  expect(ids(early.seen)).toEqual(upTo(1, 230))
  expect(ids(late.seen)).toEqual(upTo(18, 230))
  expect(early.answer.headers.get('content-type')).toContain('text/event-stream')
  expect(early.seen[0]).toMatchObject({
    type: 'role.set',
    data: { revision: 1, actor: 'admin', subject: { id: 'r0' } },
  })
  expect(new Date(early.seen[0]?.data.at).toISOString()).toBe(early.seen[0]?.data.at)
})

it('tells the present alone when no revision is given', async () => {
  const rest = await testRest()
  await roles(rest, 0, 5)
  const { seen } = await follow(rest, '')
  await roles(rest, 5, 7)
  await until(() => seen.length >= 2, { what: 'two events' })
  expect(ids(seen)).toEqual([6, 7])
})

it('filters by type and subject', async () => {
  const rest = await testRest()
  const { seen } = await follow(rest, '?after=0&type=role.&subject=r3')
  await roles(rest, 0, 6)
  await rest.token('reader')
  await rest.ask('DELETE', '/v1/roles/r3')
  await until(() => seen.length >= 2, { what: 'two events' })
  expect(seen.map((each) => each.type)).toEqual(['role.set', 'role.deleted'])
})

it('gives pages as JSON', async () => {
  const rest = await testRest()
  await roles(rest, 0, 25)
  const json = { headers: { accept: 'application/json' } }
  const newest = await rest.ask('GET', '/v1/events?limit=10', undefined, json)
  expect(newest.body.items.map((each: { revision: number }) => each.revision)).toEqual(upTo(16, 25))
  const first = await rest.ask('GET', '/v1/events?after=0&limit=20', undefined, json)
  const second = await rest.ask('GET', `/v1/events?after=${first.body.next}&limit=20`, undefined, json)
  expect(second.body).toMatchObject({ next: '25' })
  expect([...first.body.items, ...second.body.items].map((each) => each.revision)).toEqual(upTo(1, 25))
})

it('answers 410 with the revision to restart from when that part is no longer kept, or never was', async () => {
  const rest = await testRest()
  await roles(rest, 0, 20)
  await rest.store.trimEvents(12)
  const gone = await rest.ask('GET', '/v1/events?after=5')
  expect([gone.status, gone.body.code, gone.body.restartFrom]).toEqual([410, 'gone', 12])
  const { seen } = await follow(rest, '?after=12')
  await until(() => seen.length >= 8, { what: 'the rest' })
  expect(ids(seen)).toEqual(upTo(13, 20))
  const beyond = await rest.ask('GET', '/v1/events?after=99')
  expect([beyond.status, beyond.body.restartFrom]).toEqual([410, 20])
})

it.each(['x', '-1', '1.5', '1e3'])('refuses the revision %j', async (id) => {
  const rest = await testRest()
  expect((await rest.ask('GET', '/v1/events', undefined, { headers: { 'last-event-id': id } })).status).toBe(400)
})

it('drops a reader that does not read, with at most a little waiting for it, and lets it resume', async () => {
  const rest = await testRest()
  const { hostname, port } = new URL(rest.url)
  const socket = connect(Number(port), hostname)
  onTestFinished(() => void socket.destroy())
  let closed = false
  socket.on('close', () => {
    closed = true
  })
  socket.on('error', () => undefined)
  socket.write(`GET /v1/events?after=0 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${rest.admin}\r\n\r\n`)
  await new Promise((resolve) => socket.once('readable', resolve))
  // big events: labels of 15 KiB
  await rest.ask('POST', '/v1/pools', { name: 'loop~slow~a', driver: 'loop', capacityMiB: 1 })
  const labels = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`l${index}`, 'x'.repeat(255)]))
  let sent = 0
  while (!closed && sent < 3000) {
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        rest.ask('PATCH', '/v1/pools/loop~slow~a', { labels: { ...labels, n: `${sent}-${index}` } }),
      ),
    )
    sent += 20
    if (sent * 15_000 > 20_000_000) socket.resume()
  }
  expect(closed).toBe(true)
  const { seen } = await follow(rest, '', { 'last-event-id': String(sent - 5) })
  await until(() => seen.length >= 6, { what: 'the last events' })
  expect(ids(seen)).toEqual(upTo(sent - 4, sent + 1))
})

it('ends when the controller steps down, and is there again afterwards', async () => {
  let fail = false
  const rest = await testRest((store) => ({
    campaign: () => store.campaign(),
    load: (onRecord) => store.load(onRecord),
    events: (after, limit) => store.events(after, limit),
    confirm: () => store.confirm(),
    trimEvents: (through) => store.trimEvents(through),
    close: () => store.close(),
    commit: (batch) => (fail ? Promise.reject(new Error('no disk')) : store.commit(batch)),
  }))
  await roles(rest, 0, 3)
  const before = await follow(rest, '?after=0')
  await until(() => before.seen.length === 3, { what: 'the past' })
  fail = true
  expect((await rest.ask('PUT', '/v1/roles/lost', { quota: {} })).status).toBe(503)
  await before.end
  fail = false
  await until(async () => (await rest.ask('GET', '/readyz')).status === 200, { what: 'the controller' })
  const after = await follow(rest, '?after=3')
  await roles(rest, 3, 5)
  await until(() => after.seen.length >= 2, { what: 'the present' })
  expect(ids(after.seen)).toEqual([4, 5])
})
