import { ID_PATTERN } from '../../model/ids.ts'
import { NAME_PATTERN, POOL_NAME_PATTERN, ROLE_PATTERN } from '../../model/names.ts'
import { formatCount } from '../../model/units.ts'

/** As much of JSON Schema as our schemas use. */
export interface JsonSchema {
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly string[]
  readonly propertyNames?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  /** Only in the schemas of the model; here it is said with `propertyNames`. */
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: boolean | JsonSchema
  readonly items?: JsonSchema
  readonly required?: readonly string[]
  readonly pattern?: string
  readonly format?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly minProperties?: number
  readonly maxProperties?: number
  readonly $ref?: string
  readonly [other: string]: unknown
}

/** Printable text: no control characters. */
export const PRINTABLE_PATTERN = '^[^\\u0000-\\u001f\\u007f]*$'
export const PATH_PATTERN = '^/[^\\u0000-\\u001f\\u007f]*$'
/** RFC 3339 in UTC. */
export const TIME_PATTERN = '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,9})?Z$'

const PATTERNS: Readonly<Record<string, string>> = {
  [NAME_PATTERN]: 'a name: a letter or digit, then at most 62 letters, digits, "_", "." or "-"',
  [POOL_NAME_PATTERN]: 'a pool name: type~instance~pool, e.g. scaleio~row8~pool-hdd',
  [ROLE_PATTERN]: 'a role: parts joined by "/" without blanks, none of them ".", ".." or starting with "-"; not "*"',
  [ID_PATTERN]: 'an id',
  [PRINTABLE_PATTERN]: 'text without control characters',
  [PATH_PATTERN]: 'an absolute path without control characters',
  [TIME_PATTERN]: 'a time such as 2026-01-31T12:00:00Z',
}

/** The part of a schema that a path of keys and indexes leads to. */
export function schemaAt(schema: JsonSchema, path: readonly string[]): JsonSchema | undefined {
  let at: JsonSchema | undefined = schema
  for (const key of path) {
    if (at === undefined) return undefined
    at = property(at, key) ?? at.items
  }
  return at
}

function property({ properties, additionalProperties }: JsonSchema, key: string): JsonSchema | undefined {
  if (properties !== undefined && Object.hasOwn(properties, key)) return properties[key]
  return typeof additionalProperties === 'object' ? additionalProperties : undefined
}

/** What a schema asks for, in words: `a whole number from 1 to 8,796,093,022,208`. */
export function describe(schema: JsonSchema): string {
  if (schema.enum !== undefined) return `one of ${schema.enum.map((each) => JSON.stringify(each)).join(', ')}`
  if (schema.anyOf !== undefined) return describeUnion(schema.anyOf)
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.pattern !== undefined) return PATTERNS[schema.pattern] ?? `text that matches ${schema.pattern}`
  switch (schema.type) {
    case 'integer':
      return `a whole number${range(schema)}`
    case 'number':
      return `a number${range(schema)}`
    case 'string':
      return `text${lengths(schema.minLength, schema.maxLength, 'characters')}`
    case 'array':
      return `a list${lengths(schema.minItems, schema.maxItems, 'items')}`
    case 'object':
      return `an object${lengths(schema.minProperties, schema.maxProperties, 'fields')}`
    case 'boolean':
      return 'true or false'
    default:
      return schema.type ?? 'acceptable'
  }
}

function describeUnion(members: readonly JsonSchema[]): string {
  const words = members.map(describe)
  return members.every((each) => each.const !== undefined) ? `one of ${words.join(', ')}` : words.join(' or ')
}

function range({ minimum, maximum }: JsonSchema): string {
  if (minimum !== undefined && maximum !== undefined) return ` from ${formatCount(minimum)} to ${formatCount(maximum)}`
  if (minimum !== undefined) return ` of at least ${formatCount(minimum)}`
  return maximum === undefined ? '' : ` of at most ${formatCount(maximum)}`
}

function lengths(min: number | undefined, max: number | undefined, unit: string): string {
  if (min !== undefined && max !== undefined) return min === max ? ` of ${min} ${unit}` : ` of ${min} to ${max} ${unit}`
  if (max !== undefined) return ` of at most ${max} ${unit}`
  return min === undefined ? '' : ` of at least ${min} ${unit}`
}
