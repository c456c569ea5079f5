import { HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'
import { readAclText } from './acl-text.ts'
import { isObject } from './json.ts'

/** Who or what a rule is about. ANY and NONE match every request; SOME, which is the default, the values. */
export interface AclEntity {
  readonly type?: 'SOME' | 'ANY' | 'NONE'
  readonly values?: readonly string[]
}

/** The rules that matter to a storage provider, each with the name that its objects have in the file. */
export const GUARDED = {
  destroy_volumes: 'creator_principals',
  unreserve_resources: 'reserver_principals',
  reserve_resources: 'roles',
  create_volumes: 'roles',
} as const

export type GuardedAction = keyof typeof GUARDED

export interface AclRule {
  readonly principals: AclEntity
  readonly objects: AclEntity
}

/** What of a master's `--acls` decides over reservations and volumes. */
export interface AclRules {
  /** What holds where no rule matches; Mesos' default is true. */
  readonly permissive: boolean
  readonly rules: Readonly<Record<GuardedAction, readonly AclRule[]>>
  /** Of every action that has a rule, the others as well. */
  readonly actions: readonly string[]
}

/**
 * Reads `--acls` as a file has it (JSON), or as a master shows it in its flags, which is the text form of protobuf
 * (operator<< of ACLs, Mesos src/authorizer/acls.cpp).
 * @throws invalid_option where it cannot be understood
 */
export function readAcls(text: string): AclRules {
  return aclRules(text.trimStart().startsWith('{') ? parseJson(text) : readAclText(text))
}

/** The rules of `--acls` as JSON. @throws invalid_option where it cannot be understood */
export function aclRules(acls: unknown): AclRules {
  if (!isObject(acls)) throw wrong('they should be a JSON object')
  const { permissive = true } = acls
  if (typeof permissive !== 'boolean') throw wrong(`permissive is ${JSON.stringify(permissive)}`)
  return {
    permissive,
    actions: Object.keys(acls).filter((name) => name !== 'permissive'),
    rules: {
      destroy_volumes: readRules(acls, 'destroy_volumes'),
      unreserve_resources: readRules(acls, 'unreserve_resources'),
      reserve_resources: readRules(acls, 'reserve_resources'),
      create_volumes: readRules(acls, 'create_volumes'),
    },
  }
}

/**
 * Whether a request is allowed, as Mesos' local authorizer decides it: the first rule that matches both sides decides
 * (src/authorizer/local/authorizer.cpp).
 * @param principal undefined: the caller is not authenticated
 * @param object a principal or a role, by the action
 */
export function isAllowed(acls: AclRules, action: GuardedAction, principal: string | undefined, object: string) {
  for (const { principals, objects } of acls.rules[action]) {
    if (!matchesPrincipal(principals, principal) || !matchesObject(action, objects, object)) continue
    return principals.type !== 'NONE' && objects.type !== 'NONE'
  }
  return acls.permissive
}

function matchesPrincipal(entity: AclEntity, principal: string | undefined): boolean {
  if (isEverything(entity)) return true
  return principal !== undefined && (entity.values ?? []).includes(principal)
}

function matchesObject(action: GuardedAction, entity: AclEntity, object: string): boolean {
  if (isEverything(entity)) return true
  const values = entity.values ?? []
  if (values.includes(object)) return true
  // `ads/%` is every role below ads, but not ads itself
  const below = GUARDED[action] === 'roles' ? values.filter((value) => value.endsWith('/%')) : []
  return below.some((value) => object.startsWith(value.slice(0, -1)))
}

function isEverything({ type }: AclEntity): boolean {
  return type === 'ANY' || type === 'NONE'
}

function readRules(acls: Readonly<Record<string, unknown>>, action: GuardedAction): AclRule[] {
  const rules = acls[action] ?? []
  if (!Array.isArray(rules)) throw wrong(`${action} should be a list`)
  return rules.map((rule: unknown, index) => {
    const where = `${action}[${index}]`
    if (!isObject(rule)) throw wrong(`${where} should be an object`)
    const known = ['principals', GUARDED[action]]
    const unknown = Object.keys(rule).find((name) => !known.includes(name))
    if (unknown !== undefined) throw wrong(`${where} has ${quote(unknown)}; it should have ${known.join(' and ')}`)
    const [principals, objects] = known.map((name) => readEntity(`${where}.${name}`, rule[name]))
    return { principals: principals ?? {}, objects: objects ?? {} }
  })
}

function readEntity(where: string, entity: unknown): AclEntity {
  if (!isObject(entity)) throw wrong(`${where} is missing, or no object`)
  const { type = 'SOME', values = [] } = entity
  if (type !== 'SOME' && type !== 'ANY' && type !== 'NONE') throw wrong(`${where}.type is ${JSON.stringify(type)}`)
  if (!Array.isArray(values) || !values.every((value) => typeof value === 'string')) {
    throw wrong(`${where}.values should be a list of texts`)
  }
  const unknown = Object.keys(entity).find((name) => name !== 'type' && name !== 'values')
  if (unknown !== undefined) throw wrong(`${where} has ${quote(unknown)}; it should have type and values`)
  return { type, values }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (thrown) {
    throw wrong(`they are no JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
  }
}

function wrong(why: string): HoldfastError {
  return new HoldfastError('invalid_option', `ACLs: ${why}`)
}
