/** Resources in the order of Mesos' .proto files, without what is unset: this is how masters and agents print them. */
import type { Resource } from './types.ts'

const ORDER: Readonly<Record<string, readonly string[]>> = {
  resource: [
    'provider_id',
    'name',
    'type',
    'scalar',
    'ranges',
    'set',
    'role',
    'allocation_info',
    'reservation',
    'reservations',
    'disk',
    'revocable',
    'shared',
  ],
  reservations: ['type', 'role', 'principal', 'labels'],
  reservation: ['principal', 'labels'],
  disk: ['persistence', 'volume', 'source'],
  persistence: ['id', 'principal'],
  volume: ['mode', 'container_path', 'host_path'],
  source: ['type', 'path', 'mount', 'vendor', 'id', 'metadata', 'profile'],
}

export function canonical(resource: Resource): Resource {
  return ordered(resource, 'resource') as Resource
}

export function canonicalAll(resources: readonly Resource[] | undefined): Resource[] {
  return (resources ?? []).map(canonical)
}

function ordered(value: unknown, kind: string): unknown {
  if (Array.isArray(value)) return value.map((item) => ordered(item, kind))
  if (typeof value !== 'object' || value === null) return value
  const known = ORDER[kind]
  const keys = Object.keys(value)
  if (known !== undefined) keys.sort((a, b) => rank(known, a) - rank(known, b))
  const entries = keys.map((key) => [key, ordered(Reflect.get(value, key), key)] as const)
  return Object.fromEntries(entries.filter(([, item]) => item !== undefined && !isEmptyList(item)))
}

function rank(known: readonly string[], key: string): number {
  const at = known.indexOf(key)
  return at < 0 ? known.length : at
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** The resource as an endpoint shows it: with the role and reservation of the time before refinement beside the new form. */
export function withOldReservation(resource: Resource): Resource {
  const reservations = resource.reservations ?? []
  if (reservations.length > 1) return canonical(resource)
  const only = reservations[0]
  if (only === undefined) return canonical({ ...resource, ...{ role: '*' } })
  const { principal, labels } = only
  const reservation = {
    ...(principal === undefined ? {} : { principal }),
    ...(labels === undefined ? {} : { labels }),
  }
  return canonical({ ...resource, ...{ role: only.role, reservation } })
}
