import { isAbsolute } from 'node:path'
import { HoldfastError } from '../../model/errors.ts'
import { checkRole } from '../../model/names.ts'

/** Where the orchestrators that are known keep what they have mounted, and a place for those that are told one. */
export const DEFAULT_ROOTS: readonly string[] = [
  '/var/lib/kubelet',
  '/var/lib/mesos',
  '/var/lib/nomad',
  '/opt/nomad',
  '/var/lib/docker/plugins',
  '/var/lib/holdfast/csi',
]

export interface CsiDoorConfig {
  /** Roles that this door acts for. What belongs to other roles is neither shown nor touched. */
  readonly roles: readonly string[]
  /** Directories under which callers may choose where volumes are staged and published; DEFAULT_ROOTS if not given. */
  readonly roots?: readonly string[] | undefined
  /** Mesos uses this door: see node-mesos.ts for what is answered differently then. */
  readonly mesos?: boolean | undefined
  /** How long a call takes at most when its caller does not say, ms; 50 s if not given. */
  readonly answerMs?: number | undefined
}

export interface CsiSettings {
  readonly roles: readonly string[]
  readonly roots: readonly string[]
  readonly mesos: boolean
  readonly answerMs: number
}

/** Checks a configuration and fills in what it leaves out. @throws invalid_option, invalid_name */
export function csiSettings({
  roles,
  roots = DEFAULT_ROOTS,
  mesos = false,
  answerMs = 50_000,
}: CsiDoorConfig): CsiSettings {
  if (roles.length === 0) throw wrong('roles must name at least one role')
  for (const role of roles) checkRole(role)
  const relative = roots.find((root) => !isAbsolute(root) || root === '/')
  if (relative !== undefined) throw wrong(`roots: ${relative} must be an absolute path, and not all of the machine`)
  return { roles, roots, mesos, answerMs }
}

function wrong(why: string): HoldfastError {
  return new HoldfastError('invalid_option', `CSI door: ${why}`)
}
