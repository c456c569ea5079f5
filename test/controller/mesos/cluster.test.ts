import { expect, test } from 'vitest'
import { Cluster } from '../../../src/controller/mesos/cluster.ts'

const agent = (id: string) => ({ agent_info: { id: { value: id }, hostname: `host-${id}` }, active: true })
const framework = (id: string) => ({ framework_info: { id: { value: id }, name: id, roles: ['ads'] } })
const ids = (task: string, on: string) => ({ task_id: { value: task }, agent_id: { value: on } })
const FRAMEWORK = { framework_id: { value: 'f' } }
const task = (id: string, on: string, state: string) => ({ ...FRAMEWORK, ...ids(id, on), state })

function begun(): Cluster {
  const cluster = new Cluster()
  const state = {
    get_agents: { agents: [agent('a'), agent('b')] },
    get_frameworks: { frameworks: [framework('f')] },
    get_tasks: { tasks: [task('1', 'a', 'TASK_RUNNING'), task('2', 'a', 'TASK_FINISHED')] },
  }
  cluster.apply({ type: 'SUBSCRIBED', subscribed: { get_state: state } }, 0)
  return cluster
}

const updated = (id: string, on: string, state: string) => ({
  type: 'TASK_UPDATED',
  task_updated: { ...FRAMEWORK, status: ids(id, on), state },
})

test('a connection begins with all of it, and what was known before is void', () => {
  const cluster = begun()
  expect([cluster.agents.size, cluster.frameworks.size, cluster.tasksOn('a')]).toEqual([2, 1, 1])
  // empty lists are left out of the JSON
  cluster.apply({ type: 'SUBSCRIBED', subscribed: { get_state: { get_tasks: {} } } }, 0)
  expect([cluster.agents.size, cluster.frameworks.size, cluster.tasksOn('a')]).toEqual([0, 0, 0])
})

test('events are followed', () => {
  const cluster = begun()
  cluster.apply({ type: 'AGENT_ADDED', agent_added: { agent: agent('c') } }, 0)
  cluster.apply({ type: 'TASK_ADDED', task_added: { task: task('3', 'c', 'TASK_STAGING') } }, 0)
  cluster.apply(updated('3', 'c', 'TASK_RUNNING'), 0)
  expect([cluster.agents.has('c'), cluster.tasksOn('c')]).toEqual([true, 1])
  cluster.apply(updated('3', 'c', 'TASK_FAILED'), 0)
  cluster.apply({ type: 'FRAMEWORK_ADDED', framework_added: { framework: framework('g') } }, 0)
  expect([cluster.tasksOn('c'), cluster.frameworks.size]).toEqual([0, 2])
  cluster.apply({ type: 'FRAMEWORK_REMOVED', framework_removed: framework('g') }, 0)
  expect(cluster.frameworks.size).toBe(1)
})

test('an agent that is removed is remembered with its name', () => {
  const cluster = begun()
  const hint = cluster.apply({ type: 'AGENT_REMOVED', agent_removed: { agent_id: { value: 'a' } } }, 5)
  expect(hint).toEqual({ at: 5, agentId: 'a', hostname: 'host-a', sentence: 'the master has removed it' })
  expect(cluster.agents.has('a')).toBe(false)
})

test('many tasks of an agent that is not reached are one hint, with its latest time', () => {
  const cluster = begun()
  for (const at of [1, 2, 3]) cluster.apply(updated(`${at}`, 'a', 'TASK_UNREACHABLE'), at)
  expect(cluster.hints).toEqual([{ at: 3, agentId: 'a', hostname: 'host-a', sentence: 'the master does not reach it' }])
  cluster.apply(updated('1', 'a', 'TASK_GONE_BY_OPERATOR'), 4)
  expect(cluster.hints).toHaveLength(2)
})

test('hints do not pile up', () => {
  const cluster = begun()
  for (let index = 0; index < 200; index += 1) {
    cluster.apply({ type: 'AGENT_REMOVED', agent_removed: { agent_id: { value: `x${index}` } } }, index)
  }
  expect(cluster.hints).toHaveLength(50)
  expect(cluster.hints.at(-1)?.agentId).toBe('x199')
})
