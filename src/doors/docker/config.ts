import { HoldfastError } from '../../model/errors.ts'
import { checkRole } from '../../model/names.ts'
import type { VolumeFs } from '../../model/volume.ts'

export interface DockerDoorConfig {
  /** Roles that this door acts for. What belongs to other roles is neither shown nor touched. */
  readonly roles: readonly string[]
  /** Role of a volume that names none; the first of `roles` if not given. */
  readonly defaultRole?: string | undefined
  /** Hours that a removed volume can be had back; 24 if not given, 0 deletes at once. */
  readonly trashHours?: number | undefined
  /** Size of a volume that names none, MiB; 16 GiB if not given. */
  readonly defaultSizeMiB?: number | undefined
  /** Pool of volumes that name none; chosen by the controller if not given. */
  readonly pool?: string | undefined
  /** Filesystem of volumes that name none; ext4 if not given. */
  readonly fs?: Exclude<VolumeFs, 'raw'> | undefined
  /** Docker's own API socket, to find mounts whose Unmount was skipped. Only if one dockerd alone uses this door. */
  readonly api?: string | undefined
  /** How long Create and Mount take at most, ms; 100 s if not given, because Docker gives up after 120. */
  readonly answerMs?: number | undefined
  /** Age in ms below which a mount is never taken for a skipped Unmount; 60 s if not given. */
  readonly graceMs?: number | undefined
  /** Time between two looks for skipped Unmounts, ms; 30 s if not given. */
  readonly lookMs?: number | undefined
}

export interface DoorSettings {
  readonly roles: readonly string[]
  readonly defaultRole: string
  readonly trashSeconds: number
  readonly defaultSizeMiB: number
  readonly pool: string | undefined
  readonly fs: Exclude<VolumeFs, 'raw'> | undefined
  readonly api: string | undefined
  readonly answerMs: number
  readonly graceMs: number
  readonly lookMs: number
}

/** Checks a configuration and fills in what it leaves out. @throws invalid_option, invalid_name */
export function doorSettings(config: DockerDoorConfig): DoorSettings {
  const { roles, trashHours = 24 } = config
  const [first] = roles
  if (first === undefined) throw wrong('roles must name at least one role')
  const { defaultRole = first } = config
  for (const role of roles) checkRole(role)
  if (!roles.includes(defaultRole)) throw wrong(`the default role ${defaultRole} is not among its roles`)
  if (!(trashHours >= 0 && trashHours <= 24 * 366)) throw wrong('trashHours must be from 0 (delete at once) to 8784')
  return {
    roles,
    defaultRole,
    trashSeconds: Math.ceil(trashHours * 3600),
    defaultSizeMiB: config.defaultSizeMiB ?? 16 * 1024,
    pool: config.pool,
    fs: config.fs,
    api: config.api,
    answerMs: config.answerMs ?? 100_000,
    graceMs: config.graceMs ?? 60_000,
    lookMs: config.lookMs ?? 30_000,
  }
}

function wrong(why: string): HoldfastError {
  return new HoldfastError('invalid_option', `Docker door: ${why}`)
}
