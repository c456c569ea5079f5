import type { ServerResponse } from 'node:http'
import { describe, expect, onTestFinished, test } from 'vitest'
import { MesosHttp, type MesosHttpOptions } from '../../src/mesos/http.ts'
import { MasterClient } from '../../src/mesos/master-client.ts'
import type { MasterEvent } from '../../src/mesos/master-protocol.ts'
import { encodeRecord } from '../../src/mesos/record-io.ts'
import type { HoldfastError } from '../../src/model/errors.ts'
import { systemClock } from '../../src/runtime/system-clock.ts'
import { type ClusterOptions, type Mesos, startMesos } from '../support/mesos/cluster.ts'
import { testDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { type Answer, json, leads, plain, redirects, SmallServer } from './master-server.ts'

/** A leader that the test sets. */
class Leader {
  rechecks = 0
  url: string | undefined

  constructor(url: string | undefined) {
    this.url = url
  }

  recheck(): void {
    this.rechecks += 1
  }
}

function clientOf(url: string | undefined, options: MesosHttpOptions = {}) {
  const http = new MesosHttp({ timeoutMs: 5000, ...options })
  onTestFinished(() => http.close())
  const leader = new Leader(url)
  return { leader, client: new MasterClient(http, leader, systemClock) }
}

async function cluster(options: Partial<ClusterOptions> = {}): Promise<Mesos> {
  const mesos = await startMesos({ workDir: testDir(), ...options })
  onTestFinished(() => mesos.stop())
  return mesos
}

const reservation = (principal: string) => ({
  name: 'disk',
  type: 'SCALAR' as const,
  scalar: { value: 10 },
  reservations: [{ type: 'DYNAMIC' as const, role: 'ads', principal }],
})

describe('a master', () => {
  test('is asked for its agents, flags and version', async () => {
    const mesos = await cluster({ agents: [{ hostname: 'a1' }, { hostname: 'a2' }] })
    const { client } = clientOf(mesos.master.url)
    const { agents = [] } = await client.query('GET_AGENTS')
    expect(agents.map((agent) => agent.agent_info.hostname).sort()).toEqual(['a1', 'a2'])
    expect(agents[0]?.capabilities).toContainEqual({ type: 'RESOURCE_PROVIDER' })
    expect((await client.flags()).get('authorizers')).toBe('local')
    expect((await client.query('GET_VERSION')).version_info?.version).toMatch(/^1\./)
    // an empty list is left out of the answer
    expect((await client.query('GET_FRAMEWORKS')).frameworks ?? []).toEqual([])
  })

  test('accepts a change, or says why not', async () => {
    const mesos = await cluster({
      acls: {
        unreserve_resources: [{ principals: { type: 'NONE' }, reserver_principals: { values: ['ops'] } }],
      },
    })
    const { client } = clientOf(mesos.master.url)
    const agent = (await client.query('GET_AGENTS')).agents?.[0]?.agent_info.id ?? { value: '' }
    const reserve = (principal: string) => ({ agent_id: agent, resources: [reservation(principal)] })
    const reserved = { type: 'RESERVE_RESOURCES', reserve_resources: reserve('ops') } as const
    expect(await client.change(reserved)).toEqual({ kind: 'accepted' })
    const denied = { type: 'UNRESERVE_RESOURCES', unreserve_resources: reserve('ops') } as const
    expect(await client.change(denied)).toMatchObject({ kind: 'denied' })
    const missing = { type: 'UNRESERVE_RESOURCES', unreserve_resources: reserve('else') } as const
    expect(await client.change(missing)).toMatchObject({
      kind: 'conflict',
      why: expect.stringContaining('does not contain'),
    })
    const nowhere = { agent_id: { value: 'no-agent' }, resources: [reservation('ops')] }
    expect(await client.change({ type: 'RESERVE_RESOURCES', reserve_resources: nowhere })).toMatchObject({
      kind: 'invalid',
    })
  })

  test('with credentials takes only those who have them', async () => {
    const credentials = { principal: 'ops', secret: 'pass' }
    const mesos = await cluster({ credentials: [credentials] })
    const stranger = clientOf(mesos.master.url).client
    await expect(stranger.query('GET_AGENTS')).rejects.toMatchObject({
      code: 'mesos_refused',
      data: { status: 401 },
      message: expect.stringContaining('principal and secret are missing or wrong'),
    })
    const known = clientOf(mesos.master.url, { credentials }).client
    expect((await known.query('GET_AGENTS')).agents).toHaveLength(1)
  })
})

describe('what is no answer', () => {
  test.each<[string, Answer, string, object]>([
    ['an error', (_c, r) => plain(r, 500, 'boom'), 'mesos_refused', { status: 500 }],
    ['a forbidden call', (_c, r) => plain(r, 403, ''), 'mesos_refused', { status: 403 }],
    ['a master that recovers', (_c, r) => plain(r, 503, 'recovering'), 'mesos_unreachable', { status: 503 }],
    ['a page', (_c, r) => plain(r, 200, '<html>'), 'mesos_protocol', {}],
    ['an answer to something else', (_c, r) => json(r, { type: 'GET_ROLES' }), 'mesos_protocol', {}],
    ['a content that is a list', (_c, r) => json(r, { type: 'GET_AGENTS', get_agents: [] }), 'mesos_protocol', {}],
    ['a broken connection', (_c, r) => r.destroy(), 'mesos_unreachable', {}],
    ['half a body', (_c, r) => halfABody(r), 'mesos_unreachable', {}],
  ])('%s is an error', async (_what, answer, code, data) => {
    const server = await SmallServer.start(answer)
    const { client } = clientOf(server.url)
    await expect(client.query('GET_AGENTS')).rejects.toMatchObject({ code, data: expect.objectContaining(data) })
  })

  test('a master that leads no more is one, and makes the detector look', async () => {
    const server = await SmallServer.start(redirects('//m2:5050/api/v1'))
    const { client, leader } = clientOf(server.url)
    await expect(client.query('GET_AGENTS')).rejects.toMatchObject({
      code: 'mesos_unreachable',
      message: expect.stringContaining('it does not lead, and sends on to "//m2:5050/api/v1"'),
    })
    expect(leader.rechecks).toBe(1)
  })

  test('no master at all is one', async () => {
    await expect(clientOf(undefined).client.query('GET_AGENTS')).rejects.toThrow('no leading master is known')
    const { client, leader } = clientOf('http://127.0.0.1:1')
    await expect(client.query('GET_AGENTS')).rejects.toThrow('http://127.0.0.1:1/api/v1: ')
    expect(leader.rechecks).toBe(1)
  })

  test('a body beyond the limit is not read to its end', async () => {
    const announced = await SmallServer.start((_call, response) => {
      response.writeHead(200, { 'content-length': '1000000000' }).write('{')
    })
    const says = /answers with 1,000,000,000 bytes or more; at most 1,000 are taken/
    await expect(clientOf(announced.url, { maxBytes: 1000 }).client.query('GET_AGENTS')).rejects.toThrow(says)
    const endless = await SmallServer.start((_call, response) => pour(response))
    await expect(clientOf(endless.url, { maxBytes: 1000 }).client.query('GET_AGENTS')).rejects.toMatchObject({
      code: 'mesos_protocol',
    })
  })

  test('silence is waited for no longer than allowed, also in the middle', async () => {
    const silent = await SmallServer.start(() => undefined)
    await expect(clientOf(silent.url, { timeoutMs: 200 }).client.query('GET_AGENTS')).rejects.toMatchObject({
      code: 'mesos_unreachable',
    })
    const dripping = await SmallServer.start((_call, response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write(' '), 20)
      response.on('close', () => clearInterval(timer))
    })
    await expect(clientOf(dripping.url, { timeoutMs: 300 }).client.query('GET_AGENTS')).rejects.toThrow(
      'no answer in time',
    )
  })
})

describe('the events of a master', () => {
  function follow(url: string | undefined) {
    const { client, leader } = clientOf(url)
    const events: MasterEvent[] = []
    const lost: HoldfastError[] = []
    const stream = client.subscribe({
      onEvent: (event) => events.push(event),
      onLost: (reason) => lost.push(reason),
    })
    onTestFinished(() => stream.close())
    const types = () => events.map(({ type }) => type)
    return { stream, leader, events, lost, types }
  }
  const subscribed = (seconds: number) =>
    record({ type: 'SUBSCRIBED', subscribed: { heartbeat_interval_seconds: seconds } })

  test('begin with its state and go on with what changes', async () => {
    const mesos = await cluster()
    const { types, events } = follow(mesos.master.url)
    await until(() => types().includes('SUBSCRIBED'), { what: 'the state' })
    expect(events[0]?.subscribed?.get_state).toBeDefined()
    await mesos.addAgent({ hostname: 'late' })
    const added = await until(() => events.find(({ type }) => type === 'AGENT_ADDED'), { what: 'the agent' })
    expect(added.agent_added?.agent.agent_info.hostname).toBe('late')
  })

  test('are followed again after a fail-over', async () => {
    const mesos = await cluster()
    const { types, lost } = follow(mesos.master.url)
    await until(() => types().length >= 1, { what: 'the first state' })
    mesos.master.kill()
    await until(() => lost.length > 0, { what: 'the loss' })
    expect(lost[0]?.code).toBe('mesos_unreachable')
    await mesos.master.restart()
    await until(() => types().filter((type) => type === 'SUBSCRIBED').length === 2, { what: 'the second state' })
  })

  test('are followed at another master when that leads now', async () => {
    const first = await SmallServer.start((_call, response) => response.write(subscribed(15)))
    const second = await SmallServer.start((_call, response) => response.write(subscribed(15)))
    const { stream, leader, types } = follow(first.url)
    await until(() => types().length === 1, { what: 'the first state' })
    leader.url = second.url
    stream.reconnect()
    await until(() => types().length === 2, { what: 'the second state' })
    expect([first.heard.length, second.heard.length]).toEqual([1, 1])
  })

  test('are given up when even heartbeats stop', async () => {
    const server = await SmallServer.start((_call, response) => response.write(subscribed(0.05)))
    const { lost, types } = follow(server.url)
    await until(() => lost.length >= 1, { what: 'the loss' })
    expect(lost[0]?.message).toMatch(/has sent nothing for 0\.15\d* s/)
    await until(() => types().length >= 2, { what: 'the second state' })
  })

  test('go on as long as there are heartbeats, which are not events', async () => {
    const server = await SmallServer.start((_call, response) => {
      response.write(subscribed(0.2))
      const timer = setInterval(() => response.write(record({ type: 'HEARTBEAT' })), 50)
      response.on('close', () => clearInterval(timer))
    })
    const { lost, types } = follow(server.url)
    const end = performance.now() + 1500
    await until(() => performance.now() > end, { what: 'the time', everyMs: 100 })
    expect([lost, types()]).toEqual([[], ['SUBSCRIBED']])
  })

  test.each<[string, Answer, string]>([
    ['no leader', redirects('//m2:5050'), 'it does not lead'],
    ['an end', (_c, r) => r.end(subscribed(15)), 'has ended the stream of events'],
    ['half a record', (_c, r) => r.end('100\n{'), 'it ends after 1 of the 100 bytes'],
    ['no records', (_c, r) => r.end('<html>'), 'should be a decimal number'],
    ['no event', (_c, r) => r.write('2\n[]'), 'a record is no event'],
    ['no JSON', (_c, r) => r.write('1\nx'), 'a record is no event: "x"'],
    ['no state first', (_c, r) => r.write(record({ type: 'AGENT_ADDED' })), 'should be SUBSCRIBED, not "AGENT_ADDED"'],
    ['a record too long', (_c, r) => r.write('999999999\n'), 'a record of 999999999 bytes is announced'],
  ])('with %s are opened again', async (_what, answer, says) => {
    const server = await SmallServer.start(answer)
    const { lost, leader } = follow(server.url)
    await until(() => lost.length >= 2, { what: 'two losses' })
    expect(lost[0]?.message).toContain(says)
    expect(leader.rechecks).toBeGreaterThanOrEqual(2)
  })

  test('close ends the stream and what would open it again', async () => {
    const server = await SmallServer.start((_call, response) => response.write(subscribed(15)))
    const { stream, types, lost } = follow(server.url)
    await until(() => types().length === 1, { what: 'the state' })
    await stream.close()
    expect(lost).toEqual([])
    expect(server.heard).toHaveLength(1)
  })
})

test('a leading master answers GET_MASTER by the client as well', async () => {
  const server = await SmallServer.start(leads('m-9'))
  expect((await clientOf(server.url).client.query('GET_MASTER')).master_info?.id).toBe('m-9')
})

function record(event: object): Buffer {
  return encodeRecord(JSON.stringify(event))
}

function halfABody(response: ServerResponse): void {
  response.writeHead(200, { 'content-length': '100' })
  response.write('{"type":"GET_AGENTS"', () => response.destroy())
}

function pour(response: ServerResponse): void {
  const more = () => {
    while (!response.destroyed && response.write('x'.repeat(10_000)));
  }
  response.on('drain', more)
  more()
}
