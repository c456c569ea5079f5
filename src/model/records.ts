import { type Static, Type } from 'typebox'
import type { Attachment } from './attachment.ts'
import { Millis } from './fields.ts'
import type { Hold } from './hold.ts'
import type { Guard, Provider } from './mesos.ts'
import type { Node } from './node.ts'
import type { Operation } from './operation.ts'
import type { Pool } from './pool.ts'
import type { Profile } from './profile.ts'
import type { Role } from './role.ts'
import type { Token } from './token.ts'
import type { Group, Snapshot, Volume } from './volume.ts'

/** The first answer to an accepted command, kept under its idempotency key (invariant I7). */
export const KeyRecord = Type.Object({
  /** Digest of (door, principal, command, caller's key). */
  id: Type.String({ maxLength: 128 }),
  /** Digest of the parameters as they were sent. */
  fingerprint: Type.String({ maxLength: 128 }),
  answer: Type.Unknown(),
  expiresAt: Millis,
})
export type KeyRecord = Static<typeof KeyRecord>

/** An account that is over its limit because of facts from outside; only what lowers it is accepted. */
export const Deficit = Type.Object({
  /** The account, e.g. `pool/pool-…/mib` or `role/ads/iops`. */
  id: Type.String({ maxLength: 300 }),
  used: Type.Integer(),
  limit: Type.Integer(),
  since: Millis,
})
export type Deficit = Static<typeof Deficit>

/** Present while expiry is suspended after a forward jump of the clock. Its id is `clock`. */
export const ClockSuspension = Type.Object({
  id: Type.Literal('clock'),
  from: Millis,
  to: Millis,
})
export type ClockSuspension = Static<typeof ClockSuspension>

/** Every kind of record that the store keeps, with its type. */
export interface RecordTypes {
  pool: Pool
  node: Node
  role: Role
  hold: Hold
  volume: Volume
  snapshot: Snapshot
  group: Group
  attachment: Attachment
  operation: Operation
  token: Token
  key: KeyRecord
  deficit: Deficit
  clock: ClockSuspension
  profile: Profile
  provider: Provider
  guard: Guard
}
export type RecordKind = keyof RecordTypes

export const RECORD_KINDS: readonly RecordKind[] = [
  'pool',
  'node',
  'role',
  'hold',
  'volume',
  'snapshot',
  'group',
  'attachment',
  'operation',
  'token',
  'key',
  'deficit',
  'clock',
  'profile',
  'provider',
  'guard',
]

/** One record written (`record`) or removed (`record` undefined), and what it was before its command, if it was. */
export type Change = {
  [K in RecordKind]: {
    readonly kind: K
    readonly id: string
    readonly record: RecordTypes[K] | undefined
    readonly before?: RecordTypes[K] | undefined
  }
}[RecordKind]
