/** Resources as Mesos writes them into its messages (src/common/resources.cpp, operator<<). */
import type { Labels } from '../../../src/mesos/resource.ts'
import { canonical } from './canonical.ts'
import type { Resource } from './types.ts'

type Reservation = NonNullable<Resource['reservations']>[number]
type Disk = NonNullable<Resource['disk']>

export function print(resources: readonly Resource[]): string {
  return resources.map(printOne).join('; ')
}

export function printOne(resource: Resource): string {
  const role = resource.allocation_info?.role
  const reservations = (resource.reservations ?? []).map(printReservation).join(',')
  return [
    resource.name,
    role === undefined ? '' : `(allocated: ${role})`,
    reservations === '' ? '' : `(reservations: [${reservations}])`,
    resource.disk === undefined ? '' : `[${printDisk(resource.disk)}]`,
    resource.shared === undefined ? '' : '<SHARED>',
    `:${printAmount(resource)}`,
  ].join('')
}

function printReservation({ type, role, principal, labels }: Reservation): string {
  const parts: string[] = [type, role]
  if (principal !== undefined) parts.push(principal)
  if (labels !== undefined) parts.push(`{${printLabels(labels)}}`)
  return `(${parts.join(',')})`
}

function printLabels({ labels }: Labels): string {
  return (labels ?? []).map(({ key, value }) => (value === undefined ? key : `${key}: ${value}`)).join(', ')
}

function printDisk({ source, persistence, volume }: Disk): string {
  const parts: string[] = []
  if (source !== undefined) parts.push(printSource(source))
  if (persistence !== undefined) parts.push(persistence.id)
  const where = volume === undefined ? '' : `:${volume.container_path}`
  return parts.join(',') + where
}

function printSource({ type, vendor, id, profile, path, mount }: NonNullable<Disk['source']>): string {
  const root = path?.root ?? mount?.root
  if (id === undefined && profile === undefined) return root === undefined ? type : `${type}:${root}`
  return `${type}(${vendor ?? ''},${id ?? ''},${profile ?? ''})`
}

function printAmount(resource: Resource): string {
  if (resource.type === 'SCALAR') return String(resource.scalar?.value ?? 0)
  if (resource.type === 'SET') return `{${(resource.set?.item ?? []).join(', ')}}`
  return `[${(resource.ranges?.range ?? []).map(({ begin, end }) => `${begin}-${end}`).join(', ')}]`
}

/** One resource as JSON in which every scalar has a decimal point, as in the words of a refused authorization. */
export function printJson(resource: Resource): string {
  return JSON.stringify(canonical(resource)).replace(/("scalar":\{"value":)(\d+)\}/, '$1$2.0}')
}
