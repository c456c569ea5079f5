import { expect, test } from 'vitest'
import type { Resource } from '../../../src/mesos/resource.ts'
import type { Offer, OfferOperation } from '../../support/mesos/types.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { normal, recording } from './recording.ts'
import type { ScriptedProvider } from './scripted-provider.ts'
import {
  allocatedTo,
  hasAllFor,
  hasDisk,
  PRINCIPAL,
  raw,
  reservedFor,
  scalar,
  startWorld,
  task,
  volume,
  type World,
} from './world.ts'

// RAW without a profile, reserved by the provider; CREATE_DISK straight to a persistent volume.

function createDisk(id: string, source: Resource, profile?: string) {
  const wanted = profile === undefined ? {} : { target_profile: profile }
  return { type: 'CREATE_DISK', id: { value: id }, create_disk: { source, target_type: 'MOUNT', ...wanted } } as const
}

function disk(value: number, id: string, profile: string, root = '/var/lib/mesos-test/mnt/a1'): Resource {
  return { ...raw(value, 'R'), disk: { source: { type: 'MOUNT', mount: { root }, vendor: 'acme', id, profile } } }
}

function persistent(value: number, id: string, root?: string): Resource {
  const plain = disk(value, id, 'gold', root)
  const kept = {
    persistence: { id: `pv-${id}`, principal: PRINCIPAL },
    volume: { mode: 'RW', container_path: 'data' },
  } as const
  return { ...plain, disk: { ...kept, ...plain.disk } }
}

async function pool(acls?: object): Promise<{ world: World; provider: ScriptedProvider }> {
  const world = await startWorld(acls === undefined ? {} : { acls })
  const provider = await world.provider()
  await provider.updateState([raw(500, 'R')])
  await world.knows(1)
  return { world, provider }
}

test('the profile is named by the framework when the RAW has none', async () => {
  const { world, provider } = await pool()
  const framework = await world.framework()
  const offer = await framework.waitOffer(hasDisk('RAW'))
  expect(normal(offer)).toEqual(normal(recording('direct/p1-01-offer')))
  await framework.accept([offer], [createDisk('c0', provider.own(raw(10, 'R')))])
  expect(normal(await framework.operationStatus('c0'))).toEqual(normal(recording('direct/p1-02-op-no-target-profile')))
  const again = await framework.waitOffer(hasDisk('RAW'))
  const operations = [
    createDisk('c1', provider.own(raw(100, 'R')), 'gold'),
    createDisk('c2', provider.own(raw(60, 'R')), 'silver'),
  ]
  await framework.accept([again], operations)
  const first = await provider.waitApply('c1')
  const recorded = recording<{ msg: object }>('direct/p1-08-apply_operation')
  expect(normal({ type: 'APPLY_OPERATION', apply_operation: first })).toEqual(normal(recorded.msg))
  const made = [disk(100, 'vol-34508ef4', 'gold'), disk(60, 'vol-aaf1a3a7', 'silver')] as const
  await provider.end(first, 'OPERATION_FINISHED', { converted_resources: [allocatedTo('R', provider.own(made[0]))] })
  const second = await provider.waitApply('c2')
  await provider.end(second, 'OPERATION_FINISHED', { converted_resources: [allocatedTo('R', provider.own(made[1]))] })
  for (const id of ['c1', 'c2'])
    expect(normal(await framework.operationStatus(id))).toEqual(normal(recording(`direct/p1-03-op-${id}`)))
  await provider.updateState([raw(500, 'R'), ...made])
  const after = await framework.waitOffer((one) => one.resources.length === 7)
  expect(normal(after)).toEqual(normal(recording('direct/p1-04-offer-after')))
})

test('a conversion alone is enough: the disk is offered as a volume, the RAW is less', async () => {
  const { world, provider } = await pool({
    create_volumes: [{ principals: { type: 'NONE' }, roles: { values: ['R'] } }],
  })
  const framework = await world.framework()
  const offer = await framework.waitOffer(hasDisk('RAW'))
  await framework.accept([offer], [createDisk('c1', provider.own(raw(100, 'R')), 'gold')])
  const converted_resources = [allocatedTo('R', provider.own(persistent(100, 'vol-30b8d4a0')))]
  await provider.end(await provider.waitApply('c1'), 'OPERATION_FINISHED', { converted_resources })
  expect(normal(await framework.operationStatus('c1'))).toEqual(normal(recording('direct/p2-direct-01-op-c1')))
  await framework.waitOffer(hasDisk('MOUNT', 'vol-30b8d4a0'))
  const all = [...framework.offers.values()].flatMap(({ resources }) => resources)
  expect(all.find(({ disk: of }) => of?.source?.type === 'RAW')?.scalar?.value).toBe(400)
})

test('a conversion may add the reservation as well', async () => {
  const world = await startWorld()
  const provider = await world.provider()
  await provider.updateState([raw(500)])
  const framework = await world.framework()
  const offer = await framework.waitOffer(hasDisk('RAW'))
  await framework.accept([offer], [createDisk('c1', provider.own(raw(100)), 'gold')])
  const converted_resources = [allocatedTo('R', provider.own(persistent(100, 'vol-af0308a4')))]
  await provider.end(await provider.waitApply('c1'), 'OPERATION_FINISHED', { converted_resources })
  expect(normal(await framework.operationStatus('c1'))).toEqual(normal(recording('direct/p2-addres-01-op-c1')))
  await framework.waitOffer(hasDisk('MOUNT', 'vol-af0308a4'))
  for (const one of [...framework.offers.values()]) await framework.decline([one], 60)
  const { roles } = (await (await fetch(`${world.mesos.master.url}/roles`)).json()) as {
    roles: { name: string; quota: { consumed: object }; reserved: object }[]
  }
  const [role] = roles
  expect([role?.name, role?.quota.consumed, role?.reserved]).toEqual(recording('direct/p2-addres-07-roles'))
})

interface Refused {
  readonly n: string
  readonly op: Omit<OfferOperation, 'id'>
  readonly status: {
    readonly state: string
    readonly message?: string
    readonly operation_id: { readonly value: string }
  }
}

const ACL3 = {
  destroy_volumes: [{ principals: { type: 'NONE' }, creator_principals: { values: [PRINCIPAL] } }],
  unreserve_resources: [{ principals: { type: 'NONE' }, reserver_principals: { values: [PRINCIPAL] } }],
  reserve_resources: [{ principals: { type: 'NONE' }, roles: { values: ['R/%'] } }],
}
const ACL4 = { ...ACL3, create_volumes: [{ principals: { type: 'NONE' }, roles: { values: ['R'] } }] }

const SERIES = [
  { name: 'p4-ops', acls: ACL3, principal: undefined },
  { name: 'p4-acl4-ops', acls: ACL4, principal: 'acl4' },
] as const

test.for(SERIES)('what is refused in $name is refused with the same words', async ({ name, acls, principal }) => {
  const { world, provider } = await pool(acls)
  const recorded = recording<Refused[]>(`direct/${name}`)
  const text = JSON.stringify(recorded)
  // the disks of the offer, in the order in which the recorded message lists them
  const listed =
    recorded.find(({ n }) => n === 'DESTROY_DISK-pv-stripped')?.status.message?.split(' does not contain ')[0] ?? ''
  const ids = [...listed.matchAll(/MOUNT\(acme,([^,]+),(\w+)\)(,pv)?/g)]
  const disks = ids.map(([, id = '', profile = '', pv]) =>
    pv === undefined ? disk(profile === 'silver' ? 60 : 100, id, profile) : persistent(100, id),
  )
  await provider.updateState([raw(500, 'R'), ...disks])
  const framework = await world.framework(principal === undefined ? {} : { principal })
  const foreign = /"provider_id":\{"value":"([^"]+)"/.exec(text)?.[1] ?? ''
  for (const { n, op, status } of JSON.parse(text.replaceAll(foreign, provider.id)) as Refused[]) {
    const offer = await framework.waitOffer((one) => one.resources.length === disks.length + 5)
    await framework.accept([offer], [{ id: status.operation_id, ...op } as OfferOperation])
    if (n === 'CREATE-on-raw' && principal === undefined) {
      // the hole: only the provider can refuse this one
      const operation = await provider.waitApply(status.operation_id.value)
      await provider.end(operation, 'OPERATION_FAILED', { message: status.message ?? '' })
      await provider.updateState([raw(500, 'R'), ...disks])
    }
    expect([n, normal(await framework.operationStatus(status.operation_id.value))]).toEqual([n, normal(status)])
  }
  expect(provider.applied).toHaveLength(principal === undefined ? 1 : 0)
  expect(world.mesos.aborts).toEqual([])
})

test('an ACL on create_volumes stops a CREATE in the master', async () => {
  const { world, provider } = await pool(ACL4)
  const framework = await world.framework()
  const offer = await framework.waitOffer(hasDisk('RAW'))
  const kept = {
    persistence: { id: 'evil' },
    volume: { mode: 'RW', container_path: 'd' },
    source: { type: 'RAW', vendor: 'acme' },
  } as const
  const evil = { ...provider.own(raw(10, 'R')), disk: kept }
  await framework.accept([offer], [{ type: 'CREATE', id: { value: 'evil' }, create: { volumes: [evil] } }])
  const [expected = ''] = Object.keys(recording<{ res: Record<string, number> }>('direct/p6-create-acl4').res).filter(
    (key) => key.includes('CREATE_VOLUME'),
  )
  const { state, message } = await framework.operationStatus('evil')
  expect(`create ${state} ${message}`.startsWith(expected)).toBe(true)
  expect(provider.applied).toEqual([])
})

needs('root', 'unshare').describe('tasks', () => {
  test('consume a scalar of the provider beside a disk, and what is left is offered', async () => {
    const world = await startWorld()
    const provider = await world.provider()
    const bandwidth = { ...scalar('storage_bw', 1000), ...reservedFor('R') }
    const iops = { ...scalar('iops', 5000), ...reservedFor('R') }
    const kept = volume(100, 'R', 'v1', world.root(0, 'v1'))
    await provider.updateState([bandwidth, iops, kept])
    const framework = await world.framework()
    const offers = await framework.waitTogether(world.agent().id, hasAllFor('v1'))
    const some = [{ ...bandwidth, scalar: { value: 300 } }, { ...iops, scalar: { value: 700 } }, kept].map((one) =>
      provider.own(one),
    )
    const run = task('t3', world.agent().id, 'until [ -e data/stop ]; do sleep 0.02; done', some)
    await framework.accept(offers, [{ type: 'LAUNCH', launch: { task_infos: [run] } }])
    await framework.taskStatus('t3', ['TASK_RUNNING'])
    expect(provider.published[0]?.map(({ name, scalar: of }) => [name, of?.value])).toEqual([
      ['storage_bw', 300],
      ['iops', 700],
      ['disk', 100],
    ])
    const rest = await framework.waitOffer(({ resources }) => resources.some(({ name }) => name === 'storage_bw'))
    const during = recording<Offer>('direct/p3-res-03-offer-during').resources
    for (const name of ['storage_bw', 'iops']) {
      expect(normal(rest.resources.find((one) => one.name === name))).toEqual(
        normal(during.find((one) => one.name === name)),
      )
    }
    await framework.kill('t3')
    await framework.taskStatus('t3', ['TASK_KILLED'])
  })

  test('find their volume again after the death of the agent, and of the master', async () => {
    const { world, provider } = await pool()
    const root = world.root(0, 'v1')
    const kept = persistent(100, 'v1', root)
    await provider.updateState([raw(400, 'R'), kept])
    const framework = await world.framework()
    const run = async (from: typeof framework, id: string, command: string, rp: ScriptedProvider) => {
      const offers = await from.waitTogether(world.agent().id, hasAllFor('v1'))
      const info = task(id, world.agent().id, command, [rp.own(kept)])
      await from.accept(offers, [{ type: 'LAUNCH', launch: { task_infos: [info] } }])
      return (await from.taskStatus(id, ['TASK_FINISHED', 'TASK_FAILED', 'TASK_ERROR', 'TASK_DROPPED', 'TASK_LOST']))
        .state
    }
    expect(await run(framework, 't1', 'echo old > data/file', provider)).toBe('TASK_FINISHED')
    const agentId = world.agent().id
    await world.agent().restart()
    await until(() => world.agent().state.phase === 'running', { what: 'recovery' })
    const again = await world.provider(0, { id: provider.id })
    await again.updateState([raw(400, 'R'), kept])
    expect(await run(framework, 't2', 'grep old data/file', again)).toBe('TASK_FINISHED')
    const masterId = world.mesos.master.id
    await world.mesos.master.restart()
    expect(world.mesos.master.id).not.toBe(masterId)
    await world.knows(1)
    expect(again.ended).toBe(false)
    const later = await world.framework({ frameworkId: framework.id })
    expect(await run(later, 't3', 'grep old data/file', again)).toBe('TASK_FINISHED')
    expect(world.agent().id).toBe(agentId)
    expect(world.mesos.aborts).toEqual([])
  })
})

test('teardown while a slow CREATE_DISK is on its way ends with the master acknowledging', async () => {
  for (let round = 0; round < 3; round++) {
    const { world, provider } = await pool()
    const framework = await world.framework({ failoverTimeout: 0 })
    const offer = await framework.waitOffer(hasDisk('RAW'))
    await framework.accept([offer], [createDisk('c1', provider.own(raw(100, 'R')), 'gold')])
    const operation = await provider.waitApply('c1')
    await framework.teardown()
    const converted_resources = [allocatedTo('R', provider.own(persistent(100, 'v1')))]
    await provider.end(operation, 'OPERATION_FINISHED', { converted_resources })
    await until(() => provider.events.some(({ type }) => type === 'ACKNOWLEDGE_OPERATION_STATUS'), {
      what: 'the acknowledgement',
    })
    const next = await world.framework()
    await next.waitOffer(hasDisk('MOUNT', 'v1'))
    const rest = [...next.offers.values()]
      .flatMap(({ resources }) => resources)
      .find(({ disk: of }) => of?.source?.type === 'RAW')
    expect(rest?.scalar?.value).toBe(400)
    expect(world.mesos.aborts).toEqual([])
  }
})
