import { type Static, Type } from 'typebox'
import { AmountMiB, Id, Millis, Name, Rate, Role } from './fields.ts'

/**
 * When the capacity that an agent advertises is lowered to what is free:
 * - `prompt`: at once, in two phases. Leaves a last millisecond in which a framework that creates a disk and is torn
 *   down aborts the master.
 * - `on-exhaustion`: only after a CREATE_DISK failed there for lack of room.
 * - `never`: it falls only by what is created there. More may be advertised than is free; what is granted never is.
 */
export const Shrink = Type.Union([Type.Literal('prompt'), Type.Literal('on-exhaustion'), Type.Literal('never')])
export type Shrink = Static<typeof Shrink>

/** How a pool is shown to Mesos. A pool without it is not. */
export const PoolMesos = Type.Object({
  /** Roles that may take from it: each gets what it may take as its own reservation. */
  roles: Type.Array(Role, { minItems: 1, maxItems: 64, uniqueItems: true }),
  /** Kind of those reservations. */
  reservation: Type.Union([Type.Literal('dynamic'), Type.Literal('static')]),
  /** Show the capacity unreserved instead, to every role. */
  unreserved: Type.Boolean(),
  /** Absent: `prompt` once the guard is verified, else `never`. */
  shrink: Type.Optional(Shrink),
  /** On how many agents an idle volume is shown; 0: on every one that reaches it. */
  spread: Type.Integer({ minimum: 0, maximum: 100_000 }),
  /** Whether a disk comes with its persistence and follows its task; else it stays where it was made. */
  float: Type.Boolean(),
  /** Frameworks may ask for BLOCK disks. A container gets nothing of them on stock Mesos. */
  block: Type.Boolean(),
  /** Show the node's storage bandwidth as the scalar `storage_bw` of this pool's provider. */
  bandwidth: Type.Boolean(),
})
export type PoolMesos = Static<typeof PoolMesos>

/** One level of a stack of Mesos reservations, the last one the most refined. */
export const Reservation = Type.Object({
  type: Type.Union([Type.Literal('STATIC'), Type.Literal('DYNAMIC')]),
  role: Role,
  principal: Type.Optional(Type.String({ maxLength: 255 })),
  labels: Type.Optional(Type.Unknown()),
})
export type Reservation = Static<typeof Reservation>

export const Reservations = Type.Array(Reservation, { maxItems: 16 })

/** Stacks of reservations that are the same have the same key, in whatever order the keys of their labels stand. */
export function stackKey(reservations: readonly Reservation[]): string {
  return JSON.stringify(
    reservations.map(({ type, role, principal, labels }) => [type, role, principal, sorted(labels)]),
  )
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return entries.map(([key, each]) => [key, sorted(each)])
}

/** How many stacks of reservations one provider keeps. */
export const MAX_STACKS = 256

/** What Mesos knows of a volume, where that is not what every volume of its pool would say. */
export const VolumeMesos = Type.Object({
  profile: Type.Optional(Name),
  target: Type.Union([Type.Literal('MOUNT'), Type.Literal('BLOCK')]),
  /** Whether it is shown wherever its pool is reached; else only on `home`. */
  float: Type.Boolean(),
  /** Node on which it was made. */
  home: Type.Optional(Id),
  reservations: Reservations,
  persistence: Type.Optional(
    Type.Object({
      id: Type.String({ minLength: 1, maxLength: 255 }),
      principal: Type.Optional(Type.String({ maxLength: 255 })),
    }),
  ),
  /** Path in the container, and whatever else came with the `volume` of a CREATE. */
  containerPath: Type.Optional(Type.String({ maxLength: 1024 })),
  /** Several tasks of one agent may use it at once. */
  shared: Type.Optional(Type.Boolean()),
  /**
   * When it is gone, its capacity goes back to these reservations on its home: where frameworks reserve for themselves,
   * what a disk was made of stays reserved when the disk is destroyed, or could not be made.
   */
  givesBack: Type.Optional(Type.Boolean()),
  /** Who asked for it. */
  frameworkId: Type.Optional(Type.String({ maxLength: 255 })),
  operationId: Type.Optional(Type.String({ maxLength: 255 })),
})
export type VolumeMesos = Static<typeof VolumeMesos>

/** One pool on one agent: what must outlive the disk of the node. Its id is `<node id>.<pool id>`. */
export const Provider = Type.Object({
  id: Type.String({ maxLength: 82 }),
  nodeId: Id,
  poolId: Id,
  agentId: Type.Optional(Type.String({ maxLength: 255 })),
  /** What the agent called it; without it the agent would keep the old one's reservations for ever. */
  providerId: Type.Optional(Type.String({ maxLength: 255 })),
  /** Storage bandwidth that the tasks of this agent have taken, in the node's unit. */
  bandwidth: Rate,
  /** Capacity that frameworks have reserved on this agent by operations of their own: bookkeeping of Mesos' words. */
  reserved: Type.Array(Type.Object({ reservations: Reservations, sizeMiB: AmountMiB }), { maxItems: MAX_STACKS }),
  since: Millis,
})
export type Provider = Static<typeof Provider>

export function providerRecordId(nodeId: string, poolId: string): string {
  return `${nodeId}.${poolId}`
}

/** Whether the masters' ACLs keep the speculative operations of others off our resources. Its id is `mesos`. */
export const Guard = Type.Object({
  id: Type.Literal('mesos'),
  state: Type.Union([Type.Literal('verified'), Type.Literal('absent'), Type.Literal('unverified')]),
  why: Type.Array(Type.String({ maxLength: 1000 }), { maxItems: 64 }),
  at: Millis,
})
export type Guard = Static<typeof Guard>
