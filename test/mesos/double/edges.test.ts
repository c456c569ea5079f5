import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Resource } from '../../../src/mesos/resource.ts'
import { uuidBytes } from '../../support/mesos/ids.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { normal, recording } from './recording.ts'
import { post } from './scripted-provider.ts'
import { allocatedTo, amount, hasAllFor, hasDisk, raw, startWorld, task, volume } from './world.ts'

interface BadCall {
  readonly name: string
  readonly request: object
  readonly headers?: Readonly<Record<string, string>>
  readonly status: number
  readonly body: string
}

const FAST = raw(1_000_000_000, undefined, { profile: 'fast' })

test('calls of a provider that are wrong are answered as recorded', async () => {
  const world = await startWorld()
  const provider = await world.provider()
  const stream = String(provider.headers['mesos-stream-id'])
  for (const bad of recording<BadCall[]>('edge-bad-calls')) {
    const { request, headers, status, body } = JSON.parse(
      JSON.stringify(bad)
        .replaceAll('4882ce88-7bc5-4e46-9efe-3845a70b8aa5', provider.id)
        .replaceAll('26a60798-04d3-4c68-b0ae-95324f202fc4', stream),
    ) as BadCall
    const answer = await post(`${world.agent().url}/api/v1/resource_provider`, request, headers)
    expect([bad.name, answer]).toEqual([bad.name, { status, body }])
  }
})

test('a subscription under an unknown id, or another name, is a 200 that ends at once', async () => {
  const world = await startWorld()
  const unknown = await world.provider(0, { id: '00000000-0000-4000-8000-000000000000' })
  await until(() => unknown.ended, { what: 'the end of the stream' })
  expect(unknown.events).toEqual([])
  const first = await world.provider()
  first.close()
  await until(() => world.agent().state.providers.size === 0, { what: 'the agent to see the end' })
  const renamed = await world.provider(0, { id: first.id, name: 'other' })
  await until(() => renamed.ended, { what: 'the end of the stream' })
  expect(renamed.events).toEqual([])
})

test('an id is known after a restart of the agent, and not after a wipe', async () => {
  const world = await startWorld()
  const provider = await world.provider()
  await provider.updateState([FAST])
  await world.agent().restart()
  expect((await post(`${world.agent().url}/api/v1`, { type: 'GET_AGENT' })).body).toBe(
    'Agent has not finished recovery',
  )
  expect((await post(`${world.agent().url}/api/v1/resource_provider`, {})).status).toBe(503)
  await until(() => world.agent().state.phase === 'running', { what: 'recovery' })
  const again = await world.provider(0, { id: provider.id })
  expect(again.id).toBe(provider.id)
  const before = world.agent().id
  await world.agent().restart({ wipe: true })
  await until(() => world.agent().agentId !== undefined, { what: 'a new registration' })
  expect(world.agent().id).not.toBe(before)
  const lost = await world.provider(0, { id: provider.id })
  await until(() => lost.ended, { what: 'the end of the stream' })
})

test('an operation that has no answer yet is shown as pending', async () => {
  const world = await startWorld()
  const provider = await world.provider()
  await provider.updateState([FAST])
  const framework = await world.framework({ roles: ['edge-role'] })
  const offer = await framework.waitOffer(hasDisk('RAW'))
  const source = provider.own(amount(FAST, 1000))
  await framework.accept(
    [offer],
    [{ type: 'CREATE_DISK', id: { value: 'held' }, create_disk: { source, target_type: 'MOUNT' } }],
  )
  await provider.waitApply('held')
  expect(normal(await world.ask('GET_OPERATIONS'))).toEqual(normal(recording('edge-pending-get-operations')))
})

test('a slow operation ends safely after a shrink when UPDATE_STATE tells of its end first', async () => {
  const world = await startWorld()
  const provider = await world.provider()
  await provider.updateState([FAST])
  const framework = await world.framework({ roles: ['storage-role'] })
  const offer = await framework.waitOffer(hasDisk('RAW'))
  const source = allocatedTo('storage-role', provider.own(amount(FAST, 600_000)))
  await framework.accept(
    [offer],
    [{ type: 'CREATE_DISK', id: { value: 'slow' }, create_disk: { source, target_type: 'MOUNT' } }],
  )
  const operation = await provider.waitApply('slow')
  const disk = {
    type: 'MOUNT',
    mount: { root: '/var/lib/mesos-test/mnt/a1' },
    vendor: 'acme',
    id: 'vol-5f045cfc',
    profile: 'fast',
  } as const
  const made: Resource = { ...source, disk: { source: disk } }
  const status = provider.statusOf(operation, 'OPERATION_FINISHED', { converted_resources: [made] })
  const ended = {
    agent_id: { value: world.agent().id },
    info: operation.info,
    latest_status: status,
    statuses: [status],
    uuid: operation.operation_uuid,
  }
  const owner = operation.framework_id === undefined ? {} : { framework_id: operation.framework_id }
  const { allocation_info: _role, ...plain } = made
  await provider.updateState([amount(FAST, 50), plain], [{ ...owner, ...ended }])
  await provider.say(operation, status)
  const recorded = recording<{ status: object }>('edge-async-state')
  expect(normal(await framework.operationStatus('slow'))).toEqual(
    normal({ ...recorded.status, operation_id: { value: 'slow' } }),
  )
  await framework.waitOffer(hasDisk('MOUNT', 'vol-5f045cfc'))
  expect(normal(await world.ask('GET_HEALTH', world.agent().url))).toEqual({
    type: 'GET_HEALTH',
    get_health: { healthy: true },
  })
  expect(world.mesos.aborts).toEqual([])
})

test('a PUBLISH_RESOURCES without an answer leaves the task staging, without a word', async () => {
  const world = await startWorld()
  const provider = await world.provider(0, { onPublish: () => undefined })
  await provider.updateState([volume(200, 'R', 'V', world.root())])
  const framework = await world.framework()
  const offers = await framework.waitTogether(world.agent().id, hasAllFor('V'))
  const kept = provider.own(volume(200, 'R', 'V', world.root()))
  const run = task('t1', world.agent().id, 'true', [kept])
  await framework.accept(offers, [{ type: 'LAUNCH', launch: { task_infos: [run] } }])
  await until(() => provider.published.length === 1, { what: 'the PUBLISH' })
  // long enough for every time limit that there might be in the double
  await delay(1000)
  expect(framework.statuses('t1')).toEqual(recording<{ update: null }>('edge-publish-hang').update ?? [])
  const state = await world.ask<{ get_tasks: object }>('GET_TASKS', world.agent().url)
  expect(JSON.stringify(state)).toContain('queued_tasks')
})

test('a planned stop leaves no stale offer: empty totals, then a new version, then the end', async () => {
  const world = await startWorld()
  const framework = await world.framework()
  for (let round = 0; round < 8; round++) {
    const provider = await world.provider(0, { name: `rp-${round}` })
    await provider.updateState([raw(1000, 'R')])
    await framework.waitOffer(hasDisk('RAW'))
    const storm = setInterval(() => void framework.revive().catch(() => {}), 5 + round)
    await provider.updateState([])
    await delay(120)
    await provider.updateState([])
    await until(() => ![...framework.offers.values()].some(hasDisk('RAW')), { what: 'the offers to be gone' })
    provider.close()
    await world.knows(0)
    clearInterval(storm)
    await delay(20)
    expect([...framework.offers.values()].filter(hasDisk('RAW'))).toHaveLength(
      recording<{ stale: number }>('edge-drain-result').stale,
    )
  }
  expect(world.mesos.aborts).toEqual([])
})

needs('root', 'unshare').describe('a task on a volume', () => {
  test('goes on while its provider is away, and the master shows what is left', async () => {
    const world = await startWorld()
    const provider = await world.provider()
    const kept = volume(200, 'R', 'V', world.root(0, 'V'))
    await provider.updateState([kept])
    const framework = await world.framework()
    const offers = await framework.waitTogether(world.agent().id, hasAllFor('V'))
    const run = task('long', world.agent().id, 'until [ -e data/stop ]; do sleep 0.02; done', [provider.own(kept)])
    await framework.accept(offers, [{ type: 'LAUNCH', launch: { task_infos: [run] } }])
    await framework.taskStatus('long', ['TASK_RUNNING'])
    provider.close()
    await world.knows(0)
    const [agent] = (await world.ask<{ get_agents: { agents: object[] } }>('GET_AGENTS')).get_agents.agents
    expect(agent).not.toHaveProperty('resource_providers')
    expect(JSON.stringify(Reflect.get(agent ?? {}, 'total_resources'))).not.toContain('"V"')
    expect(JSON.stringify(Reflect.get(agent ?? {}, 'allocated_resources'))).toContain('"V"')
    const tasks = normal(await world.ask('GET_TASKS')) as { get_tasks: { tasks: object[] } }
    const recorded = normal(recording('edge-rpdown-tasks-during')) as { get_tasks: { tasks: object[] } }
    expect(Object.keys(tasks.get_tasks.tasks[0] ?? {}).sort()).toEqual(
      Object.keys(recorded.get_tasks.tasks[0] ?? {}).sort(),
    )
    const again = await world.provider(0, { id: provider.id })
    await again.updateState([kept])
    await world.knows(1)
    await framework.kill('long')
    expect((await framework.taskStatus('long', ['TASK_KILLED'])).state).toBe('TASK_KILLED')
    expect(world.mesos.aborts).toEqual([])
  })

  test('survives the death of its agent, and is known after the restart', async () => {
    const world = await startWorld()
    const kept = volume(200, 'R', 'V', world.root(0, 'V'))
    const provider = await world.provider()
    await provider.updateState([kept])
    const framework = await world.framework()
    const offers = await framework.waitTogether(world.agent().id, hasAllFor('V'))
    const run = task('t', world.agent().id, 'sleep 0.6; echo survived > data/proof', [provider.own(kept)])
    await framework.accept(offers, [{ type: 'LAUNCH', launch: { task_infos: [run] } }])
    await framework.taskStatus('t', ['TASK_RUNNING'])
    world.agent().kill()
    await expect(world.ask('GET_STATE', world.agent().url)).rejects.toThrow('ECONNREFUSED')
    await world.agent().restart()
    await until(() => world.agent().state.phase === 'running', { what: 'recovery' })
    const shown = await world.ask('GET_STATE', world.agent().url)
    expect(JSON.stringify(shown)).toContain('launched_tasks')
    const again = await world.provider(0, { id: provider.id })
    await again.updateState([kept])
    expect(await framework.taskStatus('t', ['TASK_FINISHED', 'TASK_FAILED', 'TASK_LOST'])).toMatchObject({
      state: 'TASK_FINISHED',
    })
    await framework.waitOffer(hasDisk('MOUNT', 'V'))
    expect(world.mesos.aborts).toEqual([])
  })

  test('shares it with another when it is a shared one, and it stays on offer', async () => {
    const world = await startWorld()
    const provider = await world.provider()
    const shared = { ...volume(9000, 'storage-role', 'vol-51699695', world.root(0, 'vol-51699695')), shared: {} }
    await provider.updateState([shared])
    const framework = await world.framework({ roles: ['storage-role'] })
    const command = 'until [ -e data/go ]; do sleep 0.02; done; echo $MESOS_SANDBOX >> data/log'
    for (const id of ['s1', 's2']) {
      const offers = await framework.waitTogether(world.agent().id, hasAllFor('vol-51699695'))
      const run = task(id, world.agent().id, command, [provider.own(shared)])
      await framework.accept(offers, [{ type: 'LAUNCH', launch: { task_infos: [run] } }])
      await framework.taskStatus(id, ['TASK_RUNNING'])
    }
    expect(provider.published.at(-1)).toHaveLength(1)
    await framework.waitOffer(hasDisk('MOUNT', 'vol-51699695'))
    for (const id of ['s1', 's2']) await framework.kill(id)
    for (const id of ['s1', 's2']) await framework.taskStatus(id, ['TASK_KILLED'])
  })
})

test('what an operator marks gone ends for ever: TEARDOWN, and only with empty totals', async () => {
  const world = await startWorld()
  const provider = await world.provider()
  await provider.updateState([FAST])
  await world.knows(1)
  const call = {
    type: 'MARK_RESOURCE_PROVIDER_GONE',
    mark_resource_provider_gone: { resource_provider_id: { value: provider.id } },
  }
  const refused = recording<{ status: number; response: string }>('op-mark-rp-gone-with-resources')
  const answer = await post(`${world.agent().url}/api/v1`, call)
  expect({ status: answer.status, body: normal(answer.body) }).toEqual({
    status: refused.status,
    body: normal(refused.response),
  })
  await provider.updateState([])
  await until(() => world.agent().state.providers.get(provider.id)?.total.length === 0, { what: 'empty totals' })
  expect((await post(`${world.agent().url}/api/v1`, call)).status).toBe(200)
  await until(() => provider.events.at(-1)?.type === 'TEARDOWN' && provider.ended, { what: 'TEARDOWN and the end' })
  const again = await world.provider(0, { id: provider.id })
  await until(() => again.ended, { what: 'the end of the stream' })
})

test('an operation that the provider does not list is asked for again', async () => {
  const world = await startWorld()
  const provider = await world.provider()
  await provider.updateState([raw(1000, 'R')])
  const framework = await world.framework()
  const offer = await framework.waitOffer(hasDisk('RAW'))
  const source = provider.own(raw(10, 'R'))
  await framework.accept(
    [offer],
    [{ type: 'CREATE_DISK', id: { value: 'c1' }, create_disk: { source, target_type: 'MOUNT', target_profile: 'g' } }],
  )
  const operation = await provider.waitApply('c1')
  await provider.updateState([raw(1000, 'R')], [])
  const asked = await until(() => provider.events.find(({ type }) => type === 'RECONCILE_OPERATIONS'), {
    what: 'RECONCILE_OPERATIONS',
  })
  expect(normal(asked)).toEqual(normal(recording('wire/rp-EVENT-RECONCILE_OPERATIONS')))
  const { uuid: _uuid, ...status } = provider.statusOf(operation, 'OPERATION_DROPPED', { message: 'unknown' })
  await provider.say(
    { info: operation.info, operation_uuid: operation.operation_uuid, resource_version_uuid: { value: uuidBytes() } },
    status,
  )
  const told = await framework.operationStatus('c1')
  const recorded = recording<object>('moving/q3b-REFINE-shrink-3-A-OPERATION_DROPPED')
  expect(normal(told)).toEqual(normal({ ...recorded, operation_id: { value: 'c1' } }))
  await until(() => world.mesos.master.state.frameworks.get(framework.id)?.operations.size === 0, {
    what: 'the master to forget it',
  })
})
