/** Each scenario is a file of `scenarios/`: what the logic does and when. `vitest -u` writes them anew. */
import { expect, test } from 'vitest'
import type { Look } from '../../../src/doors/mesos/logic/agent-look.ts'
import {
  acknowledge,
  begun,
  createDisk,
  LogicScript,
  POOL,
  PROJECTION,
  PROVIDER,
  projectedDisk,
  publish,
  rawResource,
  usual,
  uuid,
  versionOf,
  volumeResource,
} from './support/logic-script.ts'

async function golden(script: LogicScript, name: string): Promise<void> {
  await expect(`${script.transcript.join('\n').trim()}\n`).toMatchFileSnapshot(`scenarios/${name}.txt`)
}

const NOTHING: Look = {
  state: {
    pendingTasks: [],
    queuedTasks: [],
    launchedTasks: [],
    terminatedTasks: [],
    completedTasks: [],
    executors: [],
    completedExecutors: [],
  },
  containers: [],
}

/** A task that has the volume, in a state, and whether its container is there. */
function looks(kind: 'launchedTasks' | 'completedTasks', isContained: boolean): Look {
  const task = { task_id: { value: 't1' }, framework_id: { value: 'f1' }, resources: [volumeResource('vol-1')] }
  const container = { container_id: { value: 'c1' }, framework_id: { value: 'f1' }, executor_id: { value: 't1' } }
  return { state: { ...NOTHING.state, [kind]: [task] }, containers: isContained ? [container] : [] }
}

const DISK_1 = `disk ${uuid(1001)}`

test('a start: the agent is asked who it is, subscribed, told everything; nothing is said twice', async () => {
  const script = new LogicScript()
  script.answer = (request) => (request.kind === 'agent' ? undefined : usual(request))
  script.start()
  script.line({ kind: 'pool', revision: 1, projection: { ...PROJECTION, disks: [projectedDisk('vol-1')] } })
  script.line({ kind: 'complete', revision: 1, node: 'node-1' })
  script.note('the agent has not registered with a master yet')
  script.refuse('agent', 'mesos_unreachable', 'the agent has not registered with a master yet')
  script.pass(600)
  script.reply('agent', { id: 'agent-1' })
  script.event({ type: 'SUBSCRIBED', subscribed: { provider_id: { value: PROVIDER } } })
  script.note('the controller repeats itself')
  script.line({ kind: 'raw', revision: 2, poolId: POOL, raw: PROJECTION.raw })
  script.pass(60_000)
  await golden(script, 'start')
})

test('a CREATE_DISK: what it consumes stays until the disk is there, then the update, then the status', async () => {
  const script = begun()
  script.event(createDisk(script, 1))
  script.note('meanwhile nearly all is taken elsewhere: 50 MiB are left beside what is being made')
  script.line({ kind: 'raw', revision: 2, poolId: POOL, raw: [{ ...PROJECTION.raw[0]!, sizeMiB: 50 }] })
  script.pass(5000)
  script.note('the volume is made')
  script.reply(DISK_1, { volumeId: 'vol-1', state: 'pending' })
  script.reply(DISK_1, { volumeId: 'vol-1', state: 'ready', disk: projectedDisk('vol-1') })
  script.note('nobody acknowledges for a while; the master asks; then somebody does')
  script.pass(31_000)
  script.event({
    type: 'RECONCILE_OPERATIONS',
    reconcile_operations: { operation_uuids: [{ value: 'AAAAAAAAQACAAAAAAAAQAQ==' }] },
  })
  script.event(acknowledge(script))
  script.pass(700_000)
  await golden(script, 'create-disk')
})

test('CREATE_DISKs that fail: for room, for its form, for its version, and a repeated one', async () => {
  const script = begun({ shrink: 'on-exhaustion' })
  script.line({ kind: 'raw', revision: 2, poolId: POOL, raw: [{ ...PROJECTION.raw[0]!, sizeMiB: 10 }] })
  script.pass(5000)
  script.note('the figure did not follow; the ledger refuses, and then it does')
  script.event(createDisk(script, 1))
  script.refuse(DISK_1, 'does_not_fit', 'pool scaleio~row8~pool-hdd: 10 MiB free for role ads, 100 asked')
  script.pass(5000)
  script.note('the same again')
  script.event(createDisk(script, 1))
  script.event(acknowledge(script))
  script.note('half a MiB; another version')
  script.event(createDisk(script, 2, 0.5))
  script.event(createDisk(script, 3, 1, 'AAAA'))
  await golden(script, 'create-disk-fails')
})

test('the controller is away: what is known is shown, a CREATE_DISK waits, what is owed is told later', async () => {
  const script = begun({ disks: [projectedDisk('vol-1')] })
  script.answer = () => undefined
  script.event(createDisk(script, 1))
  script.refuse(DISK_1, 'unreachable', 'the controller does not answer')
  script.pass(250)
  script.refuse(DISK_1, 'unknown_outcome', 'unknown outcome, retry with the same key')
  for (const pause of [400, 800, 1600, 3200, 6400]) {
    script.pass(pause)
    script.refuse(DISK_1, 'unreachable', 'the controller does not answer')
  }
  script.note('a task starts on a volume that is mounted here')
  script.event(publish('p1', volumeResource('vol-1')))
  script.reply('volume vol-1', { path: '/mnt/vol-1/target' })
  script.pass(350)
  script.note('it is back: what waits is asked at once')
  script.step({ kind: 'controller' })
  script.pass(1000)
  script.reply(DISK_1, { volumeId: 'vol-2', state: 'ready', disk: projectedDisk('vol-2') })
  await golden(script, 'controller-away')
})

test('PUBLISH_RESOURCES: mounted and answered; refused for what it is not; refused for what somebody else has', async () => {
  const script = begun({ disks: [projectedDisk('vol-1'), projectedDisk('vol-2')] })
  script.event(publish('both', volumeResource('vol-1'), volumeResource('vol-2')))
  script.reply('volume vol-1', { path: '/mnt/vol-1/target' })
  script.reply('volume vol-2', { path: '/mnt/vol-2/target' })
  script.note('another persistence than ours; a volume that is not shown; capacity; another place')
  script.event(
    publish('p2', {
      ...volumeResource('vol-1'),
      disk: { ...volumeResource('vol-1').disk, persistence: { id: 'other' } },
    }),
  )
  script.event(publish('p3', volumeResource('vol-9')))
  script.event(publish('p4', rawResource(10)))
  script.event(publish('p5', volumeResource('vol-1')))
  script.reply('volume vol-1', { path: '/elsewhere' })
  script.note('held elsewhere')
  script.event(publish('p6', volumeResource('vol-2')))
  script.refuse('volume vol-2', 'held_elsewhere', 'volume vol-2 is used on node-2')
  script.note('the node daemon is away, and stays so')
  script.event(publish('p7', volumeResource('vol-2')))
  script.answer = (request) => (request.kind === 'mount' ? undefined : usual(request))
  for (let second = 0; second < 60; second += 1) {
    if (script.open.has('volume vol-2')) script.refuse('volume vol-2', 'node_unreachable', 'nobody answers')
    script.pass(1000)
  }
  const answers = script.calls.flatMap((each) =>
    each.type === 'UPDATE_PUBLISH_RESOURCES_STATUS' ? [each.update_publish_resources_status] : [],
  )
  expect(answers.map(({ uuid: of, status }) => `${of.value} ${status}`)).toEqual([
    'both OK',
    'p2 FAILED',
    'p3 FAILED',
    'p4 FAILED',
    'p5 FAILED',
    'p6 FAILED',
    'p7 FAILED',
  ])
})

test('a task that would bring the node over its bandwidth does not start; what ended tasks had is given back', () => {
  const script = begun({ bandwidth: 100 })
  const bandwidth = (value: number) => ({
    ...rawResource(value),
    name: 'storage_bw',
    reservations: [],
    disk: undefined,
  })
  let seen: Look = NOTHING
  script.answer = (request) => (request.kind === 'look' ? { ok: true, value: seen } : undefined)
  const asked = () => [...script.open.values()].flatMap((each) => (each.kind === 'rest' ? [each.body] : []))
  const task = { task_id: { value: 't1' }, framework_id: { value: 'f1' }, resources: [bandwidth(60) as never] }
  script.event(publish('p1', bandwidth(60) as never))
  expect(asked()).toContainEqual({ bandwidth: 60 })
  script.reply(`bandwidth ${POOL}`, {})
  seen = { ...NOTHING, state: { ...NOTHING.state, launchedTasks: [task] } }
  script.event(publish('p2', bandwidth(60) as never, bandwidth(40) as never))
  script.refuse(`bandwidth ${POOL}`, 'node_full', 'node-1 has 20 MiB/s left')
  const answers = () =>
    script.calls.flatMap((each) =>
      each.type === 'UPDATE_PUBLISH_RESOURCES_STATUS' ? [each.update_publish_resources_status.status] : [],
    )
  expect(answers()).toEqual(['OK', 'FAILED'])
  script.pass(10_000)
  expect(script.open.has(`bandwidth ${POOL}`)).toBe(false)
  seen = NOTHING
  script.pass(3000)
  expect(asked()).toContainEqual({ bandwidth: 0 })
  script.reply(`bandwidth ${POOL}`, {})
  expect(script.journal.has(`bandwidth/${POOL}`)).toBe(false)
})

test('a release: only when two looks in a row, begun well after the last publish, find nothing that had it', async () => {
  const script = begun({ disks: [projectedDisk('vol-1')] })
  let seen: Look | 'away' = looks('launchedTasks', true)
  script.answer = (request) => {
    if (request.kind !== 'look') return usual(request)
    if (seen !== 'away') return { ok: true, value: seen }
    return { ok: false, error: Object.assign(new Error('503'), { code: 'mesos_unreachable' }) as never }
  }
  script.event(publish('p1', volumeResource('vol-1')))
  script.reply('volume vol-1', { path: '/mnt/vol-1/target' })
  script.note('it runs')
  script.pass(5000)
  script.note('it has ended, but its container is there')
  seen = looks('completedTasks', true)
  script.pass(3000)
  script.note('the agent is away')
  seen = 'away'
  script.pass(10_000)
  script.note('the container has gone; one look; a task comes; it goes at once')
  seen = looks('completedTasks', false)
  script.pass(1000)
  script.event(publish('p2', volumeResource('vol-1')))
  script.reply('volume vol-1', { path: '/mnt/vol-1/target' })
  script.pass(4000)
  script.note('while it is being unmounted one more comes')
  script.event(publish('p3', volumeResource('vol-1')))
  script.reply('volume vol-1', {})
  script.reply('volume vol-1', { path: '/mnt/vol-1/target' })
  script.pass(4000)
  script.note('something still uses the mount')
  script.refuse('volume vol-1', 'still_mounted', 'something still uses the mount')
  script.pass(3000)
  script.reply('volume vol-1', {})
  script.pass(5000)
  await golden(script, 'release')
})

test('the agent restarts; then it comes back wiped', async () => {
  const script = begun({ disks: [projectedDisk('vol-1')] })
  script.event(createDisk(script, 1))
  script.reply(DISK_1, { volumeId: 'vol-2', state: 'pending' })
  script.note('the agent restarts')
  script.answer = (request) => (request.kind === 'agent' ? undefined : usual(request))
  script.closed('ended')
  script.refuse('agent', 'mesos_unreachable', 'the agent has not finished recovery')
  script.pass(1500)
  script.reply('agent', { id: 'agent-1' })
  script.event({ type: 'SUBSCRIBED', subscribed: { provider_id: { value: PROVIDER } } })
  script.note('it is killed, its work directory is wiped')
  script.closed('ended')
  script.refuse('agent', 'mesos_unreachable', 'connection refused')
  script.pass(3000)
  script.reply('agent', { id: 'agent-2' })
  script.event({ type: 'SUBSCRIBED', subscribed: { provider_id: { value: 'provider-2' } } })
  script.note('what was under way at the old one is of the past, and what it made is shown')
  script.reply(DISK_1, { volumeId: 'vol-2', state: 'ready', disk: projectedDisk('vol-2') })
  script.line({ kind: 'disks', revision: 3, poolId: POOL, set: [projectedDisk('vol-2')], removed: [] })
  script.pass(5000)
  await golden(script, 'agent-restart')
})

test('an id that the agent does not know is forgotten', async () => {
  const script = new LogicScript()
  script.answer = usual
  script.start()
  script.line({ kind: 'pool', revision: 1, projection: PROJECTION, providerId: 'of-long-ago' })
  script.line({ kind: 'complete', revision: 1, node: 'node-1' })
  script.closed('unknown-id')
  script.pass(10)
  script.event({ type: 'SUBSCRIBED', subscribed: { provider_id: { value: 'provider-2' } } })
  await golden(script, 'unknown-id')
})

test('the logic is killed at every step of a CREATE_DISK and a launch, and goes on', async () => {
  const script = begun({ disks: [projectedDisk('vol-1')] })
  script.event(createDisk(script, 1))
  script.note('killed before the controller answered')
  script.restart()
  script.reply(DISK_1, { volumeId: 'vol-2', state: 'pending' })
  script.note('killed while the volume is being made, and nobody knows whether the agent has heard the last update')
  script.restart(false)
  script.event(publish('p1', volumeResource('vol-1')))
  script.note('killed while a volume is being mounted')
  script.restart()
  script.reply('volume vol-1', { path: '/mnt/vol-1/target' })
  script.reply(DISK_1, { volumeId: 'vol-2', state: 'ready', disk: projectedDisk('vol-2') })
  script.note('killed before the acknowledgement')
  script.restart()
  script.event(acknowledge(script))
  script.pass(1000)
  script.note('killed once more')
  script.restart()
  script.line({
    kind: 'pool',
    revision: 3,
    projection: {
      ...PROJECTION,
      raw: [{ ...PROJECTION.raw[0]!, sizeMiB: 900 }],
      disks: [projectedDisk('vol-1'), projectedDisk('vol-2')],
    },
  })
  script.line({ kind: 'complete', revision: 3, node: 'node-1' })
  script.pass(30_000)
  await golden(script, 'killed')
})

test('a planned stop: empty totals, a pause, a new version, the acknowledgements, the end', async () => {
  const script = begun({ disks: [projectedDisk('vol-1')] })
  script.event(createDisk(script, 1))
  script.reply(DISK_1, { volumeId: 'vol-2', state: 'pending' })
  script.step({ kind: 'stop', limitMs: 60_000 })
  script.pass(3000)
  script.note('a task is being started with what was shown before')
  script.event(publish('p1', volumeResource('vol-1')))
  script.reply('volume vol-1', { path: '/mnt/vol-1/target' })
  script.note('the disk that was under way is made')
  script.reply(DISK_1, { volumeId: 'vol-2', state: 'ready', disk: projectedDisk('vol-2') })
  script.pass(12_000)
  expect(script.stopped).toBeUndefined()
  script.event(acknowledge(script))
  script.pass(1000)
  expect(script.stopped).toEqual([])
  await golden(script, 'planned-stop')
})

test('a planned stop that takes too long says what is left', () => {
  const script = begun()
  script.event(createDisk(script, 1))
  script.step({ kind: 'stop', limitMs: 5000 })
  script.pass(4600)
  expect(script.stopped).toEqual([`CREATE_DISK ${uuid(1001)} is still under way`])
})

test('a planned stop while the agent is away is over at once, and says what is left', () => {
  const script = begun()
  script.event(createDisk(script, 1))
  script.closed('ended')
  script.step({ kind: 'stop', limitMs: 60_000 })
  script.pass(100)
  expect(script.stopped).toEqual([`CREATE_DISK ${uuid(1001)} is still under way`])
})

test('TEARDOWN ends it: the id is forgotten here and at the controller, and it is not subscribed again', async () => {
  const script = begun()
  script.event({ type: 'TEARDOWN' })
  script.pass(120_000)
  script.note('a restart of the logic does not change that; a new start of the whole provider does')
  script.restart()
  script.line({ kind: 'pool', revision: 2, projection: PROJECTION })
  script.line({ kind: 'complete', revision: 2, node: 'node-1' })
  script.pass(10_000)
  await golden(script, 'teardown')
  expect(script.streamState).toBeUndefined()
})

test('what the holder hands on but nobody can read is logged and done with', () => {
  const script = begun()
  const before = script.calls.length
  for (const event of [
    { type: 'APPLY_OPERATION' },
    { type: 'APPLY_OPERATION', apply_operation: { operation_uuid: { value: 'x' } } },
    { type: 'PUBLISH_RESOURCES' },
    { type: 'RECONCILE_OPERATIONS' },
    { type: 'OF_THE_FUTURE' },
  ]) {
    script.event(event as never)
  }
  script.restart()
  script.pass(1000)
  expect(script.calls.slice(before)).toEqual([])
  expect(versionOf(script)).not.toBe('')
})
