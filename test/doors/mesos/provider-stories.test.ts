import { expect } from 'vitest'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { isRaw, isVolume, pick, World } from './support/provider-world.ts'
import { launch, makeDisk, rawOffer, run, start, volumeIdOf, volumeOffers } from './support/stories.ts'

needs('root', 'loop-devices', 'unshare', 'mkfs.ext4').describe('a machine and its provider', () => {
  const { test } = needs('root')

  test('1. a pool is shared by two agents; a volume is made, written, follows its task and is read', async () => {
    const world = await World.start()
    const [a1, a2] = [world.machine(1).agent, world.machine(2).agent]
    const framework = await world.framework()
    const [first, second] = [await rawOffer(framework, a1), await rawOffer(framework, a2)]
    for (const offer of [first, second]) {
      expect(pick([offer], isRaw)).toMatchObject({
        scalar: { value: 4096 },
        reservations: [{ type: 'DYNAMIC', role: 'ads', principal: 'holdfast' }],
        disk: { source: { type: 'RAW', vendor: 'loop' } },
      })
    }
    const made = await makeDisk(framework, a1, 'make')
    expect(made).toMatchObject({ state: 'OPERATION_FINISHED' })
    const volume = volumeIdOf(made)
    expect(made.converted_resources?.[0]).toMatchObject({
      scalar: { value: 64 },
      disk: {
        persistence: { id: volume, principal: 'holdfast' },
        volume: { mode: 'RW', container_path: 'data' },
        source: { type: 'MOUNT', id: volume, profile: 'default', mount: { root: world.machine(1).mountRoot } },
      },
    })
    const wrote = await run(framework, a1, volume, { id: 'writes', command: 'echo hello-from-a1 > data/greeting' })
    expect(wrote).toMatchObject({ state: 'TASK_FINISHED' })
    const read = await run(framework, a2, volume, { id: 'reads', command: 'grep -q hello-from-a1 data/greeting' })
    expect(read).toMatchObject({ state: 'TASK_FINISHED' })
    // and what was taken is counted once, on both
    for (const agent of [a1, a2]) {
      await framework.waitOffer(
        ({ agent_id, resources }) =>
          agent_id.value === agent.id && resources.some((each) => isRaw(each) && each.scalar?.value === 4096 - 64),
        20_000,
      )
    }
    expect(world.mesos.aborts).toEqual([])
  })

  test('2. what does not fit fails with a sentence that says what would', async () => {
    const world = await World.start({ capacityMiB: 256 })
    const framework = await world.framework()
    const [a1, a2] = [world.machine(1).agent, world.machine(2).agent]
    // both offers are taken before either agent's figure has moved
    const [one, two] = [await rawOffer(framework, a1, 200), await rawOffer(framework, a2, 200)]
    const disk = (id: string, offer: typeof one) => ({
      type: 'CREATE_DISK' as const,
      id: { value: id },
      create_disk: {
        source: { ...pick([offer], isRaw), scalar: { value: 200 } },
        target_type: 'MOUNT' as const,
        target_profile: 'default',
      },
    })
    await Promise.all([framework.accept([one], [disk('one', one)]), framework.accept([two], [disk('two', two)])])
    const ends = [await framework.operationStatus('one', 20_000), await framework.operationStatus('two', 20_000)]
    expect(ends.map(({ state }) => state).sort()).toEqual(['OPERATION_FAILED', 'OPERATION_FINISHED'])
    const failed = ends.find(({ state }) => state === 'OPERATION_FAILED')
    expect(failed?.message).toMatch(/56 MiB/)
    expect(world.mesos.aborts).toEqual([])
  })

  test('3. two tasks race for one volume on two agents: one runs, the other is told to try again', async () => {
    const world = await World.start()
    const framework = await world.framework()
    const [a1, a2] = [world.machine(1).agent, world.machine(2).agent]
    const volume = volumeIdOf(await makeDisk(framework, a1, 'make'))
    const [one, two] = [await volumeOffers(framework, a1, volume), await volumeOffers(framework, a2, volume)]
    const task = (id: string) => ({ id, command: 'echo $MESOS_SANDBOX >> data/who; sleep 1' })
    await Promise.all([
      framework.accept(one, [launch(one, task('one'), [pick(one, isVolume(volume))])]),
      framework.accept(two, [launch(two, task('two'), [pick(two, isVolume(volume))])]),
    ])
    const ends = ['TASK_FINISHED', 'TASK_FAILED', 'TASK_DROPPED', 'TASK_ERROR'] as const
    const states = [await framework.taskStatus('one', ends, 30_000), await framework.taskStatus('two', ends, 30_000)]
    expect(states.filter(({ state }) => state === 'TASK_FINISHED')).toHaveLength(1)
    expect(states.find(({ state }) => state !== 'TASK_FINISHED')?.reason).toMatch(
      /REASON_CONTAINER_LAUNCH_FAILED|REASON_INVALID_OFFERS/,
    )
    const check = await run(framework, a2, volume, { id: 'check', command: 'test $(wc -l < data/who) = 1' })
    expect(check).toMatchObject({ state: 'TASK_FINISHED' })
    expect(world.mesos.aborts).toEqual([])
  })

  test('4. a node daemon that is killed while a task starts: the task starts when it is back', async () => {
    const world = await World.start({ machines: 1 })
    const framework = await world.framework()
    const { agent, node } = world.machine(1)
    const volume = volumeIdOf(await makeDisk(framework, agent, 'make'))
    const offers = await volumeOffers(framework, agent, volume)
    await node.kill()
    await framework.accept(offers, [
      launch(offers, { id: 't', command: 'echo here > data/f' }, [pick(offers, isVolume(volume))]),
    ])
    await node.start()
    expect(await framework.taskStatus('t', ['TASK_FINISHED', 'TASK_FAILED'], 40_000)).toMatchObject({
      state: 'TASK_FINISHED',
    })
    expect(world.mesos.aborts).toEqual([])
  })

  test('5. a controller that is away stops no launch on a volume that is here, and delays a CREATE_DISK', async () => {
    const world = await World.start({ machines: 1 })
    const framework = await world.framework()
    const { agent } = world.machine(1)
    const volume = volumeIdOf(await makeDisk(framework, agent, 'make'))
    await start(framework, agent, volume, {
      id: 'long',
      command: 'touch data/long; while [ ! -e data/go ]; do sleep 0.1; done',
    })
    await framework.taskStatus('long', ['TASK_RUNNING'])
    await world.stopController()
    // the second publish of a task on the same agent names the first one's volume as well
    const raw = await rawOffer(framework, agent)
    const together = await framework.waitTogether(
      agent.id,
      (all) => all.some(isRaw) && all.some(({ name }) => name === 'cpus'),
    )
    const operation = {
      type: 'CREATE_DISK' as const,
      id: { value: 'later' },
      create_disk: {
        source: { ...pick([raw], isRaw), scalar: { value: 32 } },
        target_type: 'MOUNT' as const,
        target_profile: 'default',
      },
    }
    const [release] = [launch(together, { id: 'other', command: 'true' }, [])]
    await framework.accept(together, [release, operation])
    expect(await framework.taskStatus('other', ['TASK_FINISHED', 'TASK_FAILED'])).toMatchObject({
      state: 'TASK_FINISHED',
    })
    await world.startController()
    expect(await framework.operationStatus('later', 30_000)).toMatchObject({ state: 'OPERATION_FINISHED' })
    await framework.kill('long')
    expect(world.mesos.aborts).toEqual([])
  })

  test('6. an agent that restarts while a task runs: the task goes on, and its volume is given back after it', async () => {
    const world = await World.start()
    const framework = await world.framework()
    const [{ agent: a1 }, { agent: a2 }] = [world.machine(1), world.machine(2)]
    const volume = volumeIdOf(await makeDisk(framework, a1, 'make'))
    await start(framework, a1, volume, { id: 'survives', command: 'sleep 3; echo survived > data/f' })
    await framework.taskStatus('survives', ['TASK_RUNNING'])
    a1.kill()
    await a1.restart()
    expect(await framework.taskStatus('survives', ['TASK_FINISHED', 'TASK_FAILED', 'TASK_LOST'], 20_000)).toMatchObject(
      {
        state: 'TASK_FINISHED',
      },
    )
    const read = await run(framework, a2, volume, { id: 'reads', command: 'grep -q survived data/f' })
    expect(read).toMatchObject({ state: 'TASK_FINISHED' })
    expect(world.mesos.aborts).toEqual([])
  })

  test('7. a wiped agent is a new one: its provider gets a new id, and volumes are shown there again', async () => {
    const world = await World.start({ machines: 1 })
    const framework = await world.framework()
    const { agent } = world.machine(1)
    const volume = volumeIdOf(await makeDisk(framework, agent, 'make'))
    const [before] = await volumeOffers(framework, agent, volume)
    agent.kill()
    await agent.restart({ wipe: true })
    await until(() => agent.agentId !== undefined, { what: 'the agent to register' })
    const after = await volumeOffers(framework, agent, volume)
    expect(pick(after, isVolume(volume)).provider_id).not.toEqual(pick([before as never], () => true).provider_id)
    expect(await run(framework, agent, volume, { id: 't', command: 'touch data/f' })).toMatchObject({
      state: 'TASK_FINISHED',
    })
    const { providers } = await world.rest.rest<{ providers: { providerId?: string }[] }>('GET', '/v1/mesos')
    expect(providers.map(({ providerId }) => providerId)).toEqual([pick(after, isVolume(volume)).provider_id?.value])
    expect(world.mesos.aborts).toEqual([])
  })

  test('8. a planned stop withdraws first; tasks go on; the next start is the same provider', async () => {
    const world = await World.start()
    const framework = await world.framework()
    const [{ agent: a1 }, { agent: a2 }] = [world.machine(1), world.machine(2)]
    const volume = volumeIdOf(await makeDisk(framework, a1, 'make'))
    await start(framework, a1, volume, { id: 'long', command: 'sleep 6; echo done > data/f' })
    await framework.taskStatus('long', ['TASK_RUNNING'])
    const known = () => [...(world.mesos.master.state.agents.get(a1.id)?.providers.keys() ?? [])]
    const before = known()
    await world.stopProvider(1)
    await until(
      () =>
        ![...framework.offers.values()].some(
          ({ agent_id, resources }) => agent_id.value === a1.id && resources.some(isRaw),
        ),
      {
        what: 'every offer with its resources to be gone',
      },
    )
    await world.startProvider(1)
    await rawOffer(framework, a1)
    expect(known()).toEqual(before)
    expect(await framework.taskStatus('long', ['TASK_FINISHED', 'TASK_FAILED'], 20_000)).toMatchObject({
      state: 'TASK_FINISHED',
    })
    expect(await run(framework, a2, volume, { id: 'reads', command: 'grep -q done data/f' })).toMatchObject({
      state: 'TASK_FINISHED',
    })
    expect(world.mesos.aborts).toEqual([])
  })
})
