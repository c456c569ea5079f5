import type { CallBody, PoolSpec, VolumeSpec, WorkOrder } from '../model/node-protocol.ts'

/** A volume that this node has, or may have, attached: written before it is touched. */
export interface SlotEntry {
  readonly volume: VolumeSpec
  readonly attachmentId: string
  readonly epoch: number
  readonly claims: number
  readonly mode: 'rw' | 'ro'
  readonly target: string
  readonly users: readonly { readonly door: string; readonly id: string }[]
  /** It is being taken down: what an earlier life of the daemon began may still come to pass. */
  readonly leaving?: boolean
  /** The emergency stop has shut it down: nothing can use it until it has been unmounted. */
  readonly stopped?: boolean
}

/** A piece of work that was begun, and its result once there is one. */
export interface WorkEntry {
  readonly order: WorkOrder
  readonly result: CallBody<'result'> | undefined
}

/** Something that the controller must still be told: it was away when it happened. */
export type OwedEntry =
  | { readonly call: 'release'; readonly body: CallBody<'release'> }
  | { readonly call: 'claim'; readonly body: CallBody<'claim'> }

/** A volume that a caller of the CSI door has staged here, and not unstaged since. */
export interface StagedEntry {
  readonly volumeId: string
  /** Id or name, as the caller has it. */
  readonly asked: string
  readonly mode: 'rw' | 'ro'
  /** What of the volume's capability must be the same when it is asked for again. */
  readonly wish: string
  /** Which filesystem, or device, is shown to those who publish it: as the kernel's table of mounts has it. */
  readonly place?: { readonly root: string; readonly filesystem: string }
  readonly bootId: string
  /** Why it is not really here: callers are shown an empty place instead. */
  readonly moved?: string
}

/** The pools, and who this node is to the controller. */
export interface KnownPools {
  readonly installation: string
  readonly nodeId?: string
  readonly specs: readonly PoolSpec[]
}

export interface JournalEntries {
  /** The boot under which the journal was last written, under the id `boot`. */
  boot: string
  slot: SlotEntry
  work: WorkEntry
  owed: OwedEntry
  /** Highest epoch ever seen, by volume id. */
  epoch: number
  /** Highest term seen, under the id `term`. */
  term: number
  /** The pools as last told of, under the id `pools`: what is mounted must be managed before the controller is there. */
  pools: KnownPools
  /** By the path at which they were staged. */
  staged: StagedEntry
}
export type JournalKind = keyof JournalEntries

/** What a node must not forget. A `write` is durable when it returns. */
export interface Journal {
  entries<K extends JournalKind>(kind: K): Map<string, JournalEntries[K]>
  /** Writes several entries at once; undefined removes. */
  write(...changes: JournalChange[]): void
  close(): void
}

export type JournalChange = {
  [K in JournalKind]: { readonly kind: K; readonly id: string; readonly value: JournalEntries[K] | undefined }
}[JournalKind]
