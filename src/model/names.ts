import { HoldfastError } from './errors.ts'
import { quote } from './units.ts'

/** Names of volumes, pool parts, nodes, profiles. */
export const NAME_PATTERN = '^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$'
/** `type~instance~pool`. */
export const POOL_NAME_PATTERN = '^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}(~[A-Za-z0-9][A-Za-z0-9_.-]{0,62}){2}$'
/**
 * Roles by Mesos' rules (docs/roles.md, "Invalid Role Names"): no empty part, no `.` or `..`, no leading `-`, no
 * blanks, backspace or slash inside a part; parts are joined by `/`. `*` owns nothing here. Kept to printable ASCII.
 */
export const ROLE_PATTERN = '^(?!\\*$)(?!-)(?!\\.{1,2}(/|$))[!-.0-~]+(/(?!-)(?!\\.{1,2}(/|$))[!-.0-~]+)*$'

export const DEFAULT_ROLE = 'default'

const nameRegExp = new RegExp(NAME_PATTERN)
const poolNameRegExp = new RegExp(POOL_NAME_PATTERN)
const roleRegExp = new RegExp(ROLE_PATTERN)

export function isName(text: string): boolean {
  return nameRegExp.test(text)
}

/** @throws invalid_name */
export function checkName(what: string, text: string): string {
  if (isName(text)) return text
  throw new HoldfastError(
    'invalid_name',
    `${what} ${quote(text)}: a name starts with a letter or digit and has at most 63 letters, digits, "_", "." or "-"`,
  )
}

/** @throws invalid_name */
export function checkRole(text: string): string {
  if (text.length <= 255 && roleRegExp.test(text)) return text
  throw new HoldfastError(
    'invalid_name',
    `role ${quote(text)}: parts joined by "/" without blanks, none of them empty, ".", ".." or starting with "-"; "*" owns nothing`,
  )
}

export interface PoolTuple {
  readonly type: string
  readonly instance: string
  readonly pool: string
}

/** Reads `type~instance~pool`. @throws invalid_name */
export function parsePoolName(text: string): PoolTuple {
  if (!poolNameRegExp.test(text)) {
    throw new HoldfastError(
      'invalid_name',
      `pool ${quote(text)}: a pool is written type~instance~pool, e.g. scaleio~row8~pool-hdd`,
    )
  }
  const [type = '', instance = '', pool = ''] = text.split('~')
  return { type, instance, pool }
}

export function formatPoolName(tuple: PoolTuple): string {
  return `${tuple.type}~${tuple.instance}~${tuple.pool}`
}

/** A role and its ancestors, itself first: `ads/web` → `ads/web`, `ads`. A child is charged to its parents too. */
export function roleAndAncestors(role: string): string[] {
  const roles = [role]
  for (let slash = role.lastIndexOf('/'); slash > 0; slash = role.lastIndexOf('/', slash - 1)) {
    roles.push(role.slice(0, slash))
  }
  return roles
}
