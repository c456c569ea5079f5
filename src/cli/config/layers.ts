import { HoldfastError } from '../../model/errors.ts'
import type { Field, Fields, Section } from './fields.ts'

/** A value as somebody gave it, and where: `HOLDFAST_API`, `--listen`, `/etc/holdfast/config.yaml:3:8`. */
export interface Given {
  readonly value: unknown
  readonly origin: string
}

/** Values by path, e.g. `controller.tls.cert`. */
export type Layer = ReadonlyMap<string, Given>

/** Every setting of the schema with its path; a section that can be off counts as a setting too. */
export function* settings(
  fields: Fields,
  prefix = '',
): Generator<[path: string, setting: Field<unknown> | Section<Fields>]> {
  for (const [key, each] of Object.entries(fields)) {
    const path = prefix + key
    if (each.kind === 'field' || each.canBeOff) yield [path, each]
    if (each.kind === 'section') yield* settings(each.fields, `${path}.`)
  }
}

/** `client.tokenFile` → `HOLDFAST_TOKEN_FILE`, `node.mountRoot` → `HOLDFAST_NODE_MOUNT_ROOT`. */
export function environmentName(path: string): string {
  const words = path.replace(/^client\./, '').replace(/([A-Z])/g, '_$1')
  return `HOLDFAST_${words.replaceAll('.', '_').toUpperCase()}`
}

export function environmentLayer(fields: Fields, environment: NodeJS.ProcessEnv): Layer {
  const layer = new Map<string, Given>()
  for (const [path] of settings(fields)) {
    const origin = environmentName(path)
    const value = environment[origin]
    if (value !== undefined && value !== '') layer.set(path, { value, origin })
  }
  return layer
}

export interface Built {
  readonly config: unknown
  /** Where each setting that was given came from. */
  readonly origins: ReadonlyMap<string, string>
}

/** Reads every setting from the last layer that has it. @throws invalid_option with a line for everything wrong */
export function build(fields: Fields, layers: readonly Layer[]): Built {
  const given = new Map<string, Given>(layers.flatMap((layer) => [...layer]))
  const wrong: string[] = []
  const read = (inner: Fields, prefix: string): Record<string, unknown> => {
    const values: Record<string, unknown> = {}
    for (const [key, each] of Object.entries(inner)) {
      const path = prefix + key
      values[key] = each.kind === 'field' ? one(each, path) : whole(each, path)
    }
    return values
  }
  const one = (field: Field<unknown>, path: string): unknown => {
    const found = given.get(path)
    if (found === undefined) return field.fallback
    try {
      return field.read(found.value)
    } catch (thrown) {
      wrong.push(`${found.origin}: ${path}: ${(thrown as Error).message}`)
      return field.fallback
    }
  }
  const isGiven = (path: string) => [...given.keys()].some((each) => each.startsWith(`${path}.`))
  const whole = (inner: Section<Fields>, path: string): unknown => {
    const found = inner.canBeOff ? given.get(path) : undefined
    if (found !== undefined) {
      const text = String(found.value)
      if (text !== 'true' && text !== 'false') wrong.push(`${found.origin}: ${path}: must be a map, true or false`)
      if (text === 'false') return false
    } else if (!inner.on && !isGiven(path)) return false
    return read(inner.fields, `${path}.`)
  }
  const config = read(fields, '')
  if (wrong.length > 0) throw new HoldfastError('invalid_option', wrong.join('\n'))
  return { config, origins: new Map([...given].map(([path, { origin }]) => [path, origin])) }
}
