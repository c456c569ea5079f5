import { type Static, Type } from 'typebox'
import { AmountMiB, Handle, Id, Labels, Millis, Name, Rate, Reason, Role, SizeMiB, Uuid } from './fields.ts'
import { VolumeMesos } from './mesos.ts'

/** `raw` is a block device without a filesystem, `directory` one of a filesystem that the storage itself keeps. */
export const VolumeFs = Type.Union([
  Type.Literal('ext4'),
  Type.Literal('xfs'),
  Type.Literal('btrfs'),
  Type.Literal('directory'),
  Type.Literal('raw'),
])
export type VolumeFs = Static<typeof VolumeFs>

/**
 * - `single-writer`: one node at a time, reading or writing.
 * - `many-readers`: one node that writes, or any number of nodes that read, never both.
 * - `read-only`: any number of nodes that read; nobody writes (a clone that serves).
 * - `many-writers`: any number of nodes that write, of a filesystem that the storage shares as such (`directory`).
 */
export const Access = Type.Union([
  Type.Literal('single-writer'),
  Type.Literal('many-readers'),
  Type.Literal('read-only'),
  Type.Literal('many-writers'),
])
export type Access = Static<typeof Access>

/** The format rule (invariant I5): `blank → formatting(uuid, epoch) → formatted(uuid)`. */
export const Format = Type.Union([
  Type.Object({ state: Type.Literal('blank') }),
  Type.Object({ state: Type.Literal('formatting'), uuid: Uuid, epoch: Type.Integer({ minimum: 1 }) }),
  Type.Object({ state: Type.Literal('formatted'), uuid: Uuid }),
  /** A raw volume: there is nothing to make and nothing to check. */
  Type.Object({ state: Type.Literal('none') }),
])
export type Format = Static<typeof Format>

export const VolumeState = Type.Union([
  Type.Literal('requested'),
  Type.Literal('creating'),
  Type.Literal('formatting'),
  Type.Literal('importing'),
  Type.Literal('available'),
  Type.Literal('trash'),
  Type.Literal('deleting'),
  Type.Literal('missing'),
  Type.Literal('error'),
])
export type VolumeState = Static<typeof VolumeState>

export const Source = Type.Object({ kind: Type.Union([Type.Literal('snapshot'), Type.Literal('volume')]), id: Id })
export type Source = Static<typeof Source>

/** Why something is in `error`, and what is safe to do next. */
export const Fault = Type.Object({
  code: Type.String(),
  message: Type.String(),
  operationId: Type.Optional(Id),
  next: Type.String(),
})
export type Fault = Static<typeof Fault>

/** From how many holds one volume draws at most: a command changes few records. */
export const MAX_DRAWS = 32

/** What a volume has drawn from one hold. */
export const Draw = Type.Object({ holdId: Id, sizeMiB: AmountMiB, iops: Rate })
export type Draw = Static<typeof Draw>

export const Volume = Type.Object({
  id: Id,
  name: Name,
  poolId: Id,
  role: Role,
  /** What is counted; the object is at least this large once available. */
  sizeMiB: SizeMiB,
  iops: Rate,
  fs: VolumeFs,
  access: Access,
  state: VolumeState,
  format: Format,
  /** Highest epoch ever given for this volume. */
  epoch: Type.Integer({ minimum: 0 }),
  /** Name of its object on the storage. */
  object: Type.String({ maxLength: 128 }),
  /** What the storage itself calls it, where the name is not enough. */
  handle: Type.Optional(Handle),
  /** Adopted by an import: made by somebody else, and never formatted by us. */
  imported: Type.Boolean(),
  source: Type.Optional(Source),
  protected: Type.Boolean(),
  /** The parts that were drawn from holds, given back at deletion to those that are still there. */
  draws: Type.Optional(Type.Array(Draw, { minItems: 1, maxItems: MAX_DRAWS })),
  groupId: Type.Optional(Id),
  labels: Labels,
  /** Storage bandwidth an attachment takes from its node, in the node's unit; 0 takes none. */
  bandwidth: Rate,
  /** Real size of the object, once read. */
  realSizeMiB: Type.Optional(AmountMiB),
  /** When the trash is emptied of it; kept while it is deleted from there. With it, it has given its name up. */
  purgeAt: Type.Optional(Millis),
  /** Fingerprint of the parameters it was asked for with, for doors whose key is the name. */
  fingerprint: Type.Optional(Type.String({ maxLength: 128 })),
  /** What Mesos knows of it, where that is not what every volume of its pool would say. */
  mesos: Type.Optional(VolumeMesos),
  fault: Type.Optional(Fault),
  createdAt: Millis,
  createdBy: Type.String({ maxLength: 255 }),
})
export type Volume = Static<typeof Volume>

/** How many volumes, or snapshots, go together at most: a command changes few records. */
export const MAX_GROUP = 16

/** Snapshots of one moment: an id and name that they share, and how many they are. */
export const SnapshotGroup = Type.Object({ id: Id, name: Name, size: Type.Integer({ minimum: 1, maximum: 16 }) })
export type SnapshotGroup = Static<typeof SnapshotGroup>

export const Snapshot = Type.Object({
  id: Id,
  name: Name,
  volumeId: Id,
  poolId: Id,
  role: Role,
  /** Counted in full, as the source was when it was taken. */
  sizeMiB: SizeMiB,
  fs: VolumeFs,
  /** UUID of the filesystem inside, which is the source's. */
  fsUuid: Type.Optional(Uuid),
  state: Type.Union([
    Type.Literal('requested'),
    Type.Literal('creating'),
    Type.Literal('available'),
    Type.Literal('deleting'),
    Type.Literal('error'),
  ]),
  object: Type.String({ maxLength: 128 }),
  handle: Type.Optional(Handle),
  /** Those that were taken of several volumes at one moment; all of them are made, or none. */
  group: Type.Optional(SnapshotGroup),
  labels: Labels,
  fault: Type.Optional(Fault),
  createdAt: Millis,
  createdBy: Type.String({ maxLength: 255 }),
})
export type Snapshot = Static<typeof Snapshot>

/** Volumes that were asked for together and reserved all or nothing (invariant I8). */
export const Group = Type.Object({
  id: Id,
  name: Type.Optional(Name),
  volumeIds: Type.Array(Id, { minItems: 1, maxItems: 16 }),
  onFailure: Type.Union([Type.Literal('keep'), Type.Literal('rollback')]),
  /** `complete` when every member became available, `failed` when one could not. */
  state: Type.Union([Type.Literal('pending'), Type.Literal('complete'), Type.Literal('failed')]),
  reason: Type.Optional(Reason),
  createdAt: Millis,
})
export type Group = Static<typeof Group>
