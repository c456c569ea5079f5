import { Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'
import { Attachment } from '../../model/attachment.ts'
import { Id } from '../../model/fields.ts'
import { Hold, holdRemainder } from '../../model/hold.ts'
import { Group, Snapshot, SnapshotGroup, Volume } from '../../model/volume.ts'
import { shownSchema, withTimes } from './rest-schema.ts'

const Name = Type.String()

const AttachmentFields = Type.Object({
  ...Attachment.properties,
  /** Name of the volume. */
  volume: Name,
  /** Name of the node. */
  node: Name,
  ageSeconds: Type.Integer(),
})
export const ShownAttachment = shownSchema(AttachmentFields)

export function showAttachment(state: LedgerState, attachment: Attachment, now: number): unknown {
  return withTimes({
    ...attachment,
    volume: state.get('volume', attachment.volumeId)?.name ?? attachment.volumeId,
    node: state.get('node', attachment.nodeId)?.name ?? attachment.nodeId,
    ageSeconds: Math.max(0, Math.floor((now - attachment.since) / 1000)),
  })
}

export const ShownVolume = shownSchema(
  Type.Object({
    ...Volume.properties,
    /** Name of the pool. */
    pool: Name,
    inUse: Type.Boolean(),
    attachments: Type.Array(AttachmentFields),
    /** Ids of unfinished operations on it. */
    operations: Type.Array(Id),
    /** Until the trash is emptied of it. */
    trashSecondsLeft: Type.Optional(Type.Integer()),
    /** IOPS are counted at admission; nothing throttles a volume that takes more. */
    iopsEnforced: Type.Literal('advisory'),
  }),
)

export function showVolume(state: LedgerState, volume: Volume, now: number): unknown {
  const attachments = [...state.attachmentsByVolume.get(volume.id)]
    .map((id) => state.get('attachment', id))
    .filter((each) => each !== undefined)
    .map((each) => showAttachment(state, each, now))
  const { purgeAt } = volume
  return {
    ...(withTimes(volume) as object),
    pool: state.get('pool', volume.poolId)?.name ?? volume.poolId,
    inUse: attachments.length > 0,
    attachments,
    operations: [...state.operationsBySubject.get(volume.id)],
    ...(purgeAt === undefined ? {} : { trashSecondsLeft: Math.max(0, Math.ceil((purgeAt - now) / 1000)) }),
    iopsEnforced: 'advisory',
  }
}

export const ShownSnapshot = shownSchema(
  Type.Object({
    ...Snapshot.properties,
    /** Name of the volume it was taken of; its id when that is gone. */
    volume: Name,
    /** Name of the pool. */
    pool: Name,
    operations: Type.Array(Id),
  }),
)

export function showSnapshot(state: LedgerState, snapshot: Snapshot): unknown {
  return {
    ...(withTimes(snapshot) as object),
    volume: state.get('volume', snapshot.volumeId)?.name ?? snapshot.volumeId,
    pool: state.get('pool', snapshot.poolId)?.name ?? snapshot.poolId,
    operations: [...state.operationsBySubject.get(snapshot.id)],
  }
}

export const ShownSnapshotGroup = shownSchema(
  Type.Object({
    ...SnapshotGroup.properties,
    /** `complete`: all of them are there. `failed`: they go, because one could not be made. */
    state: Type.Union([
      Type.Literal('pending'),
      Type.Literal('complete'),
      Type.Literal('failed'),
      Type.Literal('deleting'),
    ]),
    reason: Type.Optional(Type.String()),
    snapshots: Type.Array(
      Type.Object({
        id: Id,
        name: Name,
        volumeId: Id,
        state: Snapshot.properties.state,
        sizeMiB: Snapshot.properties.sizeMiB,
      }),
    ),
    createdAt: Snapshot.properties.createdAt,
  }),
)

/** @param members at least one */
export function showSnapshotGroup(_state: LedgerState, members: readonly Snapshot[]): unknown {
  const [first] = members
  const states = members.map((each) => each.state)
  const fault = members.find((each) => each.fault !== undefined)?.fault
  const whole = members.length === first?.group?.size
  const state =
    fault !== undefined
      ? 'failed'
      : states.includes('deleting') || !whole
        ? 'deleting'
        : states.every((each) => each === 'available')
          ? 'complete'
          : 'pending'
  const snapshots = members.map(({ id, name, volumeId, state: now, sizeMiB }) => ({
    id,
    name,
    volumeId,
    state: now,
    sizeMiB,
  }))
  const reason = fault === undefined ? {} : { reason: fault.message }
  return withTimes({ ...first?.group, state, ...reason, snapshots, createdAt: first?.createdAt })
}

export const ShownHold = shownSchema(
  Type.Object({
    ...Hold.properties,
    /** Name of the pool. */
    pool: Name,
    remainingMiB: Type.Integer(),
    remainingIops: Type.Integer(),
  }),
)

export function showHold(state: LedgerState, hold: Hold): unknown {
  const { sizeMiB, iops } = holdRemainder(hold)
  const pool = state.get('pool', hold.poolId)?.name ?? hold.poolId
  return withTimes({ ...hold, pool, remainingMiB: sizeMiB, remainingIops: iops })
}

export const ShownGroup = shownSchema(
  Type.Object({
    ...Group.properties,
    /** Members that still exist. */
    members: Type.Array(Type.Object({ id: Id, name: Name, state: Volume.properties.state })),
  }),
)

export function showGroup(state: LedgerState, group: Group): unknown {
  const members = group.volumeIds
    .map((id) => state.get('volume', id))
    .filter((each) => each !== undefined)
    .map(({ id, name, state: now }) => ({ id, name, state: now }))
  return withTimes({ ...group, members })
}
