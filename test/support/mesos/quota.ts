/** Limits of roles, and what counts against them: what is reserved to the role, and what it has of unreserved resources. */
import { milli, quantities, reservedTo, withMilli } from './resources.ts'
import type { Resource } from './types.ts'

/** Thousandths by resource name. */
export type Quantities = Map<string, number>

export interface Held {
  readonly totals: readonly (readonly Resource[])[]
  /** With allocation_info. */
  readonly allocated: readonly Resource[]
}

function isWithin(role: string | undefined, top: string): boolean {
  return role === top || (role ?? '').startsWith(`${top}/`)
}

/** @param top a role, or '' for all of them */
export function consumed(top: string, { totals, allocated }: Held): Quantities {
  const counts = (role: string | undefined) => role !== undefined && (top === '' || isWithin(role, top))
  const reserved = totals.flat().filter((resource) => counts(reservedTo(resource)))
  const unreserved = allocated.filter(
    (resource) => reservedTo(resource) === undefined && counts(resource.allocation_info?.role),
  )
  return quantities([...reserved, ...unreserved])
}

/** What of some unreserved resources fits under the limits. Disks with a source are given whole or not at all. */
export function fitting(resources: readonly Resource[], limits: Quantities, used: Quantities): Resource[] {
  const room = new Map([...limits].map(([name, limit]) => [name, Math.max(0, limit - (used.get(name) ?? 0))]))
  const given: Resource[] = []
  for (const resource of resources) {
    const left = resource.type === 'SCALAR' ? room.get(resource.name) : undefined
    if (left === undefined) {
      given.push(resource)
      continue
    }
    const amount = Math.min(left, milli(resource))
    if (amount <= 0 || (amount < milli(resource) && resource.disk?.source !== undefined)) continue
    given.push(withMilli(resource, amount))
    room.set(resource.name, left - amount)
  }
  return given
}

export function fromScalars(scalars: Readonly<Record<string, { readonly value?: number }>> | undefined): Quantities {
  return new Map(Object.entries(scalars ?? {}).map(([name, { value }]) => [name, Math.round((value ?? 0) * 1000)]))
}

export function toNumbers(amounts: Quantities): Record<string, number> {
  return Object.fromEntries([...amounts].map(([name, amount]) => [name, amount / 1000]))
}

/** `disk:400; mem:32`. */
export function printQuantities(amounts: Quantities): string {
  return [...amounts].map(([name, amount]) => `${name}:${amount / 1000}`).join('; ')
}
