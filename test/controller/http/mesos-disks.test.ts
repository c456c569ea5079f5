import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Guard } from '../../../src/model/mesos.ts'
import type { WorkOrder } from '../../../src/model/node-protocol.ts'
import { CAPABILITIES, type NodeClient } from '../../support/node-client.ts'
import { until } from '../../support/until.ts'
import { ProviderClient } from './provider-client.ts'
import { type Rest, startRest, testRest } from './rest.ts'

const POOL = 'scaleio~row8~pool-hdd'
const RESERVED = [{ type: 'DYNAMIC', role: 'ads', principal: 'holdfast' }]

let rest: Rest
let nodes: [NodeClient, NodeClient]
let poolId: string

/** A pool of 1,000,000,000 MiB that two nodes reach, shown to one role under a verified guard. */
async function world(
  own: Rest,
  mesos: object = {},
  guard: Guard['state'] = 'verified',
): Promise<[NodeClient, NodeClient, string]> {
  const capabilities = { ...CAPABILITIES, maxObjectMiB: 2 ** 33 }
  const first = await own.node('node-1', { capabilities })
  const second = await own.node('node-2', { capabilities })
  const pool = await own.pool(POOL, first, { capacityMiB: 1_000_000_000, mesos: { roles: ['ads'], ...mesos } })
  await until(() => second.find(pool.id), { what: 'the second node to reach the pool' })
  await own.ask('PUT', '/v1/profiles/fast', { iops: 5 })
  await own.ask('PUT', '/v1/profiles/slow', { fs: 'xfs' })
  await own.controller.engine.submit({ actor: 'test', command: { kind: 'guard.set', state: guard, why: [] } })
  return [first, second, pool.id]
}

const asked = (more: object = {}) => ({
  operation: randomUUID(),
  poolId,
  role: 'ads',
  reservations: RESERVED,
  sizeMiB: 750_000_000,
  profile: 'slow',
  target: 'MOUNT',
  ...more,
})

async function ask(node: NodeClient, method: string, path: string, body?: unknown) {
  return rest.ask(method, `/v1/mesos/${path}`, body, { token: node.secret })
}

async function made(node: NodeClient, more: object = {}) {
  const { status, body } = await ask(node, 'POST', 'disks', asked(more))
  expect([status, body.message]).toEqual([202, undefined])
  const ready = await ask(node, 'GET', `disks/${body.volumeId}?wait=25`)
  expect(ready.body).toMatchObject({ state: 'ready' })
  return ready.body as { volumeId: string; disk: Record<string, unknown> }
}

beforeAll(async () => {
  rest = await startRest()
  const [first, second, id] = await world(rest)
  nodes = [first, second]
  poolId = id
})
afterAll(() => rest.close())

describe('a CREATE_DISK', () => {
  it('takes its room at once, and comes back with its persistence; the other one is refused by what is left', async () => {
    const { volumeId, disk } = await made(nodes[0], { frameworkId: 'f-1', operationId: 'create-1' })
    expect(disk).toEqual({
      volumeId,
      sizeMiB: 750_000_000,
      target: 'MOUNT',
      profile: 'slow',
      metadata: {
        labels: [
          { key: 'instance', value: 'row8' },
          { key: 'pool', value: 'pool-hdd' },
          { key: 'filesystem', value: 'xfs' },
        ],
      },
      reservations: RESERVED,
      persistence: { id: volumeId, principal: 'holdfast' },
      containerPath: 'data',
      usedHere: false,
    })
    const { status, body } = await ask(nodes[1], 'POST', 'disks', asked())
    expect([status, body.code]).toEqual([409, 'does_not_fit'])
    expect(body.detail).toBe(
      `pool ${POOL}: 250,000,000 MiB free for role ads, 750,000,000 asked; the pool has 250,000,000 MiB; ask for at most 250,000,000 MiB`,
    )
    expect(body).toMatchObject({ pool: POOL, role: 'ads', asked: 750_000_000, free: 250_000_000 })
    const volume = (await rest.ask('GET', `/v1/volumes/${volumeId}`)).body
    expect(volume.mesos).toMatchObject({ home: nodes[0].nodeId, float: true, frameworkId: 'f-1' })
    expect(volume.createdBy).toBe('node node-1 via mesos')
    const gone = await ask(nodes[0], 'DELETE', `disks/${volumeId}?operation=${randomUUID()}`)
    expect(gone.status).toBe(202)
    expect((await ask(nodes[0], 'GET', `disks/${volumeId}?wait=25`)).body).toEqual({ volumeId, state: 'gone' })
  })

  it('is done once for one operation, also after a restart of the asker, until it is acknowledged', async () => {
    const body = asked({ sizeMiB: 100 })
    const first = await ask(nodes[0], 'POST', 'disks', body)
    const again = await ask(nodes[0], 'POST', 'disks', body)
    expect(again.body.volumeId).toBe(first.body.volumeId)
    const other = await ask(nodes[0], 'POST', 'disks', { ...body, sizeMiB: 101 })
    expect([other.status, other.body.code]).toEqual([409, 'key_conflict'])
    // the same operation of another node is another operation
    expect((await ask(nodes[1], 'POST', 'disks', body)).body.code).toBe('name_taken')
    const keys = () => rest.controller.engine.read((state) => [...state.all('key').values()].length)
    const before = await keys()
    const ack = await ask(nodes[0], 'POST', `operations/${body.operation}/acknowledged`)
    expect([ack.status, ack.body]).toEqual([200, {}])
    expect(await keys()).toBe(before - 1)
    expect((await ask(nodes[0], 'POST', `operations/${body.operation}/acknowledged`)).status).toBe(200)
  })

  it('names the profiles that there are when it names another, or none', async () => {
    const unknown = await ask(nodes[0], 'POST', 'disks', asked({ profile: 'gold' }))
    expect([unknown.status, unknown.body.code]).toEqual([404, 'not_found'])
    expect(unknown.body.detail).toBe('profile "gold" does not exist; there are fast, slow')
    const { profile: _, ...without } = asked()
    const none = await ask(nodes[0], 'POST', 'disks', without)
    expect(none.body.detail).toContain('names no target_profile')
    expect(none.body.detail).toContain('there are fast, slow')
  })

  it('is refused a profile that is for other pools, or makes what was not asked for', async () => {
    await rest.ask('PUT', '/v1/profiles/elsewhere', { pools: ['loop~a~b'] })
    await rest.ask('PUT', '/v1/profiles/device', { fs: 'raw' })
    const elsewhere = await ask(nodes[0], 'POST', 'disks', asked({ profile: 'elsewhere' }))
    expect(elsewhere.body).toMatchObject({ code: 'unsupported', detail: expect.stringContaining('it is for loop~a~b') })
    const block = await ask(nodes[0], 'POST', 'disks', asked({ target: 'BLOCK', profile: 'device' }))
    expect(block.body).toMatchObject({ code: 'unsupported', detail: expect.stringContaining('no BLOCK disks') })
    await rest.ask('PATCH', `/v1/pools/${POOL}`, { mesos: { block: true } })
    const mixed = await ask(nodes[0], 'POST', 'disks', asked({ profile: 'device' }))
    expect(mixed.body.detail).toContain('makes raw, which is a BLOCK disk, not a MOUNT one; there are fast, slow')
    const { disk } = await made(nodes[0], { target: 'BLOCK', profile: 'device', sizeMiB: 10 })
    expect(disk).toMatchObject({ target: 'BLOCK' })
    expect(disk).not.toHaveProperty('persistence')
    await rest.ask('PATCH', `/v1/pools/${POOL}`, { mesos: { block: false } })
  })

  it('is refused to a role that the pool is not for; a child may take what its parent may', async () => {
    const other = await ask(nodes[0], 'POST', 'disks', asked({ role: 'ops' }))
    expect([other.status, other.body.code]).toEqual([403, 'role_not_allowed'])
    expect((await ask(nodes[0], 'POST', 'disks', asked({ role: 'ads/web', sizeMiB: 1 }))).status).toBe(202)
  })

  it('tells which limit is in the way: the quota of a role above, or IOPS', async () => {
    await rest.ask('PUT', '/v1/roles/ads', { quota: { sizeMiB: 2000 } })
    const quota = await ask(nodes[0], 'POST', 'disks', asked({ role: 'ads/web', sizeMiB: 5000 }))
    expect(quota.body.code).toBe('quota_exceeded')
    expect(quota.body.detail).toContain('the quota of role ads leaves')
    await rest.ask('DELETE', '/v1/roles/ads')
    await rest.ask('PATCH', `/v1/pools/${POOL}`, { iops: 100 })
    await rest.ask('PUT', '/v1/profiles/busy', { iopsPerGiB: 10 })
    const iops = await ask(nodes[0], 'POST', 'disks', asked({ profile: 'busy', sizeMiB: 102_400 }))
    expect(iops.body.code).toBe('does_not_fit')
    expect(iops.body.detail).toMatch(
      /^pool \S+: 10,240 MiB free for role ads, 102,400 asked; profile busy takes 1,000 IOPS for that, the pool has 100 IOPS; ask for at most 10,240 MiB, or under profile (fast|slow) for at most [\d,]+ MiB$/,
    )
    await rest.ask('PATCH', `/v1/pools/${POOL}`, { iops: 0 })
  })

  it('draws on what its role holds there, oldest first, and takes the rest of what is free', async () => {
    const hold = async (sizeMiB: number) => {
      return (await rest.ask('POST', '/v1/holds', { pool: POOL, role: 'ads', sizeMiB })).body.id as string
    }
    const first = await hold(100)
    const second = await hold(100)
    const { volumeId } = await made(nodes[0], { sizeMiB: 150 })
    expect((await rest.ask('GET', `/v1/volumes/${volumeId}`)).body.draws).toEqual([
      { holdId: first, sizeMiB: 100, iops: 0 },
      { holdId: second, sizeMiB: 50, iops: 0 },
    ])
    const { volumeId: larger } = await made(nodes[1], { sizeMiB: 70 })
    expect((await rest.ask('GET', `/v1/volumes/${larger}`)).body.draws).toEqual([
      { holdId: second, sizeMiB: 50, iops: 0 },
    ])
    await rest.ask('DELETE', `/v1/volumes/${volumeId}?wait=20`)
    expect((await rest.ask('GET', `/v1/holds/${first}`)).body.remainingMiB).toBe(100)
    for (const id of [first, second]) await rest.ask('DELETE', `/v1/holds/${id}`)
  })
})

describe('what only the node of a disk may do', () => {
  it('is refused to any other: recording and destroying', async () => {
    await rest.ask('PATCH', `/v1/pools/${POOL}`, { mesos: { float: false } })
    const { volumeId, disk } = await made(nodes[0], { sizeMiB: 10 })
    expect(disk).not.toHaveProperty('persistence')
    const said = { operation: randomUUID(), persistence: { id: 'mine', principal: 'f' }, containerPath: 'x' }
    const wrong = await ask(nodes[1], 'POST', `disks/${volumeId}/record`, said)
    expect([wrong.status, wrong.body.code]).toEqual([409, 'held_elsewhere'])
    const destroy = `disks/${volumeId}?operation=${randomUUID()}`
    expect((await ask(nodes[1], 'DELETE', destroy)).body.code).toBe('held_elsewhere')
    const right = await ask(nodes[0], 'POST', `disks/${volumeId}/record`, said)
    expect(right.body.disk).toMatchObject({ persistence: { id: 'mine', principal: 'f' }, containerPath: 'x' })
    expect((await ask(nodes[0], 'POST', `disks/${volumeId}/record`, said)).body.disk).toEqual(right.body.disk)
    const over = { operation: randomUUID(), persistence: null }
    const after = await ask(nodes[0], 'POST', `disks/${volumeId}/record`, over)
    expect(after.body.disk).not.toHaveProperty('persistence')
    expect(after.body.disk).not.toHaveProperty('containerPath')
    expect((await ask(nodes[0], 'DELETE', destroy)).status).toBe(202)
    expect((await ask(nodes[0], 'DELETE', destroy)).status).toBe(202)
    await rest.ask('PATCH', `/v1/pools/${POOL}`, { mesos: { float: true } })
  })

  it('takes the credential of a node', async () => {
    expect((await rest.ask('POST', '/v1/mesos/disks', asked())).status).toBe(403)
    expect((await rest.ask('GET', '/v1/mesos/stream')).status).toBe(403)
    expect((await rest.ask('GET', '/v1/mesos', undefined, { token: nodes[0].secret })).status).toBe(403)
  })
})

it('answers that a disk failed with the reason of its node, and takes it away by itself', async () => {
  const own = await testRest()
  const work = ({ step }: WorkOrder) => {
    return step === 'format' ? { code: 'not_blank', message: 'there is an xfs on it' } : ('ok' as const)
  }
  const node = await own.node('node-1', { work })
  const pool = await own.pool('loop~fails~a', node, { mesos: { roles: ['ads'] } })
  await own.ask('PUT', '/v1/profiles/p', {})
  const client = new ProviderClient(own, node)
  const body = { ...asked({ profile: 'p', sizeMiB: 10 }), poolId: pool.id }
  const { volumeId } = (await client.ask('POST', 'disks', body)).body
  const failed = await client.ask('GET', `disks/${volumeId}?wait=25`)
  expect(failed.body).toEqual({ volumeId, state: 'failed', message: 'there is an xfs on it' })
  const gone = async () => (await own.ask('GET', `/v1/volumes/${volumeId}`)).status === 404
  await until(gone, { what: 'the volume to be taken away' })
  expect((await own.ask('GET', `/v1/pools/${pool.id}`)).body.usage.usedMiB).toBe(0)
  expect((await client.ask('GET', `disks/${volumeId}`)).body.state).toBe('failed')
})

it('leaves capacity reserved as frameworks reserved it, where nothing guards the masters', async () => {
  const own = await testRest()
  const [node, , id] = await world(own, {}, 'absent')
  const client = new ProviderClient(own, node)
  await client.ask('PUT', `providers/${id}`, { agentId: 'a-1', providerId: 'p-1' })
  const operation = randomUUID()
  const move = { operation, from: [], to: RESERVED, sizeMiB: 1000 }
  const reserved = await client.ask('POST', `providers/${POOL}/reserved`, move)
  expect(reserved.body).toMatchObject({
    node: 'node-1',
    pool: POOL,
    reserved: [{ reservations: RESERVED, sizeMiB: 1000 }],
  })
  await client.ask('POST', `providers/${POOL}/reserved`, move)
  const stacks = async () => {
    const { body } = await own.ask('GET', '/v1/mesos')
    return body.providers[0].reserved.map((each: { sizeMiB: number }) => each.sizeMiB)
  }
  expect(await stacks()).toEqual([1000])
  const disk = { ...asked({ sizeMiB: 400 }), poolId: id }
  const { volumeId } = (await client.ask('POST', 'disks', disk)).body
  const ready = await client.ask('GET', `disks/${volumeId}?wait=25`)
  // plain: the framework makes its own persistence of it
  expect(ready.body.disk).not.toHaveProperty('persistence')
  expect(await stacks()).toEqual([600])
  await client.ask('DELETE', `disks/${volumeId}?operation=${randomUUID()}`)
  await client.ask('GET', `disks/${volumeId}?wait=25`)
  expect(await stacks()).toEqual([1000])
  await client.ask('POST', `providers/${POOL}/reserved`, { ...move, operation: randomUUID(), from: RESERVED, to: [] })
  expect(await stacks()).toEqual([])
})
