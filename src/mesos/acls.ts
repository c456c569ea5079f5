import { HoldfastError } from '../model/errors.ts'
import { checkRole } from '../model/names.ts'
import { quote } from '../model/units.ts'
import { type AclEntity, type AclRules, aclRules, GUARDED, type GuardedAction, isAllowed } from './acl-rules.ts'
import { isObject } from './json.ts'

export interface AclWishes {
  /** Of all reservations and volumes that Holdfast makes. */
  readonly principal: string
  /** Mesos roles to which Holdfast shows capacity or volumes. */
  readonly roles: readonly string[]
  /** Those of them whose frameworks may make persistent volumes themselves, as volumes with `float: false` need. */
  readonly createAllowedRoles?: readonly string[]
  /** Those of them that take capacity which is not reserved yet, and so may reserve it for the role itself. */
  readonly reserveAllowedRoles?: readonly string[]
}

/** The part of a master's `--acls` that protects provider resources; every rule forbids, to everybody. */
export interface RequiredAcls {
  readonly permissive: true
  readonly destroy_volumes: readonly Rule<'creator_principals'>[]
  readonly unreserve_resources: readonly Rule<'reserver_principals'>[]
  readonly reserve_resources?: readonly Rule<'roles'>[]
  readonly create_volumes?: readonly Rule<'roles'>[]
}

type Rule<Objects extends string> = { readonly principals: AclEntity } & Readonly<Record<Objects, AclEntity>>

const NOBODY: AclEntity = { type: 'NONE' }

/**
 * What a master must forbid so that no framework undoes, by operations that a provider cannot refuse, what the provider
 * shows: DESTROY and UNRESERVE of anything that `principal` made, RESERVE for the roles and below, CREATE for the roles.
 * The price: frameworks of these roles reserve and create on the agents' own disks only through an operator, too.
 * @throws invalid_name, invalid_option
 */
export function requiredAcls(wishes: AclWishes): RequiredAcls {
  const { principal, roles, createAllowedRoles = [], reserveAllowedRoles = [] } = wishes
  if (principal === '') throw new HoldfastError('invalid_option', 'ACLs: the principal is empty')
  const names = [...new Set(roles.map(checkRole))].sort()
  checkAmong(names, createAllowedRoles, 'create volumes')
  checkAmong(names, reserveAllowedRoles, 'reserve')
  const reserved = names.flatMap((role) => [...(reserveAllowedRoles.includes(role) ? [] : [role]), `${role}/%`])
  const creating = names.filter((role) => !createAllowedRoles.includes(role))
  return {
    permissive: true,
    destroy_volumes: [{ principals: NOBODY, creator_principals: { values: [principal] } }],
    unreserve_resources: [{ principals: NOBODY, reserver_principals: { values: [principal] } }],
    ...(reserved.length === 0 ? {} : { reserve_resources: [{ principals: NOBODY, roles: { values: reserved } }] }),
    ...(creating.length === 0 ? {} : { create_volumes: [{ principals: NOBODY, roles: { values: creating } }] }),
  }
}

function checkAmong(roles: readonly string[], allowed: readonly string[], what: string): void {
  const foreign = allowed.find((role) => !roles.includes(role))
  if (foreign === undefined) return
  throw new HoldfastError('invalid_option', `ACLs: ${quote(foreign)} may ${what}, but is none of the roles`)
}

/**
 * An ACL file with these rules in it. They go before the others of their kind, since Mesos takes the first rule that
 * matches; everything else stays as it is. Doing it twice changes nothing.
 * @param existing the JSON of the file; undefined: there is none
 * @throws invalid_option for a file that is not understood, rather than to damage it
 */
export function mergeAcls(existing: unknown, required: RequiredAcls): Readonly<Record<string, unknown>> {
  if (existing === undefined) return { ...required }
  aclRules(existing)
  if (!isObject(existing)) throw new HoldfastError('invalid_option', 'ACLs: they should be a JSON object')
  const odd = Object.keys(existing).find((name) => name !== 'permissive' && !Array.isArray(existing[name]))
  if (odd !== undefined) throw new HoldfastError('invalid_option', `ACLs: ${quote(odd)} should be a list`)
  const merged: Record<string, unknown> = { ...existing }
  for (const action of actions()) {
    const ours: readonly object[] = required[action] ?? []
    const others = (existing[action] ?? []) as readonly unknown[]
    const isOurs = (rule: unknown) => ours.some((each) => sameRule(action, each, rule))
    if (ours.length > 0) merged[action] = [...ours, ...others.filter((rule) => !isOurs(rule))]
  }
  return merged
}

/**
 * What these ACLs leave open of what should be forbidden, in sentences; empty: nothing. It does not matter how they
 * forbid it.
 */
export function coveredBy(acls: AclRules, required: RequiredAcls): string[] {
  const wanted = aclRules(required)
  return actions().flatMap((action) => {
    const objects = wanted.rules[action].flatMap((rule) => rule.objects.values ?? [])
    return objects.flatMap((object) => {
      const who = allowed(acls, action, object)
      return who === undefined ? [] : [`${who} may ${SENTENCES[action](object)}`]
    })
  })
}

const SENTENCES: Readonly<Record<GuardedAction, (object: string) => string>> = {
  destroy_volumes: (object) => `destroy volumes that the principal ${quote(object)} created`,
  unreserve_resources: (object) => `unreserve what the principal ${quote(object)} reserved`,
  reserve_resources: (object) => `reserve resources for ${roleWords(object)}`,
  create_volumes: (object) => `create persistent volumes for ${roleWords(object)}`,
}

function roleWords(object: string): string {
  return object.endsWith('/%') ? `roles below ${quote(object.slice(0, -2))}` : `the role ${quote(object)}`
}

/** Stands for every principal, or part of a role, that no rule mentions. No rule can: it has a blank in it. */
const OTHER = 'any other'

/** Who is allowed it; undefined: nobody. Rules can only tell apart what they mention, so that is what is tried. */
function allowed(acls: AclRules, action: GuardedAction, object: string): string | undefined {
  const rules = acls.rules[action]
  const mentioned = [...new Set(rules.flatMap((rule) => rule.principals.values ?? []))]
  const objects = object.endsWith('/%') ? rolesBelow(acls, action, object.slice(0, -1)) : [object]
  const may = (principal: string) => objects.some((each) => isAllowed(acls, action, principal, each))
  // who is not authenticated fares as a principal that no rule mentions
  if (may(OTHER)) return 'everybody'
  const names = mentioned.filter(may).map((principal) => `the principal ${quote(principal)}`)
  return names.length === 0 ? undefined : names.join(' and ')
}

function rolesBelow(acls: AclRules, action: GuardedAction, prefix: string): string[] {
  const mentioned = acls.rules[action]
    .flatMap((rule) => rule.objects.values ?? [])
    .map((value) => (value.endsWith('/%') ? `${value.slice(0, -1)}${OTHER}` : value))
    .filter((value) => value.startsWith(prefix))
  return [...new Set([`${prefix}${OTHER}`, ...mentioned])]
}

function actions(): GuardedAction[] {
  return Object.keys(GUARDED) as GuardedAction[]
}

function sameRule(action: GuardedAction, a: unknown, b: unknown): boolean {
  const [one, other] = [a, b].map((rule) => aclRules({ [action]: [rule] }).rules[action][0])
  return JSON.stringify(one) === JSON.stringify(other)
}
