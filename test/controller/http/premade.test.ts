import { expect, test } from 'vitest'
import type { Guard } from '../../../src/model/mesos.ts'
import { CAPABILITIES } from '../../support/node-client.ts'
import { type Rest, testRest } from './rest.ts'

const POOL = 'loop~row8~pool-hdd'

async function world(mesos: object | null, guard: Guard['state'] = 'verified'): Promise<Rest> {
  const rest = await testRest()
  const node = await rest.node('node-1', { capabilities: { ...CAPABILITIES, filesystems: ['ext4', 'xfs'] } })
  await rest.pool(POOL, node, { capacityMiB: 100_000, iops: 1000, ...(mesos === null ? {} : { mesos }) })
  await rest.ask('PUT', '/v1/profiles/fast', { fs: 'xfs', iopsPerGiB: 3 })
  await rest.controller.engine.submit({ actor: 'test', command: { kind: 'guard.set', state: guard, why: [] } })
  return rest
}

async function create(rest: Rest, more: object = {}) {
  const wish = { name: 'premade', sizeMiB: 10_240, role: 'ads', profile: 'fast', ...more }
  return rest.ask('POST', '/v1/volumes', wish)
}

test('a profile gives what is not given, and is no more where Mesos is not shown the pool', async () => {
  const rest = await world(null)
  const { body } = await create(rest)
  expect(body.volume).toMatchObject({ fs: 'xfs', iops: 30, access: 'single-writer' })
  expect(body.volume).not.toHaveProperty('mesos')
  const other = await create(rest, { name: 'other', iops: 7 })
  expect(other.body.volume).toMatchObject({ iops: 7 })
})

test('where volumes float a disk that is made in advance comes with its persistence', async () => {
  const rest = await world({ roles: ['ads'] })
  const { volume } = (await create(rest)).body
  expect(volume.mesos).toEqual({
    profile: 'fast',
    target: 'MOUNT',
    float: true,
    reservations: [{ type: 'DYNAMIC', role: 'ads', principal: 'holdfast' }],
    persistence: { id: volume.id, principal: 'holdfast' },
    containerPath: 'data',
  })
})

test.each([
  ['for frameworks that reserve for themselves', { unreserved: true, float: false }, 'verified'],
  ['without the ACLs', {}, 'absent'],
] as const)('%s it is bare', async (_, settings, guard) => {
  const rest = await world({ roles: ['ads'], ...settings }, guard)
  const { volume } = (await create(rest)).body
  expect(volume.mesos).toEqual({ profile: 'fast', target: 'MOUNT', float: false, reservations: [] })
})

test('in a pool that does not float but is reserved it keeps the reservation', async () => {
  const rest = await world({ roles: ['ads'], float: false })
  const { volume } = (await create(rest)).body
  expect(volume.mesos).toMatchObject({ float: false, reservations: [{ role: 'ads' }] })
  expect(volume.mesos).not.toHaveProperty('persistence')
})

test('members of a group may have profiles, too', async () => {
  const rest = await world({ roles: ['ads'] })
  const wish = { name: 'premade', sizeMiB: 10_240, role: 'ads', profile: 'fast' }
  const { body } = await rest.ask('POST', '/v1/groups', { volumes: [wish] })
  expect(body.volumes[0].mesos).toMatchObject({ profile: 'fast', float: true })
})

test('what a profile cannot do is refused', async () => {
  const rest = await world({ roles: ['ads'] })
  expect(await create(rest, { profile: 'gold' })).toMatchObject({ status: 404, body: { code: 'not_found' } })
  expect(await create(rest, { fs: 'ext4' })).toMatchObject({ status: 400, body: { code: 'invalid_option' } })
  await rest.ask('PUT', '/v1/profiles/elsewhere', { fs: 'xfs', pools: ['loop~row8~other'] })
  const { body } = await create(rest, { profile: 'elsewhere' })
  expect(body).toMatchObject({ code: 'does_not_fit', detail: expect.stringContaining('is not one of those asked for') })
})
