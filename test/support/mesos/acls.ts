/** The local authorizer (Mesos src/authorizer/local/authorizer.cpp): the first entry that matches decides. */
import { printJson } from './print.ts'
import { reservedTo } from './resources.ts'
import type { Resource } from './types.ts'

interface Entity {
  readonly type?: 'SOME' | 'ANY' | 'NONE'
  readonly values?: readonly string[]
}

type Entry = Readonly<Record<string, Entity | undefined>>

export type Action = 'RESERVE_RESOURCES' | 'UNRESERVE_RESOURCES' | 'CREATE_VOLUME' | 'DESTROY_VOLUME'

/** Where the ACLs of an action are, and what they name besides principals. */
const KINDS: Readonly<Record<Action, { readonly list: string; readonly object: string }>> = {
  RESERVE_RESOURCES: { list: 'reserve_resources', object: 'roles' },
  UNRESERVE_RESOURCES: { list: 'unreserve_resources', object: 'reserver_principals' },
  CREATE_VOLUME: { list: 'create_volumes', object: 'roles' },
  DESTROY_VOLUME: { list: 'destroy_volumes', object: 'creator_principals' },
}

export class Authorizer {
  readonly #acls: Readonly<Record<string, unknown>>

  /** @param acls the JSON of the master's flag --acls */
  constructor(acls: unknown) {
    this.#acls = typeof acls === 'object' && acls !== null ? (acls as Record<string, unknown>) : {}
  }

  /** @returns undefined when allowed, else the sentence of the refusal */
  refusal(principal: string | undefined, action: Action, resource: Resource): string | undefined {
    const value = objectOf(action, resource)
    if (this.#allows(principal, action, value)) return undefined
    const object = value === undefined ? '' : `"value":${JSON.stringify(value)},`
    return `Principal '${principal ?? ''}' no authorized to perform action ${action} on object {${object}"resource":${printJson(resource)}}`
  }

  #allows(principal: string | undefined, action: Action, value: string | undefined): boolean {
    const { list, object } = KINDS[action]
    const entries = (this.#acls[list] ?? []) as readonly Entry[]
    for (const entry of entries) {
      const subjects = entry.principals ?? {}
      const objects = entry[object] ?? {}
      if (!matches(principal, subjects) || !matches(value, objects)) continue
      return allows(principal, subjects) && allows(value, objects)
    }
    return this.#acls.permissive !== false
  }
}

function objectOf(action: Action, resource: Resource): string | undefined {
  if (action === 'DESTROY_VOLUME') return resource.disk?.persistence?.principal
  if (action === 'UNRESERVE_RESOURCES') return resource.reservations?.at(-1)?.principal
  return reservedTo(resource)
}

function typeOf(entity: Entity): 'SOME' | 'ANY' | 'NONE' {
  return entity.type ?? 'SOME'
}

function matches(value: string | undefined, entity: Entity): boolean {
  const type = typeOf(entity)
  if (type !== 'SOME') return true
  return value !== undefined && covers(entity, value)
}

function allows(value: string | undefined, entity: Entity): boolean {
  const type = typeOf(entity)
  if (type !== 'SOME') return type === 'ANY'
  return value !== undefined && covers(entity, value)
}

/** `R` is the role itself, `R/%` every role below it. */
function covers(entity: Entity, value: string): boolean {
  return (entity.values ?? []).some((held) =>
    held.endsWith('/%') ? value.startsWith(held.slice(0, -1)) : held === value,
  )
}
