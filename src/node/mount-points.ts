import { readlinkSync, realpathSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, normalize, sep } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'

/** Chooses mount points: our own by volume id, or one that the caller must have, under an allowed root. */
export class MountPoints {
  readonly root: string
  readonly #allowed: readonly string[]

  /** @param allowed directories under which callers may choose a mount point */
  constructor(root: string, allowed: readonly string[]) {
    this.root = root
    this.#allowed = allowed
  }

  /**
   * The mount point as the kernel's table will have it: without symbolic links.
   * @throws mount_root_not_allowed
   */
  targetOf(volumeId: string, mountAt: string | undefined): string {
    if (mountAt === undefined) return join(this.root, volumeId, 'target')
    const plain = isAbsolute(mountAt) && normalize(mountAt) === mountAt
    const real = plain ? realPath(mountAt.replace(/\/+$/, '')) : undefined
    if (real !== undefined && this.#allowed.some((root) => isBelow(real, root))) return real
    const roots = this.#allowed.length === 0 ? 'none is configured on this node' : this.#allowed.join(', ')
    throw new HoldfastError(
      'mount_root_not_allowed',
      `mount point ${quote(mountAt)}: it must be an absolute path under an allowed root (${roots}), and no link`,
    )
  }
}

/** The path with every link before its last part followed. Undefined when that part, or one that is missing, is a link. */
function realPath(path: string): string | undefined {
  if (isLink(path)) return undefined
  const missing = [basename(path)]
  for (let parent = dirname(path); ; parent = dirname(parent)) {
    const real = followed(parent)
    if (real !== undefined) return join(real, ...missing)
    if (isLink(parent) || parent === dirname(parent)) return undefined
    missing.unshift(basename(parent))
  }
}

function followed(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

/** Asked with readlink(2), which needs nothing of a filesystem that may be mounted there and hang. */
function isLink(path: string): boolean {
  try {
    readlinkSync(path)
    return true
  } catch {
    return false
  }
}

function isBelow(path: string, root: string): boolean {
  const real = followed(root) ?? root
  return path.startsWith(real.endsWith(sep) ? real : `${real}${sep}`)
}
