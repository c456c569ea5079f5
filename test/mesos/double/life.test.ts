import { expect, test } from 'vitest'
import type { Resource } from '../../../src/mesos/resource.ts'
import type { TestFramework } from '../../support/mesos/framework.ts'
import type { Offer, OfferOperation } from '../../support/mesos/types.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { normal, recording } from './recording.ts'
import type { ScriptedProvider } from './scripted-provider.ts'
import { amount, hasAllFor, hasDisk, startWorld, type World } from './world.ts'

// The life of a volume as it was recorded: every message of the real ones is compared with the double's.

const ROLE = 'storage-role'
const EXT = { name: 'ext-storage-inst1', type: 'SCALAR', scalar: { value: 10_000_000 } } as const
const FAST = {
  name: 'disk',
  type: 'SCALAR',
  disk: { source: { type: 'RAW', vendor: 'acme', profile: 'fast' } },
} as const

interface Accept {
  readonly accept: { readonly operations: readonly OfferOperation[] }
}

interface Offers {
  readonly offers: readonly Offer[]
}

class Life {
  readonly world: World
  readonly rp1: ScriptedProvider
  readonly rp2: ScriptedProvider
  readonly framework: TestFramework

  constructor(world: World, rp1: ScriptedProvider, rp2: ScriptedProvider, framework: TestFramework) {
    this.world = world
    this.rp1 = rp1
    this.rp2 = rp2
    this.framework = framework
  }

  /** The double's message is the recorded one. */
  same(actual: unknown, expected: unknown): void {
    expect(normal(this.here(actual))).toEqual(normal(expected))
  }

  here(value: unknown): unknown {
    return JSON.parse(JSON.stringify(value).replaceAll(this.world.dir, '/var/lib/mesos-test'))
  }

  /** A recorded call, with the ids of this run. */
  recorded<T>(name: string): T {
    const text = JSON.stringify(recording(name))
      .replaceAll('4882ce88-7bc5-4e46-9efe-3845a70b8aa5', this.rp1.id)
      .replaceAll('6c2463c9-81c8-4058-bbdf-5a6847265744-S1', this.world.agent(0).id)
      .replaceAll('/var/lib/mesos-test', this.world.dir)
    return JSON.parse(text) as T
  }

  offersOf(number: number): Offer[] {
    const { id } = this.world.agent(number)
    return [...this.framework.offers.values()].filter(({ agent_id }) => agent_id.value === id)
  }

  /** Together the offers of an agent have what the recorded ones had. */
  sameOffered(number: number, recorded: readonly Resource[]): void {
    const offered = this.offersOf(number).flatMap(({ resources }) => resources)
    const amounts = new Map<string, Resource>()
    for (const resource of [...offered]) {
      const { scalar, ...rest } = resource
      const key = JSON.stringify(rest)
      amounts.set(
        key,
        scalar === undefined ? resource : amount(resource, (amounts.get(key)?.scalar?.value ?? 0) + scalar.value),
      )
    }
    this.same([...amounts.values()], recorded)
  }

  async waitOffered(number: number, fits: (resources: readonly Resource[]) => boolean): Promise<Offer[]> {
    return this.framework.waitTogether(this.world.agent(number).id, fits)
  }

  async perform(name: string, offers: readonly Offer[]): Promise<void> {
    const { accept } = this.recorded<Accept>(`wire/${name}`)
    await this.framework.accept(offers, accept.operations)
  }
}

async function begin(): Promise<Life> {
  const attributes = { 'ext-storage-inst1': 'scaleio~row8~pool-hdd', rack: 'r1' }
  const own = (ports: number): Resource[] => [
    { name: 'cpus', type: 'SCALAR', scalar: { value: 4 } },
    { name: 'mem', type: 'SCALAR', scalar: { value: 4096 } },
    { name: 'disk', type: 'SCALAR', scalar: { value: 10_000 } },
    { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: ports, end: ports + 99 }] } },
    EXT,
  ]
  const world = await startWorld({ agents: [{ resources: own(31_100), attributes }, { resources: own(31_200) }] })
  const rp1 = await world.provider(0)
  const rp2 = await world.provider(1)
  await rp1.updateState([amount(FAST, 1_000_000_000)])
  await rp2.updateState([amount(FAST, 1_000_000_000)])
  await world.knows(2)
  const framework = await world.framework({ name: 'spike', roles: [ROLE] })
  const life = new Life(world, rp1, rp2, framework)
  await life.waitOffered(0, (resources) => resources.length === 6)
  await life.waitOffered(1, (resources) => resources.length === 6)
  return life
}

function checkBeginning(life: Life): void {
  life.same(life.rp1.events[0], recording('wire/rp-EVENT-SUBSCRIBED'))
  expect(life.rp1.headers['content-type']).toBe('application/json')
  expect(life.rp1.headers['transfer-encoding']).toBe('chunked')
  life.same(life.framework.events[0]?.event, recording('wire/fw-EVENT-SUBSCRIBED'))
  for (const number of [0, 1]) {
    const { offers } = recording<Offers>(`01-offer-a${number + 1}`)
    life.same(life.offersOf(number), offers)
    expect(life.offersOf(number)[0]?.resources.map(({ name }) => name)).toEqual(
      offers[0]?.resources.map(({ name }) => name),
    )
  }
}

async function makeDisk(life: Life): Promise<void> {
  await life.perform('fw-CALL-ACCEPT-RESERVE+CREATE_DISK', life.offersOf(0))
  const made = [
    ['RESERVE', '02-op-status-reserve', 'reserve-1'],
    ['CREATE_DISK', '02-op-status-create-disk', 'create-disk-1'],
  ] as const
  for (const [type, name, id] of made) {
    const operation = await life.rp1.waitApply(id)
    life.same(
      { type: 'APPLY_OPERATION', apply_operation: operation },
      recording(`wire/rp-EVENT-APPLY_OPERATION-${type}`),
    )
    const { converted_resources } = life.recorded<{ converted_resources: Resource[] }>(name)
    await life.rp1.end(operation, 'OPERATION_FINISHED', { converted_resources })
    life.same(await life.framework.operationStatus(id), recording(name))
  }
  const event = life.framework.events.find(({ type }) => type === 'UPDATE_OPERATION_STATUS')?.event
  life.same(event, recording('wire/fw-EVENT-UPDATE_OPERATION_STATUS-OPERATION_FINISHED'))
  const acknowledged = await until(() => life.rp1.events.find(({ type }) => type === 'ACKNOWLEDGE_OPERATION_STATUS'), {
    what: 'ACK',
  })
  life.same(acknowledged, recording('wire/rp-EVENT-ACKNOWLEDGE_OPERATION_STATUS'))
  await life.waitOffered(0, (resources) => hasAllFor('vol-36562fdf')(resources) && resources.length === 7)
  life.sameOffered(0, recording<{ resources: Resource[] }>('02-offer-a1-after').resources)
}

async function shrinkElsewhere(life: Life): Promise<void> {
  const before = life.offersOf(1)
  life.same(before[0], recording('03-offer-a2-before'))
  await life.rp2.updateState([amount(FAST, 250_000_000)])
  const rescinded = () => life.framework.events.find(({ type }) => type === 'RESCIND')?.event
  life.same(await until(rescinded, { what: 'a RESCIND' }), recording('wire/fw-EVENT-RESCIND'))
  await life.waitOffered(1, (resources) => resources.length === 6)
  life.same(life.offersOf(1), [recording('03-offer-a2-after')])
}

async function runTask(life: Life): Promise<void> {
  life.world.root(0, 'vol-36562fdf')
  const { accept } = life.recorded<Accept>('wire/fw-CALL-ACCEPT-CREATE+LAUNCH')
  const quick = JSON.parse(JSON.stringify(accept.operations).replace('sleep 5', 'sleep 0.1')) as OfferOperation[]
  await life.framework.accept(life.offersOf(0), quick)
  const created = await life.rp1.waitApply('create-pv-1')
  life.same({ type: 'APPLY_OPERATION', apply_operation: created }, recording('wire/rp-EVENT-APPLY_OPERATION-CREATE'))
  const { converted_resources } = life.recorded<{ converted_resources: Resource[] }>('04-op-status-create-pv')
  await life.rp1.end(created, 'OPERATION_FINISHED', { converted_resources })
  life.same(await life.framework.operationStatus('create-pv-1'), recording('04-op-status-create-pv'))
  await life.framework.taskStatus('task-1', ['TASK_FINISHED', 'TASK_FAILED'])
  const published = life.rp1.events.find(({ type }) => type === 'PUBLISH_RESOURCES')
  life.same(published, recording('wire/rp-EVENT-PUBLISH_RESOURCES'))
  for (const status of life.framework.statuses('task-1')) {
    life.same({ type: 'UPDATE', update: { status } }, recording(`wire/fw-EVENT-UPDATE-${status.state}`))
  }
  expect(life.framework.statuses('task-1')).toHaveLength(3)
}

async function failToPublish(life: Life): Promise<void> {
  await life.waitOffered(0, hasAllFor('vol-36562fdf'))
  life.sameOffered(0, mergedOf(recording<{ resources: Resource[] }>('04b-offer-with-pv').resources))
  const { accept } = life.recorded<Accept>('wire/fw-CALL-ACCEPT-LAUNCH')
  const third = JSON.parse(JSON.stringify(accept.operations).replaceAll('task-2', 'task-3')) as OfferOperation[]
  await life.framework.accept(life.offersOf(0), third)
  const status = await life.framework.taskStatus('task-3', ['TASK_FAILED', 'TASK_FINISHED'])
  life.same({ type: 'UPDATE', update: { status } }, recording('wire/fw-EVENT-UPDATE-TASK_FAILED'))
}

/** Amounts of the same kind in several offers are one amount. */
function mergedOf(resources: readonly Resource[]): Resource[] {
  const byKey = new Map<string, Resource>()
  for (const resource of resources) {
    const { scalar, ...rest } = resource
    const key = JSON.stringify(rest)
    byKey.set(
      key,
      scalar === undefined
        ? resource
        : amount(resource, Number(((byKey.get(key)?.scalar?.value ?? 0) + scalar.value).toFixed(3))),
    )
  }
  return [...byKey.values()]
}

async function raceForTheRest(life: Life): Promise<void> {
  await life.rp1.updateState([amount(FAST, 250_000_000), ...volumesOf(life.rp1)])
  await life.waitOffered(0, (resources) => resources.length === 7)
  await life.perform('fw-CALL-ACCEPT-CREATE_DISK', life.offersOf(0))
  const loser = await life.rp1.waitApply('race-a1')
  await life.rp1.end(loser, 'OPERATION_FAILED', { message: 'pool exhausted: want 200000000 free 50000000' })
  const status = await life.framework.operationStatus('race-a1')
  life.same(status, recording('05-race-status-a1'))
  const event = { type: 'UPDATE_OPERATION_STATUS', update_operation_status: { status } }
  life.same(event, recording('wire/fw-EVENT-UPDATE_OPERATION_STATUS-OPERATION_FAILED'))
}

/** What a provider has made of its RAW, without allocation. */
function volumesOf(provider: ScriptedProvider): Resource[] {
  const created = provider.applied.find(({ info }) => info.type === 'CREATE')?.info.create?.volumes ?? []
  return created.map(({ allocation_info: _role, ...rest }) => rest)
}

interface AgentsAnswer {
  readonly get_agents: {
    readonly agents: readonly { readonly agent_info: { readonly hostname: string }; readonly registered_time: object }[]
  }
}

async function goAway(life: Life): Promise<ScriptedProvider> {
  life.rp1.close()
  const a1 = (answer: AgentsAnswer) => answer.get_agents.agents.find(({ agent_info }) => agent_info.hostname === 'a1')
  const without = async () => {
    const agent = a1(await life.world.ask<AgentsAnswer>('GET_AGENTS'))
    return agent !== undefined && !('resource_providers' in agent) && 'offered_resources' in agent ? agent : undefined
  }
  const shown = await until(without, { what: 'the provider to be gone from GET_AGENTS' })
  life.same(shown, a1(recording('06-get-agents-while-rp-disconnected')))
  const again = await life.world.provider(0, { id: life.rp1.id })
  expect(again.id).toBe(life.rp1.id)
  await again.updateState([amount(FAST, 50_000_000), ...volumesOf(life.rp1)])
  await life.waitOffered(0, hasAllFor('vol-36562fdf'))
  life.sameOffered(0, recording<{ resources: Resource[] }>('06-offer-after-rp-reconnect').resources)
  return again
}

async function end(life: Life, rp1: ScriptedProvider): Promise<void> {
  await life.perform('fw-CALL-ACCEPT-DESTROY+DESTROY_DISK', life.offersOf(0))
  for (const [type, name, id] of [
    ['DESTROY', '07-op-destroy', 'destroy-pv'],
    ['DESTROY_DISK', '07-op-destroy-disk', 'destroy-disk'],
  ] as const) {
    await finish(life, rp1, type, name, id)
  }
  await life.waitOffered(0, (resources) => resources.length === 7 && hasDisk('RAW')({ resources }))
  life.sameOffered(0, recording<{ resources: Resource[] }>('07-offer-after-destroy-disk').resources)
  await life.perform('fw-CALL-ACCEPT-UNRESERVE', life.offersOf(0))
  await finish(life, rp1, 'UNRESERVE', '07-op-unreserve', 'unreserve')
  await life.waitOffered(0, (resources) => resources.filter(({ disk }) => disk?.source?.type === 'RAW').length === 1)
  life.sameOffered(0, recording<{ resources: Resource[] }>('07-offer-final').resources)
}

async function finish(life: Life, provider: ScriptedProvider, type: string, name: string, id: string): Promise<void> {
  const operation = await provider.waitApply(id)
  life.same({ type: 'APPLY_OPERATION', apply_operation: operation }, recording(`wire/rp-EVENT-APPLY_OPERATION-${type}`))
  const { converted_resources } = life.recorded<{ converted_resources: Resource[] }>(name)
  await provider.end(operation, 'OPERATION_FINISHED', { converted_resources })
  life.same(await life.framework.operationStatus(id), recording(name))
}

needs('root', 'unshare').describe('the life of a volume', () => {
  test('goes as it was recorded, message by message', async () => {
    const life = await begin()
    checkBeginning(life)
    await makeDisk(life)
    await shrinkElsewhere(life)
    await runTask(life)
    life.rp1.answers('FAILED')
    await failToPublish(life)
    await raceForTheRest(life)
    const again = await goAway(life)
    await end(life, again)
    expect(life.world.mesos.aborts).toEqual([])
  })
})
