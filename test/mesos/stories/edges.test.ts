import { expect } from 'vitest'
import type { Resource } from '../../../src/mesos/resource.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { normal, recording } from '../double/recording.ts'
import { idOf, newId } from './support/client.ts'
import { ask, post } from './support/mesos-api.ts'
import { amountOf, createDisk, isRaw, part } from './support/operations.ts'
import { shape } from './support/shape.ts'
import { sharedWorld } from './support/world.ts'

const needed = needs('root', 'loop-devices', 'mkfs.ext4')
const SLEEP = 'while test ! -e data/end; do sleep 0.05; done'

interface GetOperations {
  readonly get_operations: { readonly operations: readonly object[] }
}

needed.describe('the edges of the recordings', () => {
  const world = sharedWorld({
    pools: {
      float: { sizeMiB: 1000, mesos: { roles: ['ads'] } },
      slow: { sizeMiB: 1000, mesos: { roles: ['ads'] } },
      race: { sizeMiB: 1000, mesos: { roles: ['ads'] } },
    },
  })

  /** MiB of capacity that an agent has been told of. */
  function toldMiB(number: number): number {
    const raw = world.agent(number).state.total.filter((each) => isRaw(each, 'slow'))
    return raw.reduce((sum, each) => sum + amountOf(each), 0)
  }

  needed.test('edge-pending, edge-async: a slow CREATE_DISK keeps what it takes while the pool shrinks', async () => {
    const client = await world.client({ roles: ['ads'] })
    const agent = world.agent(1)
    const { hand, found } = await client.raw(agent, 'slow', 1000)
    for (const machine of world.machines) await machine.stopNode()
    const id = newId('slow')
    await client.framework.accept(hand.offers, [createDisk(id, part(found, 500), 'plain')])
    await until(async () => (await world.usedMiB('slow')) === 500, { what: 'the ledger to have taken it' })
    const pending = (await ask<GetOperations>(world.mesos.master, 'GET_OPERATIONS')).get_operations.operations
    const recorded = recording<GetOperations>('edge-pending-get-operations').get_operations.operations
    const ours = ['reservations', 'metadata', 'target_profile', 'profile']
    expect(shape(pending, ours)).toEqual(shape(recorded, ours))
    await client.framework.reconcileOperations([{ operationId: id, agentId: agent.id }])
    expect((await client.framework.operationStatus(id)).state).toBe('OPERATION_PENDING')

    const hold = { pool: 'loop~story~slow', role: 'other', sizeMiB: 400 }
    const { id: holdId } = await world.rest.rest<{ id: string }>('POST', '/v1/holds', hold)
    await until(() => toldMiB(2) === 100, { what: 'the other agent to be told of the rest' })
    await until(() => toldMiB(1) === 600, { what: 'this one to keep what the operation takes' })

    for (const machine of world.machines) await machine.startNode()
    const status = await client.framework.operationStatus(id, 20_000, 1)
    const finished = recording<{ status: { state: string } }>('edge-async-state').status
    expect(status.state).toBe(finished.state)
    await client.exactly(agent, 'slow', 100)
    await world.rest.rest('DELETE', `/v1/holds/${holdId}`)
    await client.exactly(agent, 'slow', 500)
  })

  needed.test('edge-race: takers on both agents get what there is, and nobody gets what there is not', async () => {
    const client = await world.client({ roles: ['ads'] })
    const outcomes: string[] = []
    const take = async (number: number) => {
      for (let round = 0; round < 8; round += 1) {
        const { hand, found } = await client.raw(world.agent(number), 'race', 1)
        const sizeMiB = Math.min(amountOf(found), 150)
        const { state, message } = await client.operate(hand, [
          createDisk(newId('take'), part(found, sizeMiB), 'plain'),
        ])
        outcomes.push(state)
        if (state === 'OPERATION_FAILED') expect(message).toContain('asked; the pool has')
        if ((await world.usedMiB('race')) >= 1000) return
      }
    }
    await Promise.all([take(1), take(2)])
    expect(await world.usedMiB('race')).toBeLessThanOrEqual(1000)
    expect(outcomes.filter((state) => state === 'OPERATION_FINISHED').length).toBeGreaterThan(3)
    const { items } = await world.rest.rest<{ items: { sizeMiB: number }[] }>('GET', '/v1/volumes?pool=loop~story~race')
    expect(items.reduce((sum, { sizeMiB }) => sum + sizeMiB, 0)).toBe(await world.usedMiB('race'))
  })

  needed.test(
    'edge-drain: a planned stop withdraws, waits for acknowledgements, and leaves the task alone',
    async () => {
      const client = await world.client({ roles: ['ads'] })
      const agent = world.agent(1)
      const volumeId = idOf(await client.made(agent, { pool: 'float', sizeMiB: 64 }))
      const task = await client.running(agent, volumeId, SLEEP)
      client.framework.acknowledgesOperations = false
      let open = await client.createDisk(agent, { pool: 'float', sizeMiB: 32 })
      while (open.state !== 'OPERATION_FINISHED') {
        client.framework.acknowledgeOperation(open)
        open = await client.createDisk(agent, { pool: 'float', sizeMiB: 32 })
      }

      const ending = world.machine(1).endProvider('SIGTERM')
      await until(() => agent.state.total.every(({ provider_id }) => provider_id === undefined), {
        what: 'the agent to be told of nothing',
      })
      expect(agent.state.providers.size).toBe(3)
      expect(client.rawMiB(agent, 'float')).toBe(0)
      await until(() => world.machine(1).logged.some(({ event }) => event === 'stop.begun'), {
        what: 'the stop to begin',
      })
      client.framework.acknowledgeOperation(open)
      expect(await ending).toBe(0)
      expect(world.machine(1).logged.some(({ event }) => event === 'stop.unacknowledged')).toBe(false)
      expect(client.framework.statuses(task).at(-1)?.state).toBe('TASK_RUNNING')

      world.machine(1).startProvider()
      await client.disk(agent, idOf(open.converted_resources?.[0] as Resource))
      await client.framework.kill(task)
      expect((await client.ended(task)).state).toBe('TASK_KILLED')
    },
  )

  needed.test(
    'edge-rpdown: a task goes on while the provider is away, and its volume moves when both have ended',
    async () => {
      const client = await world.client({ roles: ['ads'] })
      const agent = world.agent(1)
      const volumeId = idOf(await client.made(agent, { pool: 'float', sizeMiB: 64 }))
      const task = await client.running(agent, volumeId, `echo before > data/file; ${SLEEP}`)
      await world.machine(1).endProvider('SIGKILL')
      await until(() => agent.state.providers.size === 0, { what: 'the agent to drop its provider' })
      interface GetAgents {
        readonly get_agents: { readonly agents: { agent_info: { hostname: string }; resource_providers?: object[] }[] }
      }
      const during = (await ask<GetAgents>(world.mesos.master, 'GET_AGENTS')).get_agents.agents
      const recorded = recording<GetAgents>('edge-rpdown-get-agents-during').get_agents.agents
      const providers = (all: GetAgents['get_agents']['agents']) =>
        all.map((each) => [each.agent_info.hostname, each.resource_providers !== undefined]).sort()
      expect(providers(during)).toEqual(providers(recorded))
      expect(client.framework.statuses(task).at(-1)?.state).toBe('TASK_RUNNING')
      expect((await world.volume(volumeId)).attachments.map(({ node }) => node)).toEqual(['n1'])

      world.machine(1).startProvider()
      await world.allShown()
      await client.framework.kill(task)
      await client.ended(task)
      await client.ran(world.agent(2), volumeId, 'grep -x before data/file')
    },
  )

  needed.test('a wiped agent is a new one: its provider begins anew, and every volume is there', async () => {
    const client = await world.client({ roles: ['ads'] })
    const volumeId = idOf(await client.made(world.agent(1), { pool: 'float', sizeMiB: 64 }))
    await client.ran(world.agent(1), volumeId, 'echo kept > data/file')
    const [before, provider] = [world.agent(1).id, [...world.agent(1).state.providers.keys()]]
    await world.agent(1).restart({ wipe: true })
    await until(() => world.agent(1).agentId !== undefined && world.agent(1).state.phase === 'running', {
      what: 'the agent to register',
    })
    expect(world.agent(1).id).not.toBe(before)
    await world.allShown()
    expect([...world.agent(1).state.providers.keys()]).not.toEqual(provider)
    await client.ran(world.agent(1), volumeId, 'grep -x kept data/file')
  })

  needed.test('bad calls of somebody else are answered as recorded, and hurt nobody', async () => {
    const client = await world.client({ roles: ['ads'] })
    const agent = world.agent(1)
    const { found } = await client.raw(agent, 'float')
    const rescinds = client.count('RESCIND')
    const [providerId = ''] = agent.state.providers.keys()
    const streamId = agent.state.manager.streamId(providerId) ?? ''
    interface BadCall {
      readonly name: string
      readonly request: object
      readonly headers?: Readonly<Record<string, string>>
      readonly status: number
      readonly body: string
    }
    const calls = recording<BadCall[]>('edge-bad-calls')
    expect(calls).toHaveLength(9)
    const [, { request: known } = { request: {} }] = calls
    const theirId = (known as { resource_provider_id: { value: string } }).resource_provider_id.value
    const theirStream = calls.find(({ name }) => name === 'unknown rp')?.headers?.['Mesos-Stream-Id'] ?? ''
    for (const { request, headers, ...recorded } of calls) {
      const ours = <T>(value: T) =>
        JSON.parse(JSON.stringify(value).replaceAll(theirId, providerId).replaceAll(theirStream, streamId)) as T
      const { status, body } = await post(agent.url, '/api/v1/resource_provider', ours(request), ours(headers ?? {}))
      expect([status, normal(body)], recorded.name).toEqual([recorded.status, normal(recorded.body)])
    }
    expect(client.rawMiB(agent, 'float')).toBe(amountOf(found))
    expect(client.count('RESCIND')).toBe(rescinds)
    const gone = { mark_resource_provider_gone: { resource_provider_id: { value: providerId } } }
    const answer = await post(agent.url, '/api/v1', { type: 'MARK_RESOURCE_PROVIDER_GONE', ...gone })
    const refused = recording<{ status: number; response: string }>('op-mark-rp-gone-with-resources')
    expect([answer.status, normal(answer.body)]).toEqual([refused.status, normal(refused.response)])
  })
})
