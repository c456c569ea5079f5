import { realpathSync } from 'node:fs'
import { dirname, isAbsolute, join, normalize, sep } from 'node:path'
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

  /** @throws mount_root_not_allowed */
  targetOf(volumeId: string, mountAt: string | undefined): string {
    if (mountAt === undefined) return join(this.root, volumeId, 'target')
    const path = normalize(mountAt)
    const inside = isAbsolute(mountAt) && this.#allowed.some((root) => isUnder(realParent(path), root))
    if (inside && path === mountAt.replace(/\/+$/, '')) return path
    const roots = this.#allowed.length === 0 ? 'none is configured on this node' : this.#allowed.join(', ')
    throw new HoldfastError(
      'mount_root_not_allowed',
      `mount point ${quote(mountAt)}: it must be an absolute path under an allowed root (${roots})`,
    )
  }
}

/** The nearest existing parent with every link followed, so that no link leads out of an allowed root. */
function realParent(path: string): string {
  for (let parent = dirname(path); ; parent = dirname(parent)) {
    try {
      return realpathSync(parent)
    } catch {
      if (parent === dirname(parent)) return parent
    }
  }
}

function isUnder(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : `${root}${sep}`)
}
