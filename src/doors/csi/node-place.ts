import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import type { MountedAt } from '../../programs/mount-table.ts'

/** A directory or device, whatever path it is seen at: which part of which filesystem (proc(5), mountinfo). */
export interface Place {
  readonly root: string
  readonly filesystem: string
}

/** Where a path is, as the kernel's table has it: what is there is not touched. */
function placeOf(mounts: readonly MountedAt[], path: string): Place | undefined {
  const covering = mounts.filter(({ target }) => target === '/' || path === target || path.startsWith(`${target}/`))
  // the table is in no order of use: what an initramfs had mounted stands before the root that came later
  const over = covering.sort((a, b) => a.target.length - b.target.length).at(-1)
  if (over === undefined) return undefined
  const rest = path.slice(over.target === '/' ? 0 : over.target.length)
  return { root: join(over.root, rest), filesystem: over.filesystem }
}

/** Of a mounted volume, or of a device, whose name may be a link. */
export async function volumePlace(mounts: readonly MountedAt[], path: string): Promise<Place | undefined> {
  return placeOf(mounts, path.startsWith('/dev/') ? await realpath(path).catch(() => path) : path)
}

export function samePlace(a: Place | undefined, b: Place | undefined): boolean {
  return a !== undefined && b !== undefined && a.root === b.root && a.filesystem === b.filesystem
}
