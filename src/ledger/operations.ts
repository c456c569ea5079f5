import { MAX_USERS } from '../model/attachment.ts'
import { HoldfastError } from '../model/errors.ts'
import type { DetachProof } from '../model/node-protocol.ts'
import { isFinished, type Operation } from '../model/operation.ts'
import type { Volume } from '../model/volume.ts'
import { attachmentOn, mayShare, newAttachment } from './attachments.ts'
import { cancelled } from './operation-end.ts'
import { failStep, finishStep, type StepOutcome } from './operation-results.ts'
import { about, type Outcome } from './outcome.ts'
import { staleSession } from './pools.ts'
import { restart } from './proof.ts'
import { needIdleToCopy } from './snapshots.ts'
import type { Transaction } from './transaction.ts'

export type OperationCommand =
  | {
      kind: 'operation.assign'
      operationId: string
      nodeId: string
      session: string
      /** UUID for the filesystem that the step makes. */
      uuid: string
      deadlineAt: number
    }
  | {
      kind: 'operation.result'
      operationId: string
      attempt: number
      nodeId: string
      session: string
      outcome: StepOutcome
      /** Attachments of this operation of which the node has proven that nothing is left. */
      detached: DetachProof[]
    }
  | { kind: 'operation.requeue'; operationId: string }
  | { kind: 'operation.overdue'; operationId: string }
  | { kind: 'operation.cancel'; operationId: string }
  | { kind: 'operations.prune'; ids: string[] }
  | { kind: 'fence.start'; attachmentId: string }
  | { kind: 'fence.stop'; operationId: string }

type Of<K extends OperationCommand['kind']> = Extract<OperationCommand, { kind: K }>

/** The door under which an operation is a user of the volumes it works on. */
export const OPERATION_DOOR = 'operation'

/**
 * Gives an operation's next step to a node. A step that reads or writes a volume's content becomes a user of it on
 * that node, under an epoch, so that it can move elsewhere only on proof.
 */
export function assign(tx: Transaction, command: Of<'operation.assign'>): Outcome<Operation> {
  const before = tx.need('operation', command.operationId)
  const node = tx.need('node', command.nodeId)
  if (before.state !== 'pending') throw new HoldfastError('wrong_state', `operation ${before.id} is ${before.state}`)
  if (node.session !== command.session || node.state !== 'up') throw staleSession(node.name)
  if (before.pinnedTo !== undefined && before.pinnedTo !== node.id) {
    throw new HoldfastError('wrong_state', `operation ${before.id} must run on another node`)
  }
  if (before.step !== 'mark' && !node.reach.includes(before.poolId)) {
    throw new HoldfastError('no_reach', `node ${node.name} does not reach the pool of operation ${before.id}`)
  }
  useContent(tx, before, node.id, command.uuid)
  const operation = tx.put('operation', {
    ...before,
    state: 'running',
    nodeId: node.id,
    attempt: before.attempt + 1,
    deadlineAt: command.deadlineAt,
    overdue: false,
  })
  return about('operation', operation, 'operation.started', {
    step: operation.step,
    node: node.name,
    attempt: operation.attempt,
  })
}

function useContent(tx: Transaction, operation: Operation, nodeId: string, uuid: string): void {
  const { subject, source, step } = operation
  if (step === 'create') {
    const volume = tx.need('volume', subject.id)
    tx.put('volume', { ...volume, state: 'creating' })
  } else if (step === 'format' || step === 'copy') {
    const { epoch } = own(tx, operation, subject.id, nodeId, 'rw')
    const volume = tx.need('volume', subject.id)
    const format = volume.fs === 'raw' ? volume.format : ({ state: 'formatting', uuid, epoch } as const)
    tx.put('volume', { ...volume, state: step === 'format' ? 'formatting' : 'creating', format })
  } else if (step === 'grow') {
    const { mode } = own(tx, operation, subject.id, nodeId, 'rw')
    if (mode === 'ro') throw new HoldfastError('in_use', 'the volume is in use read-only; it grows when it is idle')
  } else if (step === 'delete') {
    if (tx.state.attachmentsByVolume.get(subject.id).size > 0) {
      throw new HoldfastError('in_use', 'the volume is not detached yet; it is deleted after that')
    }
  } else if (step === 'import') {
    own(tx, operation, subject.id, nodeId, 'ro')
  } else if (step === 'fence') {
    const attachment = tx.need('attachment', subject.id)
    tx.put('attachment', { ...attachment, state: 'fencing' })
  }
  if (source?.kind === 'volume') {
    needIdleToCopy(tx, source.id)
    own(tx, operation, source.id, nodeId, 'rw')
  }
}

/** Makes the operation a user of the volume on that node: of the attachment that is there, or of a new one. */
function own(tx: Transaction, operation: Operation, volumeId: string, nodeId: string, mode: 'rw' | 'ro') {
  const volume: Volume = tx.need('volume', volumeId)
  const node = tx.need('node', nodeId)
  const user = { door: OPERATION_DOOR, id: operation.id }
  mayShare(tx, { ...volume, access: 'single-writer' }, node, mode)
  const mine = attachmentOn(tx, volumeId, nodeId)
  if (mine === undefined) {
    return newAttachment(tx, volume, node, { volumeId, nodeId, user, mode, bandwidth: 0, mountAt: undefined })
  }
  if (mine.state === 'fencing' || mine.state === 'stuck' || mine.bootId !== node.bootId) {
    throw new HoldfastError('wrong_state', `volume ${volume.name} is ${mine.state} on node ${node.name}`)
  }
  if (mine.users.length >= MAX_USERS) {
    throw new HoldfastError('node_full', `volume ${volume.name} has ${MAX_USERS} users on node ${node.name} already`)
  }
  const state = mine.state === 'unmounting' ? 'attaching' : mine.state
  return tx.put('attachment', {
    ...mine,
    state,
    users: [...mine.users, { ...user, since: tx.now }],
    claims: mine.claims + 1,
  })
}

/** What a node says of a piece of work. A repeated or late word about another attempt changes nothing. */
export function result(tx: Transaction, command: Of<'operation.result'>): Outcome<Operation> {
  const operation = tx.need('operation', command.operationId)
  const node = tx.need('node', command.nodeId)
  if (node.session !== command.session) throw staleSession(node.name)
  const current = operation.state === 'running' && operation.attempt === command.attempt && operation.nodeId === node.id
  if (!current) return about('operation', operation, 'operation.ended')
  if (command.outcome.ok) return finishStep(tx, operation, command.outcome, command.detached)
  return failStep(tx, operation, command.outcome, command.detached)
}

/**
 * The node of a running step is lost. Only a step that the driver declares repeatable by name, and that writes to no
 * content, goes elsewhere; any other waits for the node, or for proof.
 */
export function requeue(tx: Transaction, command: Of<'operation.requeue'>): Outcome<Operation> {
  const operation = tx.need('operation', command.operationId)
  if (operation.state !== 'running' || operation.nodeId === undefined) {
    throw new HoldfastError('wrong_state', `operation ${operation.id} is ${operation.state}`)
  }
  const node = tx.get('node', operation.nodeId)
  if (node?.state === 'up') throw new HoldfastError('wrong_state', `node ${node.name} is up and answers for it`)
  if (!mayMove(tx, operation)) {
    throw new HoldfastError('awaiting_proof', `operation ${operation.id} waits until its node is proven gone`)
  }
  return about('operation', restart(tx, operation), 'operation.moved', { from: node?.name })
}

/** Steps that touch no content, and are the same wherever and however often they run. */
export function mayMove(tx: Pick<Transaction, 'get'>, operation: Operation): boolean {
  const idempotent = tx.get('pool', operation.poolId)?.capabilities?.idempotent ?? []
  if (operation.step === 'create') return idempotent.includes('create')
  if (operation.step === 'delete' || operation.step === 'delete-snapshot') return idempotent.includes('delete')
  return operation.step === 'fence'
}

export function markOverdue(tx: Transaction, command: Of<'operation.overdue'>): Outcome<Operation> {
  const before = tx.need('operation', command.operationId)
  if (before.state !== 'running' || before.overdue) {
    throw new HoldfastError('wrong_state', `operation ${before.id} is ${before.state}`)
  }
  const operation = tx.put('operation', { ...before, overdue: true })
  return about('operation', operation, 'operation.overdue', { step: operation.step, attempt: operation.attempt })
}

/** Before it starts, at once; while it runs, by asking its node, whose answer decides. */
export function cancel(tx: Transaction, command: Of<'operation.cancel'>): Outcome<Operation> {
  const before = tx.need('operation', command.operationId)
  if (isFinished(before)) {
    throw new HoldfastError('wrong_state', `operation ${before.id} has ended already (${before.state})`)
  }
  if (before.kind === 'delete' || before.kind === 'delete-snapshot' || before.kind === 'fence') {
    throw new HoldfastError('wrong_state', `a ${before.kind} that has begun cannot be taken back`)
  }
  // of a grow that has run it must be read first how large the object is by now
  const unread = before.kind === 'grow' && before.attempt > 0
  if (before.state === 'pending' && !unread) return cancelled(tx, before)
  const operation = tx.put('operation', { ...before, cancelRequested: true })
  return about('operation', operation, 'operation.cancelling')
}

/** Forgets operations that ended long ago. */
export function prune(tx: Transaction, command: Of<'operations.prune'>): Outcome<null> {
  for (const id of command.ids) {
    const operation = tx.get('operation', id)
    if (operation !== undefined && isFinished(operation)) tx.remove('operation', id)
  }
  const subject = { kind: 'operation', id: 'operation' } as const
  return { answer: null, event: { type: 'operations.pruned', subject, data: { count: command.ids.length } } }
}

/** Asks a driver to take a lost node's access to a volume away. */
export function startFence(tx: Transaction, command: Of<'fence.start'>): Outcome<Operation> {
  const attachment = tx.need('attachment', command.attachmentId)
  const node = tx.need('node', attachment.nodeId)
  if (node.state === 'up') throw new HoldfastError('wrong_state', `node ${node.name} is up; it is not to be fenced`)
  const [running] = tx.state.operationsBySubject.get(attachment.id)
  if (running !== undefined) return about('operation', tx.need('operation', running), 'fence.started')
  const volume = tx.need('volume', attachment.volumeId)
  const operation = tx.put('operation', {
    id: tx.newId('operation'),
    kind: 'fence',
    step: 'fence',
    state: 'pending',
    subject: { kind: 'attachment', id: attachment.id },
    poolId: volume.poolId,
    attempt: 0,
    failures: 0,
    notBefore: tx.now,
    overdue: false,
    unknownOutcome: false,
    recreate: false,
    cancelRequested: false,
    detail: { nodeId: node.id, bootId: attachment.bootId, volumeId: volume.id, epoch: attachment.epoch },
    createdAt: tx.now,
  })
  return about('operation', operation, 'fence.started', { node: node.name, volume: volume.name })
}

/** The lost node is back before its fence was begun anywhere: it goes on with what it has, and looks whether it is so. */
export function stopFence(tx: Transaction, command: Of<'fence.stop'>): Outcome<Operation> {
  const operation = tx.need('operation', command.operationId)
  const attachment = tx.get('attachment', operation.subject.id)
  const node = attachment === undefined ? undefined : tx.get('node', attachment.nodeId)
  if (operation.kind !== 'fence' || operation.state !== 'pending' || node?.state !== 'up') {
    throw new HoldfastError('wrong_state', `operation ${operation.id} is no fence that can be called off`)
  }
  const { fault: _, ...kept } = operation
  const ended = tx.put('operation', { ...kept, state: 'cancelled', finishedAt: tx.now })
  if (attachment?.state === 'fencing') {
    tx.put('attachment', { ...attachment, state: attachment.users.length === 0 ? 'unmounting' : 'attached' })
  }
  return about('operation', ended, 'fence.stopped', { node: node.name })
}
