import { HoldfastError } from '../../model/errors.ts'
import { DEFAULT_ROLE } from '../../model/names.ts'
import type { TokenRole } from '../../model/token.ts'
import { quote } from '../../model/units.ts'

/** Doors that nodes, and operators, may speak for. */
export const DOORS = ['rest', 'docker', 'csi', 'mesos', 'dvdcli'] as const
export type Door = (typeof DOORS)[number]

/** Who makes a request, as its token says. */
export interface Caller {
  readonly tokenRole: TokenRole
  /** `admin`, `token tok-…`, `node node-1`. */
  readonly principal: string
  readonly door: Door
  /** Mesos roles that it may act for; undefined: any. */
  readonly roles: readonly string[] | undefined
  readonly nodeId: string | undefined
  /** The token's id; undefined for the admin's, which is in no record. */
  readonly tokenId: string | undefined
}

/** Who asks, for the history. */
export function actorOf(caller: Caller): string {
  return caller.door === 'rest' ? caller.principal : `${caller.principal} via ${caller.door}`
}

export function mayUse(caller: Caller, role: string): boolean {
  return caller.roles === undefined || caller.roles.includes(role)
}

/** @throws role_not_allowed */
export function requireRole(caller: Caller, role: string, what: string): void {
  if (mayUse(caller, role)) return
  const may = caller.roles?.join(', ')
  throw new HoldfastError('role_not_allowed', `${what}: this token acts for ${may}, not for the role concerned`)
}

/** The role that a request is for when it names none: the only one of the token, else `default`. */
export function roleFor(caller: Caller, asked: string | undefined): string {
  const role = asked ?? (caller.roles?.length === 1 ? caller.roles[0] : undefined) ?? DEFAULT_ROLE
  requireRole(caller, role, `role ${quote(role)}`)
  return role
}

/** Who may use a route. */
export type Access = 'open' | 'join' | readonly TokenRole[]

export const READ: Access = ['admin', 'operator', 'reader']
/** Reading what doors need too. */
export const READ_DOORS: Access = ['admin', 'operator', 'reader', 'node']
/** Reading what has an owner: frameworks see their own. */
export const READ_OWNED: Access = ['admin', 'operator', 'reader', 'framework']
export const READ_ALL: Access = ['admin', 'operator', 'reader', 'framework', 'node']
export const OPERATE: Access = ['admin', 'operator']
export const OPERATE_DOORS: Access = ['admin', 'operator', 'node']
/** Changing what has an owner: frameworks change their own. */
export const OWN: Access = ['admin', 'operator', 'framework']
export const OWN_DOORS: Access = ['admin', 'operator', 'framework', 'node']
export const ADMIN: Access = ['admin']
export const NODE: Access = ['node']

/** @throws forbidden */
export function requireAccess(caller: Caller, access: readonly TokenRole[]): void {
  if (access.includes(caller.tokenRole)) return
  throw new HoldfastError(
    'forbidden',
    `this takes a token of role ${access.join(' or ')}; yours is ${caller.tokenRole}`,
  )
}
