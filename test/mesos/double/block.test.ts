import { expect, test } from 'vitest'
import type { Resource } from '../../../src/mesos/resource.ts'
import { needs } from '../../support/missing.ts'
import { normal, recording } from './recording.ts'
import { allocatedTo, hasAllFor, hasDisk, raw, startWorld, task } from './world.ts'

const POOL = raw(400, 'A', { profile: 'fast' })
const block = (id: string): Resource => raw(100, 'A', { type: 'BLOCK', id, profile: 'fast' })

function withVolume(disk: Resource): Resource {
  return { ...disk, disk: { persistence: { id: 'pvb' }, volume: { mode: 'RW', container_path: 'blk' }, ...disk.disk } }
}

test('a BLOCK disk is made and offered as recorded', async () => {
  const world = await startWorld({ agents: [{}] })
  const provider = await world.provider()
  await provider.updateState([POOL])
  const framework = await world.framework({ roles: ['A'] })
  const offer = await framework.waitOffer(hasDisk('RAW'))
  const source = allocatedTo('A', provider.own(raw(100, 'A', { profile: 'fast' })))
  await framework.accept(
    [offer],
    [{ type: 'CREATE_DISK', id: { value: 'cdb' }, create_disk: { source, target_type: 'BLOCK' } }],
  )
  const operation = await provider.waitApply('cdb')
  const converted_resources = [allocatedTo('A', provider.own(block('vol-e80012a1')))]
  await framework.suppress()
  await provider.end(operation, 'OPERATION_FINISHED', { converted_resources })
  expect(normal(await framework.operationStatus('cdb'))).toEqual(
    normal(recording('moving/q5-create_disk-block-status')),
  )
})

test('a plain volume on a BLOCK disk is an error of the task', async () => {
  const world = await startWorld({ agents: [{}] })
  const provider = await world.provider()
  await provider.updateState([block('b1')])
  const framework = await world.framework({ roles: ['A'] })
  const offers = await framework.waitTogether(world.agent().id, hasAllFor('b1'))
  const disk = provider.own(block('b1'))
  const run = task('tb2', world.agent().id, 'true', [
    { ...disk, disk: { ...disk.disk, volume: { mode: 'RW', container_path: 'blk' } } },
  ])
  await framework.accept(offers, [{ type: 'LAUNCH', launch: { task_infos: [run] } }])
  expect(normal(await framework.taskStatus('tb2', ['TASK_ERROR']))).toEqual(
    normal(recording('moving/q5-task-block-volume')),
  )
})

test('a persistent volume on BLOCK passes the master; a PUBLISH that is refused saves the agent', async () => {
  const world = await startWorld({ agents: [{}] })
  const provider = await world.provider(0, { onPublish: () => 'FAILED' })
  const disk = block('vol-13cdf5cc')
  await provider.updateState([disk])
  const framework = await world.framework({ roles: ['A'] })
  const offers = await framework.waitTogether(world.agent().id, hasAllFor('vol-13cdf5cc'))
  const made = allocatedTo('A', provider.own(withVolume(disk)))
  const run = task('tb', world.agent().id, 'true', [made])
  await framework.accept(offers, [
    { type: 'CREATE', id: { value: 'crb' }, create: { volumes: [made] } },
    { type: 'LAUNCH', launch: { task_infos: [run] } },
  ])
  const operation = await provider.waitApply('crb')
  await provider.end(operation, 'OPERATION_FAILED', { message: 'refused: persistent volume on BLOCK' })
  await provider.updateState([disk])
  expect(normal(await framework.operationStatus('crb'))).toEqual(normal(recording('moving/q5b-create-refused')))
  expect(normal(await framework.taskStatus('tb', ['TASK_FAILED']))).toEqual(normal(recording('moving/q5b-launch')))
  await framework.waitOffer(hasDisk('BLOCK', 'vol-13cdf5cc'))
  expect(world.mesos.aborts).toEqual([])
})

needs('root', 'unshare').describe('a task with a BLOCK disk', () => {
  test('runs, and sees nothing of it', async () => {
    const world = await startWorld({ agents: [{}] })
    const provider = await world.provider()
    await provider.updateState([block('b1')])
    const framework = await world.framework({ roles: ['A'] })
    const offers = await framework.waitTogether(world.agent().id, hasAllFor('b1'))
    const run = task('tb', world.agent().id, '[ "$(ls)" = "$(printf "stderr\\nstdout")" ]', [provider.own(block('b1'))])
    await framework.accept(offers, [{ type: 'LAUNCH', launch: { task_infos: [run] } }])
    expect(normal(await framework.taskStatus('tb', ['TASK_FINISHED', 'TASK_FAILED']))).toEqual(
      normal(recording('moving/q5-task-block')),
    )
    expect(provider.published[0]).toHaveLength(1)
  })
})
