import { describe, expect, onTestFinished, test } from 'vitest'
import { AgentClient, agentUrl } from '../../src/mesos/agent-client.ts'
import { MesosHttp } from '../../src/mesos/http.ts'
import { startMesos } from '../support/mesos/cluster.ts'
import { TestFramework } from '../support/mesos/framework.ts'
import { testDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { type Answer, json, plain, SmallServer } from './master-server.ts'

function clientOf(url: string): AgentClient {
  const http = new MesosHttp({ timeoutMs: 2000 })
  onTestFinished(() => http.close())
  return new AgentClient(http, url)
}

async function oneAgent(recoveryMs = 50) {
  const mesos = await startMesos({ workDir: testDir(), agents: [{ hostname: 'a1', timing: { recoveryMs } }] })
  onTestFinished(() => mesos.stop())
  const [agent] = mesos.agents
  if (agent === undefined) throw new Error('no agent')
  return { mesos, agent, client: clientOf(agent.url) }
}

const EMPTY = {
  pendingTasks: [],
  queuedTasks: [],
  launchedTasks: [],
  terminatedTasks: [],
  completedTasks: [],
  executors: [],
  completedExecutors: [],
}

describe('an agent', () => {
  test('on which nothing runs answers with lists, though Mesos leaves empty ones out', async () => {
    const { agent, client } = await oneAgent()
    expect(await client.state()).toEqual({ kind: 'answered', value: EMPTY })
    expect(await client.containers()).toEqual({ kind: 'answered', value: [] })
    expect(await client.resourceProviders()).toEqual({ kind: 'answered', value: [] })
    expect(await client.agentInfo()).toMatchObject({ kind: 'answered', value: { id: { value: agent.id } } })
    expect(await client.flags()).toMatchObject({ kind: 'answered', value: expect.any(Map) })
  })

  test('names the task that runs and its container', async () => {
    const { mesos, client } = await oneAgent()
    const framework = await TestFramework.connect(mesos.master.url, { name: 'f', roles: ['ads'] })
    onTestFinished(() => framework.teardown())
    const offer = await framework.waitOffer(() => true, 5000)
    const resources = [
      { name: 'cpus', type: 'SCALAR' as const, scalar: { value: 1 }, allocation_info: { role: 'ads' } },
    ]
    const task = { name: 't', task_id: { value: 't1' }, agent_id: offer.agent_id, resources }
    const infos = [{ ...task, command: { value: 'exec sleep 60' } }]
    await framework.accept([offer], [{ type: 'LAUNCH', launch: { task_infos: infos } }])
    const launched = await until(
      async () => {
        const state = await client.state()
        return state.kind === 'answered' && state.value.launchedTasks[0]
      },
      { what: 'the task' },
    )
    expect(launched.task_id).toEqual({ value: 't1' })
    const containers = await client.containers()
    expect(containers.kind === 'answered' && containers.value.length).toBe(1)
  })

  test('that recovers, or is away, says nothing about its tasks', async () => {
    const { agent, client } = await oneAgent(400)
    agent.kill()
    expect(await client.state()).toMatchObject({ kind: 'unreachable', why: expect.stringContaining(agent.url) })
    const restarted = agent.restart()
    await until(async () => (await client.containers()).kind === 'recovering', { what: 'the recovery' })
    await restarted
    await until(async () => (await client.state()).kind === 'answered', { what: 'the recovered agent' })
  })
})

describe('what is no answer of an agent', () => {
  test.each<[string, Answer, object]>([
    ['a call that is forbidden', (_c, r) => plain(r, 403, 'no'), { kind: 'refused', status: 403 }],
    ['one without credentials', (_c, r) => plain(r, 401, ''), { kind: 'refused', status: 401 }],
    ['an error', (_c, r) => plain(r, 500, ''), { kind: 'refused', status: 500 }],
    ['202', (_c, r) => plain(r, 202, ''), { kind: 'refused', status: 202 }],
    ['a page', (_c, r) => plain(r, 200, '<html>'), { kind: 'refused' }],
    ['an empty body', (_c, r) => plain(r, 200, ''), { kind: 'refused' }],
    ['an empty object', (_c, r) => json(r, {}), { kind: 'refused' }],
    ['another answer', (_c, r) => json(r, { type: 'GET_TASKS', get_tasks: {} }), { kind: 'refused' }],
    [
      'a list that is none',
      (_c, r) => json(r, { type: 'GET_STATE', get_state: { get_tasks: { launched_tasks: {} } } }),
      { kind: 'refused' },
    ],
    ['executors that are none', (_c, r) => json(r, { type: 'GET_STATE', get_state: { get_executors: [] } }), {}],
    ['recovery', (_c, r) => plain(r, 503, 'Agent has not finished recovery'), { kind: 'recovering' }],
    ['a reset', (_c, r) => r.destroy(), { kind: 'unreachable' }],
    ['silence', () => undefined, { kind: 'unreachable' }],
  ])('%s', async (_what, answer, expected) => {
    const server = await SmallServer.start(answer)
    const said = await clientOf(server.url).state()
    expect(said).toMatchObject(expected)
    expect(said.kind).not.toBe('answered')
  })
})

describe('the address of an agent', () => {
  test.each([
    ['slave(1)@127.0.0.1:5051', 'http://127.0.0.1:5051'],
    ['slave(1)@[::1]:5051', 'http://[::1]:5051'],
  ])('%s', (pid, url) => {
    expect(agentUrl(pid, 'http')).toBe(url)
  })

  test.each(['', 'slave(1)', 'slave(1)@evil.example/x:5051', '@1.2.3.4:1', 'a@1.2.3.4:1@2.3.4.5:6'])(
    '%s is none',
    (pid) => {
      expect(() => agentUrl(pid, 'http')).toThrow('is no agent')
    },
  )
})
