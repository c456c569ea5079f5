import { HoldfastError } from '../model/errors.ts'
import type { Resource } from './resource.ts'

/**
 * The amount of a resource. Mesos counts scalars in fixed point with three decimal digits (src/common/values.cpp);
 * so a scalar is a whole number of thousandths here, and nothing is ever lost by adding.
 */
export type Amount =
  | { readonly type: 'SCALAR'; readonly thousandths: number }
  | { readonly type: 'RANGES'; readonly ranges: readonly Range[] }
  | { readonly type: 'SET'; readonly items: ReadonlySet<string> }

/** Both ends belong to it. */
interface Range {
  readonly begin: number
  readonly end: number
}

/** @throws mesos_protocol for an amount that cannot be counted exactly */
export function amountOf(resource: Resource): Amount {
  if (resource.type === 'SCALAR') return { type: 'SCALAR', thousandths: thousandths(resource) }
  if (resource.type === 'RANGES') return { type: 'RANGES', ranges: coalesce(resource.ranges?.range ?? []) }
  return { type: 'SET', items: new Set(resource.set?.item ?? []) }
}

/** The resource with another amount. */
export function withAmount(resource: Resource, amount: Amount): Resource {
  if (amount.type === 'SCALAR') return { ...resource, scalar: { value: amount.thousandths / 1000 } }
  if (amount.type === 'RANGES') return { ...resource, ranges: { range: amount.ranges } }
  return { ...resource, set: { item: [...amount.items] } }
}

export function isEmpty(amount: Amount): boolean {
  if (amount.type === 'SCALAR') return amount.thousandths === 0
  return amount.type === 'RANGES' ? amount.ranges.length === 0 : amount.items.size === 0
}

/** Amounts of different types hold nothing of each other. */
export function holds(whole: Amount, part: Amount): boolean {
  if (whole.type === 'SCALAR') return part.type === 'SCALAR' && part.thousandths <= whole.thousandths
  if (whole.type === 'SET') return part.type === 'SET' && [...part.items].every((item) => whole.items.has(item))
  if (part.type !== 'RANGES') return false
  return part.ranges.every((inner) => whole.ranges.some(({ begin, end }) => begin <= inner.begin && inner.end <= end))
}

/** @throws mesos_protocol when the sum cannot be counted exactly */
export function sum(a: Amount, b: Amount): Amount {
  if (a.type === 'SCALAR' && b.type === 'SCALAR') {
    return { type: 'SCALAR', thousandths: exact(a.thousandths + b.thousandths, 'a sum of resources') }
  }
  if (a.type === 'RANGES' && b.type === 'RANGES') {
    return { type: 'RANGES', ranges: coalesce([...a.ranges, ...b.ranges]) }
  }
  if (a.type === 'SET' && b.type === 'SET') return { type: 'SET', items: new Set([...a.items, ...b.items]) }
  throw new HoldfastError('internal', `${a.type} and ${b.type} cannot be added`)
}

/** `part` must be held by `whole`. */
export function difference(whole: Amount, part: Amount): Amount {
  if (whole.type === 'SCALAR' && part.type === 'SCALAR') {
    return { type: 'SCALAR', thousandths: whole.thousandths - part.thousandths }
  }
  if (whole.type === 'RANGES' && part.type === 'RANGES') {
    return { type: 'RANGES', ranges: part.ranges.reduce<readonly Range[]>(cut, whole.ranges) }
  }
  if (whole.type === 'SET' && part.type === 'SET') {
    return { type: 'SET', items: new Set([...whole.items].filter((item) => !part.items.has(item))) }
  }
  throw new HoldfastError('internal', `${part.type} cannot be taken from ${whole.type}`)
}

function cut(ranges: readonly Range[], hole: Range): Range[] {
  return ranges.flatMap(({ begin, end }) => {
    if (hole.end < begin || end < hole.begin) return [{ begin, end }]
    const rest = [
      { begin, end: hole.begin - 1 },
      { begin: hole.end + 1, end },
    ]
    return rest.filter((range) => range.begin <= range.end)
  })
}

/** Sorted, with neighbours joined: one way to write each amount. */
function coalesce(ranges: readonly Range[]): Range[] {
  const joined: Range[] = []
  for (const range of ranges.toSorted((a, b) => a.begin - b.begin)) {
    const last = joined.at(-1)
    if (last !== undefined && range.begin <= last.end + 1) {
      joined[joined.length - 1] = { begin: last.begin, end: Math.max(last.end, range.end) }
    } else {
      joined.push({ begin: range.begin, end: range.end })
    }
  }
  return joined
}

function thousandths(resource: Resource): number {
  const value = resource.scalar?.value
  const what = `the amount of ${resource.name}`
  if (typeof value !== 'number' || !(value >= 0)) {
    throw new HoldfastError('mesos_protocol', `${what} should be a number that is not negative, not ${String(value)}`)
  }
  return exact(Math.round(value * 1000), what)
}

function exact(thousandths: number, what: string): number {
  if (Number.isSafeInteger(thousandths)) return thousandths
  throw new HoldfastError(
    'mesos_protocol',
    `${what} is ${thousandths / 1000}, which is too large to be counted exactly`,
  )
}
