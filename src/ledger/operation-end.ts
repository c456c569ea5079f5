import type { Operation } from '../model/operation.ts'
import type { Fault, Group, Snapshot, Volume } from '../model/volume.ts'
import { startDelete, startSnapshotDelete } from './deletions.ts'
import { about, type Outcome } from './outcome.ts'
import type { Transaction } from './transaction.ts'
import { removeVolume } from './volume-end.ts'

export function succeeded(tx: Transaction, operation: Operation, data: Record<string, unknown>): Outcome<Operation> {
  const ended = end(tx, operation, 'succeeded', undefined)
  if (operation.kind === 'provision') settleGroup(tx, tx.need('volume', operation.subject.id))
  return about('operation', ended, 'operation.succeeded', { kind: operation.kind, ...data })
}

/** Given up for good: what it was about says so, with what is safe to do next. */
export function failed(
  tx: Transaction,
  operation: Operation,
  fault: Fault,
  facts: { sizeMiB?: number },
): Outcome<Operation> {
  const ended = end(tx, operation, 'failed', fault)
  const { id } = operation.subject
  if (operation.kind === 'provision' || operation.kind === 'import') {
    const volume = tx.put('volume', { ...tx.need('volume', id), state: 'error', fault })
    if (operation.kind === 'provision') settleGroup(tx, volume)
    // of a disk that an agent asked for nobody knows but its framework, which is told of the failure and tries again
    if (volume.mesos?.home !== undefined && operation.kind === 'provision') startDelete(tx, tx.need('volume', id))
  } else if (operation.kind === 'snapshot') {
    const snapshot = tx.put('snapshot', { ...tx.need('snapshot', id), state: 'error', fault })
    if (snapshot.group !== undefined) unmakeGroup(tx, startSnapshotDelete(tx, snapshot))
  } else if (operation.kind === 'grow') {
    revertGrow(tx, operation, facts.sizeMiB)
  }
  return about('operation', ended, 'operation.failed', {
    kind: operation.kind,
    code: fault.code,
    message: fault.message,
  })
}

/** Taken back: what was half made is unmade, by an operation of its own. */
export function cancelled(tx: Transaction, operation: Operation, facts: { sizeMiB?: number } = {}): Outcome<Operation> {
  const ended = end(tx, operation, 'cancelled', operation.fault)
  const { id } = operation.subject
  if (operation.kind === 'provision') {
    const volume = tx.need('volume', id)
    settleGroup(tx, tx.put('volume', { ...volume, state: 'error' }))
    const now = tx.need('volume', id)
    if (now.state !== 'deleting') startDelete(tx, now)
  } else if (operation.kind === 'snapshot') {
    unmakeGroup(tx, startSnapshotDelete(tx, tx.need('snapshot', id)))
  } else if (operation.kind === 'import') {
    removeVolume(tx, tx.need('volume', id))
  } else if (operation.kind === 'grow') {
    revertGrow(tx, operation, operation.attempt === 0 ? Number(operation.detail.fromMiB) : facts.sizeMiB)
  }
  return about('operation', ended, 'operation.cancelled', { kind: operation.kind })
}

/** Room is given back only when it is known how large the object really is. */
function revertGrow(tx: Transaction, operation: Operation, realMiB: number | undefined): void {
  if (realMiB === undefined) return
  const volume = tx.need('volume', operation.subject.id)
  const sizeMiB = Math.max(Number(operation.detail.fromMiB), realMiB)
  tx.put('volume', { ...volume, sizeMiB: Math.min(sizeMiB, volume.sizeMiB), realSizeMiB: realMiB })
}

function end(
  tx: Transaction,
  operation: Operation,
  state: 'succeeded' | 'failed' | 'cancelled',
  fault: Fault | undefined,
): Operation {
  const { fault: _, deadlineAt: __, ...kept } = operation
  return tx.put('operation', {
    ...kept,
    state,
    overdue: false,
    finishedAt: tx.now,
    ...(fault === undefined ? {} : { fault }),
  })
}

/** One of several that were to be of one moment is not made: then none is. */
function unmakeGroup(tx: Transaction, { id, group }: Snapshot): void {
  if (group === undefined) return
  for (const other of tx.state.all('snapshot').values()) {
    if (other.group?.id === group.id && other.id !== id && other.state !== 'deleting') unmakeMember(tx, other)
  }
}

function unmakeMember(tx: Transaction, snapshot: Snapshot): void {
  const open = [...tx.state.operationsBySubject.get(snapshot.id)].map((id) => tx.need('operation', id))
  const making = open.find((operation) => operation.subject.id === snapshot.id)
  if (making?.state === 'running') {
    tx.put('operation', { ...making, cancelRequested: true })
  } else if (making !== undefined) {
    end(tx, making, 'cancelled', undefined)
    startSnapshotDelete(tx, snapshot)
  } else if (open.length === 0) {
    startSnapshotDelete(tx, snapshot)
  } else {
    // somebody makes a volume of it already: it stays, as one by itself
    const { group: _, ...single } = snapshot
    tx.put('snapshot', single)
  }
}

const UNMADE: ReadonlySet<Volume['state']> = new Set(['requested', 'creating', 'formatting', 'error'])

/** A member of a group got ready or failed; `onFailure` says what happens to the others. */
function settleGroup(tx: Transaction, member: Volume): void {
  const group: Group | undefined = member.groupId === undefined ? undefined : tx.get('group', member.groupId)
  if (group === undefined || group.state !== 'pending') return
  const members = group.volumeIds.map((id) => tx.get('volume', id))
  // one that is gone, or going, had been made
  if (members.every((volume) => volume === undefined || !UNMADE.has(volume.state))) {
    tx.put('group', { ...group, state: 'complete' })
    return
  }
  if (member.state !== 'error') return
  tx.put('group', { ...group, state: 'failed', reason: `volume ${member.name} could not be made` })
  if (group.onFailure === 'keep') return
  for (const volume of members) {
    if (volume === undefined || volume.state === 'deleting') continue
    rollbackMember(tx, volume)
  }
}

/** A member that is still being made is taken back; one that somebody uses or copies already stays. */
function rollbackMember(tx: Transaction, volume: Volume): void {
  const open = [...tx.state.operationsBySubject.get(volume.id)].map((id) => tx.need('operation', id))
  const making = open.find((operation) => operation.kind === 'provision' && operation.subject.id === volume.id)
  if (making?.state === 'running') {
    tx.put('operation', { ...making, cancelRequested: true })
  } else if (making !== undefined) {
    end(tx, making, 'cancelled', undefined)
    startDelete(tx, volume)
  } else if (open.length === 0 && tx.state.attachmentsByVolume.get(volume.id).size === 0) {
    startDelete(tx, volume)
  }
}

/** A deleted member: a group that was not complete by then never will be, and one without members is forgotten. */
export function leaveGroup(tx: Transaction, member: Volume): void {
  const group = member.groupId === undefined ? undefined : tx.get('group', member.groupId)
  if (group === undefined) return
  if (group.volumeIds.every((id) => tx.get('volume', id) === undefined)) tx.remove('group', group.id)
  else if (group.state === 'pending') {
    tx.put('group', { ...group, state: 'failed', reason: `volume ${member.name} was deleted` })
  }
}
