import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { HolderJournal } from '../../../src/doors/mesos/holder/holder-journal.ts'
import { testDir } from '../../support/temp-dir.ts'
import { until } from '../../support/until.ts'
import { answer, holderWorld, subscribe, updateState } from './support/holder-world.ts'
import { publish, RawAgent } from './support/raw-agent.ts'

test('what the logic writes is on the disk before its call is made', async () => {
  const agent = await RawAgent.start()
  const path = join(testDir(), 'journal.db')
  const journal = new HolderJournal(path)
  const { logic } = holderWorld({}, journal)
  let onDisk: unknown
  agent.onCall = (_, response) => {
    // another process would read the same: it is committed
    const reader = new DatabaseSync(path, { readOnly: true })
    onDisk = reader.prepare('SELECT id, json FROM entries').all()
    reader.close()
    response.writeHead(202).end()
  }
  subscribe(logic, agent.url)
  await logic.event('SUBSCRIBED')
  const id = logic.ready({
    writes: [['operation/1', { state: 'pending' }]],
    calls: [{ key: 'p', body: updateState('a') }],
  })
  expect(await logic.done(id)).toMatchObject({ results: [{ status: 202 }] })
  expect(logic.said.findIndex((each) => each.kind === 'written')).toBeGreaterThan(0)
  expect(onDisk).toEqual([{ id: 'operation/1', json: '{"state":"pending"}' }])
  journal.close()
})

test('what can not be written is not said, and is said once it can be', async () => {
  const agent = await RawAgent.start()
  const kept: unknown[] = []
  let broken = true
  const journal = {
    entries: () => [],
    write: (writes: readonly unknown[]) => {
      if (broken && writes.length > 0) throw new Error('database or disk is full')
      kept.push(...writes)
    },
  }
  const { logic, logs } = holderWorld({}, journal)
  subscribe(logic, agent.url)
  await logic.event('SUBSCRIBED')
  const id = logic.ready({ writes: [['a', 1]], calls: [{ key: 'p', body: updateState('a') }] })
  await until(() => logs.filter(({ event }) => event === 'journal.failed').length >= 2, { what: 'two attempts' })
  expect(agent.calls).toEqual([])
  expect(agent.streams).toHaveLength(1)
  broken = false
  await logic.done(id)
  expect(kept).toEqual([['a', 1]])
  expect(agent.calls).toHaveLength(1)
})

test('calls of a stream are made one at a time, in order, with its id', async () => {
  const agent = await RawAgent.start()
  let inFlight = 0
  let most = 0
  agent.onCall = (_, response) => {
    inFlight += 1
    most = Math.max(most, inFlight)
    setTimeout(() => {
      inFlight -= 1
      response.writeHead(202).end()
    }, 5)
  }
  const { logic } = holderWorld()
  subscribe(logic, agent.url)
  await logic.event('SUBSCRIBED')
  logic.ready({ calls: ['1', '2', '3'].map((version) => ({ key: 'p', body: updateState(version) })) })
  const last = logic.ready({ calls: [{ key: 'p', body: updateState('4') }] })
  await logic.done(last)
  const versions = agent.calls.map(
    ({ body }) => (body.update_state as { resource_version_uuid: { value: string } }).resource_version_uuid.value,
  )
  expect(versions).toEqual(['1', '2', '3', '4'])
  expect(most).toBe(1)
  expect(new Set(agent.calls.map(({ streamId }) => streamId))).toEqual(new Set(['stream-1']))
  expect(agent.subscribes[0]?.streamId).toBeUndefined()
})

test('a call whose answer is lost, or that the agent is not ready for, is made again; a refusal is told', async () => {
  const agent = await RawAgent.start()
  const { logic } = holderWorld()
  subscribe(logic, agent.url)
  await logic.event('SUBSCRIBED')
  agent.onCall = (_, response) => {
    if (agent.calls.length === 1) response.destroy()
    else if (agent.calls.length === 2) response.writeHead(503).end('Agent has not finished recovery')
    else response.writeHead(400).end('Resource provider is not subscribed')
  }
  const id = logic.ready({ calls: [{ key: 'p', body: updateState('1') }] })
  expect((await logic.done(id)).results).toEqual([{ status: 400, text: 'Resource provider is not subscribed' }])
  expect(agent.calls).toHaveLength(3)
})

test('an agent that does not answer keeps no other stream waiting, and its own stream ends at the deadline', async () => {
  const silent = await RawAgent.start()
  const other = await RawAgent.start()
  silent.onCall = () => undefined
  const { logic } = holderWorld({ callMs: 700 })
  subscribe(logic, silent.url, undefined, 'silent')
  subscribe(logic, other.url, undefined, 'other')
  await silent.opened()
  await other.opened()
  await until(() => logic.events.length >= 2, { what: 'both subscriptions' })
  const stuck = logic.ready({ calls: [{ key: 'silent', body: updateState('1') }] })
  const quick = logic.ready({ calls: [{ key: 'other', body: updateState('1') }] })
  await logic.done(quick)
  expect(logic.said.some((each) => each.kind === 'done' && each.id === stuck)).toBe(false)
  expect((await logic.done(stuck)).results).toEqual([{ closed: true }])
  expect(await logic.closed()).toMatchObject({ key: 'silent', reason: 'silent' })
  expect(other.streams).toHaveLength(1)
})

test('a call on a stream that is not there is told to be of no use', async () => {
  const { logic } = holderWorld()
  const id = logic.ready({ calls: [{ key: 'nowhere', body: updateState('1') }] })
  expect((await logic.done(id)).results).toEqual([{ closed: true }])
})

test('PUBLISH_RESOURCES that nobody answers fails at the limit, once, and a late answer is not sent', async () => {
  const agent = await RawAgent.start()
  const { logic, logs } = holderWorld({ publishMs: 300 })
  subscribe(logic, agent.url)
  await logic.event('SUBSCRIBED')
  agent.send(publish('aaaa'))
  const [call] = await agent.called(1)
  expect(call?.body).toMatchObject({
    type: 'UPDATE_PUBLISH_RESOURCES_STATUS',
    resource_provider_id: { value: 'id-of-p' },
    update_publish_resources_status: { uuid: { value: 'aaaa' }, status: 'FAILED' },
  })
  const id = logic.ready({ calls: [{ key: 'p', body: answer('aaaa', 'OK') }] })
  expect((await logic.done(id)).results).toEqual([{ status: 0, text: 'it was answered before' }])
  expect(agent.calls).toHaveLength(1)
  expect(logs.some(({ event }) => event === 'publish.late')).toBe(true)
  logic.restart()
  expect(
    logic.hellos.at(-1)?.events.some((each) => each.kind === 'event' && each.event.type === 'PUBLISH_RESOURCES'),
  ).toBe(false)
})

test('an answer to PUBLISH_RESOURCES in time is the only one', async () => {
  const agent = await RawAgent.start()
  const { logic } = holderWorld({ publishMs: 300 })
  subscribe(logic, agent.url)
  await logic.event('SUBSCRIBED')
  agent.send(publish('bbbb'))
  const { seq } = await logic.event('PUBLISH_RESOURCES')
  logic.ready({ consumed: [seq], calls: [{ key: 'p', body: answer('bbbb', 'OK') }] })
  const again = logic.ready({ calls: [{ key: 'p', body: answer('bbbb', 'OK') }] })
  await logic.done(again)
  agent.send(publish('cccc'))
  // the limit of the first has passed when the second one's comes
  const calls = await agent.called(2)
  expect(calls.map(({ body }) => body.update_publish_resources_status)).toEqual([
    { uuid: { value: 'bbbb' }, status: 'OK' },
    { uuid: { value: 'cccc' }, status: 'FAILED' },
  ])
})
