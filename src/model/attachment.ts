import { type Static, Type } from 'typebox'
import { Id, Millis, Rate, Reason } from './fields.ts'

/** Who uses a volume on a node: a container's mount ID, a task, a caller, or an operation that writes its content. */
export const User = Type.Object({
  /** `docker`, `csi`, `mesos`, `dvdcli`, `rest`, `operation`. */
  door: Type.String({ pattern: '^[a-z]{1,16}$' }),
  id: Type.String({ minLength: 1, maxLength: 256 }),
  since: Millis,
})
export type User = Static<typeof User>

export const MAX_USERS = 256

/**
 * One volume on one node, with the set of its users there and an epoch that only grows. The first user attaches and
 * mounts; when the last has gone the node unmounts and detaches, and only its proof of that removes the record.
 */
export const Attachment = Type.Object({
  id: Id,
  volumeId: Id,
  nodeId: Id,
  epoch: Type.Integer({ minimum: 1 }),
  mode: Type.Union([Type.Literal('rw'), Type.Literal('ro')]),
  users: Type.Array(User, { maxItems: MAX_USERS }),
  /** How many users have come under this epoch: a proof that was given before the last of them came is no proof. */
  claims: Type.Integer({ minimum: 1 }),
  state: Type.Union([
    Type.Literal('attaching'),
    Type.Literal('attached'),
    Type.Literal('mounted'),
    Type.Literal('unmounting'),
    Type.Literal('fencing'),
    Type.Literal('stuck'),
  ]),
  /** Boot of the node under which its users came; a later boot proves them gone. */
  bootId: Type.String({ maxLength: 64 }),
  /** Taken from the node's budget, in the node's unit. */
  bandwidth: Rate,
  /** A mount point that the user insisted on, under one of the node's allowed roots. */
  mountAt: Type.Optional(Type.String({ maxLength: 1024 })),
  /** Where it is mounted, or the device node of a raw volume, as the node reported. */
  path: Type.Optional(Type.String({ maxLength: 1024 })),
  /** Why it is stuck. */
  reason: Type.Optional(Reason),
  since: Millis,
})
export type Attachment = Static<typeof Attachment>
