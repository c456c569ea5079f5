import { expect } from 'vitest'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { recording } from '../double/recording.ts'
import { idOf } from './support/client.ts'
import { sharedWorld } from './support/world.ts'

/** Instead of the 55 that operators have if they do not ask for another figure. */
const PUBLISH_SECONDS = 10
const needed = needs('root', 'loop-devices', 'mkfs.ext4')

needed.describe('edge-publish-hang: the node daemon is away when a task starts', () => {
  const pools = { float: { sizeMiB: 200, mesos: { roles: ['ads'] } } }
  const world = sharedWorld({ agents: 1, pools, publishSeconds: PUBLISH_SECONDS })

  needed.test('the task waits for it for a while', async () => {
    const client = await world.client({ roles: ['ads'] })
    const agent = world.agent(1)
    const volumeId = idOf(await client.made(agent, { pool: 'float', sizeMiB: 64 }))
    await client.ready(agent, volumeId)
    await world.machine(1).stopNode()
    const task = await client.launch(agent, volumeId, 'echo started > data/file')
    await until(() => agent.state.executors.size > 0, { what: 'the agent to ask for the volume' })
    expect(client.framework.statuses(task)).toEqual([])
    await world.machine(1).startNode()
    expect((await client.ended(task)).state).toBe('TASK_FINISHED')
  })

  needed.test('a task that cannot be served fails after that time, where it would hang for ever', async () => {
    const recorded = recording<{ seconds: number; update: null }>('edge-publish-hang')
    expect(recorded.seconds).toBeGreaterThan(60)
    const client = await world.client({ roles: ['ads'] })
    const agent = world.agent(1)
    const volumeId = idOf(await client.made(agent, { pool: 'float', sizeMiB: 64 }))
    await client.ready(agent, volumeId)
    await world.machine(1).stopNode()
    const task = await client.launch(agent, volumeId, 'true')
    const { state, reason } = await client.framework.taskStatus(task, ['TASK_FAILED'], 20_000)
    expect([state, reason]).toEqual(['TASK_FAILED', 'REASON_CONTAINER_LAUNCH_FAILED'])
    const failed = world.machine(1).logged.filter(({ event }) => event === 'publish.failed')
    expect(failed).toMatchObject([{ message: `not ready within ${PUBLISH_SECONDS} s: ${volumeId}` }])
    await world.machine(1).startNode()
    await client.ran(agent, volumeId, 'true')
  })
})
