import { expect } from 'vitest'
import type { OperationStatus, Resource } from '../../../src/mesos/resource.ts'
import { withoutAllocation } from '../../../src/mesos/resources.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { newId } from './support/client.ts'
import { post } from './support/mesos-api.ts'
import { inDate, OperationCases, OutOfDate, type Places, type Try, type Whose } from './support/operation-cases.ts'
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
    pools: {
      ours: pool({ roles: ['ours'] }),
      stays: pool({ roles: ['stays'], float: false, block: true }),
      open: pool({ roles: ['floats'], unreserved: true }),
      openstays: pool({ roles: ['open'], unreserved: true, float: false, block: true }),
    },
    profiles: { plain: {}, blockdev: { fs: 'raw' } },
  })
  const cases = casesOf(world, {
    pool: (whose, floats) => (whose === 'ours' ? (floats ? 'ours' : 'stays') : floats ? 'open' : 'openstays'),
    role: (whose, floats) => (whose === 'ours' ? (floats ? 'ours' : 'stays') : floats ? 'floats' : 'open'),
  })
  const cells = cellsAfter('With the ACLs')
  for (const cell of cells) testCell(world, cases, cell)
  for (const cell of cells)
    if (byOperator(cell.operation)) testCell(world, cases, cell, 'by an operator: ', BY_OPERATOR)

  needed.test('¹ where disks stay, CREATE on RAW or BLOCK arrives: failed, and a task on it is refused', async () => {
    await tryAll(world, cases().createOnWhatCannot('ours'), isRefusedWithItsTask)
  })

  needed.test('² where volumes float, RESERVE for a role below cannot arrive', async () => {
    await tryAll(world, [() => cases().reserveRaw('own', true)], cannotArrive)
  })
})

needed.describe('the operations of docs/mesos.md without the ACLs', () => {
  const world = sharedWorld({
    agents: 1,
    guarded: false,
    pools: { free: pool({ roles: ['free'], block: true }) },
    profiles: { plain: {}, blockdev: { fs: 'raw' } },
  })
  const cases = casesOf(world, { pool: () => 'free', role: () => 'free' })
  for (const cell of cellsAfter('Without the ACLs')) testCell(world, cases, cell)
})

function casesOf(world: World, places: Places): () => OperationCases {
  return () => new OperationCases(world, places)
}

function testCell(
  world: World,
  cases: () => OperationCases,
  { operation, column, outcome }: Cell,
  by = '',
  outcomes = OUTCOMES,
): void {
  needed.test(`${by}${operation}, ${column}: ${outcome}`, async () => {
    const whose = COLUMNS[column]
    const row = cases().rows[operation]
    const check = outcomes[outcome]
    if (whose === undefined || row === undefined || check === undefined) {
      throw new Error(`docs/mesos.md has a cell for which there is no test: ${operation}, ${column}: ${outcome}`)
    }
    await tryAll(world, row(whose), check)
    if (outcome.includes('fails with the reason')) await inTime(world, () => failsForRoom(world, cases(), whose))
  })
}

async function tryAll(world: World, makers: readonly (() => Promise<Try>)[], check: Check): Promise<void> {
  for (const make of makers) await inTime(world, async () => check(world, await make()))
}

/** Again while offers are out of date. */
async function inTime(world: World, attempt: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt()
    } catch (thrown) {
      if (!(thrown instanceof OutOfDate) || tries === 5) throw thrown
    } finally {
      await world.endClients()
    }
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

/** The operator API has calls for what agent and master do at once. */
function byOperator(operation: string): boolean {
  return /^(UN)?RESERVE|^CREATE on|^DESTROY of/.test(operation)
}

const BY_OPERATOR: Readonly<Record<string, Check>> = {
  'accepted and recorded': async (world, tried) => {
    expect(await operate(world, tried)).toBe(202)
    await isKnown(tried)
  },
  'cannot arrive': async (world, tried) => {
    const before = asked(world)
    expect([400, 403, 409]).toContain(await operate(world, tried))
    expect(asked(world)).toBe(before)
  },
  failed: async (world, tried) => {
    const before = failures(world)
    expect(await operate(world, tried)).toBe(202)
    await until(() => failures(world) > before, { what: 'the provider to refuse it' })
  },
}

/** @returns the status of the master's answer */
async function operate(world: World, { operation }: Try): Promise<number> {
  const agent_id = { value: world.agent(1).id }
  const { reserve, unreserve, create, destroy } = operation
  const plain = (resources: readonly Resource[] = []) => resources.map(withoutAllocation)
  const body =
    reserve !== undefined
      ? { type: 'RESERVE_RESOURCES', reserve_resources: { agent_id, resources: plain(reserve.resources) } }
      : unreserve !== undefined
        ? { type: 'UNRESERVE_RESOURCES', unreserve_resources: { agent_id, resources: plain(unreserve.resources) } }
        : create !== undefined
          ? { type: 'CREATE_VOLUMES', create_volumes: { agent_id, volumes: plain(create.volumes) } }
          : { type: 'DESTROY_VOLUMES', destroy_volumes: { agent_id, volumes: plain(destroy?.volumes) } }
  return (await post(world.mesos.master.url, '/api/v1', body)).status
}

function failures(world: World): number {
  return world.machine(1).logged.filter(({ state }) => state === 'OPERATION_FAILED').length
}

async function end({ client, hand, operation }: Try): Promise<OperationStatus> {
  return inDate(await client.operate(hand, [operation]))
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
  await isKnown(tried)
}

async function isKnown({ isRecorded: known }: Try): Promise<void> {
  if (known === undefined) throw new Error('nothing tells whether it is recorded')
  await until(known, { what: 'the ledger to know' })
}

async function cannotArrive(world: World, tried: Try): Promise<void> {
  const before = asked(world)
  const { state, message } = await end(tried)
  expect(state, message).toBe('OPERATION_ERROR')
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
  const { state } = inDate(await client.operate(hand, [operation, launched]))
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
  const { state, message } = await end(tried).finally(give)
  expect(state).toBe('OPERATION_FAILED')
  expect(message).toMatch(/^pool loop~story~\w+: 0 MiB free for role \w+, 16 asked; the pool has 0 MiB/)
  expect(world.agent(1).alive).toBe(true)
}
