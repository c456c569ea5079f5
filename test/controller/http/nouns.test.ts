import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NodeClient } from '../../support/node-client.ts'
import { until } from '../../support/until.ts'
import { type Rest, startRest } from './rest.ts'

let rest: Rest
let node: NodeClient
const POOL = 'loop~nouns~a'

beforeAll(async () => {
  rest = await startRest()
  node = await rest.node('node-1')
  await rest.pool(POOL, node, { iops: 10_000, labels: { tier: 'fast' } })
})
afterAll(() => rest.close())

const make = async (name: string, more: object = {}) => {
  const { status, body } = await rest.ask('POST', '/v1/volumes?wait=20', { name, sizeMiB: 100, ...more })
  expect(body).toMatchObject({ volume: { name, state: 'available' } })
  expect(status).toBe(201)
  return body.volume
}

describe('pools', () => {
  it('shows what is used, held and free, with times as RFC 3339', async () => {
    const { body } = await rest.ask('GET', `/v1/pools/${POOL}`)
    expect(body).toMatchObject({ name: POOL, marked: true, overcommit: 1, nodes: 1, usage: { limitMiB: 100_000 } })
    expect(new Date(body.createdAt).toISOString()).toBe(body.createdAt)
    expect(body).not.toHaveProperty('overcommitThousandths')
  })

  it('changes capacity and over-commit, and refuses a ratio with four decimals', async () => {
    const name = 'loop~nouns~b'
    await rest.ask('POST', '/v1/pools', { name, driver: 'loop', capacityMiB: 1000, reserveMiB: 100 })
    const changed = await rest.ask('PATCH', `/v1/pools/${name}`, { overcommit: 1.5, capacityMiB: 2000 })
    expect(changed.body).toMatchObject({ overcommit: 1.5, usage: { limitMiB: 2900, freeMiB: 2900, iopsFree: null } })
    expect((await rest.ask('PATCH', `/v1/pools/${name}`, { overcommit: 1.0001 })).body.code).toBe('invalid_option')
    expect((await rest.ask('DELETE', `/v1/pools/${name}`)).status).toBe(200)
    expect((await rest.ask('GET', `/v1/pools/${name}`)).body.code).toBe('not_found')
  })

  it('is marked on demand by the node that is named', async () => {
    const name = 'loop~nouns~c'
    await rest.ask('POST', '/v1/pools', { name, driver: 'loop', capacityMiB: 1000 })
    const { status, body } = await rest.ask('POST', `/v1/pools/${name}/mark`, { node: 'node-1' })
    expect([status, body.operation]).toEqual([202, expect.stringMatching(/^op-/)])
    await until(async () => (await rest.ask('GET', `/v1/pools/${name}`)).body.marked, { what: 'the mark' })
    await rest.ask('PATCH', `/v1/pools/${name}`, { state: 'draining' })
  })

  it('shows the inventory that a node reported, with orphans and foreign objects told apart', async () => {
    const pool = (await rest.ask('GET', `/v1/pools/${POOL}`)).body
    expect((await rest.ask('GET', `/v1/pools/${POOL}/inventory`)).body.code).toBe('not_found')
    const volume = await make('inventoried')
    const { body: status } = await rest.ask('GET', '/v1/status')
    const objects = [
      { name: volume.object, sizeMiB: 100 },
      { name: `hf-${status.installation.slice(0, 8)}-vol-gone`, sizeMiB: 5 },
      { name: 'somebody-elses', sizeMiB: 7 },
    ]
    await node.call('inventory', { poolId: pool.id, objects, complete: true })
    const { body } = await rest.ask('GET', `/v1/pools/${POOL}/inventory`)
    expect(body).toMatchObject({ node: 'node-1', pool: POOL })
    expect(body.objects.map((each: { status: string }) => each.status)).toEqual(['known', 'orphan', 'foreign'])
    expect(body.objects[0].owner).toBe(volume.id)
  })
})

describe('nodes', () => {
  it('shows the free attachments and whether it is connected, never its session', async () => {
    const { body } = await rest.ask('GET', '/v1/nodes/node-1')
    expect(body).toMatchObject({ name: 'node-1', state: 'up', connected: true, attachmentLimit: 64 })
    expect(JSON.stringify(body)).not.toContain(node.session)
    expect(JSON.stringify((await rest.ask('GET', '/v1/nodes')).body)).not.toContain(node.session)
  })

  it('sets a bandwidth budget and takes it away again', async () => {
    const set = await rest.ask('PATCH', '/v1/nodes/node-1', { bandwidth: 500, labels: { rack: '8' } })
    expect(set.body).toMatchObject({ bandwidth: 500, labels: { rack: '8' } })
    const unset = await rest.ask('PATCH', '/v1/nodes/node-1', { bandwidth: null })
    expect(unset.body).not.toHaveProperty('bandwidth')
    expect(unset.body.labels).toEqual({ rack: '8' })
  })
})

describe('roles', () => {
  it('sets a quota on a role with a slash in its name, and charges the child to its parent', async () => {
    const put = await rest.ask('PUT', '/v1/roles/ads%2Fweb', { quota: { sizeMiB: 1000 } })
    expect(put.body).toMatchObject({ role: 'ads/web', quota: { sizeMiB: 1000 }, free: { sizeMiB: 1000, iops: null } })
    await make('of-ads-web', { role: 'ads/web', iops: 10 })
    await rest.ask('POST', '/v1/holds', { pool: POOL, role: 'ads/web', sizeMiB: 200 })
    const parent = await rest.ask('GET', '/v1/roles/ads')
    expect(parent.body).toMatchObject({ used: { sizeMiB: 100, iops: 10 }, held: { sizeMiB: 200, iops: 0 }, quota: {} })
    const listed = await rest.ask('GET', '/v1/roles')
    const names = listed.body.items.map((each: { role: string }) => each.role)
    expect(names).toEqual([...names].sort())
    expect(names).toEqual(expect.arrayContaining(['ads', 'ads/web']))
    const over = await rest.ask('POST', '/v1/volumes', { name: 'over', sizeMiB: 900, role: 'ads/web' })
    expect(over.body).toMatchObject({ code: 'quota_exceeded', role: 'ads/web', asked: 900, free: 700 })
    expect((await rest.ask('DELETE', '/v1/roles/ads%2Fweb')).body.quota).toEqual({})
  })

  it.each(['*', '.', 'a//b', '-x'])('refuses the role %j', async (role) => {
    const { body } = await rest.ask('PUT', `/v1/roles/${encodeURIComponent(role)}`, { quota: {} })
    expect(body.code).toBe('invalid_name')
  })
})

describe('holds', () => {
  it('sets capacity aside, is drawn on by a create that names it, and gives the rest back', async () => {
    const before = (await rest.ask('GET', `/v1/pools/${POOL}`)).body.usage
    const hold = (await rest.ask('POST', '/v1/holds', { pool: POOL, role: 'db', sizeMiB: 1000, iops: 100 })).body
    expect(hold).toMatchObject({ pool: POOL, remainingMiB: 1000, remainingIops: 100 })
    const volume = await make('drawn', { role: 'db', hold: hold.id, sizeMiB: 400, iops: 60 })
    expect(volume.draws).toEqual([{ holdId: hold.id, sizeMiB: 400, iops: 60 }])
    expect((await rest.ask('GET', `/v1/holds/${hold.id}`)).body).toMatchObject({ remainingMiB: 600, remainingIops: 40 })
    const filtered = await rest.ask('GET', `/v1/holds?pool=${POOL}&role=db`)
    expect(filtered.body.items.map((each: { id: string }) => each.id)).toEqual([hold.id])
    expect((await rest.ask('DELETE', `/v1/holds/${hold.id}`)).status).toBe(200)
    const after = (await rest.ask('GET', `/v1/pools/${POOL}`)).body.usage
    expect(after.heldMiB).toBe(before.heldMiB)
    expect(after.usedMiB).toBe(before.usedMiB + 400)
  })

  it('expires at the time it was given, and is refused two of them or one that is no date', async () => {
    const body = { pool: POOL, sizeMiB: 1 }
    const hold = (await rest.ask('POST', '/v1/holds', { ...body, expiresInSeconds: 1 })).body
    expect(Date.parse(hold.expiresAt)).toBeGreaterThan(Date.parse(hold.createdAt))
    await until(async () => (await rest.ask('GET', `/v1/holds/${hold.id}`)).status === 404, {
      what: 'the end of the hold',
    })
    const both = await rest.ask('POST', '/v1/holds', {
      ...body,
      expiresInSeconds: 9,
      expiresAt: '2099-01-01T00:00:00Z',
    })
    expect(both.body.code).toBe('invalid_option')
    const noDate = await rest.ask('POST', '/v1/holds', { ...body, expiresAt: '2099-13-41T00:00:00Z' })
    expect(noDate.body.code).toBe('invalid_option')
    expect((await rest.ask('POST', '/v1/holds', { ...body, expiresAt: '2000-01-01T00:00:00Z' })).body.code).toBe(
      'invalid_option',
    )
  })
})

describe('volumes', () => {
  it('lives: created, shown, changed, grown, deleted into the trash, undeleted, deleted, purged', async () => {
    const volume = await make('life', { poolLabels: { tier: 'fast' }, labels: { app: 'shop' } })
    expect(volume).toMatchObject({ pool: POOL, fs: 'ext4', role: 'default', inUse: false, iopsEnforced: 'advisory' })
    expect((await rest.ask('GET', '/v1/volumes/life')).body.id).toBe(volume.id)
    const patched = await rest.ask('PATCH', '/v1/volumes/life', { protected: true })
    expect(patched.body.protected).toBe(true)
    expect((await rest.ask('DELETE', '/v1/volumes/life')).body.code).toBe('protected')
    await rest.ask('PATCH', '/v1/volumes/life', { protected: false })
    const grown = await rest.ask('POST', '/v1/volumes/life/resize?wait=20', { sizeMiB: 200 })
    expect([grown.status, grown.body.volume.sizeMiB]).toEqual([200, 200])
    expect((await rest.ask('POST', '/v1/volumes/life/resize', { sizeMiB: 150 })).body.code).toBe('invalid_size')
    const trashed = await rest.ask('POST', '/v1/volumes/life/delete', { trashSeconds: 3600 })
    expect(trashed.body.volume).toMatchObject({ state: 'trash' })
    expect(trashed.body.volume.trashSecondsLeft).toBeGreaterThan(3500)
    expect((await rest.ask('GET', '/v1/volumes/life')).status).toBe(404)
    const back = await rest.ask('POST', `/v1/volumes/${volume.id}/undelete`, { name: 'life-2' })
    expect(back.body.volume).toMatchObject({ name: 'life-2', state: 'available' })
    expect((await rest.ask('POST', '/v1/volumes/life-2/purge')).body.code).toBe('wrong_state')
    await rest.ask('DELETE', '/v1/volumes/life-2?trash=60')
    expect((await rest.ask('POST', `/v1/volumes/${volume.id}/purge?wait=20`)).status).toBe(200)
    expect((await rest.ask('GET', `/v1/volumes/${volume.id}`)).status).toBe(404)
  })

  it('copies a volume with the filesystem of its source, and says what it needs when that does not fit', async () => {
    await make('origin', { fs: 'xfs' })
    const copy = await make('copy', { from: { volume: 'origin' } })
    expect(copy.fs).toBe('xfs')
    const other = await rest.ask('POST', '/v1/volumes', {
      name: 'x',
      sizeMiB: 100,
      fs: 'ext4',
      from: { volume: 'origin' },
    })
    expect(other.body.code).toBe('invalid_option')
    expect((await rest.ask('POST', '/v1/volumes', { name: 'x', sizeMiB: 100, from: { volume: 'nope' } })).status).toBe(
      404,
    )
    const both = await rest.ask('POST', '/v1/volumes', { name: 'x', sizeMiB: 1, from: { volume: 'a', snapshot: 'b' } })
    expect(both.status).toBe(400)
  })

  it('says why nothing fits, with every pool considered and the smallest change', async () => {
    const { status, body } = await rest.ask('POST', '/v1/volumes', { name: 'big', sizeMiB: 200_000 })
    expect([status, body.code]).toEqual([409, 'does_not_fit'])
    const considered = body.considered.find((each: { name: string }) => each.name === POOL)
    expect(considered).toMatchObject({ fits: false, smallestChange: expect.stringMatching(/less$/) })
  })

  it('gives an object away without touching it, and adopts it again', async () => {
    const volume = await make('given')
    expect((await rest.ask('POST', '/v1/volumes/given/release')).body.volume.object).toBe(volume.object)
    const taken = { pool: POOL, object: 'somebody-elses', name: 'adopted' }
    const adopted = await rest.ask('POST', '/v1/volumes/import?wait=20', taken)
    expect([adopted.status, adopted.body.volume]).toMatchObject([
      201,
      { imported: true, protected: true, state: 'available' },
    ])
    expect((await rest.ask('POST', '/v1/volumes/import', { ...taken, name: 'again' })).body.code).toBe('in_use')
  })

  it('keeps an id for its owner when another volume takes it as a name', async () => {
    const volume = await make('owner')
    const thief = await make(volume.id)
    expect(thief.name).toBe(volume.id)
    expect((await rest.ask('GET', `/v1/volumes/${volume.id}`)).body.id).toBe(volume.id)
  })
})

describe('groups', () => {
  it('creates all or none', async () => {
    const volumes = [
      { name: 'g-1', sizeMiB: 10 },
      { name: 'g-2', sizeMiB: 20 },
    ]
    const { status, body } = await rest.ask('POST', '/v1/groups', { name: 'pair', volumes })
    expect([status, body.volumes.length]).toEqual([202, 2])
    const shown = () => rest.ask('GET', `/v1/groups/${body.group.id}`)
    await until(async () => (await shown()).body.state === 'complete', { what: 'the group' })
    expect((await shown()).body.members.map((each: { name: string }) => each.name)).toEqual(['g-1', 'g-2'])
    const refused = await rest.ask('POST', '/v1/groups', {
      volumes: [
        { name: 'g-3', sizeMiB: 1 },
        { name: 'g-4', sizeMiB: 99_999 },
      ],
    })
    expect(refused.body.code).toBe('does_not_fit')
    expect((await rest.ask('GET', '/v1/volumes/g-3')).status).toBe(404)
    const many = Array.from({ length: 17 }, (_, index) => ({ name: `m-${index}`, sizeMiB: 1 }))
    expect((await rest.ask('POST', '/v1/groups', { volumes: many })).body.code).toBe('group_too_large')
  })
})

describe('snapshots', () => {
  it('are taken, listed by volume, used as a source, and deleted', async () => {
    const volume = await make('shot')
    const taken = await rest.ask('POST', '/v1/snapshots?wait=20', { volume: 'shot', name: 'shot-1' })
    expect([taken.status, taken.body.snapshot]).toMatchObject([201, { state: 'available', volume: 'shot', pool: POOL }])
    const listed = await rest.ask('GET', `/v1/snapshots?volume=${volume.id}`)
    expect(listed.body.items).toHaveLength(1)
    const restored = await make('restored', { from: { snapshot: 'shot-1' } })
    expect(restored.source).toEqual({ kind: 'snapshot', id: taken.body.snapshot.id })
    expect((await rest.ask('GET', '/v1/snapshots/shot-1')).status).toBe(200)
    expect((await rest.ask('DELETE', '/v1/snapshots/shot-1?wait=20')).status).toBe(200)
    expect((await rest.ask('GET', '/v1/snapshots/shot-1')).status).toBe(404)
  })
})

describe('attachments', () => {
  it('mounts for a user, is shown with the volume, refuses to be forced while its node answers, and goes', async () => {
    await make('used')
    const claim = { volume: 'used', node: 'node-1', user: { id: 'me' } }
    const { status, body } = await rest.ask('POST', '/v1/attachments?wait=20', claim)
    expect([status, body.attachment]).toMatchObject([
      200,
      { state: 'mounted', node: 'node-1', volume: 'used', epoch: 2 },
    ])
    const { id } = body.attachment
    const volume = (await rest.ask('GET', '/v1/volumes/used')).body
    expect(volume).toMatchObject({
      inUse: true,
      attachments: [{ id, node: 'node-1', users: [{ door: 'rest', id: 'me' }] }],
    })
    expect((await rest.ask('GET', '/v1/attachments?node=node-1&volume=used')).body.items).toHaveLength(1)
    expect((await rest.ask('GET', `/v1/attachments/${id}`)).body.path).toContain('/mnt/')
    expect((await rest.ask('POST', `/v1/attachments/${id}/force`, { reason: 'because' })).body.code).toBe('wrong_state')
    expect((await rest.ask('DELETE', '/v1/volumes/used')).body.code).toBe('in_use')
    const released = await rest.ask('POST', `/v1/attachments/${id}/release`, { user: { id: 'me' } })
    expect(released.body.attachment.state).toBe('unmounting')
    await until(async () => (await rest.ask('GET', `/v1/attachments/${id}`)).status === 404, { what: 'the detach' })
  })
})

describe('operations', () => {
  it('are listed with filters, say what they wait for, and can be cancelled', async () => {
    await rest.ask('POST', '/v1/pools', { name: 'loop~nouns~z', driver: 'loop', capacityMiB: 1000 })
    const mark = await rest.ask('POST', '/v1/pools/loop~nouns~z/mark', { node: 'node-1' })
    expect(mark.status).toBe(202)
    const done = await rest.ask('GET', '/v1/operations?kind=provision&state=succeeded&limit=1')
    expect(done.body.items).toHaveLength(1)
    const { id } = done.body.items[0]
    expect((await rest.ask('GET', `/v1/operations/${id}`)).body).toMatchObject({
      node: 'node-1',
      subjectName: expect.any(String),
    })
    expect((await rest.ask('POST', `/v1/operations/${id}/cancel`)).body.code).toBe('wrong_state')
    await rest.ask('PATCH', '/v1/nodes/node-1', { cordoned: true })
    const waiting = await rest.ask('POST', '/v1/volumes', { name: 'waits', sizeMiB: 1, pool: POOL })
    const shown = await rest.ask('GET', `/v1/operations/${waiting.body.operation}`)
    expect(shown.body).toMatchObject({
      state: 'pending',
      waitingFor: expect.stringContaining(POOL),
      subjectName: 'waits',
    })
    const cancelled = await rest.ask('POST', `/v1/operations/${waiting.body.operation}/cancel`)
    expect(cancelled.body.state).toBe('cancelled')
    await rest.ask('PATCH', '/v1/nodes/node-1', { cordoned: false })
    expect((await rest.ask('GET', '/v1/operations?node=nowhere')).body.code).toBe('not_found')
  })
})

describe('status', () => {
  it('is one screen', async () => {
    const { body } = await rest.ask('GET', '/v1/status')
    expect(body).toMatchObject({
      leading: true,
      version: '0.1.0',
      clock: {},
      nodes: { up: 1, lost: 0 },
      deficits: [],
      stuck: [],
    })
    expect(body.pools.map((each: { name: string }) => each.name)).toContain(POOL)
  })
})

it('had no trouble with the node', () => {
  expect(node.troubles).toEqual([])
})
