import { expect, test } from 'vitest'
import type { Resource } from '../../../src/mesos/resource.ts'
import { until } from '../../support/until.ts'
import { normal, recording } from './recording.ts'
import { type Answer, post, type ScriptedProvider } from './scripted-provider.ts'
import { allocatedTo, hasDisk, raw, startWorld, type World } from './world.ts'

interface Recorded {
  readonly to: 'master' | 'agent1'
  readonly request: { readonly type: string }
  readonly status: number
  readonly response: string | object
}

const EXT = { name: 'ext-storage-inst1', type: 'SCALAR', scalar: { value: 10_000_000 } } as const
const FAST = raw(1_000_000_000, undefined, { profile: 'fast' })
const MOUNT: Resource = {
  ...{ name: 'disk', type: 'SCALAR', scalar: { value: 200_000_000 } },
  disk: {
    source: {
      ...{
        type: 'MOUNT',
        mount: { root: '/var/lib/mesos-test/mnt/a2' },
        vendor: 'acme',
        id: 'vol-88e2a276',
        profile: 'fast',
      },
      metadata: {
        labels: [
          { key: 'pool', value: 'pool1' },
          { key: 'wwn', value: 'naa.vol-88e2a276' },
        ],
      },
    },
  },
}

async function recordedCluster(): Promise<{ world: World; provider: ScriptedProvider }> {
  const own = (begin: number): Resource[] => [
    { name: 'cpus', type: 'SCALAR', scalar: { value: 4 } },
    { name: 'mem', type: 'SCALAR', scalar: { value: 4096 } },
    { name: 'disk', type: 'SCALAR', scalar: { value: 10_000 } },
    { name: 'ports', type: 'RANGES', ranges: { range: [{ begin, end: begin + 99 }] } },
    EXT,
  ]
  const attributes = { 'ext-storage-inst1': 'scaleio~row8~pool-hdd', rack: 'r1' }
  const world = await startWorld({ agents: [{ resources: own(31_100), attributes }, { resources: own(31_200) }] })
  const provider = await world.provider(0, { onApply: (operation, rp) => void finish(operation, rp) })
  await provider.updateState([FAST])
  const second = await world.provider(1)
  await second.updateState([FAST, MOUNT])
  await world.knows(2)
  return { world, provider }
}

async function finish(operation: ScriptedProvider['applied'][number], provider: ScriptedProvider): Promise<void> {
  await provider.end(operation, 'OPERATION_FINISHED').catch(() => {})
}

async function replay(world: World, provider: ScriptedProvider, name: string): Promise<void> {
  const text = JSON.stringify(recording(name))
    .replaceAll('4882ce88-7bc5-4e46-9efe-3845a70b8aa5', provider.id)
    .replaceAll('6c2463c9-81c8-4058-bbdf-5a6847265744-S1', world.agent(0).id)
  const { to, request, status, response } = JSON.parse(text) as Recorded
  const answer = to === 'master' ? await world.operator(request) : await post(`${world.agent().url}/api/v1`, request)
  expect({ name, ...comparable(answer) }).toEqual({ name, status, body: normal(response) })
}

function comparable({ status, body }: Answer): object {
  return { status, body: normal(body.startsWith('{') ? JSON.parse(body) : body) }
}

test('an operator is answered as recorded, from plain disk to the disk of a provider', async () => {
  const { world, provider } = await recordedCluster()
  for (const name of [
    'op-get-agents',
    'op-get-operations',
    'op-agent-get-operations',
    'op-agent-get-resource-providers',
  ]) {
    await replay(world, provider, name)
  }
  for (const what of [
    'reserve-default-disk',
    'create-volumes-default-disk',
    'destroy-volumes-default-disk',
    'unreserve-default-disk',
  ]) {
    await replay(world, provider, `op-${what}`)
  }
  await replay(world, provider, 'op-reserve-rp-raw')
  expect((await provider.waitApply('RESERVE')).framework_id).toBeUndefined()
  await replay(world, provider, 'op-create-volume-on-raw')
  await provider.waitApply('CREATE')
  await replay(world, provider, 'op-unreserve-rp-raw')
  await replay(world, provider, 'op-reserve-custom-scalar')
  await until(() => provider.events.filter(({ type }) => type === 'ACKNOWLEDGE_OPERATION_STATUS').length === 2, {
    what: 'acknowledgements',
  })
  await replay(world, provider, 'op-get-agents-after-custom-reserve')
  await replay(world, provider, 'op-unreserve-custom-scalar')
  await until(async () => !JSON.stringify(await world.ask('GET_OPERATIONS')).includes('uuid'), {
    what: 'the end of all operations',
  })
  await replay(world, provider, 'op-get-operations-after-reserve')
  await replay(world, provider, 'op-mark-rp-gone-with-resources')
  await replay(world, provider, 'op-add-rp-config-unknown-type')
  await replay(world, provider, 'op-add-rp-config-storage')
})

test('an operator takes back offers for what it wants, and is refused what tasks have', async () => {
  const world = await startWorld()
  const provider = await world.provider()
  await provider.updateState([raw(1000)])
  const framework = await world.framework()
  const offer = await framework.waitOffer(hasDisk('RAW'))
  const resources = [{ ...provider.own(raw(400, 'op')) }]
  const call = { type: 'RESERVE_RESOURCES', reserve_resources: { agent_id: { value: world.agent().id }, resources } }
  expect(await world.operator(call)).toEqual({ status: 202, body: '' })
  await until(() => !framework.offers.has(offer.id.value), { what: 'the RESCIND' })
  const again = await framework.waitOffer(hasDisk('RAW'))
  const source = allocatedTo('R', provider.own(raw(500)))
  await framework.accept(
    [again],
    [{ type: 'CREATE_DISK', id: { value: 'c1' }, create_disk: { source, target_type: 'MOUNT', target_profile: 'g' } }],
  )
  await provider.waitApply('c1')
  const { status, body } = await world.operator(call)
  expect(status).toBe(409)
  expect(body).toContain('does not contain disk[RAW]:400')
})

test('ACLs answer an operator with 403, before anything is looked up', async () => {
  const acls = {
    permissive: true,
    unreserve_resources: [{ principals: { type: 'NONE' }, reserver_principals: { values: ['ext-storage'] } }],
  }
  const world = await startWorld({ acls })
  const provider = await world.provider()
  await provider.updateState([raw(1000, 'R')])
  await world.knows(1)
  const unreserve = (resource: Resource) => {
    const body = { agent_id: { value: world.agent().id }, resources: [provider.own(resource)] }
    return world.operator({ type: 'UNRESERVE_RESOURCES', unreserve_resources: body })
  }
  expect((await unreserve(raw(999_999_999, 'R'))).status).toBe(403)
  const other: Resource = { ...raw(999_999_999), reservations: [{ type: 'DYNAMIC', role: 'R', principal: 'somebody' }] }
  expect((await unreserve(other)).status).toBe(409)
})

test('flags show ACLs as text of protobuf', async () => {
  const acls = {
    permissive: true,
    reserve_resources: [{ principals: { type: 'NONE' }, roles: { values: ['R', 'R/%'] } }],
  }
  const world = await startWorld({ acls })
  const { get_flags } = await world.ask<{ get_flags: { flags: { name: string; value: string }[] } }>('GET_FLAGS')
  const shown = get_flags.flags.find(({ name }) => name === 'acls')?.value
  expect(shown).toBe(
    'permissive: true\nreserve_resources {\n  principals {\n    type: NONE\n  }\n  roles {\n    values: "R"\n    values: "R/%"\n  }\n}\n',
  )
})

test('credentials are asked for when there are some', async () => {
  const world = await startWorld({ credentials: [{ principal: 'ops', secret: 's3' }] })
  expect((await world.operator({ type: 'GET_MASTER' })).status).toBe(401)
  const basic = { Authorization: `Basic ${Buffer.from('ops:s3').toString('base64')}` }
  expect((await world.operator({ type: 'GET_MASTER' }, basic)).status).toBe(200)
  await expect(world.framework()).rejects.toThrow('401')
  await expect(world.framework({ principal: 'else', secret: 's3' })).rejects.toThrow('401')
  await world.framework({ principal: 'ops', secret: 's3' })
})

test('a master that does not lead says who does', async () => {
  const world = await startWorld({ agents: [], leading: 'http://127.0.0.1:5050' })
  const answer = await fetch(`${world.mesos.master.url}/api/v1`, { method: 'POST', redirect: 'manual' })
  expect([answer.status, answer.headers.get('location')]).toEqual([307, '//127.0.0.1:5050/api/v1'])
})
