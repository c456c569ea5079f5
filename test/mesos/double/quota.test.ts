import { expect, test } from 'vitest'
import type { Resource } from '../../../src/mesos/resource.ts'
import type { Offer } from '../../support/mesos/types.ts'
import { until } from '../../support/until.ts'
import { normal, recording } from './recording.ts'
import { allocatedTo, hasDisk, raw, startWorld, volume, type World } from './world.ts'

async function idleVolumes(both: boolean): Promise<World> {
  const world = await startWorld({ agents: [{}, {}] })
  const first = await world.provider(0)
  const second = await world.provider(1)
  await first.updateState([volume(200, 'R', 'V', world.root(0), 'pv-1')])
  await second.updateState(both ? [volume(200, 'R', 'V', world.root(1), 'pv-1')] : [])
  await world.knows(2)
  return world
}

async function get(world: World, path: string): Promise<unknown> {
  return (await fetch(world.mesos.master.url + path)).json()
}

/** What the recording has of keys that the double knows, too; those of single frameworks are not compared. */
async function sameMetrics(world: World, name: string): Promise<void> {
  const recorded = recording<Record<string, number>>(`moving/${name}`)
  const actual = (await get(world, '/metrics/snapshot')) as Record<string, number>
  const keys = Object.keys(recorded).filter(
    (key) => !key.startsWith('master/frameworks/') && !/disk_(percent|revocable)/.test(key),
  )
  expect(keys.length).toBeGreaterThan(20)
  expect(Object.fromEntries(keys.map((key) => [key, actual[key]]))).toEqual(
    Object.fromEntries(keys.map((key) => [key, recorded[key]])),
  )
}

interface Agents {
  readonly slaves: readonly {
    readonly hostname: string
    readonly resources: object
    readonly reserved_resources: object
  }[]
}

async function sameAgents(world: World, name: string): Promise<void> {
  const recorded = recording<Agents['slaves']>(`moving/${name}`)
  const { slaves } = (await get(world, '/state')) as Agents
  for (const { hostname, resources, reserved_resources } of recorded) {
    const ours = slaves.find((agent) => agent.hostname === hostname)
    expect(ours?.reserved_resources).toEqual(reserved_resources)
    expect(ours?.resources).toEqual(resources)
  }
}

test.for([
  [false, 'q4-idleV'],
  [true, 'q4-idleV2'],
] as const)('an idle volume counts once on every agent that shows it (both: %s)', async ([both, name]) => {
  const world = await idleVolumes(both)
  expect(await get(world, '/roles')).toEqual(recording(`moving/${name}-roles-endpoint`))
  expect(await world.ask('GET_ROLES')).toEqual(recording(`moving/${name}-get_roles`))
  await sameMetrics(world, `${name}-metrics`)
  if (both) await sameAgents(world, `${name}-state-agents`)
})

test('RAW of two roles on two agents counts four times in all', async () => {
  const world = await startWorld({ agents: [{}, {}] })
  for (const number of [0, 1]) {
    const provider = await world.provider(number)
    await provider.updateState([raw(400, 'A', { profile: 'fast' }), raw(400, 'B', { profile: 'fast' })])
  }
  await world.knows(2)
  expect(await get(world, '/roles')).toEqual(recording('moving/q4-raw-roles-endpoint'))
  expect(await world.ask('GET_ROLES')).toEqual(recording('moving/q4-raw-get_roles'))
  await sameMetrics(world, 'q4-raw-metrics')
  await sameAgents(world, 'q4-raw-state-agents')
})

async function limit(world: World, role: string, disk: number, force: boolean): Promise<unknown> {
  const quota_configs = [{ role, limits: { disk: { value: disk } } }]
  return world.operator({ type: 'UPDATE_QUOTA', update_quota: { force, quota_configs } })
}

/** As the recordings write offers: `a1: ports; disk=200(DYNAMIC:R)[MOUNT V fast]{pv pv-1}; cpus=4; mem=4096`. */
function inShort({ hostname, resources }: Offer): string {
  const one = ({ name, type, scalar, reservations, disk }: Resource) => {
    if (type === 'RANGES') return name
    const owner = reservations?.[0] === undefined ? '' : `(${reservations[0].type}:${reservations[0].role})`
    const source =
      disk?.source === undefined
        ? ''
        : `[${[disk.source.type, disk.source.id, disk.source.profile].filter(Boolean).join(' ')}]`
    const kept = disk?.persistence === undefined ? '' : `{pv ${disk.persistence.id}}`
    return `${name}=${scalar?.value}${owner}${source}${kept}`
  }
  return `${hostname}: ${resources.map(one).sort().join('; ')}`
}

function sortedWords(text: string): string {
  const [host, list] = text.split(': ')
  return `${host}: ${(list ?? '').split('; ').sort().join('; ')}`
}

test('a limit below what is reserved needs force, and withholds only what is unreserved', async () => {
  const world = await idleVolumes(true)
  expect(await limit(world, 'R', 300, false)).toEqual(recording('moving/q4-update_quota-300-forcefalse'))
  expect(await limit(world, 'R', 300, true)).toEqual(recording('moving/q4-update_quota-300-forcetrue'))
  const framework = await world.framework()
  const offers = async () => {
    await until(() => framework.offers.size === 2, { what: 'two offers' })
    return [...framework.offers.values()].map(inShort).sort()
  }
  const recorded = (name: string) => recording<string[]>(`moving/${name}`).map(sortedWords).sort()
  expect(await offers()).toEqual(recorded('q4-offers-limit300'))
  await limit(world, 'R', 100, true)
  await until(() => framework.events.filter(({ type }) => type === 'RESCIND').length === 2, { what: 'RESCINDs' })
  expect(await offers()).toEqual(recorded('q4-offers-limit100'))
})

test('under a limit of 450 with 400 reserved 50 of all unreserved disk is offered, and no RAW', async () => {
  const world = await startWorld({ agents: [{}, {}] })
  const first = await world.provider(0)
  const second = await world.provider(1)
  await first.updateState([volume(200, 'R', 'V', world.root(0), 'pv-1'), raw(300, undefined, { profile: 'fast' })])
  await second.updateState([volume(200, 'R', 'V', world.root(1), 'pv-1')])
  await world.knows(2)
  await limit(world, 'R', 450, true)
  const framework = await world.framework()
  await until(() => framework.offers.size === 2, { what: 'two offers' })
  const disks = [...framework.offers.values()]
    .flatMap(({ resources }) => resources)
    .filter(({ name }) => name === 'disk')
  const unreserved = disks.filter(({ reservations }) => reservations === undefined)
  const recorded = recording<string[]>('moving/q4e-unreserved-raw-limit450').join('; ').split('; ')
  expect(unreserved.map(({ scalar, disk }) => [scalar?.value, disk])).toEqual(
    recorded.filter((word) => /^disk=\d+$/.test(word)).map((word) => [Number(word.slice(5)), undefined]),
  )
})

test('CREATE_DISK on reserved RAW goes through under any limit', async () => {
  const world = await startWorld({ agents: [{}] })
  const provider = await world.provider()
  const pool = raw(400, 'A', { profile: 'fast' })
  await provider.updateState([pool])
  await world.knows(1)
  await limit(world, 'A', 100, true)
  const framework = await world.framework({ roles: ['A'] })
  const offer = await framework.waitOffer(hasDisk('RAW'))
  expect(normal(offer)).toEqual(normal(recording('moving/q4d-offer-raw-limit100')))
  const source = allocatedTo('A', provider.own(raw(150, 'A', { profile: 'fast' })))
  await framework.accept(
    [offer],
    [{ type: 'CREATE_DISK', id: { value: 'cdq' }, create_disk: { source, target_type: 'MOUNT' } }],
  )
  const made = {
    type: 'MOUNT',
    mount: { root: '/var/lib/mesos-test/mnt/a1' },
    vendor: 'acme',
    id: 'vol-5b66d774',
    profile: 'fast',
  } as const
  await provider.end(await provider.waitApply('cdq'), 'OPERATION_FINISHED', {
    converted_resources: [{ ...source, disk: { source: made } }],
  })
  expect(normal(await framework.operationStatus('cdq'))).toEqual(normal(recording('moving/q4d-createdisk-limit100')))
})
