import { expect } from 'vitest'
import type { OperationStatus, Resource } from '../../../src/mesos/resource.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { recording } from '../double/recording.ts'
import { type Client, idOf, newId } from './support/client.ts'
import {
  bare,
  create,
  createDisk,
  destroy,
  destroyDisk,
  isRaw,
  launch,
  part,
  persistent,
  reserve,
  reserved,
  unreserve,
} from './support/operations.ts'
import { shape } from './support/shape.ts'
import { sharedWorld } from './support/world.ts'

const needed = needs('root', 'loop-devices', 'mkfs.ext4')
const ROLE = 'storage-role'

needed.describe('without the ACLs', () => {
  const world = sharedWorld({ guarded: false, pools: { pool1: { sizeMiB: 1000, mesos: { roles: [ROLE] } } } })

  function framework(): Promise<Client> {
    return world.client({ roles: [ROLE] })
  }

  /** All of what is offered of an agent and was there before is unreserved again. */
  async function unreserveAll(client: Client): Promise<void> {
    const agent = world.agent(1)
    const kept = await client.look(
      agent,
      ({ resources }) => resources.find((each) => isRaw(each, 'pool1') && each.reservations),
      'reserved capacity',
    )
    const { state } = await client.operate(kept.hand, [unreserve(newId('u'), kept.found)])
    expect(state).toBe('OPERATION_FINISHED')
  }

  needed.test('02-07 as they were recorded: RESERVE, CREATE_DISK, CREATE, LAUNCH, and all of it back', async () => {
    const client = await framework()
    const agent = world.agent(1)
    await client.exactly(agent, 'pool1', 1000)
    const { hand, found } = await client.raw(agent, 'pool1', 1000)
    const source = reserved(part(found, 750), ROLE)
    const [r, c] = [newId('r'), newId('c')]
    await client.framework.accept(hand.offers, [reserve(r, source), createDisk(c, source, 'plain')])
    const reserving = await client.framework.operationStatus(r)
    expect(shape(reserving, ['metadata'])).toEqual(shape(recording('02-op-status-reserve'), ['profile']))
    const creating = await client.framework.operationStatus(c)
    const volumeId = idOf(converted(creating))
    expect(shape(creating)).toEqual(shape(recording('02-op-status-create-disk')))

    // it stays where it was made
    const ready = await client.ready(agent, volumeId)
    expect(client.hand(world.agent(2)).resources.some(({ disk }) => disk?.source?.id === volumeId)).toBe(false)
    const volume = persistent(ready.found, 'pv-1')
    const task = newId('task')
    const start = [create(newId('pv'), volume), launch(task, agent.id, 'echo hello > data/file', [volume])]
    expect(shape(await client.operate(ready.hand, start))).toEqual(shape(recording('04-op-status-create-pv')))
    expect((await client.ended(task)).state).toBe('TASK_FINISHED')
    await client.ran(agent, volumeId, 'grep -x hello data/file')
    await world.machine(1).killLogic()
    await client.ran(agent, volumeId, 'grep -x hello data/file')

    const last = await client.disk(agent, volumeId)
    const destroyed = await client.operate(last.hand, [destroy(newId('d'), last.found)])
    expect(shape(destroyed)).toEqual(shape(recording('07-op-destroy')))
    const gone = await untilDestroyed(client, volumeId)
    expect(shape(gone, ['metadata'])).toEqual(shape(recording('07-op-destroy-disk'), ['profile']))
    await unreserveAll(client)
    await until(
      () => {
        const raws = client.hand(agent).resources.filter((each) => isRaw(each, 'pool1'))
        const all = raws.reduce((sum, each) => sum + (each.scalar?.value ?? 0), 0)
        return all === 1000 && raws.every(({ reservations }) => reservations === undefined)
      },
      { what: 'all capacity to be offered to everybody again', deadlineMs: 40_000 },
    )
    expect(await world.usedMiB('pool1')).toBe(0)
  })

  async function untilDestroyed(client: Client, volumeId: string): Promise<OperationStatus> {
    return until(
      async () => {
        const { hand, found } = await client.disk(world.agent(1), volumeId)
        const status = await client.operate(hand, [destroyDisk(newId('dd'), bare(found))])
        return status.state === 'OPERATION_FINISHED' ? status : undefined
      },
      { what: 'the disk to be destroyed', deadlineMs: 20_000 },
    )
  }

  needed.test(
    'the controller hears of a RESERVE and the CREATE_DISK after it in that order, also after it was away',
    async () => {
      const client = await framework()
      const agent = world.agent(2)
      await client.exactly(agent, 'pool1', 1000)
      await world.stopController()
      const { hand, found } = await client.raw(agent, 'pool1', 1000)
      const source = reserved(part(found, 64), ROLE)
      const [r, c] = [newId('r'), newId('c')]
      await client.framework.accept(hand.offers, [reserve(r, source), createDisk(c, source, 'plain')])
      expect((await client.framework.operationStatus(r)).state).toBe('OPERATION_FINISHED')
      await world.startController()
      const volumeId = idOf(converted(await client.framework.operationStatus(c, 20_000)))
      await client.disk(agent, volumeId)
      await client.exactly(agent, 'pool1', 936)
      await client.exactly(world.agent(1), 'pool1', 1000)
      const { providers } = await world.rest.rest<{ providers: { reserved: unknown[] }[] }>('GET', '/v1/mesos')
      expect(providers.flatMap((each) => each.reserved)).toEqual([])
    },
  )

  needed.test('edge-race: RESERVE again and again while others take from the pool aborts nothing', async () => {
    const client = await framework()
    const taking = takeAndGive(client)
    for (let round = 0; round < 25; round += 1) {
      const { hand, found } = await client.raw(world.agent(1), 'pool1', 10)
      const mine = reserved(part(found, 10), ROLE)
      const [r, u] = [newId('r'), newId('u')]
      await client.framework.accept(hand.offers, [reserve(r, mine), unreserve(u, mine)])
      const { state } = await client.framework.operationStatus(r)
      expect(['OPERATION_FINISHED', 'OPERATION_DROPPED', 'OPERATION_ERROR']).toContain(state)
    }
    await taking
    expect(world.mesos.aborts).toEqual([])
  })

  /** Through the other agent, so that the figure of the first one is out of date all the time. */
  async function takeAndGive(client: Client): Promise<void> {
    for (let round = 0; round < 3; round += 1) {
      const disk = await client.made(world.agent(2), { pool: 'pool1', sizeMiB: 300 })
      await until(
        async () => {
          const { hand, found } = await client.disk(world.agent(2), idOf(disk))
          const { state } = await client.operate(hand, [destroyDisk(newId('dd'), found)])
          return state === 'OPERATION_FINISHED'
        },
        { what: 'the disk to be destroyed', deadlineMs: 20_000 },
      )
    }
  }

  needed.test('edge-shared-pv: two tasks of one agent share a volume', async () => {
    const client = await framework()
    const agent = world.agent(1)
    const { hand, found } = await client.raw(agent, 'pool1', 64)
    const source = reserved(part(found, 64), ROLE)
    const c = newId('c')
    await client.framework.accept(hand.offers, [reserve(newId('r'), source), createDisk(c, source, 'plain')])
    const volumeId = idOf(converted(await client.framework.operationStatus(c)))
    const ready = await client.ready(agent, volumeId)
    const volume = { ...persistent(ready.found, 'spv-1'), shared: {} }
    const one = newId('one')
    const command = 'echo one > data/one; while test ! -e data/two; do sleep 0.02; done'
    const operations = [create(newId('pv'), volume), launch(one, agent.id, command, [volume])]
    const status = await client.operate(ready.hand, operations)
    expect(shape(status)).toEqual(shape(recording('edge-shared-pv-op')))
    const two = await client.launch(
      agent,
      volumeId,
      'until grep -x one data/one; do sleep 0.02; done; echo two > data/two',
    )
    expect((await client.ended(one)).state).toBe('TASK_FINISHED')
    expect((await client.ended(two)).state).toBe('TASK_FINISHED')
  })

  needed.test(
    'CREATE on capacity is refused, and so is a task with it; the capacity is offered as before',
    async () => {
      const client = await framework()
      const agent = world.agent(2)
      const { hand, found } = await client.look(agent, withProcessors, 'capacity and processors')
      const source = reserved(part(found, 50), ROLE)
      const volume = persistent(source, 'pv-raw')
      const task = newId('task')
      const [r, c] = [newId('r'), newId('c')]
      const operations = [reserve(r, source), create(c, volume), launch(task, agent.id, 'true', [volume])]
      await client.framework.accept(hand.offers, operations)
      const { state, message } = await client.framework.operationStatus(c)
      expect([state, message]).toEqual([
        'OPERATION_FAILED',
        'CREATE: capacity can have no persistent volume; make a MOUNT disk of it first',
      ])
      const ended = await client.ended(task)
      expect(ended.state).not.toBe('TASK_FINISHED')
      await client.look(
        agent,
        ({ resources }) => resources.find((each) => isRaw(each, 'pool1') && each.reservations),
        'capacity without volume',
      )
      expect(agent.alive).toBe(true)
    },
  )

  function withProcessors({ resources }: { readonly resources: readonly Resource[] }): Resource | undefined {
    if (!resources.some(({ name }) => name === 'cpus')) return undefined
    return resources.find((each) => isRaw(each, 'pool1') && each.reservations === undefined)
  }
})

function converted({ state, message, converted_resources }: OperationStatus): Resource {
  const [disk] = converted_resources ?? []
  if (disk === undefined) throw new Error(`${state}: ${message}`)
  return disk
}
