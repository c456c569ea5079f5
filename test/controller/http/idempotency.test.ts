import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HoldfastError } from '../../../src/model/errors.ts'
import type { NodeClient } from '../../support/node-client.ts'
import { until } from '../../support/until.ts'
import { type Rest, startRest, testRest } from './rest.ts'

let rest: Rest
let node: NodeClient
const POOL = 'loop~keys~a'

beforeAll(async () => {
  rest = await startRest()
  node = await rest.node('node-1')
  await rest.pool(POOL, node)
})
afterAll(() => rest.close())

const keyed = (key: string, token?: string) => ({
  headers: { 'idempotency-key': key },
  ...(token === undefined ? {} : { token }),
})
const used = async () => (await rest.ask('GET', `/v1/pools/${POOL}`)).body.usage

describe('an idempotency key', () => {
  it('gives the first answer again', async () => {
    const body = { name: 'twice', sizeMiB: 10 }
    const first = await rest.ask('POST', '/v1/volumes', body, keyed('k1'))
    const again = await rest.ask('POST', '/v1/volumes', { sizeMiB: 10, name: 'twice' }, keyed('k1'))
    expect([first.status, again.status]).toEqual([202, 202])
    expect(again.body.volume.id).toBe(first.body.volume.id)
    expect((await rest.ask('POST', '/v1/volumes', body)).body.code).toBe('name_taken')
  })

  it('gives all who come at once the same answer, and takes the room once', async () => {
    const before = await used()
    const ask = () => rest.ask('POST', '/v1/holds', { pool: POOL, sizeMiB: 77 }, keyed('k2'))
    const answers = await Promise.all(Array.from({ length: 20 }, ask))
    expect(new Set(answers.map((each) => each.body.id)).size).toBe(1)
    expect(answers.every((each) => each.status === 201)).toBe(true)
    expect((await used()).heldMiB).toBe(before.heldMiB + 77)
  })

  it('is refused with other parameters, whether in the body, the path or the query', async () => {
    await rest.ask('POST', '/v1/volumes', { name: 'first', sizeMiB: 10 }, keyed('k3'))
    const body = await rest.ask('POST', '/v1/volumes', { name: 'first', sizeMiB: 11 }, keyed('k3'))
    expect([body.status, body.body.code]).toEqual([409, 'key_conflict'])
    await until(async () => (await rest.ask('GET', '/v1/volumes/first')).body.state === 'available', {
      what: 'the volume',
    })
    await rest.ask('DELETE', '/v1/volumes/first?trash=60', undefined, keyed('k4'))
    const query = await rest.ask('DELETE', '/v1/volumes/first?trash=61', undefined, keyed('k4'))
    expect(query.body.code).toBe('key_conflict')
    const path = await rest.ask('DELETE', '/v1/volumes/second?trash=60', undefined, keyed('k4'))
    expect(path.body.code).toBe('key_conflict')
  })

  it('lets the wait differ, which is no parameter', async () => {
    const first = await rest.ask('POST', '/v1/volumes?wait=20', { name: 'waited', sizeMiB: 10 }, keyed('k5'))
    const again = await rest.ask('POST', '/v1/volumes', { name: 'waited', sizeMiB: 10 }, keyed('k5'))
    expect([first.status, again.status]).toEqual([201, 202])
    expect(again.body.volume.id).toBe(first.body.volume.id)
  })

  it('belongs to its caller and its command', async () => {
    const operator = await rest.token('operator')
    const hold = { pool: POOL, sizeMiB: 1 }
    const mine = await rest.ask('POST', '/v1/holds', hold, keyed('k6'))
    const theirs = await rest.ask('POST', '/v1/holds', hold, keyed('k6', operator))
    expect(theirs.body.id).not.toBe(mine.body.id)
    expect((await rest.ask('PUT', '/v1/roles/k6', { quota: {} }, keyed('k6'))).status).toBe(200)
  })

  it('does not remember a refusal', async () => {
    const body = { name: 'later', sizeMiB: 10, role: 'later' }
    await rest.ask('PUT', '/v1/roles/later', { quota: { sizeMiB: 5 } })
    expect((await rest.ask('POST', '/v1/volumes', body, keyed('k7'))).body.code).toBe('quota_exceeded')
    await rest.ask('PUT', '/v1/roles/later', { quota: { sizeMiB: 50 } })
    expect((await rest.ask('POST', '/v1/volumes', body, keyed('k7'))).status).toBe(202)
  })

  it('never gives a secret twice', async () => {
    const first = await rest.ask('POST', '/v1/tokens', { tokenRole: 'reader' }, keyed('k8'))
    const again = await rest.ask('POST', '/v1/tokens', { tokenRole: 'reader' }, keyed('k8'))
    expect(first.body.secret).toMatch(/^hft_/)
    expect(again.body).toEqual({ token: first.body.token })
  })

  it.each(['', 'x'.repeat(129), 'caf\u00e9'])('may not be %j', async (key) => {
    const { status } = await rest.ask('POST', '/v1/holds', { pool: POOL, sizeMiB: 1 }, keyed(key))
    expect(status).toBe(400)
  })
})

it('lets one of two clients have a name that both create at once with other parameters', async () => {
  const answers = await Promise.all([
    rest.ask('POST', '/v1/volumes', { name: 'race', sizeMiB: 10 }, keyed('r1')),
    rest.ask('POST', '/v1/volumes', { name: 'race', sizeMiB: 20 }, keyed('r2')),
  ])
  expect(answers.map((each) => each.status).sort()).toEqual([202, 409])
  expect(answers.find((each) => each.status === 409)?.body.code).toBe('name_taken')
})

it('says that the outcome is unknown when the store does not confirm, and the same key settles it', async () => {
  let fail = false
  const own = await testRest((store) => ({
    campaign: () => store.campaign(),
    load: (onRecord) => store.load(onRecord),
    events: (after, limit) => store.events(after, limit),
    confirm: () => store.confirm(),
    trimEvents: (through) => store.trimEvents(through),
    close: () => store.close(),
    async commit(batch) {
      await store.commit(batch)
      // written, but the answer is lost
      if (fail) throw new HoldfastError('unknown_outcome', 'the disk did not answer')
    },
  }))
  await own.ask('PUT', '/v1/roles/a', { quota: {} })
  fail = true
  const lost = await own.ask('PUT', '/v1/roles/b', { quota: { iops: 5 } }, keyed('u1'))
  expect([lost.status, lost.body.code, lost.headers.get('retry-after')]).toEqual([503, 'unknown_outcome', '1'])
  fail = false
  const ask = () => own.ask('PUT', '/v1/roles/b', { quota: { iops: 5 } }, keyed('u1'))
  const again = await until(async () => ((await ask()).status === 200 ? ask() : undefined), {
    what: 'the controller to lead again',
  })
  expect(again.body.quota).toEqual({ iops: 5 })
})
