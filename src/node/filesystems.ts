/**
 * What the node needs of the kernel's filesystems, as an interface, so that the deterministic simulation can stand a
 * model disk behind the same code. The real one is `src/programs/filesystem-tools.ts`.
 */

/**
 * `directory`: what the storage itself formats and mounts. Its device is a directory, in which a marker tells which
 * volume it is, and `data` beside it is what users see.
 */
export type FilesystemType = BlockFilesystemType | 'directory'
export type BlockFilesystemType = 'ext4' | 'xfs' | 'btrfs'

/** What a low-level probe of a device found. */
export interface Signature {
  /** e.g. `ext4`, `LVM2_member`, `gpt`; undefined when no signature was found. */
  readonly type: string | undefined
  readonly uuid: string | undefined
}

/** One line of this node's mount table. */
export interface MountEntry {
  readonly device: string
  readonly target: string
  readonly type: string
  readonly readOnly: boolean
  /** Which part of the filesystem is mounted there, and `MAJOR:MINOR` of the filesystem. */
  readonly root?: string
  readonly filesystem?: string
}

export interface Filesystems {
  /**
   * Probes for any signature (filesystem, LVM, RAID, partition table) without trusting any cache. Of a directory: whose
   * marker it has; one that holds something else is of type `files`.
   */
  probe(device: string, signal: AbortSignal): Promise<Signature>

  /**
   * Makes a filesystem with the given UUID. Never with a force flag: the tool itself refuses what is not blank.
   * Runs as long as it makes progress.
   * @throws not_blank, storage_full, storage_failed, storage_timeout, stuck
   */
  make(device: string, type: FilesystemType, uuid: string, signal: AbortSignal): Promise<void>

  /** Gives a copied filesystem a new UUID, replaying its journal first where that is needed. Not mounted. */
  changeUuid(device: string, type: FilesystemType, uuid: string, signal: AbortSignal): Promise<void>

  /** Mounts; the target directory is made (0755, mode kept if there). Read-only never replays a journal. */
  mount(
    device: string,
    target: string,
    options: { type: FilesystemType; readOnly: boolean; flags: readonly string[] },
    signal: AbortSignal,
  ): Promise<void>

  /** Unmounts (never lazily, never by force) and removes the empty target directory. Not mounted is a success. @throws still_mounted */
  unmount(target: string, signal: AbortSignal): Promise<void>

  /** Makes the filesystem as large as its device. `target` when mounted, else undefined. */
  grow(device: string, type: FilesystemType, target: string | undefined, signal: AbortSignal): Promise<void>

  freeze(target: string, signal: AbortSignal): Promise<void>
  thaw(target: string, signal: AbortSignal): Promise<void>

  /** Emergency stop: no further write reaches the device. Not possible for btrfs (@throws unsupported). */
  shutdown(target: string, signal: AbortSignal): Promise<void>

  /** The mounts of this process's namespace, from /proc/self/mountinfo. */
  mounts(): Promise<MountEntry[]>

  /** Used and free bytes of a mounted filesystem, in MiB. */
  usage(target: string, signal: AbortSignal): Promise<{ sizeMiB: number; usedMiB: number; freeMiB: number }>
}

/** Where the data of a volume with fs `directory` is. */
export function dataOf(directory: string): string {
  return `${directory}/data`
}

/** Whether a mount shows this device; for a directory by what is mounted where, so that nothing mounted is touched. */
export function isMountOf(mounts: readonly MountEntry[], entry: MountEntry, fs: string, device: string): boolean {
  if (fs !== 'directory') return entry.device === device
  const data = dataOf(device)
  // the innermost, and of those at one place the one on top: the table is in no other order
  const over = mounts.filter(({ target }) => target === '/' || data === target || data.startsWith(`${target}/`))
  const below = over.reduce<MountEntry | undefined>(
    (best, each) => (best === undefined || each.target.length >= best.target.length ? each : best),
    undefined,
  )
  if (below?.root === undefined || entry.root === undefined || entry.filesystem !== below.filesystem) return false
  const inside = data.slice(below.target === '/' ? 0 : below.target.length)
  return entry.root === `${below.root === '/' ? '' : below.root}${inside}`
}
