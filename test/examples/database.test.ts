import { expect, test } from 'vitest'
import { Database, type DatabaseState, type Step } from '../../examples/mesos-framework/database.ts'
import type { Offer, Resource } from '../../examples/mesos-framework/offers.ts'

const WISH = {
  role: 'ads',
  principal: undefined,
  sizeMiB: 100,
  iops: 900,
  profile: 'fast',
  command: 'true',
  cpus: 1,
  memMiB: 64,
}
const RESERVED = [{ type: 'DYNAMIC', role: 'ads', principal: 'holdfast' }]

function build(state: DatabaseState = {}) {
  const saved: DatabaseState[] = []
  const clock = { now: 0 }
  const database = new Database(
    WISH,
    state,
    () => saved.push(structuredClone(state)),
    () => clock.now,
  )
  return { database, state, saved, clock }
}

let offers = 0
function offer(agent: string, ...resources: Resource[]): Offer {
  return { id: { value: `o${offers++}` }, agent_id: { value: agent }, hostname: agent, resources }
}

function raw(sizeMiB: number, iops?: number): Resource {
  const labels = iops === undefined ? [] : [{ key: 'iops', value: String(iops) }]
  const source = { type: 'RAW', metadata: { labels } }
  return {
    name: 'disk',
    provider_id: { value: 'p' },
    scalar: { value: sizeMiB },
    reservations: RESERVED,
    disk: { source },
  }
}

const DISK: Resource = {
  name: 'disk',
  provider_id: { value: 'p' },
  scalar: { value: 100 },
  reservations: RESERVED,
  disk: { persistence: { id: 'vol-1' }, source: { type: 'MOUNT', id: 'vol-1' } },
}
const PLAIN: Resource[] = [
  { name: 'cpus', scalar: { value: 4 } },
  { name: 'mem', scalar: { value: 512 } },
]

function kinds(steps: readonly Step[]): unknown[] {
  return steps.map(({ call }) => call.type)
}

function operations(steps: readonly Step[]): unknown[] {
  const accept = steps.find(({ call }) => call.type === 'ACCEPT')?.call.accept as { operations: { type: string }[] }
  return accept.operations.map(({ type }) => type)
}

function finish(database: Database, state: DatabaseState, status: string): void {
  const operation_id = { value: state.operation?.id ?? '' }
  database.operation({ operation_id, state: status, converted_resources: [DISK] })
}

test('capacity of a pool that has not the IOPS is declined, that of another is taken', () => {
  const { database, saved } = build()
  expect(kinds(database.offered([offer('a', raw(800, 400), ...PLAIN)]))).toEqual(['DECLINE'])
  const steps = database.offered([offer('a', raw(800, 1000), ...PLAIN)])
  expect(operations(steps)).toEqual(['CREATE_DISK'])
  expect(saved.at(-1)?.operation).toMatchObject({ agentId: 'a', providerId: 'p' })
})

test('one volume is asked for at a time, and after a refusal none for a moment', () => {
  const { database, state, clock } = build()
  database.offered([offer('a', raw(800))])
  expect(kinds(database.offered([offer('b', raw(800))]))).toEqual(['DECLINE'])
  finish(database, state, 'OPERATION_FAILED')
  expect(kinds(database.offered([offer('b', raw(800))]))).toEqual(['DECLINE'])
  clock.now = 5000
  expect(kinds(database.offered([offer('b', raw(800))]))).toEqual(['ACCEPT'])
})

test('an operation that may still come to its end is waited for', () => {
  const { database, state } = build()
  database.offered([offer('a', raw(800))])
  finish(database, state, 'OPERATION_UNREACHABLE')
  expect(kinds(database.offered([offer('b', raw(800))]))).toEqual(['DECLINE'])
  finish(database, state, 'OPERATION_FINISHED')
  expect(state).toMatchObject({ volumeId: 'vol-1' })
})

test('a disk that comes alone is kept, its processor is asked for, and both are taken together', () => {
  const { database } = build({ volumeId: 'vol-1' })
  expect(kinds(database.offered([offer('a', ...PLAIN), offer('b', ...PLAIN)]))).toEqual(['DECLINE'])
  const alone = offer('a', DISK)
  expect(kinds(database.offered([alone]))).toEqual(['REVIVE'])
  const steps = database.offered([offer('a', ...PLAIN)])
  const accept = steps[0]?.call.accept as { offer_ids: unknown[] }
  expect(operations(steps)).toEqual(['LAUNCH'])
  expect(accept.offer_ids).toHaveLength(2)
  expect(accept.offer_ids).toContainEqual(alone.id)
})

test('a bare disk is reserved and made persistent in the same breath', () => {
  const { database } = build({ volumeId: 'vol-1' })
  const { reservations: _, ...unreserved } = DISK
  const bare = { ...unreserved, disk: { source: { type: 'MOUNT', id: 'vol-1' } } }
  expect(operations(database.offered([offer('a', bare, ...PLAIN)]))).toEqual(['RESERVE', 'CREATE', 'LAUNCH'])
})

test('a task on a lost agent is replaced when the volume is offered, and has to go when it comes back', () => {
  const { database, state } = build({ volumeId: 'vol-1', task: { id: 'db-1', agentId: 'a', hostname: 'a' } })
  database.task({ task_id: { value: 'db-1' }, state: 'TASK_RUNNING' })
  expect(kinds(database.offered([offer('b', DISK, ...PLAIN)]))).toEqual(['DECLINE'])
  database.task({ task_id: { value: 'db-1' }, state: 'TASK_UNREACHABLE' })
  expect(operations(database.offered([offer('b', DISK, ...PLAIN)]))).toEqual(['LAUNCH'])
  expect(state.task?.agentId).toBe('b')
  expect(database.task({ task_id: { value: 'db-1' }, state: 'TASK_RUNNING' })).toBe(true)
  expect(database.task({ task_id: { value: 'db-1' }, state: 'TASK_KILLED' })).toBe(false)
})
