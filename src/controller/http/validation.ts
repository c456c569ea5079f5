import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { type ErrorCode, HoldfastError } from '../../model/errors.ts'
import { isNear } from '../../model/near.ts'
import { quote } from '../../model/units.ts'
import { describe, type JsonSchema, schemaAt } from './describe-schema.ts'

export type Part = 'body' | 'query' | 'path'
export type Checked = { readonly value: unknown } | { readonly error: HoldfastError }

/** Makes a check from a schema. Nothing is converted in bodies; query and path values are read from their text. */
export function validator(schema: TSchema, part: Part): (value: unknown) => Checked {
  const compiled = Compile(schema)
  const json = schema as unknown as JsonSchema
  return (given) => {
    const value = part === 'body' ? given : fromText(json, given)
    if (compiled.Check(value)) return { value }
    const surplus = findSurplus(json, value, part)
    if (surplus !== undefined) return { error: surplus }
    return { error: firstError(json, value, part, compiled.Errors(value)) }
  }
}

/** Numbers, booleans and lists are written as text in a query. */
function fromText(schema: JsonSchema, given: unknown): unknown {
  const value: Record<string, unknown> = { ...(given as Record<string, unknown>) }
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    const text = value[key]
    if (property.type === 'array' && typeof text === 'string') value[key] = [text]
    if (typeof text !== 'string') continue
    const isNumber = property.type === 'integer' || property.type === 'number'
    if (isNumber && /^-?\d{1,16}(\.\d{1,16})?$/.test(text)) value[key] = Number(text)
    if (property.type === 'boolean' && (text === 'true' || text === 'false')) value[key] = text === 'true'
  }
  return value
}

/** A field that nothing knows comes first: it is often the misspelling of one that seems to be missing. */
function findSurplus(schema: JsonSchema, value: unknown, where: string): HoldfastError | undefined {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      const found = schema.items === undefined ? undefined : findSurplus(schema.items, item, `${where}[${index}]`)
      if (found !== undefined) return found
    }
    return undefined
  }
  if (value === null || typeof value !== 'object' || schema.type !== 'object') return undefined
  for (const [key, item] of Object.entries(value)) {
    const property = schemaAt(schema, [key])
    const found =
      property === undefined ? surplusField(schema, key, where) : findSurplus(property, item, `${where}.${key}`)
    if (found !== undefined) return found
  }
  return undefined
}

function surplusField(schema: JsonSchema, key: string, where: string): HoldfastError | undefined {
  if (schema.additionalProperties !== false) return undefined
  const known = Object.keys(schema.properties ?? {})
  const near = known.filter((each) => isNear(each, key))
  return new HoldfastError('invalid_option', `${where} has no field ${quote(key)}${hint(near, known)}`, {
    field: key.slice(0, 80),
    near,
  })
}

function hint(near: readonly string[], known: readonly string[]): string {
  if (near.length > 0) return `; did you mean ${near.map(quote).join(' or ')}?`
  return known.length > 0 ? `; known are ${known.join(', ')}` : '; there are none'
}

interface SchemaError {
  readonly keyword: string
  readonly instancePath: string
  readonly params: object
  readonly message: string
}

function firstError(schema: JsonSchema, value: unknown, part: Part, errors: readonly SchemaError[]): HoldfastError {
  const error =
    errors.find(({ keyword }) => keyword === 'required') ??
    errors.find(({ keyword }) => keyword === 'propertyNames') ??
    errors[0]
  if (error === undefined) return new HoldfastError('invalid_request', `${part}: not acceptable`)
  const path = error.instancePath.split('/').slice(1).map(unescapePointer)
  const where = placeName(part, path)
  if (error.keyword === 'required') {
    const { requiredProperties = [] } = error.params as { requiredProperties?: string[] }
    const missing = requiredProperties.filter((name) => !Object.hasOwn(Object(valueAt(value, path)), name))
    return new HoldfastError('invalid_request', `${where}: ${missing.join(', ')} must be given`, { missing })
  }
  const wanted = schemaAt(schema, path)
  if (error.keyword === 'propertyNames' && wanted?.propertyNames !== undefined) {
    return badKey(where, Object(valueAt(value, path)), wanted.propertyNames)
  }
  const sentence =
    wanted === undefined
      ? `${where} ${error.message}`
      : `${where}: ${shown(valueAt(value, path))} is not ${describe(wanted)}`
  return new HoldfastError(codeOf(path.at(-1), error.keyword), sentence, { where })
}

function badKey(where: string, map: object, names: JsonSchema): HoldfastError {
  const pattern = new RegExp(names.pattern ?? '')
  const key = Object.keys(map).find((each) => !pattern.test(each)) ?? ''
  return new HoldfastError('invalid_option', `${where}: the key ${quote(key)} is not ${describe(names)}`)
}

function codeOf(key: string | undefined, keyword: string): ErrorCode {
  if (key?.endsWith('MiB') === true) return 'invalid_size'
  if (keyword !== 'type' && (key === 'name' || key === 'role' || key === 'driver')) return 'invalid_name'
  return keyword === 'type' ? 'invalid_request' : 'invalid_option'
}

/** `body.volumes[0].sizeMiB` */
function placeName(part: Part, path: readonly string[]): string {
  return path.reduce((where, key) => (/^\d+$/.test(key) ? `${where}[${key}]` : `${where}.${key}`), part as string)
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], value)
}

function shown(value: unknown): string {
  if (typeof value === 'string') return quote(value)
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (value !== null && typeof value === 'object') return 'an object'
  return value === undefined ? 'nothing' : String(value)
}

function unescapePointer(text: string): string {
  return text.replaceAll('~1', '/').replaceAll('~0', '~')
}
