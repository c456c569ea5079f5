import { expect, test } from 'vitest'
import type { Abort } from '../../support/mesos/cluster.ts'
import type { TestFramework } from '../../support/mesos/framework.ts'
import { uuidBytes } from '../../support/mesos/ids.ts'
import { until } from '../../support/until.ts'
import type { ScriptedProvider } from './scripted-provider.ts'
import {
  allocatedTo,
  amount,
  bare,
  hasAllFor,
  hasDisk,
  raw,
  reservedFor,
  startWorld,
  task,
  volume,
  type World,
} from './world.ts'

// Each test brings about one CHECK of Mesos on purpose, by holding the message that the race would be lost to.

async function died(world: World): Promise<Abort> {
  const abort = await until(() => world.mesos.aborts[0], { what: 'an abort' })
  expect(world.mesos.aborts).toHaveLength(1)
  return abort
}

function createDisk(id: string, source: ReturnType<typeof raw>, type: 'MOUNT' | 'BLOCK' = 'MOUNT') {
  return {
    type: 'CREATE_DISK',
    id: { value: id },
    create_disk: { source, target_type: type, target_profile: 'gold' },
  } as const
}

async function rawWorld(): Promise<{ world: World; provider: ScriptedProvider; framework: TestFramework }> {
  const world = await startWorld()
  const provider = await world.provider()
  const framework = await world.framework()
  await provider.updateState([raw(1000, 'R')])
  return { world, provider, framework }
}

test('1: a RESERVE arrives at an agent whose provider has just shrunk', async () => {
  const world = await startWorld()
  const provider = await world.provider()
  const framework = await world.framework()
  await provider.updateState([raw(1000)])
  const offer = await framework.waitOffer(hasDisk('RAW'))
  world.mesos.links.hold('agent->master', world.agent().id)
  await provider.updateState([raw(100)])
  await until(() => world.mesos.links.waiting('agent->master', world.agent().id) > 0, {
    what: 'the new state on its way',
  })
  const resources = [allocatedTo('R', { ...provider.own(raw(500)), reservations: [{ type: 'DYNAMIC', role: 'R' }] })]
  await framework.accept([offer], [{ type: 'RESERVE', id: { value: 'r1' }, reserve: { resources } }])
  expect(await died(world)).toMatchObject({ who: 'a1', number: 1, site: 'slave.cpp:9382' })
  expect(world.mesos.aborts[0]?.cause).toContain('RESERVE r1')
  expect(world.agent().alive).toBe(false)
  await expect(world.ask('GET_AGENT', world.agent().url)).rejects.toThrow()
  await world.agent().restart()
  expect(world.agent().alive).toBe(true)
})

test.for(['DESTROY', 'RESERVE'] as const)('1: a %s of a volume that is being withdrawn', async (type) => {
  const world = await startWorld()
  const provider = await world.provider()
  const role = type === 'RESERVE' ? 'R/x' : 'R'
  const framework = await world.framework({ roles: [role] })
  const kept = volume(200, 'R', 'V', world.root())
  await provider.updateState([kept])
  const offer = await framework.waitOffer(hasDisk('MOUNT'))
  world.mesos.links.hold('agent->master', world.agent().id)
  await provider.updateState([])
  await until(() => world.mesos.links.waiting('agent->master', world.agent().id) > 0, {
    what: 'the withdrawal on its way',
  })
  const mine = allocatedTo(role, provider.own(kept))
  const refined = { ...mine, reservations: [...(kept.reservations ?? []), { type: 'DYNAMIC', role: 'R/x' } as const] }
  const body = type === 'DESTROY' ? { destroy: { volumes: [mine] } } : { reserve: { resources: [refined] } }
  await framework.accept([offer], [{ type, id: { value: 'o1' }, ...body }])
  expect(await died(world)).toMatchObject({ who: 'a1', number: 1 })
})

test('2: an operation is FINISHED after the totals have lost what it takes', async () => {
  const { world, provider, framework } = await rawWorld()
  const offer = await framework.waitOffer(hasDisk('RAW'))
  await framework.accept([offer], [createDisk('c1', provider.own(raw(500, 'R')))])
  const operation = await provider.waitApply('c1')
  const pending = {
    ...(operation.framework_id === undefined ? {} : { framework_id: operation.framework_id }),
    agent_id: { value: world.agent().id },
    info: operation.info,
    latest_status: { state: 'OPERATION_PENDING' },
    uuid: operation.operation_uuid,
  } as const
  await provider.updateState([raw(100, 'R')], [pending])
  await provider.end(operation, 'OPERATION_FINISHED', { converted_resources: [] })
  expect(await died(world)).toMatchObject({ who: 'a1', number: 2, site: 'slave.cpp:9382' })
})

test('3: a second stream is opened under an id whose first one is still open', async () => {
  const { world, provider } = await rawWorld()
  const second = await world.provider(0, { id: provider.id })
  await until(() => provider.ended, { what: 'the first stream to end' })
  expect(world.mesos.aborts).toEqual([])
  await second.updateState([raw(1000, 'R')])
  expect(await died(world)).toMatchObject({ who: 'a1', number: 3, site: 'slave.cpp:8777' })
})

test('4: an acknowledgement arrives after the stream of its provider has closed', async () => {
  const { world, provider, framework } = await rawWorld()
  framework.acknowledgesOperations = false
  const offer = await framework.waitOffer(hasDisk('RAW'))
  await framework.accept([offer], [createDisk('c1', provider.own(raw(500, 'R')))])
  await provider.end(await provider.waitApply('c1'), 'OPERATION_FAILED', { message: 'no' })
  const status = await framework.operationStatus('c1')
  world.mesos.links.hold('agent->master', world.agent().id)
  provider.close()
  await until(() => world.agent().state.providers.size === 0, { what: 'the agent to see the end' })
  framework.acknowledgeOperation(status)
  expect(await died(world)).toMatchObject({ who: 'a1', number: 4, site: 'slave.cpp:9273' })
})

test('5: a framework is torn down whose operation was reported without agent_id', async () => {
  const { world, provider, framework } = await rawWorld()
  const offer = await framework.waitOffer(hasDisk('RAW'))
  await framework.accept([offer], [createDisk('c1', provider.own(raw(500, 'R')))])
  const { info, operation_uuid, framework_id } = await provider.waitApply('c1')
  provider.close()
  await until(() => world.mesos.master.state.agents.get(world.agent().id)?.providers.size === 0, {
    what: 'the master to forget',
  })
  const again = await world.provider(0, { id: provider.id })
  const id = framework_id === undefined ? {} : { framework_id }
  await again.updateState(
    [raw(1000, 'R')],
    [{ ...id, info, latest_status: { state: 'OPERATION_PENDING' }, uuid: operation_uuid }],
  )
  await until(() => world.mesos.master.state.frameworks.get(framework.id)?.operations.size === 1, {
    what: 'the master to learn of it',
  })
  await framework.call({ type: 'TEARDOWN' }).catch(() => {})
  expect(await died(world)).toMatchObject({ who: 'master', number: 5, site: 'master.cpp:10520' })
})

async function offerInFlight(world: World, framework: TestFramework, change: () => Promise<unknown>): Promise<void> {
  const { links } = world.mesos
  for (const offer of [...framework.offers.values()]) await framework.decline([offer], 0)
  links.hold('allocator->master')
  await framework.revive()
  await until(() => links.waiting('allocator->master') > 0, { what: 'offers in flight' })
  framework.offers.clear()
  await change()
  links.release('allocator->master')
}

test('6: a CREATE_DISK on an offer that was in flight when its provider went away', async () => {
  const { world, provider, framework } = await rawWorld()
  await framework.waitOffer(hasDisk('RAW'))
  await offerInFlight(world, framework, async () => {
    provider.close()
    await until(() => world.mesos.master.state.agents.get(world.agent().id)?.providers.size === 0, {
      what: 'the master to forget',
    })
  })
  const stale = await framework.waitOffer(hasDisk('RAW'))
  await framework.accept([stale], [createDisk('c1', provider.own(raw(500, 'R')))]).catch(() => {})
  expect(await died(world)).toMatchObject({ who: 'master', number: 6, site: 'master.cpp:11714' })
  expect(world.mesos.aborts[0]?.message).toContain(`Resource provider ${provider.id} is unknown`)
})

test('7: a framework is torn down whose pending operation takes more than the provider still has', async () => {
  const { world, provider, framework } = await rawWorld()
  const offer = await framework.waitOffer(hasDisk('RAW'))
  world.mesos.links.hold('master->agent', world.agent().id)
  await framework.accept([offer], [createDisk('c1', provider.own(raw(500, 'R')))])
  await provider.updateState([raw(50, 'R')])
  const held = () =>
    world.mesos.master.state.agents.get(world.agent().id)?.total.find(({ disk }) => disk?.source?.type === 'RAW')
  await until(() => held()?.scalar?.value === 50, { what: 'the master to see the shrink' })
  expect(provider.applied).toEqual([])
  await framework.call({ type: 'TEARDOWN' }).catch(() => {})
  expect(await died(world)).toMatchObject({ who: 'master', number: 7, site: 'master.cpp:12854' })
})

test('8: a provider reports a pending operation that the master never sent', async () => {
  const { world, provider, framework } = await rawWorld()
  await framework.waitOffer(hasDisk('RAW'))
  const info = createDisk('made-up', provider.own(raw(10, 'R')))
  const operation = {
    agent_id: { value: world.agent().id },
    info,
    latest_status: { state: 'OPERATION_PENDING' },
    uuid: { value: uuidBytes() },
  } as const
  await provider.updateState([raw(1000, 'R')], [operation])
  expect(await died(world)).toMatchObject({ who: 'master', number: 8, source: true })
})

test('9: a task is launched on a persistent volume on a BLOCK disk', async () => {
  const world = await startWorld()
  const provider = await world.provider()
  const framework = await world.framework()
  const block = { ...raw(100, 'R', { type: 'BLOCK', id: 'b1', profile: 'fast' }) }
  await provider.updateState([block])
  const offers = await framework.waitTogether(world.agent().id, hasAllFor('b1'))
  const made = allocatedTo(
    'R',
    provider.own({
      ...block,
      disk: { ...block.disk, persistence: { id: 'pvb' }, volume: { mode: 'RW', container_path: 'blk' } },
    }),
  )
  const run = task('t1', world.agent().id, 'true', [made])
  await framework.accept(offers, [
    { type: 'CREATE', id: { value: 'crb' }, create: { volumes: [made] } },
    { type: 'LAUNCH', launch: { task_infos: [run] } },
  ])
  expect(await died(world)).toMatchObject({ who: 'a1', number: 9, site: 'paths.cpp:799' })
})

test('10: an operation arrives at an agent whose provider has just gone', async () => {
  const { world, provider, framework } = await rawWorld()
  const offer = await framework.waitOffer(hasDisk('RAW'))
  world.mesos.links.hold('agent->master', world.agent().id)
  provider.close()
  await until(() => world.agent().state.providers.size === 0, { what: 'the agent to see the end' })
  await framework.accept([offer], [createDisk('c1', provider.own(raw(500, 'R')))])
  expect(await died(world)).toMatchObject({ who: 'a1', number: 10, source: true })
})

test('11: a speculative operation on an offer that was in flight when its volume was withdrawn', async () => {
  const world = await startWorld()
  const provider = await world.provider()
  const framework = await world.framework()
  const kept = volume(200, 'R', 'V', world.root())
  await provider.updateState([kept])
  await framework.waitOffer(hasDisk('MOUNT'))
  await offerInFlight(world, framework, async () => {
    await provider.updateState([])
    await until(() => !JSON.stringify(world.mesos.master.state.agents.get(world.agent().id)?.total).includes('"V"'), {
      what: 'the withdrawal',
    })
  })
  const stale = await framework.waitOffer(hasDisk('MOUNT'))
  const volumes = [allocatedTo('R', provider.own(kept))]
  await framework.accept([stale], [{ type: 'DESTROY', id: { value: 'd1' }, destroy: { volumes } }]).catch(() => {})
  expect(await died(world)).toMatchObject({ who: 'master', number: 11, source: true })
})

test('without hazards the same race leaves everybody alive', async () => {
  const world = await startWorld({ hazards: false })
  const provider = await world.provider()
  const framework = await world.framework()
  await provider.updateState([raw(1000)])
  const offer = await framework.waitOffer(hasDisk('RAW'))
  world.mesos.links.hold('agent->master', world.agent().id)
  await provider.updateState([raw(100)])
  const resources = [allocatedTo('R', { ...provider.own(amount(bare(raw(500)), 500)), ...reservedFor('R') })]
  await framework.accept([offer], [{ type: 'RESERVE', id: { value: 'r1' }, reserve: { resources } }])
  await provider.waitApply('r1')
  expect(world.mesos.aborts).toEqual([])
  expect(world.agent().alive).toBe(true)
})
