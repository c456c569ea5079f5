import { HoldfastError } from '../../model/errors.ts'
import { checkRole } from '../../model/names.ts'
import type { VolumeFs } from '../../model/volume.ts'

export interface ControllerConfig {
  /** Roles that this door acts for. What belongs to other roles is neither shown nor touched. */
  readonly roles: readonly string[]
  /** Role of a volume whose parameters name none; the first of `roles` if not given. */
  readonly defaultRole?: string | undefined
  /** Hours that a deleted volume can be had back; 0, the default, deletes at once. */
  readonly trashHours?: number | undefined
  /** Size of a volume that is asked for without one, MiB; 16 GiB if not given. */
  readonly defaultSizeMiB?: number | undefined
  /** Pool of volumes whose parameters name none; chosen by the controller if not given. */
  readonly pool?: string | undefined
  /** Filesystem of mounted volumes that ask for none; ext4 if not given. */
  readonly fs?: Exclude<VolumeFs, 'raw'> | undefined
  /** How long a call takes at most when its caller does not say, ms; 50 s if not given. */
  readonly answerMs?: number | undefined
}

export interface ControllerSettings {
  readonly roles: readonly string[]
  readonly defaultRole: string
  readonly trashSeconds: number
  readonly defaultSizeMiB: number
  readonly pool: string | undefined
  readonly fs: Exclude<VolumeFs, 'raw'>
  readonly answerMs: number
}

/** Checks a configuration and fills in what it leaves out. @throws invalid_option, invalid_name */
export function controllerSettings(config: ControllerConfig): ControllerSettings {
  const { roles, trashHours = 0, defaultSizeMiB = 16 * 1024, pool, fs = 'ext4', answerMs = 50_000 } = config
  const [first] = roles
  if (first === undefined) throw wrong('roles must name at least one role')
  for (const role of roles) checkRole(role)
  const { defaultRole = first } = config
  if (!roles.includes(defaultRole)) throw wrong(`the default role ${defaultRole} is not among its roles`)
  if (!(trashHours >= 0 && trashHours <= 24 * 366)) throw wrong('trashHours must be from 0 (delete at once) to 8784')
  return { roles, defaultRole, trashSeconds: Math.ceil(trashHours * 3600), defaultSizeMiB, pool, fs, answerMs }
}

function wrong(why: string): HoldfastError {
  return new HoldfastError('invalid_option', `CSI door: ${why}`)
}
