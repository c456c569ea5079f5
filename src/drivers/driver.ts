/**
 * The interface of a driver: a way out to one kind of storage system. A driver runs on a node, never in the
 * controller. It knows *objects* (what the storage system holds) by the name that Holdfast chose for them, and
 * devices (what the kernel of this node sees). It knows nothing of volumes, roles or quotas.
 *
 * Every method takes an AbortSignal, throws `HoldfastError` with a code of the storage section of the error table,
 * and may be repeated: a second call after an unknown outcome must be harmless where `idempotent` says so.
 */

/** What a driver can do on a given pool, found by looking (a loop pool on ext4 has no reflink, on xfs it has). */
export interface Capabilities {
  /** `reflink`: at once, also of a mounted object; `copy`: byte by byte, only of an idle one; `none`. */
  readonly snapshot: 'reflink' | 'copy' | 'none'
  /** Whether a volume can be made from a snapshot or another volume; as `snapshot` says, if not told. */
  readonly clone?: boolean
  readonly grow: 'online' | 'offline' | 'none'
  readonly block: boolean
  /** Whether several nodes may attach the same object read-only at the same time. */
  readonly readOnlyMany: boolean
  /** Whether several nodes may write to the same object at the same time: a filesystem that is shared as such. */
  readonly writersMany?: boolean
  /** Who makes filesystems: Holdfast, by the format rule, or the backend itself; then objects are directories. */
  readonly formats: 'holdfast' | 'backend'
  /** Filesystems whose tools are installed on this node, and `directory` where the backend gives directories. */
  readonly filesystems: readonly string[]
  /** Whether `inventory` finds everything: only then is what it does not find missing. Default true. */
  readonly list?: boolean
  /** Whether an object that others made can be adopted. Default true. */
  readonly import?: boolean
  /** Whether the IOPS of a volume are held to at the device, or only counted. Default `advisory`. */
  readonly iops?: 'enforced' | 'advisory'
  /** Whether `fence` can prove that another node has lost its access. `same-machine`: only for nodes of one kernel. */
  readonly fence: 'none' | 'same-machine' | 'any'
  /** Calls that may be repeated on *another* node when their outcome is unknown, because they go by name. */
  readonly idempotent: readonly ('create' | 'snapshot' | 'delete')[]
  /** Largest object in MiB that the storage can hold. */
  readonly maxObjectMiB: number
  /** Sizes are multiples of this many MiB; what is asked is rounded up to it, and counted so. Default 1. */
  readonly unitMiB?: number
}

/** A pool as a node needs to know it. */
export interface PoolTarget {
  readonly id: string
  /** `type~instance~pool`, for messages. */
  readonly name: string
  /** The UUID in the pool's marker. */
  readonly uuid: string
  /** UUID of the installation that owns the pool. */
  readonly installation: string
  /** Driver settings, e.g. `{directory: '/srv/pool'}`. */
  readonly settings: Readonly<Record<string, string>>
  /** This node, for storage that lets nodes in one by one. */
  readonly node: NodeIdentity
  /** What `mark` answered. */
  readonly handle?: string | undefined
  /**
   * What `create` or `copy` answered for an object, where the storage has an id of its own for it. Undefined as well
   * when that answer was lost: then the object must be found by its name.
   */
  readonly handleOf: (object: string) => string | undefined
}

/** A node as storage may know it: the boot tells what it let in before a reset from what it let in after. */
export interface NodeIdentity {
  readonly id: string
  readonly bootId: string
}

/** What a look at a pool gives. MiB are whole, rounded down for free space. */
export interface PoolProbe {
  readonly capabilities: Capabilities
  /** What the storage itself says of its real size; undefined where it cannot tell. */
  readonly sizeMiB: number | undefined
  readonly freeMiB: number | undefined
}

/** An object as found on the storage. */
export interface ObjectInfo {
  readonly name: string
  /** Size as a device would have it, whole MiB, rounded down. */
  readonly sizeMiB: number
  /** Bytes really taken on the storage, in MiB, rounded up; undefined where unknown. */
  readonly usedMiB: number | undefined
  /** The storage's own id of it and whatever else is needed to use it; at most 8 KiB, kept in the ledger. */
  readonly handle?: string | undefined
}

/** An attached object as this node's kernel sees it. */
export interface Attached {
  readonly object: string
  /** The device; of a backend that formats by itself, the directory. */
  readonly device: string
  readonly readOnly: boolean
}

/** What an object is to be attached as. Where the backend formats it is a directory in any case. */
export type ObjectKind = 'device' | 'directory'

/** Progress of a slow call, 0…1. */
export type Progress = (done: number) => void

export interface Driver {
  /** The driver's name in pool settings: `loop`, `rexray`, … */
  readonly name: string

  /**
   * Checks settings before anything is touched.
   * @throws invalid_option naming the setting, what is wrong and what would be right
   */
  checkSettings(settings: Readonly<Record<string, string>>): void

  /**
   * Reads the marker and looks at the pool. Reach means: this returned.
   * @throws no_marker (absent, e.g. a share that is not mounted), marker_conflict (of another pool), storage_failed
   */
  probe(pool: PoolTarget, signal: AbortSignal): Promise<PoolProbe>

  /**
   * Writes the marker on storage that has none. Repeating it for the same pool is harmless.
   * @returns a handle if it is needed to find the marker again
   * @throws marker_conflict when another pool's marker is there; storage_read_only; storage_failed
   */
  mark(pool: PoolTarget, signal: AbortSignal): Promise<string | undefined>

  /**
   * Makes a blank object. If one with this name and size is there it must be blank, and then this succeeds.
   * @param kind for storage that has both; default `device`
   * @throws storage_full, object_exists (other size or not blank), storage_read_only
   */
  create(pool: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal, kind?: ObjectKind): Promise<ObjectInfo>

  /** Whether nothing was ever written to the object, as far as the storage can tell. @throws object_missing */
  isBlank(pool: PoolTarget, object: string, signal: AbortSignal): Promise<boolean>

  /** Removes an object that is attached nowhere this node can see; an absent one is a success. @throws in_use */
  delete(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void>

  /**
   * Makes `object` a copy of `source` as it is now (a snapshot, a clone). An interrupted copy leaves no object of
   * that name. The caller has frozen the source or knows it to be idle.
   * @param kind what the copy is to be: storage may keep snapshots apart from volumes
   * @throws object_missing, object_exists, storage_full, unsupported
   */
  copy(
    pool: PoolTarget,
    source: string,
    object: string,
    kind: 'volume' | 'snapshot',
    progress: Progress,
    signal: AbortSignal,
  ): Promise<ObjectInfo>

  /** Makes an object larger (never smaller); already as large is a success. Attached devices follow. */
  grow(pool: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal): Promise<ObjectInfo>

  /** One object, or undefined. */
  inspect(pool: PoolTarget, object: string, signal: AbortSignal): Promise<ObjectInfo | undefined>

  /** Everything on the pool that could be a volume, ours or not, by name order. */
  inventory(pool: PoolTarget, signal: AbortSignal): Promise<ObjectInfo[]>

  /**
   * Attaches; an object already attached in the same mode is answered with the device it has.
   * @param iops to hold it to, where the driver can; 0 or undefined: no limit
   */
  attach(pool: PoolTarget, object: string, readOnly: boolean, signal: AbortSignal, iops?: number): Promise<Attached>

  /**
   * Detaches every device of this object on this node and returns only when none is left.
   * @throws still_mounted when the kernel still holds one (another mount namespace, an open file)
   */
  detach(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void>

  /**
   * What is really attached on this machine, read from the kernel; whoever attached it.
   * @param object only of this object, which may cost less; what else is answered must be ignored
   */
  attached(pool: PoolTarget, signal: AbortSignal, object?: string): Promise<Attached[]>

  /**
   * Takes a lost node's access to an object away and reads back that it is gone. What that node asked for about the
   * object before, without an answer yet, must not come to pass any more.
   * @param machine the lost node, with its boot id as it last reported it
   * @throws unsupported where this cannot be proven from here; still_mounted
   */
  fence(pool: PoolTarget, object: string, machine: NodeIdentity, signal: AbortSignal): Promise<void>

  /** Ends children and closes what is open. */
  close(): Promise<void>
}
