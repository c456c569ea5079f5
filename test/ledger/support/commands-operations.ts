import type { StepOutcome } from '../../../src/ledger/operation-results.ts'
import type { DetachProof } from '../../../src/model/node-protocol.ts'
import { isFinished, type Operation } from '../../../src/model/operation.ts'
import { pickNode } from '../../../src/placement/nodes.ts'
import type { Makers } from './commands.ts'
import { isLost } from './commands-attachments.ts'
import { isUp, sessionOf } from './commands-resources.ts'
import type { World } from './world.ts'

type Own = Pick<Makers, Extract<keyof Makers, `operation.${string}` | `operations.${string}` | `fence.${string}`>>

/** Slow work: given out, answered well and badly, moved, taken back. */
export const OPERATIONS: Own = {
  'operation.assign': (world) => {
    const unfenced = world.random.chance(0.6)
    const operation = world.some(
      'operation',
      (each) => each.state === 'pending' && !(unfenced && each.kind === 'fence') && canRun(world, each),
    )
    const picked = operation && world.random.chance(0.85) ? pickNode(world.state, operation) : undefined
    const node = picked ?? world.some('node', isUp)
    return {
      kind: 'operation.assign',
      operationId: operation?.id ?? 'op-none',
      nodeId: node?.id ?? 'node-none',
      session: sessionOf(world, node),
      uuid: world.uuid(),
      deadlineAt: world.now + 60_000,
    }
  },
  'operation.result': (world) => {
    const { random } = world
    const operation = world.some('operation', (each) => each.state === 'running')
    const node = operation?.nodeId === undefined ? undefined : world.state.get('node', operation.nodeId)
    return {
      kind: 'operation.result',
      operationId: operation?.id ?? 'op-none',
      attempt: (operation?.attempt ?? 1) - (random.chance(0.05) ? 1 : 0),
      nodeId: random.chance(0.04) ? world.id('node') : (node?.id ?? 'node-none'),
      session: sessionOf(world, node),
      outcome: outcome(world, operation),
      detached: random.chance(0.7) && operation !== undefined ? usedBy(world, operation) : [],
    }
  },
  'operation.requeue': (world) => ({
    kind: 'operation.requeue',
    operationId: world.id('operation', (each) => each.state === 'running' && onLostNode(world, each)),
  }),
  'operation.overdue': (world) => ({
    kind: 'operation.overdue',
    operationId: world.id('operation', (each) => each.state === 'running' && !each.overdue),
  }),
  'operation.cancel': (world) => ({
    kind: 'operation.cancel',
    operationId: world.id('operation', (each) => !isFinished(each)),
  }),
  'operations.prune': (world) => {
    const ids = [...world.state.all('operation').keys()]
    return { kind: 'operations.prune', ids: ids.slice(0, world.random.int(1, 50)) }
  },
  'fence.stop': (world) => ({
    kind: 'fence.stop',
    operationId: world.id(
      'operation',
      (each) => each.kind === 'fence' && each.state === 'pending' && isBack(world, each),
    ),
  }),
  'fence.start': (world) => ({
    kind: 'fence.start',
    attachmentId: world.id('attachment', (each) => isLost(world, each)),
  }),
}

function canRun(world: World, operation: Operation): boolean {
  return pickNode(world.state, operation) !== undefined
}

/** Whether the node that is to be fenced is up again. */
function isBack(world: World, { subject }: Operation): boolean {
  const attachment = world.state.get('attachment', subject.id)
  return attachment !== undefined && world.state.get('node', attachment.nodeId)?.state === 'up'
}

const CODES = [
  'storage_failed',
  'storage_timeout',
  'interrupted',
  'storage_full',
  'cancelled',
  'not_blank',
  'what',
] as const

function outcome(world: World, operation: Operation | undefined): StepOutcome {
  const { random } = world
  const volume = operation === undefined ? undefined : world.state.get('volume', operation.subject.id)
  const sizeMiB = Math.max(1, (volume?.sizeMiB ?? 10) + random.int(-3, 3))
  const facts = random.chance(0.5) ? { sizeMiB } : {}
  if (random.chance(0.3)) return { ok: false, code: random.pick(CODES), message: 'it did not work', facts }
  const adopted = operation?.step === 'import' && random.chance(0.7) ? { fs: 'xfs' as const, fsUuid: world.uuid() } : {}
  return { ok: true, facts: { ...facts, ...adopted } }
}

/** The attachments of which the operation is a user. */
function usedBy(world: World, operation: Operation): DetachProof[] {
  return [...world.state.all('attachment').values()]
    .filter((each) => each.users.some((user) => user.id === operation.id))
    .map((each) => ({ attachmentId: each.id, claims: Math.max(1, each.claims - (world.random.chance(0.05) ? 1 : 0)) }))
}

function onLostNode(world: World, operation: Operation): boolean {
  return operation.nodeId !== undefined && world.state.get('node', operation.nodeId)?.state === 'lost'
}
