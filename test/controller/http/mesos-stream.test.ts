import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { projectPool } from '../../../src/controller/mesos/project.ts'
import type { Command } from '../../../src/ledger/commands.ts'
import type { Projection, ProjectionLine } from '../../../src/mesos/projection.ts'
import type { NodeClient } from '../../support/node-client.ts'
import { until } from '../../support/until.ts'
import { ProviderClient, sorted } from './provider-client.ts'
import { type Rest, testRest } from './rest.ts'

const POOL = 'scaleio~row8~pool-hdd'

async function submit(rest: Rest, command: Command): Promise<void> {
  await rest.controller.engine.submit({ actor: 'test', command })
}

/** Two nodes with an agent each, and a pool of 10,000 MiB that both reach. */
async function world(rest: Rest, mesos: object = {}) {
  const first = await rest.node('node-1')
  const second = await rest.node('node-2')
  const pool = await rest.pool(POOL, first, { capacityMiB: 10_000, mesos: { roles: ['ads'], ...mesos } })
  await until(() => second.find(pool.id), { what: 'the second node to reach the pool' })
  await rest.ask('PUT', '/v1/profiles/p', {})
  await submit(rest, { kind: 'guard.set', state: 'verified', why: [] })
  const [one, two] = [new ProviderClient(rest, first), new ProviderClient(rest, second)]
  await one.ask('PUT', `providers/${pool.id}`, { agentId: 'agent-1', providerId: 'provider-1' })
  await two.ask('PUT', `providers/${pool.id}`, { agentId: 'agent-2', providerId: 'provider-2' })
  await Promise.all([one.start(), two.start()])
  return { poolId: pool.id, nodes: [first, second] as const, one, two }
}

/** Until a stream has told all that is true. */
async function current(rest: Rest, client: ProviderClient, node: NodeClient, poolId: string): Promise<Projection> {
  const truth = () => rest.controller.engine.read((state) => projectPool(state, node.nodeId, poolId, 'holdfast'))
  await until(
    async () => {
      const [told, is] = [sorted(client.pools.get(poolId)), await truth()]
      return JSON.stringify(ordered(told)) === JSON.stringify(ordered(is)) ? true : undefined
    },
    { what: 'the stream to tell the truth' },
  )
  return client.pools.get(poolId) as Projection
}

function ordered(projection: Projection | undefined): unknown {
  return projection && Object.fromEntries(Object.entries(projection).sort(([a], [b]) => (a < b ? -1 : 1)))
}

const disk = (poolId: string, sizeMiB: number) => ({
  operation: randomUUID(),
  poolId,
  role: 'ads',
  reservations: [{ type: 'DYNAMIC', role: 'ads', principal: 'holdfast' }],
  sizeMiB,
  profile: 'p',
  target: 'MOUNT',
})

const kinds = (lines: readonly ProjectionLine[]) => lines.map(({ kind }) => kind)

it('begins with everything that is true, and says when that is all', async () => {
  const rest = await testRest()
  const { one, poolId } = await world(rest)
  expect(kinds(one.lines)).toEqual(['pool', 'complete'])
  expect(one.lines[1]).toMatchObject({ node: 'node-1' })
  expect(one.providerIds.get(poolId)).toBe('provider-1')
  expect(one.pools.get(poolId)).toEqual({
    poolId,
    pool: POOL,
    vendor: 'scaleio',
    metadata: {
      labels: [
        { key: 'instance', value: 'row8' },
        { key: 'pool', value: 'pool-hdd' },
      ],
    },
    principal: 'holdfast',
    guarded: true,
    shrink: 'prompt',
    block: false,
    raw: [{ reservations: [{ type: 'DYNAMIC', role: 'ads', principal: 'holdfast' }], sizeMiB: 10_000 }],
    disks: [],
  })
})

it('tells every node at once of what one has taken, with what differs alone', async () => {
  const rest = await testRest()
  const { one, two, nodes, poolId } = await world(rest)
  const { volumeId } = (await one.ask('POST', 'disks', disk(poolId, 7500))).body
  await until(() => two.pools.get(poolId)?.raw[0]?.sizeMiB === 2500, { what: 'the other node to be told' })
  await current(rest, one, nodes[0], poolId)
  const { disks } = await current(rest, two, nodes[1], poolId)
  expect(disks).toMatchObject([{ volumeId, sizeMiB: 7500, usedHere: false, persistence: { id: volumeId } }])
  expect(kinds(two.lines.slice(2))).toEqual(['raw', 'disks'])
})

it('shows a claimed volume to its node alone, and to all again when it is free', async () => {
  const rest = await testRest()
  const { one, two, nodes, poolId } = await world(rest)
  const { volumeId } = (await one.ask('POST', 'disks', disk(poolId, 10))).body
  await one.ask('GET', `disks/${volumeId}?wait=25`)
  await current(rest, two, nodes[1], poolId)
  const user = { door: 'mesos', id: 'agent-1' }
  await nodes[0].call('claim', { volume: volumeId, user, mode: 'rw' })
  expect((await current(rest, one, nodes[0], poolId)).disks).toMatchObject([{ volumeId, usedHere: true }])
  expect((await current(rest, two, nodes[1], poolId)).disks).toEqual([])
  await nodes[0].call('release', { volumeId, user })
  expect((await current(rest, one, nodes[0], poolId)).disks).toMatchObject([{ volumeId, usedHere: false }])
  expect((await current(rest, two, nodes[1], poolId)).disks).toMatchObject([{ volumeId, usedHere: false }])
  // of another door it is nobody's disk
  await nodes[0].call('claim', { volume: volumeId, user: { door: 'docker', id: 'c' }, mode: 'rw' })
  expect((await current(rest, one, nodes[0], poolId)).disks).toEqual([])
})

it('tells of holds, quotas, profiles, the guard and the settings of the pool', async () => {
  const rest = await testRest()
  const { one, nodes, poolId } = await world(rest)
  const now = () => current(rest, one, nodes[0], poolId)
  const raw = async () => (await now()).raw.map((each) => each.sizeMiB)
  await rest.ask('POST', '/v1/holds', { pool: POOL, role: 'ops', sizeMiB: 3000 })
  expect(await raw()).toEqual([7000])
  await rest.ask('PUT', '/v1/roles/ads', { quota: { sizeMiB: 500 } })
  expect(await raw()).toEqual([500])
  await rest.ask('POST', '/v1/volumes?wait=20', { name: 'by-hand', sizeMiB: 100, role: 'ads/web' })
  expect(await raw()).toEqual([400])
  await rest.ask('DELETE', '/v1/profiles/p')
  expect(await raw()).toEqual([0])
  await rest.ask('PUT', '/v1/profiles/q', { fs: 'xfs' })
  await rest.ask('PATCH', `/v1/pools/${POOL}`, { mesos: { roles: ['ads', 'ops'], spread: 1 } })
  expect(await raw()).toEqual([400, 10_000 - 3000 - 100 + 3000])
  await submit(rest, { kind: 'guard.set', state: 'absent', why: ['no ACLs'] })
  const open = await now()
  expect(open).toMatchObject({ guarded: false, shrink: 'never', raw: [{ reservations: [], sizeMiB: 6900 }] })
  await rest.ask('PATCH', `/v1/pools/${POOL}`, { mesos: null })
  await until(() => one.lines.at(-1)?.kind === 'gone', { what: 'the pool to be gone' })
  await rest.ask('PATCH', `/v1/pools/${POOL}`, { mesos: { roles: ['ops'] } })
  expect((await now()).raw).toHaveLength(1)
})

it('tells of the reach of its own node, its cordon, and the bandwidth that is left', async () => {
  const rest = await testRest()
  const { one, two, nodes, poolId } = await world(rest, { bandwidth: true })
  const other = await rest.pool('loop~two~b', nodes[0], { mesos: { roles: ['ads'] } })
  await current(rest, one, nodes[0], other.id)
  expect(two.pools.has(other.id)).toBe(false)
  await rest.ask('PATCH', '/v1/nodes/node-1', { bandwidth: 100 })
  expect((await current(rest, one, nodes[0], poolId)).bandwidth).toBe(100)
  expect((await one.ask('PUT', `providers/${poolId}/bandwidth`, { bandwidth: 70 })).body.bandwidth).toBe(70)
  const over = await one.ask('PUT', `providers/${other.id}/bandwidth`, { bandwidth: 31 })
  expect([over.status, over.body.code]).toEqual([409, 'node_full'])
  expect((await one.ask('PUT', `providers/${other.id}/bandwidth`, { bandwidth: 30 })).status).toBe(200)
  // what the tasks of this very pool have taken is theirs
  expect((await current(rest, one, nodes[0], poolId)).bandwidth).toBe(70)
  await rest.ask('PATCH', '/v1/nodes/node-1', { cordoned: true })
  expect((await current(rest, one, nodes[0], poolId)).raw[0]?.sizeMiB).toBe(0)
  expect((await current(rest, two, nodes[1], poolId)).raw[0]?.sizeMiB).toBe(10_000)
  await rest.ask('PATCH', '/v1/nodes/node-1', { cordoned: false })
  expect((await current(rest, one, nodes[0], poolId)).raw[0]?.sizeMiB).toBe(10_000)
})

it('tells together what changes within a moment, and ends with the last of it', async () => {
  const rest = await testRest()
  const { one, two, nodes, poolId } = await world(rest)
  const before = two.lines.length
  for (let index = 0; index < 40; index += 1) {
    await rest.ask('POST', '/v1/holds', { pool: POOL, role: 'ops', sizeMiB: 10 })
  }
  expect((await current(rest, two, nodes[1], poolId)).raw[0]?.sizeMiB).toBe(9600)
  await current(rest, one, nodes[0], poolId)
  const lines = two.lines.slice(before)
  expect(new Set(kinds(lines))).toEqual(new Set(['raw']))
  expect(lines.length).toBeLessThan(30)
  const revisions = two.lines.map(({ revision }) => revision)
  expect(revisions).toEqual([...revisions].sort((a, b) => a - b))
})

it('ends the stream that was there when a node connects anew, and all of them when the controller steps down', async () => {
  let broken = false
  const rest = await testRest((store) => ({
    campaign: () => store.campaign(),
    load: (onRecord) => store.load(onRecord),
    events: (after, limit) => store.events(after, limit),
    confirm: () => store.confirm(),
    trimEvents: (through) => store.trimEvents(through),
    close: () => store.close(),
    commit: (batch) => (broken ? Promise.reject(new Error('the disk is gone')) : store.commit(batch)),
  }))
  const { one, nodes, poolId } = await world(rest)
  const again = await new ProviderClient(rest, nodes[0]).start()
  await until(() => one.ended, { what: 'the first stream to end' })
  expect(again.ended).toBe(false)
  broken = true
  await rest.ask('PUT', '/v1/roles/ads', { quota: { sizeMiB: 5 } })
  await until(() => again.ended, { what: 'the streams to end' })
  broken = false
  const back = await until(() => new ProviderClient(rest, nodes[0]).start().catch(() => undefined), {
    what: 'the controller to lead again',
  })
  // what was never durable was never told
  expect(back.pools.get(poolId)?.raw[0]?.sizeMiB).toBe(10_000)
  expect(back.providerIds.get(poolId)).toBe('provider-1')
})
