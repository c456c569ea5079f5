/**
 * Arithmetic on resources as Mesos has it (src/common/resources.cpp, addable, subtractable, contains): scalars are
 * fixed point with three digits; MOUNT and BLOCK disks, RAW ones with an id and persistent volumes are indivisible;
 * what is subtracted and not there is ignored.
 */
import { canonical } from './canonical.ts'
import { addRanges, holdsRanges, subtractRanges } from './ranges.ts'
import type { Resource } from './types.ts'

/** Everything but the amount. */
function keyOf(resource: Resource): string {
  const { scalar: _scalar, ranges: _ranges, ...rest } = resource
  return JSON.stringify(canonical(rest))
}

function isIndivisible({ disk, shared }: Resource): boolean {
  if (shared !== undefined || disk?.persistence !== undefined) return true
  const source = disk?.source
  return source?.type === 'MOUNT' || source?.type === 'BLOCK' || (source?.type === 'RAW' && source.id !== undefined)
}

export function milli(resource: Resource): number {
  return Math.round((resource.scalar?.value ?? 0) * 1000)
}

export function withMilli(resource: Resource, amount: number): Resource {
  return { ...resource, scalar: { value: amount / 1000 } }
}

function isEmpty(resource: Resource): boolean {
  if (resource.type === 'SCALAR') return milli(resource) <= 0
  if (resource.type === 'RANGES') return (resource.ranges?.range ?? []).length === 0
  return (resource.set?.item ?? []).length === 0
}

export function add(to: readonly Resource[], what: readonly Resource[]): Resource[] {
  const sum = [...to]
  for (const resource of what) {
    if (isEmpty(resource)) continue
    const key = keyOf(resource)
    const at = isIndivisible(resource) ? -1 : sum.findIndex((other) => keyOf(other) === key)
    const other = sum[at]
    if (other === undefined) sum.push(canonical(resource))
    else sum[at] = merged(other, resource)
  }
  return sum
}

function merged(a: Resource, b: Resource): Resource {
  if (a.type === 'SCALAR') return withMilli(a, milli(a) + milli(b))
  if (a.type === 'RANGES') return { ...a, ranges: { range: addRanges(a.ranges?.range, b.ranges?.range) } }
  return a
}

export function subtract(from: readonly Resource[], what: readonly Resource[]): Resource[] {
  const rest = [...from]
  for (const resource of what) {
    const at = findFor(rest, resource)
    const held = rest[at]
    if (held === undefined) continue
    const left = isIndivisible(resource) ? undefined : reduced(held, resource)
    if (left === undefined || isEmpty(left)) rest.splice(at, 1)
    else rest[at] = left
  }
  return rest
}

function findFor(list: readonly Resource[], resource: Resource): number {
  const key = keyOf(resource)
  const whole = isIndivisible(resource)
  return list.findIndex((held) => keyOf(held) === key && (!whole || milli(held) === milli(resource)))
}

function reduced(held: Resource, by: Resource): Resource {
  if (held.type === 'SCALAR') return withMilli(held, milli(held) - milli(by))
  if (held.type === 'RANGES')
    return { ...held, ranges: { range: subtractRanges(held.ranges?.range, by.ranges?.range) } }
  return { ...held, set: { item: [] } }
}

export function contains(all: readonly Resource[], part: readonly Resource[]): boolean {
  let rest: readonly Resource[] = all
  for (const resource of part) {
    const held = rest[findFor(rest, resource)]
    if (held === undefined || !isEnough(held, resource)) return false
    rest = subtract(rest, [resource])
  }
  return true
}

function isEnough(held: Resource, wanted: Resource): boolean {
  if (wanted.type === 'SCALAR') return milli(held) >= milli(wanted)
  if (wanted.type === 'RANGES') return holdsRanges(held.ranges?.range, wanted.ranges?.range)
  return true
}

export function sameResources(a: readonly Resource[], b: readonly Resource[]): boolean {
  return a.length === b.length && contains(a, b) && contains(b, a)
}

export function allocated(resources: readonly Resource[], role: string): Resource[] {
  return resources.map((resource) => canonical({ ...resource, allocation_info: { role } }))
}

export function unallocated(resources: readonly Resource[]): Resource[] {
  return resources.map(({ allocation_info: _role, ...rest }) => canonical(rest))
}

/** Sums resources that differ in nothing but the amount. */
export function sum(resources: readonly Resource[]): Resource[] {
  return add([], resources)
}

export function providerOf(resource: Resource): string | undefined {
  return resource.provider_id?.value
}

/** The role that a resource is reserved to, undefined when it is free for all. */
export function reservedTo(resource: Resource): string | undefined {
  return resource.reservations?.at(-1)?.role
}

/** Whether a role may have the resource: what is reserved to a role is there for the roles below it, too. */
export function isAllocatableTo(resource: Resource, role: string): boolean {
  const owner = reservedTo(resource)
  return owner === undefined || owner === role || role.startsWith(`${owner}/`)
}

/** Amounts by name in thousandths, of scalars only. */
export function quantities(resources: readonly Resource[]): Map<string, number> {
  const byName = new Map<string, number>()
  for (const resource of resources) {
    if (resource.type !== 'SCALAR') continue
    byName.set(resource.name, (byName.get(resource.name) ?? 0) + milli(resource))
  }
  return byName
}
