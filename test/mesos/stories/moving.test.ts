import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Resource } from '../../../src/mesos/resource.ts'
import type { OfferOperation } from '../../support/mesos/types.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { normal, recording } from '../double/recording.ts'
import { type Client, idOf, newId } from './support/client.ts'
import { post } from './support/mesos-api.ts'
import { destroy, destroyDisk, isVolume, launch, reserve, reserved, unreserve } from './support/operations.ts'
import { shape } from './support/shape.ts'
import { sharedWorld } from './support/world.ts'

const needed = needs('root', 'loop-devices', 'mkfs.ext4')
const SLEEP = 'while test ! -e data/end; do sleep 0.05; done'

needed.describe('a volume that moves', () => {
  const world = sharedWorld({
    pools: {
      float: { sizeMiB: 1000, mesos: { roles: ['R'] } },
      counted: { sizeMiB: 1000, mesos: { roles: ['Q'] } },
    },
  })

  /** Whether an agent has been told of a volume. */
  function tells(number: number, volumeId: string): boolean {
    return world.agent(number).state.total.some((each) => isVolume(each, volumeId))
  }

  async function idle(volumeId: string): Promise<void> {
    await until(() => tells(1, volumeId) && tells(2, volumeId), {
      what: `volume ${volumeId} to be shown on both agents`,
      deadlineMs: 20_000,
    })
  }

  async function make(client: Client, pool = 'float'): Promise<string> {
    const volumeId = idOf(await client.made(world.agent(1), { pool, sizeMiB: 64 }))
    await idle(volumeId)
    return volumeId
  }

  needed.test('q1: it is offered on both agents, in use on one, and then on both again', async () => {
    const client = await world.client({ roles: ['R'] })
    const volumeId = await make(client)
    const [one, two] = [await client.disk(world.agent(1), volumeId), await client.disk(world.agent(2), volumeId)]
    const recorded = recordedDisk('moving/q1-01-offer-a1')
    for (const { found } of [one, two]) expect(shape(found, ['metadata'])).toEqual(shape(recorded))
    expect(withoutPlace(one.found)).toEqual(withoutPlace(two.found))

    const task = await client.running(world.agent(1), volumeId, `echo one >> data/file; ${SLEEP}`)
    await until(() => !tells(2, volumeId), { what: 'the other agent to be told that it is gone' })
    await client.without(world.agent(2), volumeId)
    expect(tells(1, volumeId)).toBe(true)
    writeEnd(1, volumeId)
    expect((await client.ended(task)).state).toBe('TASK_FINISHED')

    const second = await client.ran(world.agent(2), volumeId, 'grep -x one data/file && echo two >> data/file')
    const { update } = recording<{ update?: { status: object } } & object>('moving/q1-04-t2-terminal')
    expect(shape(await client.ended(second))).toEqual(shape(update?.status ?? recording('moving/q1-04-t2-terminal')))
  })

  function writeEnd(number: number, volumeId: string): void {
    const { mountRoot } = world.machine(number)
    readFileSync(join(mountRoot, volumeId, 'target', 'file'))
    world.touch(join(mountRoot, volumeId, 'target', 'end'))
  }

  function recordedDisk(name: string): Resource | undefined {
    const { resources } = recording<{ resources: Resource[] }>(name)
    return resources.find(({ disk }) => disk?.persistence !== undefined)
  }

  needed.test('q1b, edge-agentrestart: while its agent is dead and comes back it stays where it is', async () => {
    const client = await world.client({ roles: ['R'], failoverTimeout: 600 })
    const volumeId = await make(client)
    const agent = world.agent(1)
    const providers = [...agent.state.providers.keys()]
    const task = await client.running(agent, volumeId, `echo one >> data/file; ${SLEEP}`)
    agent.kill()
    await until(() => world.machine(1).logged.some(({ event }) => event === 'stream.closed'), {
      what: 'the provider to notice',
    })
    expect((await world.volume(volumeId)).attachments.map(({ node }) => node)).toEqual(['n1'])
    await agent.restart()
    await world.allShown()
    expect([...agent.state.providers.keys()]).toEqual(providers)
    expect(client.framework.statuses(task).at(-1)?.state).toBe('TASK_RUNNING')
    expect((await world.volume(volumeId)).attachments.map(({ node }) => node)).toEqual(['n1'])
    await until(() => !tells(2, volumeId), { what: 'the other agent to be told that it is gone' })
    writeEnd(1, volumeId)
    expect((await client.ended(task)).state).toBe('TASK_FINISHED')
    await client.ran(world.agent(2), volumeId, 'grep -x one data/file')
  })

  needed.test('q2: of two that start with it at once one runs, and the other is told to try again', async () => {
    const client = await world.client({ roles: ['R'] })
    const volumeId = await make(client)
    const agents = [world.agent(1), world.agent(2)]
    for (let round = 0; round < 2; round += 1) {
      await idle(volumeId)
      const hands = await Promise.all(agents.map((agent) => client.ready(agent, volumeId)))
      for (const agent of agents) world.hold('master->agent', agent)
      const tasks = await Promise.all(
        hands.map(async ({ hand, found }, index) => {
          const id = newId('race')
          const agentId = agents[index]?.id ?? ''
          await client.framework.accept(hand.offers, [launch(id, agentId, `echo ${id} >> data/file`, [found])])
          return id
        }),
      )
      for (const agent of agents) world.release('master->agent', agent)
      const ended = await Promise.all(tasks.map((id) => client.ended(id)))
      expect(ended.map(({ state }) => state).sort()).toEqual(['TASK_FAILED', 'TASK_FINISHED'])
      const lost = ended.find(({ state }) => state === 'TASK_FAILED')
      const recorded = recording<{ reason: string; message: string }>('moving/q2a-status-2-TASK_FAILED')
      expect(shape(lost)).toEqual(shape(recorded))
      expect([lost?.reason, words(lost?.message)]).toEqual([recorded.reason, words(recorded.message)])
    }
    await client.ran(world.agent(1), volumeId, 'test $(wc -l < data/file) = 2')
  })

  needed.test('q2: a task on an offer of before its withdrawal is dropped, by the master or by the agent', async () => {
    const client = await world.client({ roles: ['R'] })
    const volumeId = await make(client)
    const { hand, found } = await client.ready(world.agent(2), volumeId)
    await client.running(world.agent(1), volumeId, SLEEP)
    await until(() => !tells(2, volumeId), { what: 'the other agent to be told' })
    const [rescinded, outdated] = [newId('rescinded'), newId('outdated')]
    await client.framework.accept(hand.offers, [launch(rescinded, world.agent(2).id, 'true', [found])])
    const dropped = await client.ended(rescinded)
    const recorded = recording<{ message: string }>('moving/q2a-status-3-TASK_DROPPED')
    expect(shape(dropped)).toEqual(shape(recorded))
    expect(normal(offerless(dropped.message))).toEqual(normal(offerless(recorded.message)))

    // the master has not heard of the new version yet
    const other = await make(client)
    const next = await client.ready(world.agent(2), other)
    world.hold('agent->master', world.agent(2))
    await client.running(world.agent(1), other, SLEEP)
    await until(() => !tells(2, other), { what: 'the other agent to be told' })
    await client.framework.accept(next.hand.offers, [launch(outdated, world.agent(2).id, 'true', [next.found])])
    world.release('agent->master', world.agent(2))
    const late = await client.ended(outdated)
    expect([late.state, late.reason, late.message]).toEqual([
      'TASK_DROPPED',
      'REASON_INVALID_OFFERS',
      'Task assumes outdated resource state',
    ])
  })

  needed.test('q2: nobody can reserve, unreserve or destroy it; all of that ends in the master', async () => {
    const client = await world.client({ roles: ['R'] })
    const volumeId = await make(client)
    const attempts = [
      { why: 'no authorized to perform action DESTROY_VOLUME', make: (disk: Resource) => destroy(newId('d'), disk) },
      { why: 'cannot be unreserved directly', make: (disk: Resource) => unreserve(newId('u'), disk) },
      { why: 'cannot be destroyed directly', make: (disk: Resource) => destroyDisk(newId('dd'), disk) },
    ]
    const before = asked()
    for (const { why, make: operation } of attempts) await refused(client, 'R', volumeId, operation, why)
    await client.end()
    const below = await world.client({ roles: ['R/x'] })
    const refine = (disk: Resource) => reserve(newId('r'), reserved(disk, 'R/x'))
    await refused(below, 'R/x', volumeId, refine, 'no authorized to perform action RESERVE_RESOURCES')
    expect(asked()).toBe(before)
    await below.ran(world.agent(1), volumeId, 'true')
  })

  /** How many operations the provider of the first agent has been asked for. */
  function asked(): number {
    return world.machine(1).logged.filter(({ event }) => event === 'operation.asked').length
  }

  async function refused(
    client: Client,
    role: string,
    volumeId: string,
    operation: (disk: Resource) => OfferOperation,
    why: string,
  ): Promise<void> {
    const { hand, found } = await client.disk(world.agent(1), volumeId, role)
    const { state, message } = await client.operate(hand, [operation(found)])
    expect(state).toBe('OPERATION_ERROR')
    expect(message).toContain(why)
  }

  needed.test('q4: the quota of Mesos counts it on each agent, and withholds nothing of it', async () => {
    const client = await world.client({ roles: ['Q'] })
    await make(client, 'counted')
    interface Roles {
      readonly roles: readonly {
        readonly name: string
        readonly reserved?: { readonly disk?: number }
      }[]
    }
    const counted = async () => {
      const answer = await fetch(`${world.mesos.master.url}/roles`)
      const { roles } = (await answer.json()) as Roles
      return roles.find(({ name }) => name === 'Q')?.reserved?.disk
    }
    expect(Object.keys(recording<Roles>('moving/q4-idleV-roles-endpoint').roles[0]?.reserved ?? {})).toEqual(['disk'])
    await until(async () => (await counted()) === 2 * 1000, { what: 'Mesos to count the pool twice' })
    const quota = (force: boolean) => ({
      type: 'UPDATE_QUOTA',
      update_quota: { force, quota_configs: [{ role: 'Q', limits: { disk: { value: 100 } } }] },
    })
    const refused = await post(world.mesos.master.url, '/api/v1', quota(false))
    const recorded = recording<{ status: number; body: string }>('moving/q4-update_quota-300-forcefalse')
    expect([refused.status, refused.body.replace(/\d+/g, '#').replace(/'[RQ]'/, '')]).toEqual([
      recorded.status,
      recorded.body.replace(/\d+/g, '#').replace(/'[RQ]'/, ''),
    ])
    expect((await post(world.mesos.master.url, '/api/v1', quota(true))).status).toBe(200)

    const second = idOf(await client.made(world.agent(2), { pool: 'counted', sizeMiB: 150 }))
    await idle(second)
    const { hand, found } = await client.disk(world.agent(2), second)
    expect(found.scalar?.value).toBe(150)
    expect(hand.offers.length).toBeGreaterThan(0)
    await client.ran(world.agent(2), second, 'true')
    const quotas = { type: 'UPDATE_QUOTA', update_quota: { force: true, quota_configs: [{ role: 'Q' }] } }
    expect((await post(world.mesos.master.url, '/api/v1', quotas)).status).toBe(200)
  })
})

/** The same disk on two agents differs in its provider and in where it is mounted. */
function withoutPlace({ provider_id: _, disk, ...rest }: Resource): unknown {
  const { mount: _m, ...source } = disk?.source ?? {}
  return { ...rest, disk: { ...disk, source } }
}

function words(message: string | undefined): unknown {
  return normal((message ?? '').replace(/'[^']*'/, "'…'"))
}

function offerless(message: string | undefined): string {
  return (message ?? '').replace(/Offer \S+/, 'Offer X')
}
