import { type Static, Type } from 'typebox'
import { AmountMiB, Handle, Id, Labels, Millis, Name, PoolName, Rate, SizeMiB, Uuid } from './fields.ts'
import { PoolMesos } from './mesos.ts'

/** How a lost node's access is proven gone (invariant I4). */
export const Fence = Type.Union([Type.Literal('driver'), Type.Literal('manual'), Type.Literal('self')])
export type Fence = Static<typeof Fence>

/** What the driver reported of the pool; see `Capabilities` of the driver interface for the meaning of each. */
export const PoolCapabilities = Type.Object({
  snapshot: Type.Union([Type.Literal('reflink'), Type.Literal('copy'), Type.Literal('none')]),
  clone: Type.Optional(Type.Boolean()),
  grow: Type.Union([Type.Literal('online'), Type.Literal('offline'), Type.Literal('none')]),
  block: Type.Boolean(),
  readOnlyMany: Type.Boolean(),
  writersMany: Type.Optional(Type.Boolean()),
  formats: Type.Union([Type.Literal('holdfast'), Type.Literal('backend')]),
  filesystems: Type.Array(Type.String()),
  list: Type.Optional(Type.Boolean()),
  import: Type.Optional(Type.Boolean()),
  iops: Type.Optional(Type.Union([Type.Literal('enforced'), Type.Literal('advisory')])),
  fence: Type.Union([Type.Literal('none'), Type.Literal('same-machine'), Type.Literal('any')]),
  idempotent: Type.Array(Type.Union([Type.Literal('create'), Type.Literal('snapshot'), Type.Literal('delete')])),
  maxObjectMiB: SizeMiB,
  unitMiB: Type.Optional(SizeMiB),
})
export type PoolCapabilities = Static<typeof PoolCapabilities>

/** Over-commit ratio in thousandths: 1000 is 1.0. */
export const OvercommitThousandths = Type.Integer({ minimum: 1, maximum: 100_000 })
/** Driver settings, e.g. `{directory}` for the loop driver. Secrets do not belong here: they live on nodes. */
export const PoolSettings = Type.Record(
  Type.String({ pattern: '^[A-Za-z][A-Za-z0-9]{0,62}$' }),
  Type.String({ maxLength: 4096 }),
  {
    maxProperties: 32,
  },
)

export const Pool = Type.Object({
  id: Id,
  /** `type~instance~pool`. */
  name: PoolName,
  type: Name,
  instance: Name,
  pool: Name,
  /** UUID of the marker on the storage itself. */
  uuid: Uuid,
  /** Name of the driver; a setting, part of no identity. */
  driver: Name,
  settings: PoolSettings,
  capacityMiB: AmountMiB,
  /** 0: the pool counts no IOPS. */
  iops: Rate,
  overcommitThousandths: OvercommitThousandths,
  reserveMiB: AmountMiB,
  fence: Fence,
  labels: Labels,
  /** How it is shown to Mesos; absent: not at all. */
  mesos: Type.Optional(PoolMesos),
  /** `draining`: nothing new is placed here. */
  state: Type.Union([Type.Literal('active'), Type.Literal('draining')]),
  /** Whether the marker was written on the storage; without it nothing reaches the pool. */
  marked: Type.Boolean(),
  /** What the driver needs to find the marker again, if it is not found by the pool's UUID. */
  handle: Type.Optional(Handle),
  capabilities: Type.Optional(PoolCapabilities),
  /** What the storage said of its own size, when that is known. */
  storage: Type.Optional(Type.Object({ sizeMiB: AmountMiB, freeMiB: AmountMiB, at: Millis })),
  createdAt: Millis,
})
export type Pool = Static<typeof Pool>

/** MiB that may be taken in all: capacity × over-commit − reserve, exact for every allowed capacity. */
export function poolLimitMiB(pool: Pick<Pool, 'capacityMiB' | 'overcommitThousandths' | 'reserveMiB'>): number {
  const whole = Math.floor(pool.capacityMiB / 1000) * pool.overcommitThousandths
  const rest = Math.floor(((pool.capacityMiB % 1000) * pool.overcommitThousandths) / 1000)
  return whole + rest - pool.reserveMiB
}

/** Whether volumes can be made from snapshots and other volumes there. */
export function canCopy({ clone, snapshot }: PoolCapabilities): boolean {
  return clone ?? snapshot !== 'none'
}

/** A size as the pool can make it: the next multiple of its unit. */
export function sizeInPool(pool: Pick<Pool, 'capabilities'>, sizeMiB: number): number {
  const unit = pool.capabilities?.unitMiB ?? 1
  return Math.ceil(sizeMiB / unit) * unit
}

/** Whether more is promised than the storage really has: shown with an alarm. */
export function isThin(pool: Pool): boolean {
  return pool.storage !== undefined && pool.capacityMiB > pool.storage.sizeMiB
}

/** The storage itself is nearly full: under 5 % free, whatever the ledger says. */
export function isLowOnStorage(pool: Pool): boolean {
  return pool.storage !== undefined && pool.storage.freeMiB * 20 < pool.storage.sizeMiB
}
