import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { Writable } from 'node:stream'
import { expect, it, onTestFinished } from 'vitest'
import { NodeLines } from '../../../src/controller/http/node-lines.ts'
import type { Assignment, PoolSpec } from '../../../src/model/node-protocol.ts'
import { until } from '../../support/until.ts'
import { testRest } from './rest.ts'

it('sends the whole assignment at once, and again whenever it changes', async () => {
  const rest = await testRest()
  const node = await rest.node('node-1')
  await until(() => node.assignments.length > 0, { what: 'the first assignment' })
  expect(node.assignments[0]).toMatchObject({ pools: [], attachments: [], work: [] })
  const pool = await rest.pool('loop~stream~a', node)
  expect(node.assignments.some((each) => each.pools?.[0]?.id === pool.id)).toBe(true)
  expect(node.assignments.some((each) => each.work[0]?.step === 'mark')).toBe(true)
  const revisions = node.assignments.map((each) => each.revision)
  expect(revisions).toEqual([...revisions].sort((a, b) => a - b))
  expect(await (await fetch(`${rest.url}/metrics`)).text()).toContain('holdfast_nodes_connected 1')
})

it('refuses a session that has ended, and calls without one', async () => {
  const rest = await testRest()
  const node = await rest.node('node-1')
  const old = node.session
  await node.hello()
  expect(node.session).not.toBe(old)
  const mine = { token: node.secret }
  const stale = await rest.ask('GET', `/v1/node/stream?session=${old}`, undefined, mine)
  expect([stale.status, stale.body.code]).toEqual([409, 'stale_session'])
  const envelope = { protocol: 1, term: 0, bootId: node.bootId, session: old }
  expect((await rest.ask('POST', '/v1/node/renew', { envelope, body: {} }, mine)).body.code).toBe('stale_session')
  const newer = await rest.ask('POST', '/v1/node/renew', { envelope: { ...envelope, protocol: 2 }, body: {} }, mine)
  expect(newer.body.code).toBe('invalid_request')
  const leader = await rest.ask('POST', '/v1/node/renew', { envelope: { ...envelope, term: 99 }, body: {} }, mine)
  expect([leader.status, leader.body.code]).toEqual([503, 'fenced'])
})

it('lets fields through that only a newer node knows', async () => {
  const rest = await testRest()
  const node = await rest.node('node-1')
  const envelope = { protocol: 1, term: 0, bootId: node.bootId, session: node.session, fromTheFuture: true }
  expect(
    (await rest.ask('POST', '/v1/node/renew', { envelope, body: { also: 1 } }, { token: node.secret })).status,
  ).toBe(200)
})

it('ends the old stream when a new one comes, and forgets one whose node has gone', async () => {
  const rest = await testRest()
  const node = await rest.node('node-1')
  const { hostname, port } = new URL(rest.url)
  const socket = connect(Number(port), hostname)
  onTestFinished(() => void socket.destroy())
  socket.write(
    `GET /v1/node/stream?session=${node.session} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${node.secret}\r\n\r\n`,
  )
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  await until(() => text.includes('"attachments"'), { what: 'an assignment on the new stream' })
  expect(rest.controller.sessions.connected).toBe(1)
  socket.destroy()
  await until(() => rest.controller.sessions.connected === 0, { what: 'the stream to be forgotten' })
})

/** A response that takes nothing until it is let. */
function slowResponse() {
  const written: string[] = []
  let go: (() => void) | undefined
  const stream = new Writable({
    highWaterMark: 1,
    write(chunk, _encoding, done) {
      written.push(String(chunk))
      go = done
    },
  })
  const response = Object.assign(stream, {
    headersSent: false,
    writeHead: () => Object.assign(stream, { headersSent: true }),
  })
  return { response: response as unknown as ServerResponse, written, drain: () => go?.() }
}

it('keeps the newest assignment alone for a slow node, and no pools are lost with the others', async () => {
  const { response, written, drain } = slowResponse()
  const lines = new NodeLines(response)
  onTestFinished(() => lines.close())
  const assignment = (revision: number, pools?: PoolSpec[]): Assignment => ({
    term: 1,
    revision,
    attachments: [],
    work: [],
    ...(pools === undefined ? {} : { pools }),
  })
  const pool = { id: 'pool-1' } as PoolSpec
  lines.send(assignment(1, []))
  lines.send(assignment(2, [pool]))
  lines.send(assignment(3))
  lines.send(assignment(4))
  drain()
  await until(() => written.length === 2, { what: 'the second line' })
  expect(written.map((line) => JSON.parse(line).revision)).toEqual([1, 4])
  expect(JSON.parse(written[1] as string).pools).toEqual([pool])
})
