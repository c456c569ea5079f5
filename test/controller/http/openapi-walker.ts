import fc from 'fast-check'

export interface Schema {
  readonly $ref?: string
  readonly type?: string
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly anyOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly items?: Schema
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly maxItems?: number
}

interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly schema: Schema
}

interface Media {
  readonly [type: string]: { readonly schema: Schema }
}

export interface Operation {
  readonly method: string
  readonly path: string
  readonly parameters: readonly Parameter[]
  readonly body: Schema | undefined
  readonly responses: Readonly<Record<string, { readonly content?: Media }>>
}

export interface Document {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

export function operations(document: Document): Operation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) => {
      const {
        parameters = [],
        requestBody,
        responses,
      } = described as {
        parameters?: Parameter[]
        requestBody?: { content: Media }
        responses: Operation['responses']
      }
      const body = requestBody?.content['application/json']?.schema
      return { method: method.toUpperCase(), path, parameters, body, responses }
    }),
  )
}

/** A schema with everything it refers to put in its place. @throws for a reference to nothing */
export function resolve(document: Document, schema: Schema): Schema {
  return JSON.parse(JSON.stringify(schema), (_key, value) => {
    if (typeof value?.$ref !== 'string') return value
    const name = value.$ref.replace('#/components/schemas/', '')
    const found = document.components.schemas[name]
    if (found === undefined) throw new Error(`${value.$ref} refers to nothing`)
    return resolve(document, found)
  }) as Schema
}

/** What is known of the things that are there, so that some requests find them. */
export interface Hints {
  /** Texts that may be the name or id of something. */
  readonly names: () => readonly string[]
  /** A good value for a field of this name, if there is one. */
  readonly field: (key: string) => unknown
}

/** Values that a schema allows, for the most part. */
export function valueFor(schema: Schema, hints: Hints): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map((each) => valueFor(each, hints)))
  switch (schema.type) {
    case 'integer':
    case 'number':
      return fc.oneof(
        fc.integer({ min: Math.ceil(schema.minimum ?? 0), max: Math.min(schema.maximum ?? 1000, 1000) }),
        fc.constantFrom(schema.minimum ?? 0, schema.maximum ?? 5),
      )
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    case 'array':
      return fc.array(valueFor(schema.items ?? {}, hints), { minLength: schema.minItems ?? 0, maxLength: 3 })
    case 'object':
      return objectOf(schema, hints)
    default:
      return textOf(schema, hints)
  }
}

function textOf(schema: Schema, hints: Hints): fc.Arbitrary<unknown> {
  const known = fc.nat().map((index) => hints.names()[index % hints.names().length])
  const special = ['2099-01-01T00:00:00Z', '0'.repeat(64), '/mnt/x', crypto.randomUUID(), 'loop~fuzz~p', 'a/b'].filter(
    (text) => (schema.pattern === undefined ? true : new RegExp(schema.pattern).test(text)),
  )
  const fresh = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/)
  return fc.oneof(known, fresh, ...(special.length > 0 ? [fc.constantFrom(...special)] : []))
}

function objectOf(schema: Schema, hints: Hints): fc.Arbitrary<unknown> {
  const fields = Object.entries(schema.properties ?? {}).map(([key, each]) =>
    fieldOf(key, each, schema.required?.includes(key) === true, hints).map((value) => [key, value] as const),
  )
  const record = fc
    .tuple(...fields)
    .map((pairs) => Object.fromEntries(pairs.filter(([, value]) => value !== undefined)))
  if (typeof schema.additionalProperties !== 'object') return record
  return fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), valueFor(schema.additionalProperties, hints), { maxKeys: 3 })
}

/** A field's value: often the one that is known to be good, seldom there at all if it need not be. */
export function fieldOf(key: string, schema: Schema, required: boolean, hints: Hints): fc.Arbitrary<unknown> {
  const any = valueFor(schema, hints)
  const good = fc.constant(0).map(() => hints.field(key))
  const value =
    hints.field(key) === undefined ? any : fc.oneof({ arbitrary: good, weight: 6 }, { arbitrary: any, weight: 1 })
  if (required) return value
  return fc.oneof({ arbitrary: fc.constant(undefined), weight: 4 }, { arbitrary: value, weight: 1 })
}

const JUNK = [
  null,
  '',
  -1,
  0,
  1.5,
  1e30,
  true,
  [],
  {},
  'x'.repeat(5000),
  '\u0000',
  '../..',
  '$(id)',
  '🙂',
  '__proto__',
  [[[]]],
  { a: { b: 1 } },
]

/** The same value with something wrong in it. */
export function broken(value: unknown): fc.Arbitrary<unknown> {
  const junk = fc.constantFrom<unknown>(...JUNK)
  if (value === null || typeof value !== 'object') return junk
  const keys = Object.keys(value)
  const replaced = (key: string, by: unknown) =>
    Array.isArray(value) ? value.map((each, index) => (String(index) === key ? by : each)) : { ...value, [key]: by }
  const ways: fc.Arbitrary<unknown>[] = [
    junk,
    fc.tuple(fc.string(), junk).map(([key, by]) => ({ ...value, [key]: by })),
  ]
  for (const key of keys) {
    ways.push(junk.map((by) => replaced(key, by)))
    ways.push(fc.constant(Object.fromEntries(Object.entries(value).filter(([each]) => each !== key))))
    const inner = (value as Record<string, unknown>)[key]
    if (inner !== null && typeof inner === 'object') ways.push(broken(inner).map((by) => replaced(key, by)))
  }
  return fc.oneof(...ways)
}
