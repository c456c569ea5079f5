import { request } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { RecordDecoder } from '../../support/mesos/record-io.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { post } from './scripted-provider.ts'
import { hasDisk, raw, scalar, startWorld, task, volume, type World } from './world.ts'

test('a scheduler is refused as Mesos refuses it', async () => {
  const world = await startWorld()
  const framework = await world.framework()
  const url = `${world.mesos.master.url}/api/v1/scheduler`
  const revive = { type: 'REVIVE', framework_id: { value: framework.id } }
  const status = async (call: object, headers?: Record<string, string>) => (await post(url, call, headers)).status
  expect(await status(revive)).toBe(400)
  expect(await status(revive, { 'Mesos-Stream-Id': 'x' })).toBe(400)
  expect(await status({ type: 'REVIVE', framework_id: { value: 'nobody' } }, { 'Mesos-Stream-Id': 'x' })).toBe(400)
  expect(await status({ type: 'SUBSCRIBE', subscribe: {} }, { 'Mesos-Stream-Id': 'x' })).toBe(400)
  expect((await framework.call({ type: 'REVIVE' })).status).toBe(202)
  framework.disconnect()
  await until(async () => (await status(revive)) === 403, { what: 'the framework to be unsubscribed' })
})

test('a framework fails over under its id, and the older stream is told', async () => {
  const world = await startWorld()
  const first = await world.framework()
  const second = await world.framework({ frameworkId: first.id })
  expect(second.id).toBe(first.id)
  await until(() => first.events.some(({ type }) => type === 'ERROR'), { what: 'ERROR on the older stream' })
  await second.teardown()
  await expect(world.framework({ frameworkId: first.id })).rejects.toThrow('Framework has been removed')
})

test('what is declined stays away until the framework revives', async () => {
  const world = await startWorld()
  const framework = await world.framework()
  const offer = await framework.waitOffer(() => true)
  await framework.decline([offer], 3600)
  const other = await world.framework({ name: 'other' })
  const theirs = await other.waitOffer(() => true)
  await other.decline([theirs], 3600)
  expect(framework.offers.size).toBe(0)
  await framework.revive()
  await framework.waitOffer(() => true)
})

test("with Mesos' own minimum an offer with nothing but a disk is never made", async () => {
  const world = await startWorld({ minAllocatable: 'cpus:0.01|mem:32' })
  const holder = await world.framework({ name: 'holder' })
  await holder.waitOffer(() => true)
  const provider = await world.provider()
  await provider.updateState([raw(100, 'R')])
  await world.knows(1)
  const framework = await world.framework()
  // several allocations pass
  await expect(framework.waitOffer(hasDisk('RAW'), 500)).rejects.toThrow('an offer')
})

test('a role has what is reserved to the roles above it, and not what is for those beside it', async () => {
  const world = await startWorld()
  const provider = await world.provider()
  await provider.updateState([raw(1, 'ads'), raw(2, 'ads/web'), raw(4, 'ads/web/x'), raw(8, 'adserver')])
  await world.knows(1)
  const framework = await world.framework({ roles: ['ads/web'] })
  const offer = await framework.waitOffer(hasDisk('RAW'))
  const sum = offer.resources
    .filter(({ disk }) => disk !== undefined)
    .reduce((total, { scalar: of }) => total + (of?.value ?? 0), 0)
  expect(sum).toBe(3)
})

test('an agent that is marked gone ends, and is not let in again until it is wiped', async () => {
  const world = await startWorld()
  const provider = await world.provider()
  await provider.updateState([raw(100, 'R')])
  const framework = await world.framework()
  const offer = await framework.waitOffer(hasDisk('RAW'))
  const source = provider.own(raw(10, 'R'))
  await framework.accept(
    [offer],
    [{ type: 'CREATE_DISK', id: { value: 'c1' }, create_disk: { source, target_type: 'MOUNT', target_profile: 'g' } }],
  )
  await provider.waitApply('c1')
  const gone = world.agent().id
  expect(
    (await world.operator({ type: 'MARK_AGENT_GONE', mark_agent_gone: { agent_id: { value: gone } } })).status,
  ).toBe(200)
  expect((await framework.operationStatus('c1')).state).toBe('OPERATION_GONE_BY_OPERATOR')
  await until(() => framework.events.some(({ type }) => type === 'FAILURE'), { what: 'FAILURE' })
  await until(() => !world.agent().alive && provider.ended, { what: 'the end of the agent' })
  expect(provider.events.map(({ type }) => type)).not.toContain('TEARDOWN')
  await world.agent().restart()
  await until(() => !world.agent().alive, { what: 'the agent to be sent away' })
  await world.agent().restart({ wipe: true })
  await until(() => world.agent().agentId !== undefined && world.agent().state.phase === 'running', {
    what: 'a new registration',
  })
  expect(world.agent().id).not.toBe(gone)
  expect(world.mesos.aborts).toEqual([])
})

test('a supervisor that was asked for brings an aborted agent back', async () => {
  const world = await startWorld({ restartAfterAbort: true })
  const provider = await world.provider()
  const second = await world.provider(0, { id: provider.id })
  await until(() => provider.ended, { what: 'the first stream to end' })
  await second.updateState([raw(1, 'R')])
  await until(() => world.mesos.aborts.length === 1, { what: 'abort 3' })
  await until(() => world.agent().alive && world.agent().state.phase === 'running', { what: 'the agent to be back' })
  expect((await world.provider(0, { id: provider.id })).id).toBe(provider.id)
})

test('a framework may ask what became of an operation', async () => {
  const world = await startWorld()
  const provider = await world.provider()
  await provider.updateState([raw(100, 'R')])
  const framework = await world.framework()
  await framework.waitOffer(hasDisk('RAW'))
  const asked = { agentId: world.agent().id, providerId: provider.id }
  await framework.reconcileOperations([{ operationId: 'x', ...asked }])
  expect((await framework.operationStatus('x')).state).toBe('OPERATION_UNKNOWN')
  provider.close()
  await world.knows(0)
  await framework.reconcileOperations([{ operationId: 'y', ...asked }])
  expect((await framework.operationStatus('y')).state).toBe('OPERATION_RECOVERING')
})

interface Streamed {
  readonly type: string
}

async function operatorStream(world: World): Promise<Streamed[]> {
  const events: Streamed[] = []
  const headers = { 'Content-Type': 'application/json' }
  const outgoing = request(
    `${world.mesos.master.url}/api/v1`,
    { method: 'POST', headers, agent: false },
    (response) => {
      const decoder = new RecordDecoder()
      response.on('data', (chunk: Buffer) => events.push(...(decoder.push(chunk) as Streamed[])))
      response.on('error', () => {})
    },
  )
  outgoing.on('error', () => {})
  outgoing.end(JSON.stringify({ type: 'SUBSCRIBE' }))
  onTestFinished(() => {
    outgoing.destroy()
  })
  await until(() => events.length >= 2, { what: 'SUBSCRIBED' })
  return events
}

needs('root', 'unshare').describe('tasks', () => {
  test('are told of on the stream of an operator', async () => {
    const world = await startWorld()
    const events = await operatorStream(world)
    expect(events.map(({ type }) => type)).toEqual(['SUBSCRIBED', 'HEARTBEAT'])
    const framework = await world.framework({ failoverTimeout: 0 })
    const offer = await framework.waitOffer(() => true)
    await framework.accept(
      [offer],
      [{ type: 'LAUNCH', launch: { task_infos: [task('t', world.agent().id, 'true', [])] } }],
    )
    await framework.taskStatus('t', ['TASK_FINISHED'])
    await framework.teardown()
    await until(() => events.some(({ type }) => type === 'FRAMEWORK_REMOVED'), { what: 'FRAMEWORK_REMOVED' })
    const types = events.map(({ type }) => type).filter((type) => type !== 'HEARTBEAT')
    const updates = ['TASK_UPDATED', 'TASK_UPDATED', 'TASK_UPDATED']
    expect(types).toEqual(['SUBSCRIBED', 'FRAMEWORK_ADDED', 'TASK_ADDED', ...updates, 'FRAMEWORK_REMOVED'])
  })

  test('of a group run together, each in its own folder', async () => {
    const world = await startWorld()
    const framework = await world.framework()
    const offer = await framework.waitOffer(() => true)
    const executor = { executor_id: { value: 'e' }, resources: [scalar('cpus', 0.1), scalar('mem', 32)] }
    const tasks = ['g1', 'g2'].map((id) => task(id, world.agent().id, 'pwd > here', []))
    await framework.accept([offer], [{ type: 'LAUNCH_GROUP', launch_group: { executor, task_group: { tasks } } }])
    for (const id of ['g1', 'g2']) {
      expect(await framework.taskStatus(id, ['TASK_FINISHED', 'TASK_FAILED', 'TASK_ERROR'])).toMatchObject({
        state: 'TASK_FINISHED',
        executor_id: { value: 'e' },
      })
    }
  })

  test('without checkpoints end with their agent', async () => {
    const world = await startWorld()
    const framework = await world.framework({ checkpoint: false })
    const offer = await framework.waitOffer(() => true)
    await framework.accept(
      [offer],
      [{ type: 'LAUNCH', launch: { task_infos: [task('t', world.agent().id, 'sleep 60', [])] } }],
    )
    await framework.taskStatus('t', ['TASK_RUNNING'])
    world.agent().kill()
    await framework.taskStatus('t', ['TASK_LOST', 'TASK_DROPPED'])
  })

  test('whose volume is not where the provider should have mounted it fail', async () => {
    const world = await startWorld()
    const provider = await world.provider()
    const kept = volume(100, 'R', 'V', world.root())
    await provider.updateState([kept])
    const framework = await world.framework()
    const offers = await framework.waitTogether(world.agent().id, (resources) => resources.length === 5)
    await framework.accept(offers, [
      { type: 'LAUNCH', launch: { task_infos: [task('t', world.agent().id, 'true', [provider.own(kept)])] } },
    ])
    const { message } = await framework.taskStatus('t', ['TASK_FAILED'])
    expect(message).toContain(`${world.root()}/V/target`)
  })
})
