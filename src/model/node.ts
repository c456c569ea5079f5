import { type Static, Type } from 'typebox'
import { Id, Labels, Millis, Name, Rate } from './fields.ts'

export const DEFAULT_ATTACHMENT_LIMIT = 64

export const Node = Type.Object({
  id: Id,
  name: Name,
  labels: Labels,
  /** How many volumes may be attached at once. */
  attachmentLimit: Type.Integer({ minimum: 0, maximum: 10_000 }),
  /** Storage bandwidth that attachments may take, in `bandwidthUnit`; undefined: not counted. */
  bandwidth: Type.Optional(Rate),
  /** The declared unit of the budget; different units are never compared. */
  bandwidthUnit: Type.String({ minLength: 1, maxLength: 32 }),
  /** Ids of the pools whose marker this node has read. */
  reach: Type.Array(Id, { maxItems: 1000 }),
  /** `joined`: never seen since it joined; `up`: holds a lease; `lost`: its lease ran out. */
  state: Type.Union([Type.Literal('joined'), Type.Literal('up'), Type.Literal('lost')]),
  /** No new attachment or work is placed here. */
  cordoned: Type.Boolean(),
  /** Kernel boot id as last reported; undefined before the first session. */
  bootId: Type.Optional(Type.String({ maxLength: 64 })),
  /** What tells this machine from another that claims the same node id. */
  machineId: Type.Optional(Type.String({ maxLength: 128 })),
  /** The current session; reports under any other are refused. */
  session: Type.Optional(Type.String({ maxLength: 64 })),
  /** A watchdog independent of the daemon is armed (needed for `fence: self`). */
  watchdog: Type.Boolean(),
  version: Type.Optional(Type.String({ maxLength: 64 })),
  lostAt: Type.Optional(Millis),
  createdAt: Millis,
})
export type Node = Static<typeof Node>
