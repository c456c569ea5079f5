import { type Amount, amountOf, difference, holds, isEmpty, sum, withAmount } from './amounts.ts'
import type { ReservationInfo, Resource } from './resource.ts'

/**
 * Arithmetic on lists of resources as Mesos has it (`addable`, `subtractable` and `contains` of src/v1/resources.cpp,
 * Apache Mesos 1.11.x). Nothing is changed in place; fields that are not known here are kept.
 *
 * Alike resources are one amount: same name, type, provider, allocation, reservations (in order), disk, shared.
 * Of a disk, `volume` does not matter, since it says how it is used, and of its persistence only the id.
 * Indivisible are MOUNT and BLOCK disks, RAW disks with an id, what has a persistence, and what is shared.
 */

/** Whether all of `part` can be taken from `total`. @throws mesos_protocol for an amount that cannot be counted */
export function contains(total: readonly Resource[], part: readonly Resource[]): boolean {
  return subtract(total, part) !== undefined
}

/**
 * What is left when `part` is taken away; undefined when it is not all there. Amounts of nothing are left out.
 * @throws mesos_protocol for an amount that cannot be counted
 */
export function subtract(total: readonly Resource[], part: readonly Resource[]): Resource[] | undefined {
  const left = entries(total)
  for (const entry of entries(part)) {
    const index = left.findIndex((candidate) => candidate.kind === entry.kind && canGive(candidate, entry))
    const from = left[index]
    if (from === undefined) return undefined
    const amount = difference(from.amount, entry.amount)
    // of a shared resource each copy is one use
    if (isEmpty(amount) || isIndivisible(from.resource)) left.splice(index, 1)
    else left[index] = { ...from, amount }
  }
  return left.map(toResource)
}

/** Both together, alike divisible ones merged, amounts of nothing left out. The order is kept. */
export function add(...lists: readonly (readonly Resource[])[]): Resource[] {
  return entries(lists.flat()).map(toResource)
}

/** Without `allocation_info`, as totals have it. */
export function withoutAllocation(resource: Resource): Resource {
  const { allocation_info: _, ...rest } = resource
  return rest
}

/**
 * Whether both say the same, in every field: the order of keys and of labels means nothing, an absent list is an empty
 * one, and reservations may be written in the old way in one of them.
 */
export function equal(a: Resource, b: Resource): boolean {
  return canonical(rounded(modern(a))) === canonical(rounded(modern(b)))
}

export function equalIgnoringAllocation(a: Resource, b: Resource): boolean {
  return equal(withoutAllocation(a), withoutAllocation(b))
}

/** Whether it can only be given as a whole. */
export function isIndivisible(resource: Resource): boolean {
  const { disk } = resource
  const type = disk?.source?.type
  if (resource.shared !== undefined || disk?.persistence !== undefined) return true
  return type === 'MOUNT' || type === 'BLOCK' || (type === 'RAW' && disk?.source?.id !== undefined)
}

/** The stack of reservations, also of a resource that has it in the old way. The last one is the most refined. */
export function reservationsOf(resource: Resource): readonly ReservationInfo[] {
  if (resource.reservations !== undefined && resource.reservations.length > 0) return resource.reservations
  if (resource.role === undefined || resource.role === '*') return []
  const type = resource.reservation === undefined ? 'STATIC' : 'DYNAMIC'
  return [{ type, role: resource.role, ...resource.reservation }]
}

interface Entry {
  readonly kind: string
  readonly resource: Resource
  readonly amount: Amount
}

/** Each kind of divisible resource once, each indivisible one by itself, none that is nothing. */
function entries(resources: readonly Resource[]): Entry[] {
  const list: Entry[] = []
  const places = new Map<string, number>()
  for (const resource of resources) {
    const entry = { kind: kindOf(resource), resource, amount: amountOf(resource) }
    if (isEmpty(entry.amount)) continue
    const place = isIndivisible(resource) ? undefined : places.get(entry.kind)
    const alike = place === undefined ? undefined : list[place]
    if (place === undefined || alike === undefined) {
      places.set(entry.kind, list.length)
      list.push(entry)
    } else {
      list[place] = { ...alike, amount: sum(alike.amount, entry.amount) }
    }
  }
  return list
}

function canGive(from: Entry, part: Entry): boolean {
  if (!holds(from.amount, part.amount)) return false
  return !isIndivisible(from.resource) || holds(part.amount, from.amount)
}

function toResource({ resource, amount }: Entry): Resource {
  return withAmount(resource, amount)
}

/** Everything but the amount, and what Mesos does not look at. */
function kindOf(resource: Resource): string {
  const { scalar: _s, ranges: _r, set: _i, disk, ...rest } = modern(resource)
  if (disk === undefined) return canonical(rest)
  const { volume: _v, persistence, ...kept } = disk
  return canonical({ ...rest, disk: persistence === undefined ? kept : { ...kept, persistence: persistence.id } })
}

function modern(resource: Resource): Resource {
  if (resource.role === undefined && resource.reservation === undefined) return resource
  const { role: _o, reservation: _r, ...rest } = resource
  return { ...rest, reservations: reservationsOf(resource) }
}

/** 0.1 + 0.2 and 0.3 are the same amount to Mesos. */
function rounded(resource: Resource): Resource {
  const value = resource.scalar?.value
  return value === undefined ? resource : { ...resource, scalar: { value: Math.round(value * 1000) / 1000 } }
}

/** One text for everything that means the same. Only the order of labels is free; a stack of reservations has one. */
function canonical(value: unknown, key = ''): string {
  if (Array.isArray(value)) {
    const items = value.map((each) => canonical(each))
    return `[${(key === 'labels' ? items.toSorted() : items).join(',')}]`
  }
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  const fields = Object.entries(value).filter(([, each]) => isSomething(each))
  fields.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([name, each]) => `${JSON.stringify(name)}:${canonical(each, name)}`).join(',')}}`
}

function isSomething(value: unknown): boolean {
  return value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0)
}
