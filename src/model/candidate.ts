import { type Static, Type } from 'typebox'

/** One comparison that was made for a candidate. */
export const Check = Type.Object({
  /** `mib`, `iops`, `hold-mib`, `object-size`, `filesystem`, `reach`, `state`, `role-mib`, `role-iops`, `attachments`, … */
  what: Type.String(),
  ok: Type.Boolean(),
  asked: Type.Optional(Type.Union([Type.Number(), Type.String()])),
  free: Type.Optional(Type.Number()),
  limit: Type.Optional(Type.Number()),
  /** The comparison as a sentence. */
  text: Type.String(),
})
export type Check = Static<typeof Check>

/** A pool or node that was considered, with every comparison made, and what would make it fit. */
export const Candidate = Type.Object({
  kind: Type.Union([Type.Literal('pool'), Type.Literal('node')]),
  id: Type.String(),
  name: Type.String(),
  fits: Type.Boolean(),
  chosen: Type.Boolean(),
  checks: Type.Array(Check),
  /** The first comparison that ruled it out. */
  ruledOutBy: Type.Optional(Type.String()),
  /** The smallest change that would make it fit; absent when one change is not enough. */
  smallestChange: Type.Optional(Type.String()),
})
export type Candidate = Static<typeof Candidate>
