import type { TSchema } from 'typebox'
import type { JsonSchema } from './describe-schema.ts'
import { PRINTABLE_PATTERN } from './describe-schema.ts'

/** Fields of records that are ms since 1970 inside, and RFC 3339 UTC at the REST door. */
const TIMES: ReadonlySet<string> = new Set([
  'createdAt',
  'finishedAt',
  'expiresAt',
  'purgeAt',
  'lostAt',
  'notBefore',
  'deadlineAt',
  'since',
  'at',
])

/** ms since 1970 → RFC 3339 UTC. A time beyond what dates can hold is shown as the last one they can. */
export function formatTime(ms: number): string {
  return new Date(Math.min(ms, 8.64e15)).toISOString()
}

/** A record with its times as they are shown. */
export function withTimes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withTimes)
  if (value === null || typeof value !== 'object') return value
  const shown: Record<string, unknown> = {}
  for (const [key, each] of Object.entries(value)) {
    shown[key] = typeof each === 'number' && TIMES.has(key) ? formatTime(each) : withTimes(each)
  }
  return shown
}

/** The schema of a record as it is shown: times as text, nothing unnamed. */
export function shownSchema(schema: TSchema | JsonSchema): JsonSchema {
  return transform(schema as JsonSchema, (key, property) =>
    key !== undefined && TIMES.has(key) && property.type === 'integer'
      ? { type: 'string', format: 'date-time' }
      : property,
  )
}

/** The schema of a body or query: nothing unnamed is taken, and no free text with control characters. */
export function bodySchema<S extends TSchema>(schema: S): S {
  const free = (property: JsonSchema) =>
    property.type === 'string' && property.pattern === undefined && property.enum === undefined
  return transform(schema as unknown as JsonSchema, (_key, property) =>
    free(property) ? { ...property, pattern: PRINTABLE_PATTERN } : property,
  ) as unknown as S
}

type Change = (key: string | undefined, schema: JsonSchema) => JsonSchema

function transform(schema: JsonSchema, change: Change, key?: string): JsonSchema {
  const { properties, patternProperties, items, anyOf, ...rest } = schema
  const closed = rest.type === 'object' && rest.additionalProperties === undefined
  return change(key, {
    ...rest,
    ...(properties === undefined ? {} : { properties: each(properties, change) }),
    ...(items === undefined ? {} : { items: transform(items, change) }),
    ...(anyOf === undefined ? {} : union(anyOf, change)),
    ...(closed ? { additionalProperties: false } : {}),
    ...(patternProperties === undefined ? {} : map(patternProperties, change)),
  })
}

/** A choice of constants is an enumeration. */
function union(members: readonly JsonSchema[], change: Change): JsonSchema {
  const constants = members.map((member) => member.const)
  if (constants.every((each) => typeof each === 'string')) return { type: 'string', enum: constants }
  return { anyOf: members.map((member) => transform(member, change)) }
}

/** A map with a pattern for its keys, in the form that OpenAPI tools know. */
function map(patternProperties: Readonly<Record<string, JsonSchema>>, change: Change): JsonSchema {
  const [[pattern, value] = ['', {}]] = Object.entries(patternProperties)
  return { propertyNames: { type: 'string', pattern }, additionalProperties: transform(value, change) }
}

function each(schemas: Readonly<Record<string, JsonSchema>>, change: Change): Record<string, JsonSchema> {
  return Object.fromEntries(Object.entries(schemas).map(([key, schema]) => [key, transform(schema, change, key)]))
}
