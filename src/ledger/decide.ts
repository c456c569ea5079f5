import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { LedgerEvent } from '../model/event.ts'
import type { Change, KeyRecord } from '../model/records.ts'
import { claim, forceDetach, leaseEnded, reportAttachment, unclaim } from './attachments.ts'
import { confirmClock, expireKeys, expirySuspended, forgetKeys, suspendExpiry, tickClock } from './clock.ts'
import type { Command, CommandOf } from './commands.ts'
import { createHold, releaseHold } from './holds.ts'
import { joinNode, loseNode, openSession, raiseAlarm, removeNode, setReach, updateNode } from './nodes.ts'
import { assign, cancel, markOverdue, prune, requeue, result, startFence, stopFence } from './operations.ts'
import type { Outcome } from './outcome.ts'
import { createPool, deletePool, markPool, reportPool, updatePool } from './pools.ts'
import { deleteProfile, setProfile } from './profiles.ts'
import { forgetProvider, reserve, setBandwidth, setGuard, setProvider } from './providers.ts'
import { deleteRole, setRole } from './roles.ts'
import { createSnapshot, createSnapshotGroup, deleteSnapshot, deleteSnapshotGroup } from './snapshots.ts'
import type { LedgerState } from './state.ts'
import { createToken, revokeToken } from './tokens.ts'
import { type Context, Transaction } from './transaction.ts'
import { createGroup, createVolume } from './volume-create.ts'
import {
  deleteVolume,
  findVolume,
  importVolume,
  missVolume,
  purgeVolume,
  releaseVolume,
  resizeVolume,
  setVolumeMesos,
  undeleteVolume,
  updateVolume,
} from './volumes.ts'

type Handlers = { [K in Command['kind']]: (tx: Transaction, command: CommandOf<K>) => Outcome }

const HANDLERS: Handlers = {
  'pool.create': createPool,
  'pool.update': updatePool,
  'pool.mark': markPool,
  'pool.delete': deletePool,
  'pool.report': reportPool,
  'node.join': joinNode,
  'node.update': updateNode,
  'node.session': openSession,
  'node.reach': setReach,
  'node.lost': loseNode,
  'node.alarm': raiseAlarm,
  'node.remove': removeNode,
  'role.set': setRole,
  'role.delete': deleteRole,
  'hold.create': createHold,
  'hold.release': releaseHold,
  'volume.create': createVolume,
  'group.create': createGroup,
  'volume.update': updateVolume,
  'volume.mesos': setVolumeMesos,
  'volume.resize': resizeVolume,
  'volume.delete': deleteVolume,
  'volume.undelete': undeleteVolume,
  'volume.purge': purgeVolume,
  'volume.import': importVolume,
  'volume.release': releaseVolume,
  'volume.missing': missVolume,
  'volume.found': findVolume,
  'snapshot.create': createSnapshot,
  'snapshot.delete': deleteSnapshot,
  'snapshot.group': createSnapshotGroup,
  'snapshot.delete-group': deleteSnapshotGroup,
  'attachment.claim': claim,
  'attachment.unclaim': unclaim,
  'attachment.report': reportAttachment,
  'attachment.force': forceDetach,
  'attachment.lease-ended': leaseEnded,
  'operation.assign': assign,
  'operation.result': result,
  'operation.requeue': requeue,
  'operation.overdue': markOverdue,
  'operation.cancel': cancel,
  'operations.prune': prune,
  'fence.start': startFence,
  'fence.stop': stopFence,
  'token.create': createToken,
  'token.revoke': revokeToken,
  'clock.tick': tickClock,
  'clock.suspend': suspendExpiry,
  'clock.confirm': confirmClock,
  'keys.expire': expireKeys,
  'keys.forget': forgetKeys,
  'profile.set': setProfile,
  'profile.delete': deleteProfile,
  'provider.set': setProvider,
  'provider.reserve': reserve,
  'provider.bandwidth': setBandwidth,
  'provider.forget': forgetProvider,
  'guard.set': setGuard,
}

/** Idempotency of one command (invariant I7). The digests are made by the caller. */
export interface Key {
  /** Digest of (door, principal, command, caller's key). */
  readonly id: string
  /** Digest of the parameters as they were sent. */
  readonly fingerprint: string
  /** ms since 1970; `UNTIL_FORGOTTEN`: not by the time. */
  readonly expiresAt: number
}

export interface Accepted {
  readonly ok: true
  /** Takes the changes back; only while nothing else was decided after it. */
  readonly undo: () => void
  readonly answer: unknown
  /** What it wrote; nothing when the ledger already was as asked. */
  readonly changes: readonly Change[]
  readonly event: LedgerEvent | undefined
}
export interface Rejected {
  readonly ok: false
  readonly error: HoldfastError
}
export type Decision = Accepted | Rejected

/**
 * The first answer to a command that was accepted under this key, if there was one.
 * @throws key_conflict when the key was used with other parameters
 */
export function remembered(state: LedgerState, key: Key): KeyRecord | undefined {
  const record = state.get('key', key.id)
  if (record === undefined) return undefined
  if (record.expiresAt <= state.at && !expirySuspended(state)) return undefined
  if (record.fingerprint === key.fingerprint) return record
  throw new HoldfastError('key_conflict', 'this idempotency key was used before with other parameters')
}

/** Decides a command without changing the state: the changes it would make, or why it is refused. */
export function decide(state: LedgerState, command: Command, context: Context, key?: Key): Decision {
  const decision = execute(state, command, context, key)
  if (decision.ok) decision.undo()
  return decision
}

/** Decides a command and, if it is accepted, leaves the state as it is afterwards. */
export function execute(state: LedgerState, command: Command, context: Context, key?: Key): Decision {
  const tx = new Transaction(state, context)
  const decision = run(tx, command, key)
  if (!decision.ok) tx.rollback()
  return decision
}

function run(tx: Transaction, command: Command, key: Key | undefined): Decision {
  try {
    const first = key === undefined ? undefined : remembered(tx.state, key)
    if (first !== undefined) return { ok: true, undo: () => {}, answer: first.answer, changes: [], event: undefined }
    const handler = HANDLERS[command.kind] as (tx: Transaction, command: Command) => Outcome
    const outcome = handler(tx, command)
    tx.settle()
    if (key !== undefined) tx.put('key', { ...key, answer: outcome.answer })
    const changes = tx.changes()
    const { revision, at } = tx.state
    const undo = () => {
      tx.rollback()
      tx.state.revision = revision
      tx.state.at = at
    }
    const quiet = changes.length === 0 && outcome.always !== true
    return { ok: true, undo, answer: outcome.answer, changes, event: quiet ? undefined : record(tx, outcome) }
  } catch (thrown) {
    return { ok: false, error: asHoldfastError(thrown) }
  }
}

function record(tx: Transaction, outcome: Outcome): LedgerEvent {
  const { now } = tx
  tx.state.revision += 1
  tx.state.at = now
  return { revision: tx.state.revision, at: now, actor: tx.context.actor, ...outcome.event }
}
