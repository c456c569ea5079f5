import type { Shrink } from '../model/mesos.ts'
import type { Labels, ReservationInfo } from './resource.ts'

/** Capacity that may still be taken under one stack of reservations; without any: by whoever is offered it. */
export interface ProjectedRaw {
  readonly reservations: readonly ReservationInfo[]
  /** MiB: never more than is free of the pool, of the role's quota, and than the pool's free IOPS can back. */
  readonly sizeMiB: number
}

/** A volume that is to be seen on this node. */
export interface ProjectedDisk {
  readonly volumeId: string
  readonly sizeMiB: number
  readonly target: 'MOUNT' | 'BLOCK'
  readonly profile?: string
  /** Provider instance, pool, filesystem, IOPS, snapshot source. */
  readonly metadata: Labels
  readonly reservations: readonly ReservationInfo[]
  readonly persistence?: { readonly id: string; readonly principal?: string }
  readonly containerPath?: string
  readonly shared?: boolean
  /** Claimed on this very node for Mesos. */
  readonly usedHere: boolean
}

/** What one agent is to say of one pool: the ledger seen from one node, at a revision. */
export interface Projection {
  readonly poolId: string
  /** `type~instance~pool`. */
  readonly pool: string
  /** The pool's type. */
  readonly vendor: string
  /** What tells this pool's capacity from another's in an offer: instance, pool, declared IOPS. */
  readonly metadata: Labels
  readonly principal: string
  /** Whether the masters' ACLs were verified. */
  readonly guarded: boolean
  readonly shrink: Shrink
  readonly block: boolean
  readonly raw: readonly ProjectedRaw[]
  readonly disks: readonly ProjectedDisk[]
  /** The node's storage bandwidth in its unit, where it is shown. */
  readonly bandwidth?: number
}

/** A line of the stream from the controller to a machine's provider. */
export type ProjectionLine =
  | { readonly kind: 'pool'; readonly revision: number; readonly projection: Projection; readonly providerId?: string }
  | { readonly kind: 'raw'; readonly revision: number; readonly poolId: string; readonly raw: readonly ProjectedRaw[] }
  | {
      readonly kind: 'disks'
      readonly revision: number
      readonly poolId: string
      readonly set: readonly ProjectedDisk[]
      readonly removed: readonly string[]
    }
  /** The node does not reach the pool any more, or it is not shown to Mesos. */
  | { readonly kind: 'gone'; readonly revision: number; readonly poolId: string }
  /** Everything that was true at the start of the stream has been sent. */
  | { readonly kind: 'complete'; readonly revision: number; readonly node: string }
