import { type Static, Type } from 'typebox'
import { Attachment } from './attachment.ts'
import { Handle, Id, Name, Rate, SizeMiB, Uuid } from './fields.ts'
import { Step } from './operation.ts'
import { Fence, PoolCapabilities, PoolSettings } from './pool.ts'
import { VolumeFs } from './volume.ts'

/**
 * What nodes and the controller say to each other. The controller sends an *assignment*, the whole of what it wants of
 * the node, whenever it changes; the node reports what is. Both are levels, not edges: a message that is lost,
 * repeated or late changes nothing that the next one does not put right.
 */
export const PROTOCOL_VERSION = 1

/** A pool as a node needs to know it. */
export const PoolSpec = Type.Object({
  id: Id,
  name: Type.String(),
  uuid: Uuid,
  driver: Name,
  settings: PoolSettings,
  fence: Fence,
  handle: Type.Optional(Handle),
})
export type PoolSpec = Static<typeof PoolSpec>

/** A volume as a node needs to know it in order to attach, check and mount it. */
export const VolumeSpec = Type.Object({
  id: Id,
  name: Name,
  poolId: Id,
  object: Type.String(),
  handle: Type.Optional(Handle),
  sizeMiB: SizeMiB,
  /** To be held to where the driver can; absent: no limit. */
  iops: Type.Optional(Rate),
  fs: VolumeFs,
  /** UUID that the filesystem must have; undefined for raw volumes. */
  fsUuid: Type.Optional(Uuid),
})
export type VolumeSpec = Static<typeof VolumeSpec>

export const AttachmentSpec = Type.Object({
  id: Id,
  epoch: Type.Integer({ minimum: 1 }),
  mode: Attachment.properties.mode,
  state: Attachment.properties.state,
  users: Type.Array(Type.Object({ door: Type.String(), id: Type.String() })),
  claims: Type.Integer({ minimum: 1 }),
  /** Boot under which the users came: under a later one they are gone. */
  bootId: Type.String(),
  mountAt: Type.Optional(Type.String()),
  volume: VolumeSpec,
})
export type AttachmentSpec = Static<typeof AttachmentSpec>

/** One piece of work, keyed by (operation, attempt). */
export const WorkOrder = Type.Object({
  operationId: Id,
  attempt: Type.Integer({ minimum: 1 }),
  step: Step,
  poolId: Id,
  /** The operation was cancelled: end it, clean up, and say so. */
  cancel: Type.Boolean(),
  /** Object that the step is about; absent for `mark`. */
  object: Type.Optional(Type.String()),
  handle: Type.Optional(Handle),
  sizeMiB: Type.Optional(SizeMiB),
  fs: Type.Optional(VolumeFs),
  /** UUID for the filesystem that the step makes, or changes the copy's to. */
  fsUuid: Type.Optional(Uuid),
  /** Epoch under which the step may write, and the attachment that carries it. */
  epoch: Type.Optional(Type.Integer({ minimum: 1 })),
  attachmentId: Type.Optional(Id),
  claims: Type.Optional(Type.Integer({ minimum: 1 })),
  volumeId: Type.Optional(Id),
  /** Delete what an interrupted attempt may have left before making it anew. */
  recreate: Type.Boolean(),
  /** Of a snapshot that is to be of one moment with others: how many they are. */
  together: Type.Optional(Type.Object({ id: Id, size: Type.Integer({ minimum: 1 }) })),
  source: Type.Optional(
    Type.Object({
      object: Type.String(),
      handle: Type.Optional(Handle),
      volumeId: Type.Optional(Id),
      attachmentId: Type.Optional(Id),
      claims: Type.Optional(Type.Integer({ minimum: 1 })),
      fs: VolumeFs,
      /** The pool copies byte by byte: not while anybody uses it. */
      idleOnly: Type.Optional(Type.Boolean()),
    }),
  ),
  /** Of a fence: the lost node, and its boot. */
  nodeId: Type.Optional(Id),
  bootId: Type.Optional(Type.String()),
  /** Of a fence: what that machine was making from the volume; its calls about these must not come to pass either. */
  made: Type.Optional(Type.Array(Type.String())),
})
export type WorkOrder = Static<typeof WorkOrder>

export const Assignment = Type.Object({
  term: Type.Integer(),
  revision: Type.Integer(),
  /** Absent when they are as they were in the message before on this stream. */
  pools: Type.Optional(Type.Array(PoolSpec)),
  attachments: Type.Array(AttachmentSpec),
  work: Type.Array(WorkOrder),
})
export type Assignment = Static<typeof Assignment>

/** On every call of a node. */
export const Envelope = Type.Object({
  protocol: Type.Integer(),
  installation: Type.Optional(Uuid),
  /** Highest term that the node has seen. */
  term: Type.Integer({ minimum: 0 }),
  bootId: Type.String({ minLength: 1, maxLength: 64 }),
  /** Absent in `hello`. */
  session: Type.Optional(Type.String({ maxLength: 64 })),
})
export type Envelope = Static<typeof Envelope>

const StepFacts = Type.Object({
  sizeMiB: Type.Optional(Type.Integer({ minimum: 0 })),
  fs: Type.Optional(VolumeFs),
  fsUuid: Type.Optional(Uuid),
  handle: Type.Optional(Handle),
})

const User = Type.Object({
  door: Type.String({ pattern: '^[a-z]{1,16}$' }),
  id: Type.String({ minLength: 1, maxLength: 256 }),
})

export const AttachmentReport = Type.Object({
  attachmentId: Id,
  epoch: Type.Integer({ minimum: 1 }),
  /** How many claims the node knew of; a later one makes `detached` void. */
  claims: Type.Integer({ minimum: 1 }),
  state: Type.Union([
    Type.Literal('attached'),
    Type.Literal('mounted'),
    Type.Literal('detached'),
    Type.Literal('stuck'),
  ]),
  path: Type.Optional(Type.String({ maxLength: 1024 })),
  reason: Type.Optional(Type.String({ minLength: 1, maxLength: 1000 })),
})
export type AttachmentReport = Static<typeof AttachmentReport>

/** Nothing is left on the node of an attachment, as of its claims up to this count. */
export const DetachProof = Type.Object({ attachmentId: Id, claims: Type.Integer({ minimum: 1 }) })
export type DetachProof = Static<typeof DetachProof>

export const PoolReport = Type.Union([
  Type.Object({
    poolId: Id,
    ok: Type.Literal(true),
    capabilities: PoolCapabilities,
    storage: Type.Optional(
      Type.Object({ sizeMiB: Type.Integer({ minimum: 0 }), freeMiB: Type.Integer({ minimum: 0 }) }),
    ),
  }),
  Type.Object({ poolId: Id, ok: Type.Literal(false), code: Type.String(), message: Type.String() }),
])
export type PoolReport = Static<typeof PoolReport>

export const InventoryObject = Type.Object({
  name: Type.String({ maxLength: 255 }),
  sizeMiB: Type.Integer({ minimum: 0 }),
  usedMiB: Type.Optional(Type.Integer({ minimum: 0 })),
  handle: Type.Optional(Handle),
  attached: Type.Optional(Type.Boolean()),
})
export type InventoryObject = Static<typeof InventoryObject>

/** The calls of a node, with the schemas of their bodies and replies. */
export const NODE_CALLS = {
  hello: {
    body: Type.Object({
      machineId: Type.String({ minLength: 1, maxLength: 128 }),
      version: Type.String({ maxLength: 64 }),
      watchdog: Type.Boolean(),
    }),
    reply: Type.Object({
      session: Type.String(),
      installation: Uuid,
      term: Type.Integer(),
      leaseMs: Type.Integer(),
      nodeId: Id,
      name: Name,
    }),
  },
  renew: { body: Type.Object({}), reply: Type.Object({ leaseMs: Type.Integer(), term: Type.Integer() }) },
  pools: { body: Type.Object({ pools: Type.Array(PoolReport, { maxItems: 1000 }) }), reply: Type.Object({}) },
  attachments: {
    body: Type.Object({ reports: Type.Array(AttachmentReport, { maxItems: 200 }) }),
    /** One per report, in order: the code of the refusal, or null. */
    reply: Type.Object({ refusals: Type.Array(Type.Union([Type.String(), Type.Null()])) }),
  },
  result: {
    body: Type.Object({
      operationId: Id,
      attempt: Type.Integer({ minimum: 1 }),
      outcome: Type.Union([
        Type.Object({ ok: Type.Literal(true), facts: StepFacts }),
        Type.Object({ ok: Type.Literal(false), code: Type.String(), message: Type.String(), facts: StepFacts }),
      ]),
      detached: Type.Array(DetachProof, { maxItems: 4 }),
    }),
    reply: Type.Object({}),
  },
  progress: {
    body: Type.Object({
      operationId: Id,
      attempt: Type.Integer({ minimum: 1 }),
      done: Type.Number({ minimum: 0, maximum: 1 }),
    }),
    reply: Type.Object({}),
  },
  claim: {
    body: Type.Object({
      /** Name or id. */
      volume: Type.String({ maxLength: 255 }),
      user: User,
      mode: Attachment.properties.mode,
      mountAt: Type.Optional(Type.String({ maxLength: 1024 })),
      bandwidth: Type.Optional(Rate),
      /** Roles that the door acts for; undefined: any. */
      roles: Type.Optional(Type.Array(Type.String())),
    }),
    reply: Type.Object({ revision: Type.Integer(), attachment: AttachmentSpec }),
  },
  /** A user goes; with the proof when the node has detached the volume already. */
  release: {
    body: Type.Object({ volumeId: Id, user: User, report: Type.Optional(AttachmentReport) }),
    reply: Type.Object({ revision: Type.Integer() }),
  },
  /** Something that somebody should look at, for the history. */
  alarm: {
    body: Type.Object({
      alarm: Type.String({ maxLength: 64 }),
      volumeId: Id,
      message: Type.String({ maxLength: 1000 }),
    }),
    reply: Type.Object({}),
  },
  inventory: {
    body: Type.Object({
      poolId: Id,
      objects: Type.Array(InventoryObject, { maxItems: 10_000 }),
      complete: Type.Boolean(),
    }),
    reply: Type.Object({}),
  },
} as const

export type NodeCall = keyof typeof NODE_CALLS
export type CallBody<K extends NodeCall> = Static<(typeof NODE_CALLS)[K]['body']>
export type CallReply<K extends NodeCall> = Static<(typeof NODE_CALLS)[K]['reply']>
