import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ProviderClient } from './provider-client.ts'
import { type Rest, startRest } from './rest.ts'

let rest: Rest
beforeAll(async () => {
  rest = await startRest()
})
afterAll(() => rest.close())

describe('profiles', () => {
  it('are set as a whole, shown, listed by name, and removed', async () => {
    const set = await rest.ask('PUT', '/v1/profiles/fast', { iops: 5, iopsPerGiB: 2, pools: ['loop~a~b'] })
    expect(set.body).toMatchObject({ id: 'fast', fs: 'ext4', access: 'single-writer', iops: 5, iopsPerGiB: 2 })
    expect(new Date(set.body.createdAt).toISOString()).toBe(set.body.createdAt)
    const again = await rest.ask('PUT', '/v1/profiles/fast', { fs: 'xfs' })
    expect(again.body).toEqual({ ...set.body, fs: 'xfs', iops: 0, iopsPerGiB: 0, pools: undefined })
    await rest.ask('PUT', '/v1/profiles/disk', { fs: 'raw' })
    const { body } = await rest.ask('GET', '/v1/profiles?limit=1')
    expect(body.items.map((each: { id: string }) => each.id)).toEqual(['disk'])
    const next = await rest.ask('GET', `/v1/profiles?limit=1&cursor=${body.next}`)
    expect(next.body.items.map((each: { id: string }) => each.id)).toEqual(['fast'])
    expect((await rest.ask('DELETE', '/v1/profiles/disk')).status).toBe(200)
    expect((await rest.ask('GET', '/v1/profiles/disk')).body.code).toBe('not_found')
    expect((await rest.ask('DELETE', '/v1/profiles/disk')).body.code).toBe('not_found')
  })

  it('are read by frameworks, and set by operators alone', async () => {
    const framework = { token: await rest.token('framework', { roles: ['ads'] }) }
    expect((await rest.ask('GET', '/v1/profiles/fast', undefined, framework)).status).toBe(200)
    expect((await rest.ask('PUT', '/v1/profiles/fast', {}, framework)).status).toBe(403)
    expect((await rest.ask('PUT', '/v1/profiles/a%20b', {})).status).toBe(400)
    expect((await rest.ask('PUT', '/v1/profiles/fast', { fs: 'ntfs' })).body.code).toBe('invalid_option')
  })
})

describe("a pool's showing to Mesos", () => {
  const POOL = 'loop~shown~a'
  const mesos = async () => (await rest.ask('GET', `/v1/pools/${POOL}`)).body.mesos

  it('has its defaults, is changed in parts, and ends', async () => {
    const made = await rest.ask('POST', '/v1/pools', {
      name: POOL,
      driver: 'loop',
      capacityMiB: 100,
      mesos: { roles: ['ads', 'ads/web'], spread: 3 },
    })
    const shown = {
      roles: ['ads', 'ads/web'],
      reservation: 'dynamic',
      unreserved: false,
      spread: 3,
      float: true,
      block: false,
      bandwidth: false,
    }
    expect(made.body.mesos).toEqual(shown)
    await rest.ask('PATCH', `/v1/pools/${POOL}`, { mesos: { shrink: 'never', float: false } })
    expect(await mesos()).toEqual({ ...shown, shrink: 'never', float: false })
    await rest.ask('PATCH', `/v1/pools/${POOL}`, { mesos: { shrink: null, roles: ['ops'] }, capacityMiB: 200 })
    expect(await mesos()).toEqual({ ...shown, float: false, roles: ['ops'] })
    await rest.ask('PATCH', `/v1/pools/${POOL}`, { capacityMiB: 300 })
    expect(await mesos()).toEqual({ ...shown, float: false, roles: ['ops'] })
    await rest.ask('PATCH', `/v1/pools/${POOL}`, { mesos: null })
    expect(await mesos()).toBeUndefined()
  })

  it.each([
    [{ spread: 1 }, 'roles must be given'],
    [{ roles: [] }, 'roles'],
    [{ roles: ['ads', 'ads'] }, 'roles'],
    [{ roles: ['*'] }, 'roles[0]'],
    [{ roles: ['a'], shrink: 'soon' }, 'shrink'],
    [{ roles: ['a'], surplus: 1 }, 'surplus'],
  ])('is refused as %j', async (settings, why) => {
    const { status, body } = await rest.ask('PATCH', `/v1/pools/${POOL}`, { mesos: settings })
    expect(status).toBe(400)
    expect(body.detail).toContain(why)
  })
})

it('a provider and its latest report are shown, and forgotten when it says so', async () => {
  const node = await rest.node('node-1')
  const pool = await rest.pool('loop~reported~a', node, { mesos: { roles: ['ads'] } })
  const client = new ProviderClient(rest, node)
  const told = await client.ask('PUT', `providers/${pool.name}`, { agentId: 'a-1', providerId: 'p-1' })
  expect(told.body).toMatchObject({
    node: 'node-1',
    pool: pool.name,
    agentId: 'a-1',
    providerId: 'p-1',
    connected: false,
  })
  await client.start()
  const entry = { poolId: pool.id, state: 'subscribed', advertisedMiB: 5, lastFailure: 'none' }
  const report = { agent: { url: 'http://a:5051', state: 'up', pid: 7 }, providers: [entry] }
  expect((await client.ask('PUT', 'report', report)).status).toBe(200)
  expect((await client.ask('PUT', 'report', { providers: [] })).status).toBe(400)
  const { body } = await rest.ask('GET', '/v1/mesos')
  expect(body.providers).toMatchObject([{ node: 'node-1', connected: true, report: entry }])
  expect(body.agents).toMatchObject([{ node: 'node-1', connected: true, agent: report.agent }])
  expect((await client.ask('DELETE', `providers/${pool.id}`)).status).toBe(200)
  expect((await client.ask('DELETE', `providers/${pool.id}`)).status).toBe(200)
  expect((await rest.ask('GET', '/v1/mesos')).body.providers).toEqual([])
  expect((await client.ask('PUT', 'providers/nowhere', { agentId: 'a', providerId: 'p' })).body.code).toBe('not_found')
})
