import { expect } from 'vitest'
import type { OperationStatus } from '../../../src/mesos/resource.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { newId } from './support/client.ts'
import { OperationCases, type Places, type Try, type Whose } from './support/operation-cases.ts'
import { launch } from './support/operations.ts'
import { type Cell, cellsAfter } from './support/operations-table.ts'
import { type PoolWish, sharedWorld, type World } from './support/world.ts'

const needed = needs('root', 'loop-devices', 'mkfs.ext4')

/** Figures never fall here: so an offer can promise what is not there any more. */
function pool(mesos: PoolWish['mesos']): PoolWish {
  return { sizeMiB: 2000, mesos: { ...mesos, shrink: 'never' } }
}

const COLUMNS: Readonly<Record<string, Whose>> = {
  'our reservation': 'ours',
  "the framework's own": 'own',
  'an unreserved pool': 'open',
  unreserved: 'open',
}

needed.describe('the operations of docs/mesos.md with the ACLs verified', () => {
  const world = sharedWorld({
    agents: 1,
    keep: true,
    pools: {
      ours: pool({ roles: ['ours'] }),
      stays: pool({ roles: ['stays'], float: false, block: true }),
      open: pool({ roles: ['open'], unreserved: true }),
      openstays: pool({ roles: ['open'], unreserved: true, float: false, block: true }),
    },
    profiles: { plain: {}, blockdev: { fs: 'raw' } },
  })
  const cases = casesOf(world, {
    pool: (whose, floats) => (whose === 'ours' ? (floats ? 'ours' : 'stays') : floats ? 'open' : 'openstays'),
    role: (whose, floats) => (whose === 'ours' ? (floats ? 'ours' : 'stays') : 'open'),
  })
  for (const cell of cellsAfter('With the ACLs verified:')) testCell(world, cases, cell)

  needed.test('¹ where disks stay, CREATE on RAW or BLOCK arrives: failed, and a task on it is refused', async () => {
    await tryAll(world, cases().createOnWhatCannot('ours'), isRefusedWithItsTask)
  })
})

needed.describe('the operations of docs/mesos.md without the ACLs', () => {
  const world = sharedWorld({
    agents: 1,
    keep: true,
    guarded: false,
    pools: { free: pool({ roles: ['free'], block: true }) },
    profiles: { plain: {}, blockdev: { fs: 'raw' } },
  })
  const cases = casesOf(world, { pool: () => 'free', role: () => 'free' })
  for (const cell of cellsAfter('Without the ACLs nothing carries our reservation:')) testCell(world, cases, cell)
})

function casesOf(world: World, places: Places): () => OperationCases {
  return () => new OperationCases(world, places)
}

function testCell(world: World, cases: () => OperationCases, { operation, column, outcome }: Cell): void {
  needed.test(`${operation}, ${column}: ${outcome}`, async () => {
    const whose = COLUMNS[column]
    const row = cases().rows[operation]
    const check = OUTCOMES[outcome]
    if (whose === undefined || row === undefined || check === undefined) {
      throw new Error(`docs/mesos.md has a cell for which there is no test: ${operation}, ${column}: ${outcome}`)
    }
    await tryAll(world, row(whose), check)
    if (outcome.includes('fails with the reason')) await failsForRoom(world, cases(), whose)
  })
}

async function tryAll(world: World, makers: readonly (() => Promise<Try>)[], check: Check): Promise<void> {
  for (const make of makers) {
    await check(world, await make())
    await world.endClients()
  }
}

type Check = (world: World, tried: Try) => Promise<void>

const OUTCOMES: Readonly<Record<string, Check>> = {
  accepted: isAccepted,
  'accepted; fails with the reason when there is no room': isAccepted,
  'accepted; fails with the reason': isAccepted,
  'accepted and recorded': isRecorded,
  'cannot arrive': cannotArrive,
  failed: isFailed,
  'failed, and a task on it is refused': isRefusedWithItsTask,
}

async function end({ client, hand, operation }: Try): Promise<OperationStatus> {
  return client.operate(hand, [operation])
}

/** How many operations the provider has been asked for. */
function asked(world: World): number {
  return world.machine(1).logged.filter(({ event }) => event === 'operation.asked').length
}

async function isAccepted(_: World, tried: Try): Promise<void> {
  const { state, message } = await end(tried)
  expect([state, message]).toEqual(['OPERATION_FINISHED', undefined])
}

async function isRecorded(world: World, tried: Try): Promise<void> {
  await isAccepted(world, tried)
  const { isRecorded: known } = tried
  if (known === undefined) throw new Error('nothing tells whether it is recorded')
  await until(known, { what: 'the ledger to know' })
}

async function cannotArrive(world: World, tried: Try): Promise<void> {
  const before = asked(world)
  const { state, message } = await end(tried)
  expect(state, message).toBe('OPERATION_ERROR')
  expect(message).not.toContain('is no longer valid')
  expect(asked(world)).toBe(before)
}

async function isFailed(world: World, tried: Try): Promise<void> {
  const { state, message } = await end(tried)
  expect(state).toBe('OPERATION_FAILED')
  expect(message).toContain('can have no persistent volume')
  expect(world.agent(1).alive).toBe(true)
}

async function isRefusedWithItsTask(world: World, { client, hand, operation, result }: Try): Promise<void> {
  const agent = world.agent(1)
  const task = newId('task')
  const launched = launch(task, agent.id, 'true', result === undefined ? [] : [result])
  const { state } = await client.operate(hand, [operation, launched])
  expect(state).toBe('OPERATION_FAILED')
  expect((await client.ended(task)).state).not.toBe('TASK_FINISHED')
  expect(agent.alive).toBe(true)
}

/** The offer promises what somebody else has taken by now. */
async function failsForRoom(world: World, cases: OperationCases, whose: Whose): Promise<void> {
  const tried = await cases.createDisk(whose)
  const source = tried.operation.create_disk?.source
  const name = source?.disk?.source?.metadata?.labels?.find(({ key }) => key === 'pool')?.value ?? ''
  const give = await cases.fill(name)
  const { state, message } = await end(tried)
  await give()
  expect(state).toBe('OPERATION_FAILED')
  expect(message).toMatch(/^pool loop~story~\w+: 0 MiB free for role \w+, 16 asked; the pool has 0 MiB/)
  expect(world.agent(1).alive).toBe(true)
}
