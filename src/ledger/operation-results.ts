import { ERRORS, type ErrorCode, isErrorCode } from '../model/errors.ts'
import type { DetachProof } from '../model/node-protocol.ts'
import type { Operation } from '../model/operation.ts'
import type { Volume, VolumeFs } from '../model/volume.ts'
import { cancelled, failed, leaveGroup, succeeded } from './operation-end.ts'
import { about, type Outcome } from './outcome.ts'
import { dropUser, removeAttachment, usedBy } from './proof.ts'
import type { Transaction } from './transaction.ts'
import { removeVolume } from './volume-end.ts'

/** How a step ended on its node. */
export type StepOutcome =
  | { ok: true; facts: StepFacts }
  | { ok: false; code: string; message: string; facts: StepFacts }

/** What the node read of the storage, whatever the outcome. */
export interface StepFacts {
  /** Real size of the object. */
  sizeMiB?: number
  /** Of an adopted object. */
  fs?: VolumeFs
  fsUuid?: string
  /** What the storage itself calls the object. */
  handle?: string
}

/** A failing step is tried this often in a row before its operation fails. */
export const MAX_FAILURES = 6
/** A grow ends only when it is known how large the object is, or when that could not be read this often in a row. */
const MAX_UNREAD = 24
const BACKOFF_BASE_MS = 1000
const BACKOFF_CAP_MS = 60_000

/** 1, 2, 4 … 60 seconds. */
export function backoffMs(failures: number): number {
  return Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(failures - 1, 10))
}

export function finishStep(
  tx: Transaction,
  operation: Operation,
  outcome: Extract<StepOutcome, { ok: true }>,
  detached: DetachProof[],
): Outcome<Operation> {
  const { facts } = outcome
  leaveContent(tx, operation, detached)
  switch (operation.step) {
    case 'create': {
      const volume = tx.need('volume', operation.subject.id)
      tx.put('volume', { ...volume, ...found(facts) })
      if (volume.fs === 'raw') return available(tx, operation, facts)
      return nextStep(tx, operation, 'format')
    }
    case 'format':
    case 'copy':
      return available(tx, operation, facts)
    case 'grow':
      return grown(tx, operation, facts)
    case 'import':
      return imported(tx, operation, facts)
    case 'delete': {
      const volume = tx.need('volume', operation.subject.id)
      removeVolume(tx, volume)
      leaveGroup(tx, volume)
      return succeeded(tx, operation, { volume: volume.name, sizeMiB: volume.sizeMiB })
    }
    case 'snapshot': {
      const snapshot = tx.need('snapshot', operation.subject.id)
      tx.put('snapshot', { ...snapshot, ...handle(facts), state: 'available' })
      // another of the same moment could not be made: then this one is not wanted either
      if (snapshot.group !== undefined && operation.cancelRequested) return cancelled(tx, operation)
      return succeeded(tx, operation, { snapshot: snapshot.name })
    }
    case 'delete-snapshot': {
      const snapshot = tx.need('snapshot', operation.subject.id)
      tx.remove('snapshot', snapshot.id)
      return succeeded(tx, operation, { snapshot: snapshot.name })
    }
    case 'mark': {
      const pool = tx.need('pool', operation.subject.id)
      tx.put('pool', { ...pool, ...handle(facts), marked: true })
      return succeeded(tx, operation, { pool: pool.name })
    }
    case 'fence':
      return fenced(tx, operation)
  }
}

function nextStep(tx: Transaction, operation: Operation, step: Operation['step']): Outcome<Operation> {
  const { deadlineAt: _, fault: __, ...kept } = operation
  const next = tx.put('operation', {
    ...kept,
    step,
    state: 'pending',
    failures: 0,
    notBefore: tx.now,
    overdue: false,
    unknownOutcome: false,
  })
  // a cancellation that arrived while the step before ran takes effect between the steps
  if (next.cancelRequested) return cancelled(tx, next)
  return about('operation', next, 'operation.advanced', { step })
}

function available(tx: Transaction, operation: Operation, facts: StepFacts): Outcome<Operation> {
  const volume = tx.need('volume', operation.subject.id)
  const format =
    volume.format.state === 'formatting' ? ({ state: 'formatted', uuid: volume.format.uuid } as const) : volume.format
  tx.put('volume', { ...volume, ...found(facts), state: 'available', format })
  // nobody has used it yet, so a cancellation that arrived late still counts: its group is rolled back, say
  if (operation.cancelRequested) return cancelled(tx, operation)
  return succeeded(tx, operation, { volume: volume.name })
}

/** What is really there counts, from now on; it can be more than was asked, never less. */
function grown(tx: Transaction, operation: Operation, facts: StepFacts): Outcome<Operation> {
  const volume = tx.need('volume', operation.subject.id)
  tx.isFact = true
  tx.put('volume', { ...volume, ...realSize(facts), sizeMiB: Math.max(volume.sizeMiB, facts.sizeMiB ?? 0) })
  return succeeded(tx, operation, { volume: volume.name, sizeMiB: volume.sizeMiB })
}

function imported(tx: Transaction, operation: Operation, facts: StepFacts): Outcome<Operation> {
  const volume = tx.need('volume', operation.subject.id)
  const fs = facts.fs ?? 'raw'
  const format =
    facts.fsUuid === undefined ? ({ state: 'none' } as const) : ({ state: 'formatted', uuid: facts.fsUuid } as const)
  tx.isFact = true
  tx.put('volume', {
    ...volume,
    ...found(facts),
    state: 'available',
    fs,
    format,
    sizeMiB: Math.max(1, facts.sizeMiB ?? volume.sizeMiB),
  })
  return succeeded(tx, operation, { volume: volume.name, fs, sizeMiB: facts.sizeMiB })
}

function fenced(tx: Transaction, operation: Operation): Outcome<Operation> {
  const attachment = tx.get('attachment', operation.subject.id)
  if (attachment !== undefined) removeAttachment(tx, attachment, 'fenced')
  return succeeded(tx, operation, { ...operation.detail, proof: 'fenced' })
}

function realSize(facts: StepFacts): Partial<Pick<Volume, 'realSizeMiB'>> {
  return facts.sizeMiB === undefined ? {} : { realSizeMiB: facts.sizeMiB }
}

function handle(facts: StepFacts): Partial<Pick<Volume, 'handle'>> {
  return facts.handle === undefined ? {} : { handle: facts.handle }
}

function found(facts: StepFacts): Partial<Volume> {
  return { ...realSize(facts), ...handle(facts) }
}

export function failStep(
  tx: Transaction,
  operation: Operation,
  outcome: Extract<StepOutcome, { ok: false }>,
  detached: DetachProof[],
): Outcome<Operation> {
  const code: ErrorCode = isErrorCode(outcome.code) ? outcome.code : 'internal'
  const fault = { code, message: outcome.message, operationId: operation.id, next: nextAdvice(operation, code) }
  noteHandle(tx, operation, outcome.facts)
  const stays = leaveContent(tx, operation, detached, outcome.message)
  if (stays) {
    // the node could not let go of the volume: the work counts as running until there is proof
    const said = operation.overdue && operation.fault?.code === code && operation.fault.message === fault.message
    const stuck = said ? operation : tx.put('operation', { ...operation, overdue: true, fault })
    return about('operation', stuck, 'operation.stuck', { code, message: outcome.message })
  }
  const failures = operation.failures + 1
  const unread = operation.step === 'grow' && outcome.facts.sizeMiB === undefined && failures < MAX_UNREAD
  const mayEnd = !NEVER_GIVES_UP.has(operation.step) && !unread
  if (operation.cancelRequested && mayEnd) return cancelled(tx, { ...operation, fault }, outcome.facts)
  // made again later it would be of another moment than the others
  const single = operation.detail.together === undefined
  const final = !single || ERRORS[code].retry === 'no' || failures >= MAX_FAILURES || code === 'storage_full'
  if (final && mayEnd) return failed(tx, operation, fault, outcome.facts)
  const { deadlineAt: _, ...kept } = operation
  const waiting = tx.put('operation', {
    ...kept,
    state: 'pending',
    failures,
    fault,
    notBefore: tx.now + backoffMs(failures),
    overdue: false,
    unknownOutcome: ERRORS[code].retry === 'same-key',
    recreate:
      operation.recreate || operation.step === 'format' || operation.step === 'copy' || operation.step === 'snapshot',
  })
  return about('operation', waiting, 'operation.retrying', { code, message: outcome.message, failures })
}

/** An object that was made anew before the rest failed has another id by now: without it nobody finds it to remove it. */
function noteHandle(tx: Transaction, { subject, step }: Operation, facts: StepFacts): void {
  if (facts.handle === undefined || step === 'delete' || step === 'delete-snapshot') return
  if (subject.kind !== 'volume' && subject.kind !== 'snapshot') return
  const record = tx.get(subject.kind, subject.id)
  if (record === undefined || record.handle === facts.handle) return
  if (subject.kind === 'volume') tx.put('volume', { ...tx.need('volume', subject.id), handle: facts.handle })
  else tx.put('snapshot', { ...tx.need('snapshot', subject.id), handle: facts.handle })
}

/** Giving these up would leave what nobody wants any more, or a volume that nobody can have. */
const NEVER_GIVES_UP: ReadonlySet<Operation['step']> = new Set(['delete', 'delete-snapshot', 'fence'])

/**
 * The step has ended on its node: the operation is no longer a user of the volumes it worked on. An attachment that
 * nobody else uses goes if the node proved that nothing is left of it; else it is left to the node to prove.
 * @returns whether the operation's own volume could not be let go of
 */
function leaveContent(tx: Transaction, operation: Operation, detached: DetachProof[], stuckReason?: string): boolean {
  let stays = false
  for (const attachment of usedBy(tx, operation)) {
    const { id, claims, users } = attachment
    const proven = detached.some((proof) => proof.attachmentId === id && proof.claims === claims)
    if (!proven && stuckReason !== undefined && users.length === 1) {
      // while a fence runs nobody may join, whatever its node says
      const state = attachment.state === 'fencing' ? 'fencing' : 'stuck'
      const reason = stuckReason.slice(0, 1000) || 'unknown'
      // said again and again, and new only the first time
      if (attachment.state !== state || attachment.reason !== reason)
        tx.put('attachment', { ...attachment, state, reason })
      stays = true
      continue
    }
    const left = dropUser(tx, attachment, { door: 'operation', id: operation.id })
    if (left.users.length === 0 && proven) removeAttachment(tx, left, 'detached')
  }
  return stays
}

function nextAdvice(operation: Operation, code: ErrorCode): string {
  if (operation.kind === 'provision') {
    if (code === 'storage_full') return 'free space on the storage, delete this volume and create it again'
    return 'delete this volume and create it again; nothing of yours was on it'
  }
  if (operation.kind === 'import') return 'nothing was changed; mend the cause and import it again'
  if (operation.kind === 'grow') return 'the data is as it was; mend the cause and resize again'
  if (operation.kind === 'mark') return 'mend the cause and mark the pool again'
  return 'it is tried again by itself; mend the cause'
}
