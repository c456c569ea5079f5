import { HoldfastError } from '../../model/errors.ts'
import { quote } from '../../model/units.ts'

/** One setting: how its value is read, and what it is when nobody says. */
export interface Field<T> {
  readonly kind: 'field'
  /** For the documentation. */
  readonly doc: string
  readonly fallback: T
  /** A value of YAML, or a text of the environment. @throws invalid_option saying what it must be */
  readonly read: (value: unknown) => T
}

/**
 * Settings that belong together. One that `canBeOff` may be `false` as a whole; with `on: false` it is, unless it is
 * `true` or any of its settings is given.
 */
export interface Section<F extends Fields, Off extends boolean = boolean> {
  readonly kind: 'section'
  readonly doc: string
  readonly fields: F
  readonly canBeOff: Off
  readonly on: boolean
}

export interface Fields {
  readonly [key: string]: Field<unknown> | Section<Fields>
}

/** The type of what a schema reads. */
export type Read<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends Field<infer T>
    ? T
    : F[K] extends Section<infer Inner, infer Off>
      ? Off extends true
        ? Read<Inner> | false
        : Read<Inner>
      : never
}

export function section<const F extends Fields>(doc: string, fields: F): Section<F, false> {
  return { kind: 'section', doc, fields, canBeOff: false, on: true }
}

export function sectionOrOff<const F extends Fields>(doc: string, fields: F, on = true): Section<F, true> {
  return { kind: 'section', doc, fields, canBeOff: true, on }
}

function mustBe(what: string, value: unknown): HoldfastError {
  const shown = typeof value === 'string' ? quote(value) : quote(JSON.stringify(value) ?? 'nothing')
  return new HoldfastError('invalid_option', `${shown} must be ${what}`)
}

export type Check = (text: string) => boolean

export function text<T extends string | undefined>(
  doc: string,
  fallback: T,
  what = 'a text',
  check: Check = (value) => value.length > 0 && !hasControl(value),
): Field<T | string> {
  const read = (value: unknown) => {
    if (typeof value === 'string' && check(value)) return value
    throw mustBe(what, value)
  }
  return { kind: 'field', doc, fallback, read }
}

export function choice<const V extends string>(doc: string, values: readonly V[], fallback: V): Field<V> {
  const read = (value: unknown) => {
    const found = values.find((each) => each === value)
    if (found !== undefined) return found
    throw mustBe(`one of ${values.join(', ')}`, value)
  }
  return { kind: 'field', doc, fallback, read }
}

export function flag(doc: string, fallback = false): Field<boolean> {
  const read = (value: unknown) => {
    if (value === true || value === 'true' || value === '1') return true
    if (value === false || value === 'false' || value === '0') return false
    throw mustBe('true or false', value)
  }
  return { kind: 'field', doc, fallback, read }
}

export function count(doc: string, fallback: number, least: number, most: number): Field<number> {
  const read = (value: unknown) => {
    const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value
    if (typeof number === 'number' && Number.isInteger(number) && number >= least && number <= most) return number
    throw mustBe(`a whole number from ${least} to ${most}`, value)
  }
  return { kind: 'field', doc, fallback, read }
}

export function texts(doc: string, fallback: readonly string[], what = 'a list of texts'): Field<readonly string[]> {
  const read = (value: unknown) => {
    const list = typeof value === 'string' ? value.split(',').map((each) => each.trim()) : value
    if (Array.isArray(list) && list.every((each) => typeof each === 'string' && each !== '')) return list as string[]
    throw mustBe(what, value)
  }
  return { kind: 'field', doc, fallback, read }
}

/** A map of texts; `key=value,key=value` in the environment. */
export function labels(doc: string): Field<Readonly<Record<string, string>>> {
  const read = (value: unknown) => {
    const map = typeof value === 'string' ? fromPairs(value) : value
    if (map !== null && typeof map === 'object' && !Array.isArray(map)) {
      const entries = Object.entries(map)
      if (entries.every(([, each]) => ['string', 'number', 'boolean'].includes(typeof each))) {
        return Object.fromEntries(entries.map(([key, each]) => [key, String(each)]))
      }
    }
    throw mustBe('a map of labels, like {rack: r1}', value)
  }
  return { kind: 'field', doc, fallback: {}, read }
}

function fromPairs(value: string): Record<string, string> | undefined {
  if (value === '') return {}
  const pairs = value.split(',').map((pair) => /^([^=]+)=(.*)$/s.exec(pair))
  if (pairs.includes(null)) return undefined
  return Object.fromEntries(pairs.map((match) => [match?.[1] ?? '', match?.[2] ?? '']))
}

function hasControl(value: string): boolean {
  for (let index = 0; index < value.length; index += 1) {
    const code = value.charCodeAt(index)
    if (code < 32 || code === 127) return true
  }
  return false
}

export const isPath: Check = (value) => value.startsWith('/') && !hasControl(value)

export const isHttpUrl: Check = (value) => {
  const url = URL.parse(value)
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.username === ''
}

export const isListen: Check = (value) => {
  const port = /^(?:\[[0-9a-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/i.exec(value)?.[1]
  return port !== undefined && Number(port) <= 65_535
}
