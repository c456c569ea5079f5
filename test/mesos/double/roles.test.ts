import { expect, test } from 'vitest'
import type { Resource } from '../../../src/mesos/resource.ts'
import type { TestFramework } from '../../support/mesos/framework.ts'
import type { Offer } from '../../support/mesos/types.ts'
import { until } from '../../support/until.ts'
import { normal, recording } from './recording.ts'
import type { ScriptedProvider } from './scripted-provider.ts'
import { allocatedTo, hasDisk, PRINCIPAL, raw, reservedFor, startWorld, type World } from './world.ts'

const fast = (value: number, role?: string) => raw(value, role, { profile: 'fast' })

function createDisk(id: string, source: Resource) {
  return { type: 'CREATE_DISK', id: { value: id }, create_disk: { source, target_type: 'MOUNT' } } as const
}

/** RAW of two roles on every one of two agents, as recorded. */
async function twoRoles(acls?: object): Promise<{ world: World; providers: ScriptedProvider[] }> {
  const world = await startWorld({ agents: [{}, {}], ...(acls === undefined ? {} : { acls }) })
  const providers = [await world.provider(0), await world.provider(1)]
  for (const provider of providers) await provider.updateState([fast(400, 'A'), fast(400, 'B')])
  await world.knows(2)
  return { world, providers }
}

test('each role is offered what is reserved to it, and the first one all that is free', async () => {
  const { world } = await twoRoles()
  const a = await world.framework({ roles: ['A'] })
  await until(() => a.offers.size === 2, { what: 'offers for A' })
  const b = await world.framework({ roles: ['B'] })
  await until(() => b.offers.size === 2, { what: 'offers for B' })
  const recorded = recording<{ A: Offer[]; B: Offer[] }>('moving/q3-offers-initial')
  expect(normal([...a.offers.values()])).toEqual(normal(recorded.A))
  expect(normal([...b.offers.values()])).toEqual(normal(recorded.B))
})

test('of two that want more than there is one is told that the pool is exhausted', async () => {
  const { world, providers } = await twoRoles()
  const [first, second] = providers as [ScriptedProvider, ScriptedProvider]
  const a = await world.framework({ roles: ['A'] })
  const b = await world.framework({ roles: ['B'] })
  const wanted = async (
    framework: TestFramework,
    id: string,
    provider: ScriptedProvider,
    role: string,
    hostname: string,
  ) => {
    const offer = await framework.waitOffer((one) => one.hostname === hostname && hasDisk('RAW')(one))
    await framework.accept([offer], [createDisk(id, provider.own(fast(300, role)))])
    return provider.waitApply(id)
  }
  const winner = await wanted(a, 'cd-1c0a8d', second, 'A', 'a2')
  const loser = await wanted(b, 'cd-f512a6', first, 'B', 'a1')
  const source = {
    type: 'MOUNT',
    mount: { root: '/var/lib/mesos-test/mnt/a2' },
    vendor: 'acme',
    id: 'vol-ab414b71',
    profile: 'fast',
  } as const
  const made = allocatedTo('A', { ...second.own(fast(300, 'A')), disk: { source } })
  await second.end(winner, 'OPERATION_FINISHED', { converted_resources: [made] })
  await first.end(loser, 'OPERATION_FAILED', { message: 'pool exhausted: want 300 free 200' })
  expect(normal(await a.operationStatus('cd-1c0a8d'))).toEqual(
    normal(recording('moving/q3-opstatus-1-OPERATION_FINISHED')),
  )
  expect(normal(await b.operationStatus('cd-f512a6'))).toEqual(
    normal(recording('moving/q3-opstatus-2-OPERATION_FAILED')),
  )
  for (const provider of providers) {
    await provider.updateState([
      fast(provider === second ? 100 : 200, 'A'),
      fast(200, 'B'),
      ...(provider === second ? [{ ...made, allocation_info: undefined }].map(plain) : []),
    ])
  }
  await a.waitOffer(hasDisk('MOUNT', 'vol-ab414b71'))
  await b.waitOffer((offer) => rawOf(offer) === 200)
  expect(world.mesos.aborts).toEqual([])
})

function plain({ allocation_info: _role, ...rest }: object & { allocation_info?: unknown }): Resource {
  return rest as Resource
}

function rawOf({ resources }: Offer): number {
  return resources
    .filter(({ disk }) => disk?.source?.type === 'RAW')
    .reduce((sum, { scalar }) => sum + (scalar?.value ?? 0), 0)
}

test('an operation on an outdated version reaches the provider, which drops it', async () => {
  const { world, providers } = await twoRoles()
  const a = await world.framework({ roles: ['A'] })
  const [provider] = providers as [ScriptedProvider]
  const offer = await a.waitOffer((one) => one.hostname === 'a1' && hasDisk('RAW')(one))
  const before = provider.version
  world.mesos.links.hold('agent->master', world.agent().id)
  await provider.updateState([fast(400, 'A'), fast(400, 'B')])
  await a.accept([offer], [createDisk('cd-836037', provider.own(fast(30, 'A')))])
  const operation = await provider.waitApply('cd-836037')
  expect(operation.resource_version_uuid.value).toBe(before)
  expect(provider.version).not.toBe(before)
  world.mesos.links.release('agent->master', world.agent().id)
  await provider.end(operation, 'OPERATION_DROPPED', { message: 'Mismatched resource version' })
  expect(normal(await a.operationStatus('cd-836037'))).toEqual(
    normal(recording('moving/q3-opstatus-4-OPERATION_DROPPED')),
  )
})

test('an UNRESERVE that the provider refuses is visible to others until it says so', async () => {
  const world = await startWorld()
  const provider = await world.provider()
  await provider.updateState([fast(100, 'A')])
  const a = await world.framework({ roles: ['A'] })
  const offer = await a.waitOffer(hasDisk('RAW'))
  const resources = [allocatedTo('A', provider.own(fast(100, 'A')))]
  await a.accept([offer], [{ type: 'UNRESERVE', id: { value: 'a1' }, unreserve: { resources } }])
  await a.suppress()
  const operation = await provider.waitApply('a1')
  const c = await world.framework({ roles: ['C'] })
  const seen = await c.waitOffer(hasDisk('RAW'))
  const recorded = recording<Offer>('moving/q3b-UNRES-C-sees-unreserved-raw')
  expect(normal({ ...seen, url: '' })).toEqual(normal({ ...recorded, url: '' }))
  await provider.end(operation, 'OPERATION_FAILED', {
    message: 'refused: reservations of RAW are administered by the provider',
  })
  expect(normal(await a.operationStatus('a1'))).toEqual(normal(recording('moving/q3b-UNRES-1-A-OPERATION_FAILED')))
  await provider.updateState([fast(100, 'A')])
  await until(() => !c.offers.has(seen.id.value), { what: 'the RESCIND' })
  expect(world.mesos.aborts).toEqual([])
})

test('with ACLs neither UNRESERVE nor a refinement of RAW leaves the master', async () => {
  const acls = {
    unreserve_resources: [{ principals: { type: 'NONE' }, reserver_principals: { values: [PRINCIPAL] } }],
    reserve_resources: [{ principals: { type: 'NONE' }, roles: { values: ['A', 'A/web', 'B'] } }],
  }
  const { world, providers } = await twoRoles(acls)
  const [provider] = providers as [ScriptedProvider]
  const a = await world.framework({ roles: ['A'] })
  const web = await world.framework({ roles: ['A/web'] })
  const mine = await a.waitOffer((one) => one.hostname === 'a1' && hasDisk('RAW')(one))
  const resources = [allocatedTo('A', provider.own(fast(100, 'A')))]
  const refined = [...(reservedFor('A').reservations ?? []), { type: 'DYNAMIC', role: 'A/web' } as const]
  const wrongRole = { ...allocatedTo('A', provider.own(fast(100))), reservations: refined }
  await a.accept(
    [mine],
    [
      { type: 'UNRESERVE', id: { value: 'a1' }, unreserve: { resources } },
      { type: 'RESERVE', id: { value: 'a2' }, reserve: { resources: [wrongRole] } },
    ],
  )
  expect(normal(await a.operationStatus('a1'))).toEqual(normal(recording('moving/q3b-UNRES-acl-1-A-OPERATION_ERROR')))
  expect((await a.operationStatus('a2')).message).toContain(
    "with role 'A/web', but the resource was allocated to role 'A'; on agent",
  )
  await a.suppress()
  for (const offer of [...a.offers.values()]) await a.decline([offer], 60)
  const theirs = await web.waitOffer((one) => one.hostname === 'a1' && hasDisk('RAW')(one))
  const right = { ...allocatedTo('A/web', provider.own(fast(100))), reservations: refined }
  await web.accept([theirs], [{ type: 'RESERVE', id: { value: 'a3' }, reserve: { resources: [right] } }])
  expect(normal(await web.operationStatus('a3'))).toEqual(
    normal(recording('moving/q3b-REFINE-acl-2-A-OPERATION_ERROR')),
  )
  expect(provider.applied).toEqual([])
})

test('teardown right behind CREATE_DISK harms nobody when nothing shrinks, and the master acknowledges', async () => {
  const { world, providers } = await twoRoles()
  const [provider] = providers as [ScriptedProvider]
  const { links, master } = world.mesos
  for (let round = 0; round < 5; round++) {
    const b = await world.framework({ roles: ['B'], failoverTimeout: 0 })
    const offer = await b.waitOffer((one) => one.hostname === 'a1' && hasDisk('RAW')(one))
    links.hold('master->agent', world.agent().id)
    await b.accept([offer], [createDisk(`c${round}`, provider.own(fast(300, 'B')))])
    await provider.updateState([fast(400, 'A'), fast(400, 'B')])
    const known = () => master.state.agents.get(world.agent().id)?.providers.get(provider.id)?.version
    await until(() => known() === provider.version, { what: 'the new version at the master' })
    await b.teardown()
    links.release('master->agent', world.agent().id)
    await provider.end(await provider.waitApply(`c${round}`), 'OPERATION_FAILED', { message: 'no' })
    const acknowledged = () => provider.events.filter(({ type }) => type === 'ACKNOWLEDGE_OPERATION_STATUS').length
    await until(() => acknowledged() > round, { what: 'the master to acknowledge for the framework' })
  }
  expect(world.mesos.aborts).toEqual([])
})

test('every change of one provider takes back all provider offers of its agent, and of no other', async () => {
  const world = await startWorld({ agents: [{}, {}], allocationIntervalMs: 60_000 })
  const rp1 = await world.provider(0)
  const rp3 = await world.provider(0, { name: 'rp3' })
  const rp2 = await world.provider(1)
  const state1 = (a: number, b: number) => [fast(a, 'A'), fast(b, 'B')]
  const slow = (value: number) => [raw(value, 'A', { profile: 'slow' })]
  const totals: [ScriptedProvider, Resource[]][] = [
    [rp1, state1(400, 400)],
    [rp3, slow(300)],
    [rp2, state1(400, 400)],
  ]
  for (const [provider, total] of totals) await provider.updateState(total)
  await world.knows(3)
  const a = await world.framework({ roles: ['A'] })
  const b = await world.framework({ roles: ['B'] })
  const c = await world.framework({ roles: ['C'] })
  const steps: [name: string, () => Promise<unknown>][] = [
    ['1 rp1 UPDATE_STATE identical, SAME version', () => rp1.updateState(state1(400, 400), [], rp1.version)],
    ['2 rp1 UPDATE_STATE identical, new version', () => rp1.updateState(state1(400, 400))],
    ['3 rp3 identical, new version', () => rp3.updateState(slow(300))],
    ['4 rp1 grows RAW(A) 400->450', () => rp1.updateState(state1(450, 400))],
    ['5 rp1 shrinks RAW(B) only 400->100', () => rp1.updateState(state1(450, 100))],
    ['6 rp3 grows', () => rp3.updateState(slow(350))],
    ['8 rp3 killed (stream EOF)', async () => rp3.close()],
  ]
  const recorded = recording<Record<string, Record<'A' | 'B' | 'C', { rescinded: string[] }>>>('moving/q67-result')
  await settled(a, b)
  for (const [name, step] of steps) {
    const held = { A: onFirst(a), B: onFirst(b), C: onFirst(c) }
    const elsewhere = [...a.offers.values(), ...b.offers.values()].filter(({ hostname }) => hostname === 'a2').length
    await step()
    const expected = recorded[name]
    const rescinds = (role: 'A' | 'B' | 'C') => (expected?.[role].rescinded.length ?? 0) > 0
    if (rescinds('A')) await until(() => !held.A.some((id) => a.offers.has(id)), { what: `${name}: RESCIND for A` })
    if (rescinds('B')) await until(() => !held.B.some((id) => b.offers.has(id)), { what: `${name}: RESCIND for B` })
    await settled(a, b)
    if (!rescinds('A')) expect([name, held.A.every((id) => a.offers.has(id))]).toEqual([name, true])
    expect([name, held.C.every((id) => c.offers.has(id))]).toEqual([name, true])
    expect([...a.offers.values(), ...b.offers.values()].filter(({ hostname }) => hostname === 'a2')).toHaveLength(
      elsewhere,
    )
  }
})

/** Offers of the first agent with something of a provider. */
function onFirst(framework: TestFramework): string[] {
  return [...framework.offers.values()]
    .filter((offer) => offer.hostname === 'a1' && hasDisk('RAW')(offer))
    .map(({ id }) => id.value)
}

async function settled(...frameworks: TestFramework[]): Promise<void> {
  await until(() => frameworks.every((framework) => onFirst(framework).length > 0), { what: 'offers again' })
  let before = -1
  const events = () => frameworks.reduce((sum, framework) => sum + framework.events.length, 0)
  await until(
    () => {
      const same = events() === before
      before = events()
      return same
    },
    { what: 'quiet', everyMs: 60 },
  )
}

test('growth may come as a piece of its own', async () => {
  const world = await startWorld({ fragmentGrowth: true })
  const provider = await world.provider()
  await provider.updateState([fast(400, 'A')])
  const a = await world.framework({ roles: ['A'] })
  await a.waitOffer(hasDisk('RAW'))
  await provider.updateState([fast(450, 'A')])
  const pieces = () =>
    [...a.offers.values()]
      .map(rawOf)
      .filter((value) => value > 0)
      .sort((x, y) => x - y)
  await until(() => pieces().join() === '50,400', { what: 'two pieces' })
})
