import { expect, test } from 'vitest'
import type { Resource } from '../../../src/mesos/resource.ts'
import type { Offer, OfferOperation } from '../../support/mesos/types.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { normal, recording } from './recording.ts'
import { allocatedTo, amount, hasDisk, raw, scalar, startWorld, task, type World } from './world.ts'

const ROLE = 'storage-role'
const EXT = scalar('ext-storage-inst1', 10_000_000)

function own(begin: number): Resource[] {
  const ports: Resource = { name: 'ports', type: 'RANGES', ranges: { range: [{ begin, end: begin + 99 }] } }
  return [scalar('cpus', 4), scalar('mem', 4096), scalar('disk', 10_000), ports, EXT]
}

test.for([
  'UPDATE_STATE',
  'UPDATE_STATE-with-operations',
  'UPDATE_OPERATION_STATUS-OPERATION_FINISHED',
  'UPDATE_OPERATION_STATUS-OPERATION_FAILED',
  'UPDATE_OPERATION_STATUS-OPERATION_DROPPED',
  'UPDATE_PUBLISH_RESOURCES_STATUS',
])('the call %s of a recorded provider is taken', async (name) => {
  const world = await startWorld()
  const provider = await world.provider()
  const text = JSON.stringify(recording(`wire/rp-CALL-${name}`))
  const call = JSON.parse(text.replaceAll('4882ce88-7bc5-4e46-9efe-3845a70b8aa5', provider.id)) as object
  expect(await provider.call(call)).toEqual({ status: 202, body: '' })
})

const labels = {
  labels: [
    { key: 'volume', value: 'vol42' },
    { key: 'pool', value: 'pool-hdd' },
  ],
}

test('a scalar of the agent that stands for storage can be reserved, and nothing more', async () => {
  const world = await startWorld({ agents: [{ resources: own(31_200), hostname: 'a2' }] })
  const framework = await world.framework({ name: 'spike', roles: [ROLE], principal: 'spike' })
  const has = ({ resources }: Offer) => resources.some(({ name }) => name === EXT.name)
  const reserved: Resource = {
    ...amount(EXT, 2000),
    reservations: [{ type: 'DYNAMIC', role: ROLE, principal: 'spike', labels }],
  }
  const operations: readonly [string, Omit<OfferOperation, 'id'>][] = [
    ['reserve', { type: 'RESERVE', reserve: { resources: [reserved] } }],
    ['re-reserve', { type: 'RESERVE', reserve: { source: [reserved], resources: [reserved] } }],
    [
      'create-invalid',
      {
        type: 'CREATE',
        create: {
          volumes: [
            {
              ...reserved,
              disk: { persistence: { id: 'zz', principal: 'spike' }, volume: { mode: 'RW', container_path: 'd' } },
            },
          ],
        },
      },
    ],
    ['unreserve', { type: 'UNRESERVE', unreserve: { resources: [reserved] } }],
  ]
  for (const [name, operation] of operations) {
    const recorded = recording<{ operation_id: { value: string } }>(`scalar-op-${name}`)
    const offer = await framework.waitOffer(
      (one) => has(one) && (name === 'reserve' || one.resources.some(({ reservations }) => reservations !== undefined)),
    )
    await framework.accept([offer], [{ id: recorded.operation_id, ...operation }])
    expect([name, normal(await framework.operationStatus(recorded.operation_id.value))]).toEqual([
      name,
      normal(recorded),
    ])
    if (name !== 'reserve') continue
    const after = await framework.waitOffer((one) =>
      one.resources.some(({ reservations }) => reservations !== undefined),
    )
    const [expected] = recording<Offer>('scalar-offer-after-reserve').resources
    expect(normal(after.resources.find(({ reservations }) => reservations !== undefined))).toEqual(normal(expected))
  }
})

test('RAW that the provider has reserved needs CREATE_DISK alone, beside another provider', async () => {
  const world = await startWorld({ agents: [{ resources: own(31_200), hostname: 'a2' }] })
  const other = await world.provider(0, { name: 'rp2' })
  const mount = {
    type: 'MOUNT',
    mount: { root: '/var/lib/mesos-test/mnt/a2' },
    vendor: 'acme',
    id: 'vol-88e2a276',
    profile: 'fast',
  } as const
  const metadata = (id: string) => ({
    labels: [
      { key: 'pool', value: 'pool1' },
      { key: 'wwn', value: `naa.${id}` },
    ],
  })
  const fast = raw(1_000_000_000, undefined, { profile: 'fast' })
  const made: Resource = { ...raw(200_000_000), disk: { source: { ...mount, metadata: metadata('vol-88e2a276') } } }
  await other.updateState([fast, made])
  const provider = await world.provider(0, { name: 'presv' })
  const pool: Resource = {
    ...raw(1_000_000_000, undefined, { profile: 'presv' }),
    reservations: [{ type: 'DYNAMIC', role: ROLE }],
  }
  await provider.updateState([pool])
  await world.knows(2)
  const framework = await world.framework({ roles: [ROLE] })
  const offer = await framework.waitOffer((one) => one.resources.length === 8)
  expect(normal(offer)).toEqual(normal(recording('edge-presv-offer')))
  const source = allocatedTo(ROLE, provider.own(amount(pool, 5000)))
  await framework.accept(
    [offer],
    [{ type: 'CREATE_DISK', id: { value: 'p-cd' }, create_disk: { source, target_type: 'MOUNT' } }],
  )
  const operation = await provider.waitApply('p-cd')
  const id = 'vol-7f0a8775'
  const disk = {
    source: { ...mount, mount: { root: '/var/lib/mesos-test/mnt/a2b' }, id, profile: 'presv', metadata: metadata(id) },
  }
  await provider.end(operation, 'OPERATION_FINISHED', { converted_resources: [{ ...source, disk }] })
  expect(normal(await framework.operationStatus('p-cd'))).toEqual(normal(recording('edge-presv-create-disk-status')))
  await until(() => resourcesOf([...framework.offers.values()]).length === 9, { what: 'the disk among the offers' })
  const all = resourcesOf([...framework.offers.values()])
  expect(normal(all)).toEqual(normal(recording<Offer>('edge-presv-offer2').resources))
})

function resourcesOf(offers: readonly Offer[]): Resource[] {
  return offers.flatMap(({ resources }) => resources)
}

test('two providers of one agent and a role of each kind are offered as recorded', async () => {
  const world = await startWorld({ agents: [{}, {}] })
  const block = raw(100, 'A', { type: 'BLOCK', id: 'vol-13cdf5cc', profile: 'fast' })
  const pools = [raw(400, 'A', { profile: 'fast' }), raw(400, 'B', { profile: 'fast' })]
  const rp1 = await world.provider(0)
  await rp1.updateState([...pools, block])
  const rp3 = await world.provider(0, { name: 'rp3' })
  await rp3.updateState([raw(300, 'A', { profile: 'slow' })])
  const rp2 = await world.provider(1)
  await rp2.updateState(pools)
  await world.knows(3)
  const a = await world.framework({ roles: ['A'] })
  await until(() => a.offers.size === 2, { what: 'offers for A' })
  const b = await world.framework({ roles: ['B'] })
  await until(() => b.offers.size === 2, { what: 'offers for B' })
  const recorded = recording<{ A: Offer[]; B: Offer[] }>('moving/q6-offers-initial')
  expect(normal([...a.offers.values()])).toEqual(normal(recorded.A))
  expect(normal([...b.offers.values()])).toEqual(normal(recorded.B))
})

interface AgentsAnswer {
  readonly get_agents: {
    readonly agents: readonly (Record<string, unknown> & { readonly agent_info: { readonly hostname: string } })[]
  }
}

function first({ get_agents }: AgentsAnswer): unknown {
  const agent = get_agents.agents.find(({ agent_info }) => agent_info.hostname === 'a1')
  return normal({ ...agent, reregistered_time: undefined })
}

needs('root', 'unshare').describe('with a task on a volume GET_AGENTS', () => {
  test('shows what was recorded while the provider is away, and when it is back', async () => {
    const attributes = { 'ext-storage-inst1': 'scaleio~row8~pool-hdd', rack: 'r1' }
    const world = await startWorld({ agents: [{ resources: own(31_100), attributes }] })
    const disks = recordedDisks(world)
    world.root(0, 'vol-793b7b78')
    const provider = await world.provider()
    await provider.updateState(disks)
    const framework = await world.framework({ roles: [ROLE] })
    const offers = await framework.waitTogether(world.agent().id, (resources) => resources.length === 8)
    const used = disks.filter(({ disk }) => disk?.persistence !== undefined).map((one) => provider.own(one))
    const run = task('long', world.agent().id, 'until [ -e data/stop ]; do sleep 0.02; done', used)
    await framework.accept(offers, [{ type: 'LAUNCH', launch: { task_infos: [run] } }])
    await framework.taskStatus('long', ['TASK_RUNNING'])
    // as recorded an offer was in flight: what the provider had stays on offer when it is gone, see abort 6
    const { links } = world.mesos
    links.hold('allocator->master')
    for (const offer of [...framework.offers.values()]) await framework.decline([offer], 0)
    await framework.revive()
    await until(() => links.waiting('allocator->master') > 0, { what: 'offers in flight' })
    provider.close()
    await world.knows(0)
    links.release('allocator->master')
    const shows = (name: string) => async () => {
      const answer = await world.ask<AgentsAnswer>('GET_AGENTS')
      const here = JSON.parse(JSON.stringify(answer).replaceAll(world.dir, '/var/lib/mesos-test')) as AgentsAnswer
      expect(first(here)).toEqual(first(recording(name)))
      return true
    }
    await until(shows('edge-rpdown-get-agents-during'), { what: 'the recorded answer' })
    const again = await world.provider(0, { id: provider.id })
    await again.updateState(disks)
    await framework.waitOffer(hasDisk('MOUNT', 'vol-ed9ed06b'))
    await until(shows('edge-rpdown-get-agents-after'), { what: 'the recorded answer' })
  })
})

/** The provider's totals as the recording has them, with the mount root of this test. */
function recordedDisks(world: World): Resource[] {
  const text = JSON.stringify(recording('edge-rpdown-get-agents-after')).replaceAll('/var/lib/mesos-test', world.dir)
  const answer = JSON.parse(text) as {
    get_agents: {
      agents: { agent_info: { hostname: string }; resource_providers: { total_resources: Resource[] }[] }[]
    }
  }
  const agent = answer.get_agents.agents.find(({ agent_info }) => agent_info.hostname === 'a1')
  return (agent?.resource_providers[0]?.total_resources ?? []).map(({ provider_id: _id, ...rest }) => rest)
}
