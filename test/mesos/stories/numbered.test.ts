import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { OperationStatus, Resource } from '../../../src/mesos/resource.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { normal, recording } from '../double/recording.ts'
import { idOf, newId } from './support/client.ts'
import { create, createDisk, destroy, destroyDisk, isRaw, launch, part, persistent } from './support/operations.ts'
import { shape } from './support/shape.ts'
import { poolName, sharedWorld } from './support/world.ts'

const needed = needs('root', 'loop-devices', 'mkfs.ext4')

type Offer = { readonly resources: readonly Resource[] }

interface GetAgents {
  readonly get_agents: { readonly agents: readonly { readonly resource_providers?: readonly object[] }[] }
}

needed.describe('the numbered stories', () => {
  const world = sharedWorld({
    pools: {
      one: { sizeMiB: 1000, mesos: { roles: ['ads'] } },
      four: { sizeMiB: 1000, mesos: { roles: ['ads'] } },
      five: { sizeMiB: 1000, mesos: { roles: ['ads'] } },
      six: { sizeMiB: 1000, mesos: { roles: ['ads'] } },
      bare: { sizeMiB: 400, mesos: { roles: ['db'], float: false } },
    },
  })

  needed.test(
    '01, 02, 03: two agents offer one pool; what one makes of it the other does not offer any more',
    async () => {
      const client = await world.client({ roles: ['ads'] })
      for (const number of [1, 2]) {
        await client.exactly(world.agent(number), 'one', 1000)
        const { resources } = client.hand(world.agent(number))
        const [raw] = resources.filter((each) => isRaw(each, 'one'))
        const [recorded] = rawOf(recording<Offer>('direct/p1-01-offer'))
        expect(shape(raw, ['metadata'])).toEqual(shape(recorded))
        expect(raw?.disk?.source).toMatchObject({ type: 'RAW', vendor: 'loop' })
        const own = ({ provider_id }: Resource) => provider_id === undefined
        const ownRecorded = recording<Offer>(`01-offer-a${number}`).resources.filter(own)
        expect(names(resources.filter(own))).toEqual(names(ownRecorded).filter((name) => !name.startsWith('ext-')))
      }

      const events = client.framework.events.length
      const status = await client.madeAs(world.agent(1), { pool: 'one', sizeMiB: 750 })
      expect(status.state).toBe('OPERATION_FINISHED')
      expect(shape(status, ['metadata'])).toEqual(shape(recording('direct/p2-direct-01-op-c1')))
      const volumeId = idOf(made(status))
      expect(made(status).disk?.persistence).toEqual({ id: volumeId, principal: 'holdfast' })
      expect(await world.usedMiB('one')).toBe(750)

      await client.exactly(world.agent(1), 'one', 250)
      await client.exactly(world.agent(2), 'one', 250)
      expect(client.framework.events.slice(events).some(({ type }) => type === 'RESCIND')).toBe(true)
    },
  )

  needed.test(
    '04: a task with the volume writes to it; one that comes too late elsewhere fails, and is told so',
    async () => {
      const client = await world.client({ roles: ['ads'] })
      const volumeId = idOf(await client.made(world.agent(1), { pool: 'four', sizeMiB: 64 }))
      const { hand, found } = await client.ready(world.agent(2), volumeId)
      // the other agent goes on with what it was told before
      world.hold('manager->agent', world.agent(2))
      const writer = await client.running(
        world.agent(1),
        volumeId,
        'echo hello > data/file; while test ! -e data/end; do sleep 0.05; done',
      )
      const file = join(world.machine(1).mountRoot, volumeId, 'target', 'file')
      await until(() => readFileSync(file, 'utf8') === 'hello\n', { what: 'what the task writes' })

      const late = newId('late')
      await client.framework.accept(hand.offers, [launch(late, world.agent(2).id, 'true', [found])])
      const failed = await client.ended(late)
      world.release('manager->agent', world.agent(2))
      const recorded = recording<{ update: { status: { message: string } } }>('wire/fw-EVENT-UPDATE-TASK_FAILED').update
        .status
      expect(shape(failed)).toEqual(shape(recorded))
      expect(words(failed.message)).toEqual(words(recorded.message))
      const why = await until(() => lastFailure(2), { what: 'the reason in the status' })
      expect(why).toMatch(/is in use on node n1|no such disk is offered here/)

      await client.framework.kill(writer)
      const killed = await client.ended(writer)
      expect(killed.state).toBe('TASK_KILLED')
      const reader = await client.ran(world.agent(2), volumeId, 'grep -x hello data/file')
      const finished = await client.ended(reader)
      const ended = recording<{ update: { status: object } }>('wire/fw-EVENT-UPDATE-TASK_FINISHED').update.status
      expect(shape(finished)).toEqual(shape(ended))
    },
  )

  async function lastFailure(number: number): Promise<string | undefined> {
    interface Status {
      readonly providers: readonly { node: string; pool: string; report?: { lastFailure?: { message: string } } }[]
    }
    const { providers } = await world.rest.rest<Status>('GET', '/v1/mesos')
    const mine = providers.find(({ node, pool }) => node === `n${number}` && pool === poolName('four'))
    return mine?.report?.lastFailure?.message
  }

  needed.test('05: of two that take the same capacity at once one is told that there is no room', async () => {
    const client = await world.client({ roles: ['ads'] })
    const agents = [world.agent(1), world.agent(2)]
    await client.made(world.agent(1), { pool: 'five', sizeMiB: 750 })
    for (const agent of agents) await client.exactly(agent, 'five', 250)
    for (const agent of agents) world.hold('master->agent', agent)
    const ids = await Promise.all(
      agents.map(async (agent) => {
        const { hand, found } = await client.raw(agent, 'five', 250)
        const id = newId('race')
        await client.framework.accept(hand.offers, [createDisk(id, part(found, 200), 'plain')])
        return id
      }),
    )
    for (const agent of agents) world.release('master->agent', agent)
    const ended = await Promise.all(ids.map((id) => client.framework.operationStatus(id)))
    const [lost] = ended.filter(({ state }) => state !== 'OPERATION_FINISHED')
    expect(ended.map(({ state }) => state).sort()).toEqual(['OPERATION_FAILED', 'OPERATION_FINISHED'])
    expect(shape(lost)).toEqual(shape(recording('05-race-status-a1')))
    expect(lost?.message).toBe(
      'pool loop~story~five: 50 MiB free for role ads, 200 asked; the pool has 50 MiB; ask for at most 50 MiB',
    )
    for (const agent of agents) await client.exactly(agent, 'five', 50)
    expect(await world.usedMiB('five')).toBe(950)
  })

  needed.test(
    '06: a new life of the logic takes nothing away; one of the whole provider brings everything back',
    async () => {
      const client = await world.client({ roles: ['ads'] })
      const agent = world.agent(1)
      const volumeId = idOf(await client.made(agent, { pool: 'six', sizeMiB: 64 }))
      for (const each of world.mesos.agents) {
        await client.disk(each, volumeId)
        await client.exactly(each, 'six', 936)
      }
      const before = await providersOf(1)
      const [version, reportedAt] = [versionOf('six'), await lastReport(1)]

      await world.machine(1).killLogic()
      await until(async () => (await lastReport(1)) > reportedAt, {
        what: 'the new life to report',
        deadlineMs: 20_000,
      })
      expect(versionOf('six')).toBe(version)
      await client.made(agent, { pool: 'six', sizeMiB: 36 })
      await client.exactly(agent, 'six', 900)
      expect(ids(await providersOf(1))).toEqual(ids(before))

      await client.framework.decline([...client.framework.offers.values()], 0.001)
      await world.machine(1).endProvider('SIGKILL')
      await until(async () => (await providersOf(1)).length === 0, { what: 'the agent to drop its providers' })
      const [away] = (await getAgents()).get_agents.agents.filter((each) => each.resource_providers === undefined)
      const recorded = recording<GetAgents>('06-get-agents-while-rp-disconnected').get_agents.agents
      expect(
        Object.keys(away ?? {})
          .filter((key) => key !== 'reregistered_time')
          .sort(),
      ).toEqual(Object.keys(recorded.find((each) => each.resource_providers === undefined) ?? {}).sort())
      await client.exactly(agent, 'six', 0)
      await client.exactly(world.agent(2), 'six', 900)

      world.machine(1).startProvider()
      await client.disk(agent, volumeId)
      await client.exactly(agent, 'six', 900)
      await until(async () => (await providersOf(1)).length === before.length, { what: 'all providers to be back' })
      expect(ids(await providersOf(1))).toEqual(ids(before))
    },
  )

  /** What the first agent has heard last of a pool; every other version would take offers back. */
  function versionOf(pool: string): string | undefined {
    return [...world.agent(1).state.providers.values()].find(({ info }) => info.name.endsWith(pool))?.version
  }

  /** When a machine's provider last told how it is. */
  async function lastReport(number: number): Promise<string> {
    interface Status {
      readonly agents: readonly { readonly node: string; readonly at?: string }[]
    }
    const { agents } = await world.rest.rest<Status>('GET', '/v1/mesos')
    return agents.find(({ node }) => node === `n${number}`)?.at ?? ''
  }

  async function getAgents(): Promise<GetAgents> {
    const answer = await fetch(`${world.mesos.master.url}/api/v1`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ type: 'GET_AGENTS' }),
    })
    return (await answer.json()) as GetAgents
  }

  async function providersOf(number: number): Promise<readonly object[]> {
    const { agents } = (await getAgents()).get_agents
    const mine = agents.find((each) => JSON.stringify(each).includes(`"hostname":"a${number}"`))
    return mine?.resource_providers ?? []
  }

  needed.test('07: a disk that stays is made persistent, used, destroyed and becomes capacity again', async () => {
    const client = await world.client({ roles: ['db'], principal: 'fw-db' })
    const agent = world.agent(1)
    await client.exactly(agent, 'bare', 400)
    const status = await client.madeAs(agent, { pool: 'bare', sizeMiB: 300 })
    for (const name of ['02-op-status-create-disk', 'edge-presv-create-disk-status']) {
      expect(shape(status)).toEqual(shape(withPrincipal(recording(name))))
    }
    const volumeId = idOf(made(status))

    const { hand, found } = await client.ready(agent, volumeId)
    const volume = persistent(found, 'pv-1', 'fw-db')
    const task = newId('task')
    const started = [create('pv', volume), launch(task, agent.id, 'echo hello > data/file', [volume])]
    const created = await client.operate(hand, started)
    expect(shape(created, ['principal'])).toEqual(shape(recording('04-op-status-create-pv')))
    expect((await client.ended(task)).state).toBe('TASK_FINISHED')
    await client.ran(agent, volumeId, 'grep -x hello data/file')

    const again = await client.disk(agent, volumeId)
    const { state } = await client.operate(again.hand, [destroy('d', again.found)])
    expect(state).toBe('OPERATION_FINISHED')
    const destroyed = await until(
      async () => {
        const { hand: last, found: bareDisk } = await client.disk(agent, volumeId)
        const id = newId('destroy-disk')
        const answer = await client.operate(last, [destroyDisk(id, bareDisk)])
        return answer.state === 'OPERATION_FINISHED' ? answer : undefined
      },
      { what: 'the disk to be destroyed', deadlineMs: 20_000 },
    )
    expect(shape(destroyed, ['metadata'])).toEqual(shape(withPrincipal(recording('07-op-destroy-disk')), ['profile']))
    expect(await world.usedMiB('bare')).toBe(0)
    for (const each of [1, 2]) await client.exactly(world.agent(each), 'bare', 400)
  })
})

function rawOf({ resources }: Offer): Resource[] {
  return resources.filter(({ disk }) => disk?.source?.type === 'RAW')
}

function names(resources: readonly Resource[]): string[] {
  return resources.map(({ name }) => name).sort()
}

function ids(providers: readonly object[]): unknown {
  const infos = providers.map((each) => (each as { resource_provider_info: { name: string } }).resource_provider_info)
  return infos.sort((a, b) => (a.name < b.name ? -1 : 1))
}

function made({ converted_resources }: OperationStatus): Resource {
  const [disk] = converted_resources ?? []
  if (disk === undefined) throw new Error('nothing was made')
  return disk
}

/** The recorded reservations had none. */
function withPrincipal(status: OperationStatus): OperationStatus {
  const converted = (status.converted_resources ?? []).map((resource) => ({
    ...resource,
    reservations: (resource.reservations ?? []).map((each) => ({ ...each, principal: 'holdfast' })),
  }))
  return { ...status, converted_resources: converted }
}

/** Without what stands between the quotes, which is another volume. */
function words(message: string | undefined): unknown {
  return normal((message ?? '').replace(/'[^']*'/, "'…'"))
}
