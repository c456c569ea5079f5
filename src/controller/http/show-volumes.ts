import { Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'
import { Attachment } from '../../model/attachment.ts'
import { Id } from '../../model/fields.ts'
import { Hold, holdRemainder } from '../../model/hold.ts'
import { Group, Snapshot, Volume } from '../../model/volume.ts'
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
