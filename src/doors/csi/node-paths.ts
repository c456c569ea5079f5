import { lstat, realpath } from 'node:fs/promises'
import { dirname, isAbsolute, join, normalize, sep } from 'node:path'
import { GrpcError } from '../../csi/grpc-error.ts'
import { HoldfastError } from '../../model/errors.ts'
import { quote } from '../../model/units.ts'
import type { BindMounts } from '../../programs/bind-mounts.ts'
import type { MountedAt } from '../../programs/mount-table.ts'
import { badField } from './fields.ts'

/** PATH_MAX and NAME_MAX of Linux (limits.h), without the NUL. */
const MAX_PATH = 4095
const MAX_PART = 255

export interface PathRules {
  /** Directories under which callers may choose. */
  readonly roots: readonly string[]
  /** Directories of our own, where nobody may. */
  readonly own: readonly string[]
}

/** What is at a path. `mount`: something is mounted there, and it has not been touched. */
export type Found = 'nothing' | 'directory' | 'file' | 'other' | 'mount'

export interface UserPath {
  /** As the kernel's table of mounts has it. */
  readonly path: string
  readonly found: Found
  /** Whether its parent is there. */
  readonly hasParent: boolean
}

/**
 * Paths that callers choose. They must lie under an allowed root, with neither a link nor a mount in between: a link
 * may lead anywhere, and what is mounted there may belong to a tenant, or hang. So nothing that hangs is ever touched.
 */
export class UserPaths {
  readonly #rules: PathRules
  readonly #mounts: Pick<BindMounts, 'all'>

  constructor(rules: PathRules, mounts: Pick<BindMounts, 'all'>) {
    this.#rules = rules
    this.#mounts = mounts
  }

  /** @throws INVALID_ARGUMENT for what can't be such a path, mount_root_not_allowed for one where callers may not go */
  async look(field: string, given: string): Promise<UserPath> {
    const plain = plainPath(field, given)
    const { root, path } = await this.#underRoot(field, plain)
    const mounts = new Set((await this.#mounts.all()).map((each) => each.target))
    const parts = path.slice(root.length + 1).split(sep)
    let at = root
    for (const part of parts.slice(0, -1)) {
      at = join(at, part)
      if (mounts.has(at)) throw notAllowed(field, plain, `${at} is a mount; name it among the roots if it may be used`)
      const found = await kindOf(at)
      if (found === 'link') throw notAllowed(field, plain, `${at} is a symbolic link`)
      if (found === 'nothing') return { path, found, hasParent: false }
      if (found !== 'directory') throw new GrpcError('FAILED_PRECONDITION', `${field}: ${at} is not a directory`)
    }
    if (mounts.has(path)) return { path, found: 'mount', hasParent: true }
    const found = await kindOf(path)
    if (found === 'link') throw notAllowed(field, plain, 'it is a symbolic link')
    return { path, found, hasParent: true }
  }

  /** Of some mounts, those at places that callers may choose. */
  async chosen(mounts: readonly MountedAt[]): Promise<MountedAt[]> {
    const { roots, own } = this.#rules
    const real = await Promise.all(roots.map((root) => realpath(root).catch(() => root)))
    const isUnder = (target: string, places: readonly string[]) => places.some((place) => isBelow(target, place))
    return mounts.filter(({ target }) => isUnder(target, real) && !isUnder(target, own))
  }

  async #underRoot(field: string, path: string): Promise<{ root: string; path: string }> {
    const { roots, own } = this.#rules
    for (const root of roots) {
      const real = await realpath(root).catch(() => undefined)
      if (real === undefined) continue
      const rest = [root, real].filter((each) => isBelow(path, each)).map((each) => path.slice(each.length + 1))[0]
      if (rest === undefined) continue
      const whole = join(real, rest)
      const ours = own.find((each) => whole === each || isBelow(whole, each))
      if (ours !== undefined) throw notAllowed(field, path, `${ours} is Holdfast's own`)
      return { root: real, path: whole }
    }
    throw notAllowed(field, path, `it must be under one of the door's roots (${roots.join(', ')})`)
  }
}

/** @throws INVALID_ARGUMENT */
function plainPath(field: string, given: string): string {
  if (given === '') throw badField(field, 'missing')
  if (Buffer.byteLength(given) > MAX_PATH) throw badField(field, `longer than ${MAX_PATH} bytes`)
  const path = given.replace(/\/+$/, '')
  const parts = path.split(sep)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(path)) throw badField(field, `${quote(given)} has control characters`)
  if (!isAbsolute(path) || normalize(path) !== path || parts.includes('..')) {
    throw badField(field, `${quote(given)} must be an absolute path without ".", ".." and empty parts`)
  }
  if (parts.some((part) => Buffer.byteLength(part) > MAX_PART)) {
    throw badField(field, `a part of it is longer than ${MAX_PART} bytes`)
  }
  return path
}

async function kindOf(path: string): Promise<Exclude<Found, 'mount'> | 'link'> {
  try {
    const stat = await lstat(path)
    if (stat.isSymbolicLink()) return 'link'
    if (stat.isDirectory()) return 'directory'
    return stat.isFile() ? 'file' : 'other'
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return 'nothing'
    throw new HoldfastError('storage_failed', `${dirname(path)}: ${(thrown as Error).message}`, {}, { cause: thrown })
  }
}

function isBelow(path: string, directory: string): boolean {
  return path.startsWith(`${directory}${sep}`)
}

function notAllowed(field: string, path: string, why: string): HoldfastError {
  return new HoldfastError('mount_root_not_allowed', `${field} ${quote(path)}: ${why}`)
}
