import { expect, test } from 'vitest'
import type { TestFramework } from '../../support/mesos/framework.ts'
import type { OfferOperation } from '../../support/mesos/types.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { normal, recording } from './recording.ts'
import type { ScriptedProvider } from './scripted-provider.ts'
import { allocatedTo, hasAllFor, hasDisk, PRINCIPAL, startWorld, task, volume, type World } from './world.ts'

// A volume that is on offer on two agents at once, and follows its task.

const ACLS = {
  permissive: true,
  destroy_volumes: [{ principals: { type: 'NONE' }, creator_principals: { values: [PRINCIPAL] } }],
  unreserve_resources: [{ principals: { type: 'NONE' }, reserver_principals: { values: [PRINCIPAL] } }],
  reserve_resources: [{ principals: { type: 'NONE' }, roles: { values: ['R/%'] } }],
}

class Floating {
  readonly world: World
  readonly providers: readonly [ScriptedProvider, ScriptedProvider]

  constructor(world: World, providers: readonly [ScriptedProvider, ScriptedProvider]) {
    this.world = world
    this.providers = providers
  }

  get volume() {
    return [
      volume(200, 'R', 'V', this.world.root(0), 'pv-1'),
      volume(200, 'R', 'V', this.world.root(1), 'pv-1'),
    ] as const
  }

  /** The volume as it is in an offer of the second agent. */
  second(role = 'R') {
    return allocatedTo(role, this.providers[1].own(this.volume[1]))
  }

  same(actual: unknown, expected: unknown): void {
    const here = JSON.parse(JSON.stringify(actual).replaceAll(this.world.dir, '/var/lib/mesos-test')) as unknown
    expect(normal(here)).toEqual(normal(expected))
  }
}

async function floating(acls?: object): Promise<Floating> {
  const world = await startWorld({ agents: [{}, {}], ...(acls === undefined ? {} : { acls }) })
  const first = await world.provider(0)
  const second = await world.provider(1)
  const both = new Floating(world, [first, second])
  await first.updateState([both.volume[0]])
  await second.updateState([both.volume[1]])
  await world.knows(2)
  return both
}

async function launch(
  both: Floating,
  framework: TestFramework,
  number: 0 | 1,
  id: string,
  command: string,
): Promise<void> {
  const agentId = both.world.agent(number).id
  const offers = await framework.waitTogether(agentId, hasAllFor('V'))
  const run = task(id, agentId, command, [both.providers[number].own(both.volume[number])])
  await framework.accept(offers, [{ type: 'LAUNCH', launch: { task_infos: [run] } }])
}

test('it is offered on both at once', async () => {
  const both = await floating()
  const framework = await both.world.framework()
  for (const number of [0, 1]) {
    const offer = await framework.waitOffer(({ hostname }) => hostname === `a${number + 1}`)
    both.same(offer, recording(`moving/q1-01-offer-a${number + 1}`))
  }
})

needs('root', 'unshare').describe('in use', () => {
  test('it is withdrawn elsewhere, and offered there again after the task', async () => {
    const both = await floating()
    const { world, providers } = both
    const framework = await world.framework()
    for (const number of [0, 1]) world.root(number, 'V')
    await framework.waitTogether(world.agent(1).id, hasAllFor('V'))
    await launch(both, framework, 0, 't1', 'until [ -e data/stop ]; do sleep 0.02; done')
    await framework.taskStatus('t1', ['TASK_RUNNING'])
    await providers[1].updateState([])
    await until(() => framework.events.some(({ type }) => type === 'RESCIND'), { what: 'the RESCIND' })
    await framework.waitOffer(({ hostname, resources }) => hostname === 'a2' && !hasDisk('MOUNT')({ resources }))
    expect([...framework.offers.values()].some(hasDisk('MOUNT', 'V'))).toBe(false)
    await framework.kill('t1')
    await framework.taskStatus('t1', ['TASK_KILLED'])
    await framework.waitOffer((offer) => offer.hostname === 'a1' && hasDisk('MOUNT', 'V')(offer))
    await providers[1].updateState([both.volume[1]])
    const again = await framework.waitOffer((offer) => offer.hostname === 'a2' && hasDisk('MOUNT', 'V')(offer))
    // the rest of the agent is still held in another offer
    both.same(again, recording('moving/q1-03-offer-a2-again'))
    await launch(both, framework, 1, 't2', 'echo moved > data/proof')
    const end = await framework.taskStatus('t2', ['TASK_FINISHED', 'TASK_FAILED'])
    both.same({ ...end, task_id: { value: 't2' } }, recording('moving/q1-04-t2-terminal'))
    expect(world.mesos.aborts).toEqual([])
  })

  test('the end of its use shows in the tasks before it shows in the containers', async () => {
    const both = await floating()
    const { world } = both
    world.root(0, 'V')
    const framework = await world.framework()
    await launch(both, framework, 0, 't1', 'sleep 0.15')
    const seen: string[] = []
    await until(
      async () => {
        const now = await lookAt(world)
        if (seen.at(-1) !== now) seen.push(now)
        return now === 'completed:1 containers:0'
      },
      { what: 'the end of the container', everyMs: 2 },
    )
    const known = [
      'pending:1 containers:0',
      'queued:1 containers:0',
      'queued:1 containers:1',
      'launched:1 containers:1',
    ]
    const recorded = recording<{ s: string }[]>('moving/q1b-agent-restart-poll')
    expect(recorded.map(({ s }) => /GET_CONTAINERS 200:(\d)/.exec(s)?.[1]).filter(Boolean)).toEqual([
      '1',
      '1',
      '0',
      '0',
    ])
    const inOrder = [...known, 'terminated:1 containers:1', 'completed:1 containers:1', 'completed:1 containers:0']
    expect(inOrder.filter((state) => seen.includes(state))).toEqual(seen.filter((state) => state !== 'containers:0'))
    expect(seen).toEqual(
      expect.arrayContaining(['launched:1 containers:1', 'completed:1 containers:1', 'completed:1 containers:0']),
    )
    expect(both.providers[0].published).toHaveLength(2)
    expect(await world.ask('GET_CONTAINERS', world.agent().url)).toEqual({ type: 'GET_CONTAINERS' })
  })
})

async function lookAt(world: World): Promise<string> {
  const { get_tasks } = (
    await world.ask<{ get_state: { get_tasks: Record<string, unknown[]> } }>('GET_STATE', world.agent().url)
  ).get_state
  const answer = await world.ask<{ get_containers?: { containers: unknown[] } }>('GET_CONTAINERS', world.agent().url)
  const tasks = Object.entries(get_tasks).map(([name, list]) => `${name.replace('_tasks', '')}:${list.length}`)
  return [...tasks, `containers:${answer.get_containers?.containers.length ?? 0}`].join(' ')
}

test('who loses the race for it is told as recorded', async () => {
  const both = await floating()
  const framework = await both.world.framework()
  both.providers[1].answers('FAILED')
  await launch(both, framework, 1, 'r1-a1', 'true')
  const failed = await framework.taskStatus('r1-a1', ['TASK_FAILED', 'TASK_FINISHED'])
  both.same(failed, recording('moving/q2a-status-2-TASK_FAILED'))
  const offers = await framework.waitTogether(both.world.agent(1).id, hasAllFor('V'))
  const run = task('r24-a1', both.world.agent(1).id, 'true', [both.second()])
  await framework.decline(offers, 0)
  await framework.accept(offers, [{ type: 'LAUNCH', launch: { task_infos: [run] } }])
  const dropped = await framework.taskStatus('r24-a1', ['TASK_DROPPED'])
  const { message: _message, ...rest } = recording<{ message: string }>('moving/q2a-status-3-TASK_DROPPED')
  both.same(dropped, {
    ...rest,
    message: `Task launched with invalid offers: Offer ${offers[0]?.id.value} is no longer valid`,
  })
})

test('a LAUNCH that the withdrawal overtakes is dropped, and harms nobody', async () => {
  const both = await floating()
  const { world, providers } = both
  const framework = await world.framework()
  const offers = await framework.waitTogether(world.agent(1).id, hasAllFor('V'))
  world.mesos.links.hold('agent->master', world.agent(1).id)
  await providers[1].updateState([])
  await until(() => world.mesos.links.waiting('agent->master', world.agent(1).id) > 0, {
    what: 'the withdrawal on its way',
  })
  const run = task('LAUNCH-9da3a4', world.agent(1).id, 'true', [both.second()])
  await framework.accept(offers, [{ type: 'LAUNCH', launch: { task_infos: [run] } }])
  await until(() => world.mesos.links.waiting('agent->master', world.agent(1).id) > 1, { what: 'the answer' })
  world.mesos.links.release('agent->master', world.agent(1).id)
  both.same(await framework.taskStatus('LAUNCH-9da3a4', ['TASK_DROPPED']), recording('moving/q2b-LAUNCH-1'))
  expect(world.mesos.aborts).toEqual([])
})

test('without the volume in the offer a task is in error', async () => {
  const both = await floating()
  const framework = await both.world.framework()
  await both.providers[1].updateState([])
  const offer = await framework.waitOffer(
    (one) => one.hostname === 'a2' && one.resources.length === 4 && !hasDisk('MOUNT')(one),
  )
  const run = task('LAUNCH-3bac16', both.world.agent(1).id, 'true', [both.second()])
  await framework.accept([offer], [{ type: 'LAUNCH', launch: { task_infos: [run] } }])
  const status = await framework.taskStatus('LAUNCH-3bac16', ['TASK_ERROR'])
  // when it was recorded another task had a tenth of a CPU
  const recorded = JSON.stringify(recording('moving/q2b-LAUNCH-4'))
    .replace('3.9', '4')
    .replace('4064', '4096')
    .replace('[31200-31299]', '[31200-31299]')
  both.same(status, JSON.parse(recorded))
})

type Refusal = readonly [recorded: string, operation: (both: Floating) => Omit<OfferOperation, 'id'>, role?: string]

const REFUSALS: readonly Refusal[] = [
  ['q2b-DESTROY-1', (both) => ({ type: 'DESTROY', destroy: { volumes: [both.second()] } })],
  ['q2s-direct-aclunres-1', (both) => ({ type: 'UNRESERVE', unreserve: { resources: [both.second()] } })],
  ['q2b-DDISK-1', (both) => ({ type: 'DESTROY_DISK', destroy_disk: { source: both.second() } })],
  ['q2b-RESERVE-1', (both) => ({ type: 'RESERVE', reserve: { resources: [refined(both, 'R')] } })],
  ['q2b-RESERVE-2', (both) => ({ type: 'RESERVE', reserve: { resources: [refined(both, 'R/x')] } }), 'R/x'],
]

function refined(both: Floating, role: string) {
  const { reservations, ...rest } = both.second(role)
  return { ...rest, reservations: [...(reservations ?? []), { type: 'DYNAMIC', role: 'R/x' } as const] }
}

test.for(REFUSALS)('with ACLs the operation of %s dies in the master', async ([name, operation, role]) => {
  const both = await floating(ACLS)
  const framework = await both.world.framework({ roles: [role ?? 'R'] })
  const offer = await framework.waitOffer((one) => one.hostname === 'a2' && hasDisk('MOUNT', 'V')(one))
  const recorded = recording<{
    operation_id?: { value: string }
    update_operation_status?: { status: { operation_id: { value: string } } }
  }>(`moving/${name}`)
  const status = recorded.update_operation_status?.status ?? recorded
  const id = status.operation_id ?? { value: 'x' }
  // at the very moment at which the volume is withdrawn
  both.world.mesos.links.hold('agent->master', both.world.agent(1).id)
  await both.providers[1].updateState([])
  await framework.accept([offer], [{ id, ...operation(both) }])
  both.same(await framework.operationStatus(id.value), status)
  expect(both.providers[1].applied).toEqual([])
  expect(both.world.mesos.aborts).toEqual([])
})

test('an operation on an offer that was taken back is in error', async () => {
  const both = await floating()
  const framework = await both.world.framework()
  const offer = await framework.waitOffer((one) => one.hostname === 'a2' && hasDisk('MOUNT', 'V')(one))
  await both.providers[1].updateState([])
  await until(() => !framework.offers.has(offer.id.value), { what: 'the RESCIND' })
  const id = { value: 'DESTROY-c2daf7' }
  await framework.accept([offer], [{ type: 'DESTROY', id, destroy: { volumes: [both.second()] } }])
  both.same(await framework.operationStatus(id.value), {
    ...recording<object>('moving/q2b-DESTROY-2'),
    message: `Operation attempted with invalid offers: Offer ${offer.id.value} is no longer valid`,
  })
})

test('a withdrawal in two phases lets a slow operation fall through', async () => {
  const both = await floating()
  const { world, providers } = both
  const framework = await world.framework()
  for (let round = 0; round < 5; round++) {
    const offer = await framework.waitOffer((one) => one.hostname === 'a2' && hasDisk('MOUNT', 'V')(one))
    await providers[1].updateState([both.volume[1]])
    await until(() => !framework.offers.has(offer.id.value), { what: 'the RESCIND' })
    await framework.accept(
      [offer],
      [{ type: 'DESTROY', id: { value: `d${round}` }, destroy: { volumes: [both.second()] } }],
    )
    await providers[1].updateState([])
    expect((await framework.operationStatus(`d${round}`)).state).toBe('OPERATION_ERROR')
    await providers[1].updateState([both.volume[1]])
  }
  expect(world.mesos.aborts).toEqual([])
})
