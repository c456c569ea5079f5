import { expect } from 'vitest'
import type { OperationStatus, Resource } from '../../../src/mesos/resource.ts'
import type { OfferOperation } from '../../support/mesos/types.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { recording } from '../double/recording.ts'
import { type Client, type Hand, idOf, newId } from './support/client.ts'
import {
  amountOf,
  bare,
  create,
  createDisk,
  destroy,
  destroyDisk,
  launch,
  part,
  persistent,
  unreserve,
} from './support/operations.ts'
import { shape } from './support/shape.ts'
import { sharedWorld } from './support/world.ts'

const needed = needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs')

needed.describe('capacity without a profile, and a disk that comes as a persistent volume', () => {
  const world = sharedWorld({
    pools: {
      float: { sizeMiB: 2000, mesos: { roles: ['R'], bandwidth: true } },
      open: { sizeMiB: 500, mesos: { roles: ['R'], unreserved: true } },
    },
    profiles: { gold: {}, silver: { iopsPerGiB: 0, pools: ['loop~story~float'] } },
    bandwidth: 1000,
  })

  needed.test(
    'p1: one CREATE_DISK for each profile, both in one ACCEPT; a profile must be named, and exist',
    async () => {
      const client = await world.client({ roles: ['R'] })
      const agent = world.agent(1)
      const { hand, found } = await client.raw(agent, 'float', 500)
      const ids = [newId('c1'), newId('c2')] as const
      await client.framework.accept(hand.offers, [
        createDisk(ids[0], part(found, 100), 'gold'),
        createDisk(ids[1], part(found, 60), 'silver'),
      ])
      for (const [index, profile] of ['gold', 'silver'].entries()) {
        const status = await client.framework.operationStatus(ids[index] ?? '')
        expect(status.converted_resources?.[0]?.disk?.source?.profile).toBe(profile)
        const recorded = recording(`direct/p1-03-op-c${index + 1}`)
        const persistence = ['metadata', 'persistence', 'volume']
        expect(shape(status, persistence)).toEqual(shape(recorded))
      }
      const none = await client.createDisk(agent, { pool: 'float', sizeMiB: 10, profile: null })
      const recorded = recording<OperationStatus>('direct/p1-02-op-no-target-profile')
      expect([none.state, words(none.message)]).toEqual([recorded.state, words(recorded.message)])
      const unknown = await client.createDisk(agent, { pool: 'float', sizeMiB: 10, profile: 'bronze' })
      expect([unknown.state, unknown.message]).toEqual([
        'OPERATION_FAILED',
        'profile "bronze" does not exist; there are gold, silver',
      ])
    },
  )

  needed.test('p2: unreserved capacity becomes a volume that is reserved for the role that asked', async () => {
    const client = await world.client({ roles: ['R'] })
    const agent = world.agent(1)
    const status = await client.madeAs(agent, { pool: 'open', sizeMiB: 100, profile: 'gold' })
    expect(shape(status, ['metadata'])).toEqual(shape(recording('direct/p2-addres-01-op-c1')))
    const volumeId = idOf(status.converted_resources?.[0] as Resource)
    await client.ran(agent, volumeId, 'echo hello > data/file')
    await client.ran(world.agent(2), volumeId, 'grep -x hello data/file')
  })

  needed.test('p3: a task takes of the storage bandwidth, the rest is offered, and all of it comes back', async () => {
    const client = await world.client({ roles: ['R'] })
    const agent = world.agent(1)
    const volumeId = idOf(await client.made(agent, { pool: 'float', sizeMiB: 64, profile: 'gold' }))
    const task = await withBandwidth(client, volumeId, 200, 'while test ! -e data/end; do sleep 0.05; done')
    await client.framework.taskStatus(task, ['TASK_RUNNING'])
    await offered(client, 800)
    await until(async () => (await taken()) === 200, { what: 'the ledger to count it' })
    await client.framework.kill(task)
    await offered(client, 1000)
    await until(async () => (await taken()) === 0, { what: 'the ledger to have it back' })
  })

  needed.test('p3: a task for which the machine has not the bandwidth does not start', async () => {
    const client = await world.client({ roles: ['R'] })
    const agent = world.agent(1)
    const volumeId = idOf(await client.made(agent, { pool: 'float', sizeMiB: 64, profile: 'gold' }))
    await client.ready(agent, volumeId)
    await offered(client, 1000)
    world.hold('manager->agent', agent)
    await world.rest.rest('PATCH', '/v1/nodes/n1', { bandwidth: 100 })
    const task = await withBandwidth(client, volumeId, 200, 'true')
    const { state, reason } = await client.ended(task)
    expect([state, reason]).toEqual(['TASK_FAILED', 'REASON_CONTAINER_LAUNCH_FAILED'])
    world.release('manager->agent', agent)
    await world.rest.rest('PATCH', '/v1/nodes/n1', { bandwidth: 1000 })
    await offered(client, 1000)
  })

  function bandwidthOf({ resources }: Hand): Resource[] {
    return resources.filter(({ name }) => name === 'storage_bw')
  }

  async function offered(client: Client, amount: number): Promise<void> {
    const sum = () => bandwidthOf(client.hand(world.agent(1))).reduce((all, each) => all + amountOf(each), 0)
    await until(() => sum() === amount, { what: `${amount} of storage_bw in the offers`, deadlineMs: 40_000 })
  }

  /** What the tasks of the first agent have taken, as the ledger counts it. */
  async function taken(): Promise<number> {
    interface Status {
      readonly providers: readonly { readonly node: string; readonly pool: string; readonly bandwidth: number }[]
    }
    const { providers } = await world.rest.rest<Status>('GET', '/v1/mesos')
    return providers.find(({ node, pool }) => node === 'n1' && pool === 'loop~story~float')?.bandwidth ?? -1
  }

  async function withBandwidth(client: Client, volumeId: string, amount: number, command: string): Promise<string> {
    const agent = world.agent(1)
    const { hand, found } = await client.ready(agent, volumeId)
    const [bandwidth] = bandwidthOf(hand)
    if (bandwidth === undefined) throw new Error('no storage_bw is offered')
    const task = newId('task')
    await client.framework.accept(hand.offers, [launch(task, agent.id, command, [found, part(bandwidth, amount)])])
    return task
  }

  interface Attempt {
    readonly n: string
    readonly status: OperationStatus
  }

  needed.test('p4: what else a framework may try ends in the master, with the words that were recorded', async () => {
    for (const [name, principal] of [
      ['direct/p4-ops', undefined],
      ['direct/p4-acl4-ops', 'acl4'],
    ] as const) {
      const client = await world.client({ roles: ['R'], ...(principal === undefined ? {} : { principal }) })
      const agent = world.agent(1)
      const volumeId = idOf(await client.made(agent, { pool: 'float', sizeMiB: 64, profile: 'gold' }))
      const before = asked()
      for (const { n, status: recorded } of recording<Attempt[]>(name)) {
        const { found: volume } = await client.disk(agent, volumeId)
        const { hand, found: raw } = await client.raw(agent, 'float', 10)
        const status = await client.operate(hand, [attempt(n, volume, part(raw, 10), principal)])
        expect(status.state, n).toBe('OPERATION_ERROR')
        // where CREATE was not denied by ACLs it came as far as the provider
        const isOpen = recorded.state === 'OPERATION_FAILED' || n === 'CREATE-on-pv'
        if (!isOpen) expect(words(status.message), n).toBe(words(recorded.message))
      }
      expect(asked()).toBe(before)
      await client.end()
    }
  })

  function asked(): number {
    return world.machine(1).logged.filter(({ event }) => event === 'operation.asked').length
  }

  needed.test('p5: the volume and what is on it survive the agent, and then the master', async () => {
    const client = await world.client({ roles: ['R'] })
    const agent = world.agent(1)
    const volumeId = idOf(await client.made(agent, { pool: 'float', sizeMiB: 64, profile: 'gold' }))
    await client.ran(agent, volumeId, 'echo old > data/file')
    await agent.restart()
    await world.allShown()
    await client.ran(agent, volumeId, 'grep -x old data/file')
    await world.mesos.master.restart()
    const again = await world.client({ roles: ['R'], failoverTimeout: 60 })
    await again.ran(agent, volumeId, 'grep -x old data/file')
    await again.raw(world.agent(2), 'float')
  })

  needed.test('p6: a framework that goes right behind its CREATE_DISK leaves a volume, and nothing dies', async () => {
    const before = await world.usedMiB('float')
    for (let round = 0; round < 3; round += 1) {
      const client = await world.client({ roles: ['R'] })
      const { hand, found } = await client.raw(world.agent(1), 'float', 40)
      await client.framework.accept(hand.offers, [createDisk(newId('c'), part(found, 40), 'gold')])
      await client.framework.teardown()
      await until(async () => (await world.usedMiB('float')) === before + 40 * (round + 1), { what: 'its volume' })
    }
    const heir = await world.client({ roles: ['R'] })
    await until(() => heir.hand(world.agent(2)).resources.filter((each) => amountOf(each) === 40).length === 3, {
      what: 'all three to be offered to another framework of the role',
    })
    // what was told to the framework just before it went is repeated until the master acknowledges it
    const left = [...world.agent(1).state.operations.values()].map(({ latest_status }) => latest_status.state)
    expect(left.filter((state) => state !== 'OPERATION_FINISHED')).toEqual([])
  })
})

function attempt(name: string, volume: Resource, raw: Resource, principal: string | undefined): OfferOperation {
  const id = newId(name)
  const { provider_id: _, ...foreign } = raw
  const operations: Record<string, OfferOperation> = {
    'DESTROY_DISK-pv': destroyDisk(id, volume),
    'DESTROY_DISK-pv-stripped': destroyDisk(id, bare(volume)),
    'DESTROY_DISK-raw': destroyDisk(id, raw),
    'DESTROY-pv': destroy(id, volume),
    'UNRESERVE-pv': unreserve(id, volume),
    'UNRESERVE-raw': unreserve(id, raw),
    'CREATE-on-pv': create(id, persistent(bare(volume), 'other', 'x')),
    'CREATE-on-raw': create(id, persistent(raw, 'on-raw')),
    GROW: { type: 'GROW_VOLUME', id: { value: id }, grow_volume: { volume, addition: raw } },
    SHRINK: { type: 'SHRINK_VOLUME', id: { value: id }, shrink_volume: { volume, subtract: { value: 1 } } },
    'CREATE_DISK-no-provider': createDisk(id, foreign, principal === undefined ? 'gold' : 'silver'),
  }
  const made = operations[name]
  if (made === undefined) throw new Error(`${name}: what was that?`)
  return made
}

/** Without the resources and ids that are named in it. */
function words(message = ''): string {
  return message
    .replace(/ on object .*/s, '')
    .replace(/; on agent .*/s, '')
    .replace(/(disk|ports)\(.*:[\d.]+/s, '…')
}
