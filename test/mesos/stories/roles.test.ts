import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished } from 'vitest'
import type { OperationStatus, Resource } from '../../../src/mesos/resource.ts'
import { loopsUnder } from '../../e2e/support/node-cleanup.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { normal, recording } from '../double/recording.ts'
import { idOf, newId } from './support/client.ts'
import {
  create,
  createDisk,
  destroyDisk,
  isRaw,
  launch,
  part,
  persistent,
  reserve,
  reserved,
  reservedTo,
  unreserve,
} from './support/operations.ts'
import { shape } from './support/shape.ts'
import { poolName, sharedWorld } from './support/world.ts'

const needed = needs('root', 'loop-devices', 'mkfs.ext4')

needed.describe('several roles, several pools, and block devices', () => {
  const world = sharedWorld({
    pools: {
      shared: { sizeMiB: 500, mesos: { roles: ['A', 'B'] } },
      quota: { sizeMiB: 500, mesos: { roles: ['A', 'B'] } },
      taken: { sizeMiB: 500, mesos: { roles: ['A', 'B'] } },
      slow: { sizeMiB: 300, mesos: { roles: ['A'] } },
      block: { sizeMiB: 200, mesos: { roles: ['blk'], block: true, float: false } },
    },
    profiles: { plain: {}, blockdev: { fs: 'raw' } },
  })

  needed.test('q3: each role is offered what it may take, whatever the others are offered', async () => {
    const [a, b] = [await world.client({ roles: ['A'] }), await world.client({ roles: ['B'] })]
    for (const agent of world.mesos.agents) {
      await a.exactly(agent, 'quota', 500)
      await b.exactly(agent, 'quota', 500)
    }
    await a.made(world.agent(1), { pool: 'quota', sizeMiB: 300 })
    for (const agent of world.mesos.agents) {
      await a.exactly(agent, 'quota', 200)
      await b.exactly(agent, 'quota', 200)
    }
    await world.rest.rest('PUT', '/v1/roles/B', { quota: { sizeMiB: 50 } })
    onTestFinished(() =>
      world.rest
        .rest('DELETE', '/v1/roles/B')
        .then(Boolean, Boolean)
        .then(() => undefined),
    )
    await b.exactly(world.agent(2), 'quota', 50)
    await b.made(world.agent(1), { pool: 'quota', sizeMiB: 50 })
    await b.exactly(world.agent(2), 'quota', 0)
    await world.rest.rest('DELETE', '/v1/roles/B')
    await b.exactly(world.agent(2), 'quota', 150)
  })

  needed.test('q3: four takers at once never get more than there is', async () => {
    const clients = [await world.client({ roles: ['A'] }), await world.client({ roles: ['B'] })]
    const outcomes: string[] = []
    for (const sizeMiB of [140]) {
      const takers = clients.flatMap((client) => world.mesos.agents.map((agent) => ({ client, agent })))
      const hands = await Promise.all(
        takers.map(async ({ client, agent }) => ({ client, ...(await client.raw(agent, 'taken', 500)) })),
      )
      const ended = await Promise.all(
        hands.map(({ client, hand, found }) =>
          client.operate(hand, [createDisk(newId('c'), part(found, sizeMiB), 'plain')]),
        ),
      )
      outcomes.push(...ended.map(({ state }) => state))
      expect(await world.usedMiB('taken')).toBeLessThanOrEqual(500)
      const made = ended.flatMap(({ converted_resources }) => converted_resources ?? []).map(idOf)
      expect(made.length).toBeGreaterThan(0)
      await Promise.all(made.map((id) => world.deleted(id)))
      for (const { client, agent } of takers) await client.exactly(agent, 'taken', 500)
    }
    const known = ['OPERATION_FINISHED', 'OPERATION_FAILED', 'OPERATION_DROPPED', 'OPERATION_ERROR']
    for (const outcome of outcomes) expect(known).toContain(outcome)
  })

  needed.test('q3b: nobody unreserves or refines what is reserved for a role', async () => {
    const client = await world.client({ roles: ['A'] })
    const one = await client.raw(world.agent(1), 'shared', 500)
    const unreserved = await client.operate(one.hand, [unreserve(newId('u'), one.found)])
    sameRefusal(unreserved, 'moving/q3b-UNRES-acl-1-A-OPERATION_ERROR')
    await client.end()
    const below = await world.client({ roles: ['A/web'] })
    const find = ({ resources }: { resources: readonly Resource[] }) => resources.find((each) => isRaw(each, 'shared'))
    const two = await below.look(world.agent(1), find, 'capacity of A')
    expect(reservedTo(two.found)).toBe('A')
    const refined = await below.operate(two.hand, [reserve(newId('r'), reserved(two.found, 'A/web'))])
    sameRefusal(refined, 'moving/q3b-REFINE-acl-2-A-OPERATION_ERROR')
    await below.end()
    const others = await world.client({ roles: ['C'] })
    await others.look(world.agent(1), ({ resources }) => resources.find(({ name }) => name === 'cpus'), 'processors')
    expect(others.hand(world.agent(1)).resources.filter(({ provider_id }) => provider_id !== undefined)).toEqual([])
  })

  function sameRefusal({ state, message }: OperationStatus, name: string): void {
    const recorded = recording<OperationStatus>(name)
    const words = (text = '') => text.replace(/ on object .*/, '')
    expect([state, words(message)]).toEqual([recorded.state, words(recorded.message)])
  }

  needed.test('q5: a BLOCK disk is made and given to a task as it is; it never becomes a volume', async () => {
    const client = await world.client({ roles: ['blk'] })
    const agent = world.agent(1)
    const status = await client.madeAs(agent, { pool: 'block', sizeMiB: 50, profile: 'blockdev', target: 'BLOCK' })
    expect(shape(status, ['metadata'])).toEqual(shape(recording('moving/q5-create_disk-block-status')))
    const diskId = idOf(status.converted_resources?.[0] as Resource)

    const bareTask = await client.ran(agent, diskId, 'true')
    expect(shape(await client.ended(bareTask))).toEqual(shape(recording('moving/q5-task-block')))
    const { hand, found } = await client.ready(agent, diskId)
    const withVolume = { ...found, disk: { ...found.disk, volume: { mode: 'RW' as const, container_path: 'x' } } }
    const task = newId('task')
    await client.framework.accept(hand.offers, [launch(task, agent.id, 'true', [withVolume])])
    const wrong = await client.ended(task)
    const recorded = recording<{ state: string; message: string }>('moving/q5-task-block-volume')
    expect([wrong.state, wrong.message]).toEqual([recorded.state, recorded.message])
  })

  needed.test('a BLOCK disk is attached for as long as its task runs, and destroyed by its framework', async () => {
    const client = await world.client({ roles: ['blk'] })
    const agent = world.agent(1)
    const before = await world.usedMiB('block')
    const wish = { pool: 'block', sizeMiB: 50, profile: 'blockdev', target: 'BLOCK' } as const
    const diskId = idOf(await client.made(agent, wish))
    expect(await world.volume(diskId)).toMatchObject({ fs: 'raw', mesos: { target: 'BLOCK' }, attachments: [] })
    const devices = () => loopsUnder(world.dir.path, 'hf-').filter(({ file }) => file.includes(diskId))
    expect(devices()).toEqual([])

    const end = join(world.dir.path, `${diskId}.end`)
    const task = await client.running(agent, diskId, `while test ! -e ${end}; do sleep 0.05; done`)
    expect(devices()).toHaveLength(1)
    const users = (await world.volume(diskId)).attachments.flatMap((each) => each.users)
    expect(users).toMatchObject([{ door: 'mesos' }])
    world.touch(end)
    expect((await client.ended(task)).state).toBe('TASK_FINISHED')
    await until(() => devices().length === 0, { what: 'the device to be detached', deadlineMs: 20_000 })

    const made = await client.disk(agent, diskId)
    const early = { what: 'the disk to be destroyable', deadlineMs: 20_000 }
    const destroyed = await until(async () => {
      const { hand, found } = await client.disk(agent, diskId)
      const status = await client.operate(hand, [destroyDisk(newId('d'), found)])
      return status.state === 'OPERATION_FINISHED' ? status : undefined
    }, early)
    const [back] = destroyed.converted_resources ?? []
    expect(back).toMatchObject({ scalar: { value: 50 }, reservations: made.found.reservations })
    expect(back?.disk?.source).toMatchObject({ type: 'RAW' })
    await expect(world.volume(diskId)).rejects.toMatchObject({ code: 'not_found' })
    expect(await world.usedMiB('block')).toBe(before)
    await client.exactly(agent, 'block', 200 - before)
  })

  needed.test('q5b: CREATE and LAUNCH on a BLOCK disk in one ACCEPT fail both, and nothing dies', async () => {
    const client = await world.client({ roles: ['blk'] })
    const agent = world.agent(2)
    const wish = { pool: 'block', sizeMiB: 50, profile: 'blockdev', target: 'BLOCK' } as const
    const diskId = idOf(await client.made(agent, wish))
    const { hand, found } = await client.ready(agent, diskId)
    const volume = persistent(found, 'pvb', undefined, 'blk')
    const [created, task] = [newId('c'), newId('task')]
    const operations = [create(created, volume), launch(task, agent.id, 'true', [volume])]
    const refused = await client.operate(hand, operations)
    expect(shape(refused)).toEqual(shape(recording('moving/q5b-create-refused')))
    const failed = await client.ended(task)
    const recorded = recording<{ reason: string; message: string }>('moving/q5b-launch')
    const words = (text = '') => normal(text.replace(/'[^']*'/, "'…'"))
    expect([failed.reason, words(failed.message)]).toEqual([recorded.reason, words(recorded.message)])
    await until(() => client.hand(agent).resources.some((each) => isIntact(each, diskId)), {
      what: 'the disk to be offered as before',
    })
    expect(agent.alive).toBe(true)
  })

  function isIntact({ disk }: Resource, id: string): boolean {
    return disk?.source?.id === id && disk.persistence === undefined
  }

  needed.test('q6: a change of one pool drops no operation in the other', async () => {
    const client = await world.client({ roles: ['A'] })
    const agent = world.agent(1)
    await client.exactly(agent, 'slow', 300)
    const outcomes: string[] = []
    const moving = moveSlow()
    while (outcomes.length < 6) {
      const { hand, found } = await client.raw(agent, 'shared', 30)
      const { state } = await client.operate(hand, [createDisk(newId('c'), part(found, 30), 'plain')])
      outcomes.push(state)
    }
    await moving
    expect(outcomes).toContain('OPERATION_FINISHED')
    expect(outcomes).not.toContain('OPERATION_DROPPED')
    await world.rest.rest('PATCH', `/v1/pools/${poolName('slow')}`, { mesos: null })
    await until(() => !agent.state.total.some((each) => isRaw(each, 'slow')), { what: 'the agent to drop that pool' })
    await until(() => client.rawMiB(agent, 'slow') === 0 && client.rawMiB(agent, 'shared') > 0, {
      what: 'the offers to have the other pool alone',
    })
    await world.rest.rest('PATCH', `/v1/pools/${poolName('slow')}`, { mesos: { roles: ['A'] } })
    await client.exactly(agent, 'slow', 300)
  })

  /** Capacity of the other pool comes and goes. */
  async function moveSlow(): Promise<void> {
    for (let round = 0; round < 2; round += 1) {
      const body = { pool: poolName('slow'), role: 'B', sizeMiB: 100 }
      const { id } = await world.rest.rest<{ id: string }>('POST', '/v1/holds', body)
      await delay(300)
      await world.rest.rest('DELETE', `/v1/holds/${id}`)
      await delay(300)
    }
  }

  needed.test(
    'q7: where nothing changes nothing is sent, and a change of one pool says nothing new of another',
    async () => {
      const client = await world.client({ roles: ['A'] })
      const body = { pool: poolName('slow'), role: 'B', sizeMiB: 100 }
      const { id } = await world.rest.rest<{ id: string }>('POST', '/v1/holds', body)
      for (const agent of world.mesos.agents) {
        await client.exactly(agent, 'slow', 200)
      }
      const versions = (name: string) =>
        world.mesos.agents.map(({ state }) => {
          return [...state.providers.values()].find(({ info }) => info.name.endsWith(name))?.version
        })
      const [slow, other] = [versions('slow'), versions('taken')]
      await world.rest.rest('PATCH', `/v1/pools/${poolName('slow')}`, { labels: { seen: 'by nobody' } })
      await delay(2000)
      expect(versions('slow')).toEqual(slow)
      await world.rest.rest('DELETE', `/v1/holds/${id}`)
      for (const agent of world.mesos.agents) await client.exactly(agent, 'slow', 300)
      for (const [index, version] of versions('slow').entries()) expect(version).not.toBe(slow[index])
      expect(versions('taken')).toEqual(other)
    },
  )
})
