import { type Static, Type } from 'typebox'
import { AmountMiB, Millis, Rate, Role as RoleName } from './fields.ts'

/** Limits of a role; an absent one does not limit. A child role is charged to its parents too. */
export const Quota = Type.Object({
  sizeMiB: Type.Optional(AmountMiB),
  iops: Type.Optional(Rate),
})
export type Quota = Static<typeof Quota>

/** A role that was given a quota. Roles without one need no record and have no limit of their own. */
export const Role = Type.Object({
  /** The role's name is its id. */
  id: RoleName,
  quota: Quota,
  createdAt: Millis,
})
export type Role = Static<typeof Role>
