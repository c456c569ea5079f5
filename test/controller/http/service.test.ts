import { connect } from 'node:net'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { listen } from '../../../src/controller/http/listen.ts'
import { createLog } from '../../../src/controller/http/log.ts'
import { until } from '../../support/until.ts'
import { startRest, testRest } from './rest.ts'

describe('listening', () => {
  it.each(['0.0.0.0', '::', '192.0.2.1', 'example.org'])('is refused on %s without TLS', async (host) => {
    const app = Fastify()
    const begin = listen(app, { host, port: 0, tls: false, insecure: false })
    await expect(begin).rejects.toMatchObject({ code: 'invalid_option', message: expect.stringContaining('TLS') })
    await app.close()
  })

  it.each(['127.0.0.1', 'localhost', '::1'])('is allowed on %s', async (host) => {
    const app = Fastify()
    onTestFinished(() => app.close())
    expect(await listen(app, { host, port: 0, tls: false, insecure: false })).toMatch(/^http:\/\//)
  })

  it('is allowed anywhere when that is asked for', async () => {
    const app = Fastify()
    onTestFinished(() => app.close())
    expect(await listen(app, { host: '0.0.0.0', port: 0, tls: false, insecure: true })).toMatch(/^http:/)
  })
})

describe('metrics', () => {
  it('tell what the ledger counts, as it is when they are asked for', async () => {
    const rest = await testRest()
    const node = await rest.node('node-1')
    await rest.pool('loop~m~a', node, { iops: 100 })
    await rest.ask('POST', '/v1/volumes?wait=20', { name: 'v', sizeMiB: 300, iops: 40 })
    await rest.ask('POST', '/v1/holds', { pool: 'loop~m~a', sizeMiB: 200 })
    await rest.ask('POST', '/v1/volumes', { name: 'v', sizeMiB: 1 })
    const answer = await fetch(`${rest.url}/metrics`)
    expect(answer.headers.get('content-type')).toContain('text/plain')
    const text = await answer.text()
    for (const line of [
      'holdfast_pool_capacity_mib{pool="loop~m~a"} 100000',
      'holdfast_pool_used_mib{pool="loop~m~a"} 300',
      'holdfast_pool_held_mib{pool="loop~m~a"} 200',
      'holdfast_pool_free_mib{pool="loop~m~a"} 99500',
      'holdfast_pool_free_iops{pool="loop~m~a"} 60',
      'holdfast_nodes{state="up"} 1',
      'holdfast_volumes{state="available"} 1',
      'holdfast_operations{state="succeeded",kind="provision"} 1',
      'holdfast_commands_accepted_total{event="volume.created"} 1',
      'holdfast_commands_refused_total{code="name_taken"} 1',
      'holdfast_leading 1',
      'holdfast_clock_suspended 0',
      'holdfast_deficits 0',
    ]) {
      expect(text.split('\n')).toContain(line)
    }
    expect(text).toMatch(/holdfast_commit_seconds_count [1-9]/)
    await rest.ask('PATCH', '/v1/pools/loop~m~a', { capacityMiB: 400 })
    expect(await (await fetch(`${rest.url}/metrics`)).text()).toContain('holdfast_deficits 1')
    const { body } = await rest.ask('GET', '/v1/pools/loop~m~a')
    expect(body.deficit).toMatchObject([{ used: 500, limit: 400 }])
  })
})

describe('trouble inside', () => {
  it('is told to the log under an id, and never to the caller', async () => {
    const rest = await testRest((store) => ({
      campaign: () => store.campaign(),
      load: (onRecord) => store.load(onRecord),
      commit: (batch) => store.commit(batch),
      confirm: () => store.confirm(),
      trimEvents: (through) => store.trimEvents(through),
      close: () => store.close(),
      events: () => Promise.reject(new TypeError('a secret detail')),
    }))
    const { status, body } = await rest.ask('GET', '/v1/events?after=0', undefined, {
      headers: { accept: 'application/json' },
    })
    expect([status, body.code]).toEqual([500, 'internal'])
    expect(JSON.stringify(body)).not.toMatch(/secret|TypeError|\.ts/)
    const line = rest.logLines.find((each) => each.includes(body.id))
    expect(line).toContain('a secret detail')
  })

  it('leaves credentials out of the log', () => {
    const lines: string[] = []
    const log = createLog('info', { write: (line) => void lines.push(line) })
    log.info({ headers: { authorization: 'Bearer hft_x' }, secret: 'hft_y', body: { token: 'hft_z' } }, 'something')
    expect(lines.join('')).not.toContain('hft_')
  })
})

describe('stopping', () => {
  it('ends streams and waits, answers what waits, and takes no new connection', async () => {
    const rest = await startRest()
    const node = await rest.node('node-1', { work: (order) => (order.step === 'mark' ? 'ok' : undefined) })
    await rest.pool('loop~stop~a', node)
    const waiting = rest.ask('POST', '/v1/volumes?wait=120', { name: 'v', sizeMiB: 1 })
    const events = await fetch(`${rest.url}/v1/events?after=0`, { headers: { authorization: `Bearer ${rest.admin}` } })
    const ended = events.text()
    await until(async () => (await rest.ask('GET', '/v1/volumes')).body.items.length === 1, { what: 'the volume' })
    const begun = performance.now()
    await rest.close()
    expect((await waiting).status).toBe(202)
    expect(await ended).toContain('volume.created')
    expect(performance.now() - begun).toBeLessThan(5000)
    const { port } = new URL(rest.url)
    const refused = await new Promise((resolve) =>
      connect(Number(port), '127.0.0.1').on('error', resolve).on('connect', resolve),
    )
    expect(refused).toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('says that it is not ready while the ledger is not loaded', async () => {
    const rest = await testRest()
    await rest.controller.stop()
    const ready = await rest.ask('GET', '/readyz')
    expect([ready.status, ready.body.code, ready.headers.get('retry-after')]).toEqual([503, 'not_ready', '1'])
    expect((await rest.ask('GET', '/healthz')).status).toBe(200)
    expect((await rest.ask('GET', '/v1/volumes')).body.code).toBe('not_ready')
    expect(await (await fetch(`${rest.url}/metrics`)).text()).toContain('holdfast_leading 0')
  })
})

describe('waiting', () => {
  it('ends with the fault of work that failed, and shows the volume', async () => {
    const rest = await testRest()
    const node = await rest.node('node-1', {
      work: (order) => (order.step === 'create' ? { code: 'storage_full', message: 'no space left' } : 'ok'),
    })
    await rest.pool('loop~w~a', node)
    const { status, body } = await rest.ask('POST', '/v1/volumes?wait=20', { name: 'v', sizeMiB: 1 })
    expect([status, body.code, body.detail]).toEqual([507, 'storage_full', 'no space left'])
    expect(body.volume).toMatchObject({ name: 'v', state: 'error', fault: { code: 'storage_full' } })
    expect((await rest.ask('GET', '/v1/status')).body.stuck).toMatchObject([
      { kind: 'volume', name: 'v', state: 'error' },
    ])
  })

  it('ends at its time with what is known', async () => {
    const rest = await testRest()
    const node = await rest.node('node-1', { work: (order) => (order.step === 'mark' ? 'ok' : undefined) })
    await rest.pool('loop~w~a', node)
    const { status, body } = await rest.ask('POST', '/v1/volumes?wait=1', { name: 'v', sizeMiB: 1 })
    expect([status, body.volume.state]).toEqual([202, 'creating'])
    expect((await rest.ask('GET', `/v1/operations/${body.operation}`)).body.state).toBe('running')
  })

  it('ends with the cancellation of what was waited for', async () => {
    const rest = await testRest()
    const node = await rest.node('node-1')
    await rest.pool('loop~w~a', node)
    await rest.ask('PATCH', '/v1/nodes/node-1', { cordoned: true })
    const waiting = rest.ask('POST', '/v1/volumes?wait=20', { name: 'v', sizeMiB: 1 })
    const pending = () => rest.ask('GET', '/v1/operations?state=pending')
    const { id } = await until(async () => (await pending()).body.items[0], { what: 'the operation' })
    await rest.ask('POST', `/v1/operations/${id}/cancel`)
    await rest.ask('PATCH', '/v1/nodes/node-1', { cordoned: false })
    const { status, body } = await waiting
    expect([status, body.code]).toEqual([409, 'cancelled'])
  })
})
