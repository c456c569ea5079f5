/** What a master finds wrong with an operation before anything else happens (Mesos src/master/validation.cpp). */
import { namedResources } from './conversions.ts'
import { printOne } from './print.ts'
import { milli, providerOf, reservedTo } from './resources.ts'
import type { OfferOperation, Resource } from './types.ts'

/** Wrong in itself, whatever is offered. */
export function invalidResources(info: OfferOperation): string | undefined {
  if ((info.reserve?.source ?? []).length > 0) {
    return 'Operation attempted with invalid resources: Reservation updates are not yet implemented for the scheduler API.'
  }
  for (const resource of namedResources(info)) {
    const wrong = invalidResource(resource)
    if (wrong !== undefined) {
      return `Operation attempted with invalid resources: Resource '${printOne(resource)}' is invalid: ${wrong}`
    }
  }
  return undefined
}

function invalidResource(resource: Resource): string | undefined {
  if (resource.type === 'SCALAR' && resource.scalar === undefined) return 'Invalid scalar resource'
  if (resource.type === 'SCALAR' && milli(resource) < 0) return 'Invalid scalar resource: value < 0'
  if (resource.disk !== undefined && resource.name !== 'disk')
    return `DiskInfo should not be set for ${resource.name} resource`
  return undefined
}

export interface Caller {
  readonly principal: string | undefined
  /** Whether the principal was proven with a secret, or only claimed; it makes no difference to the sentences. */
  readonly volumes: readonly Resource[]
}

/** @returns what is wrong with the operation, without the agent's name */
export function invalidOperation(info: OfferOperation, caller: Caller): string | undefined {
  switch (info.type) {
    case 'RESERVE':
      return firstWrong(info, (resource) => invalidReserve(resource, caller))
    case 'UNRESERVE':
      return firstWrong(info, invalidUnreserve)
    case 'CREATE':
      return firstWrong(info, (volume) => invalidCreate(volume, caller))
    case 'DESTROY':
      return firstWrong(info, invalidDestroy)
    case 'CREATE_DISK':
      return invalidCreateDisk(info)
    case 'DESTROY_DISK':
      return info.destroy_disk === undefined
        ? "'destroy_disk' is not set"
        : invalidDestroyDisk(info.destroy_disk.source)
    case 'GROW_VOLUME':
      return invalidResize('Growing', info.grow_volume?.volume)
    case 'SHRINK_VOLUME':
      return invalidResize('Shrinking', info.shrink_volume?.volume)
    default:
      return undefined
  }
}

function firstWrong(info: OfferOperation, wrong: (resource: Resource) => string | undefined): string | undefined {
  for (const resource of namedResources(info)) {
    const found = wrong(resource)
    if (found !== undefined) return found
  }
  return undefined
}

function invalidReserve(resource: Resource, { principal }: Caller): string | undefined {
  const role = reservedTo(resource)
  const reservation = resource.reservations?.at(-1)
  if (reservation?.type !== 'DYNAMIC') return `Resource ${printOne(resource)} is not dynamically reserved`
  const allocatedTo = resource.allocation_info?.role
  if (allocatedTo !== undefined && allocatedTo !== role) {
    return `A reserve operation was attempted for a resource with role '${role}', but the resource was allocated to role '${allocatedTo}'`
  }
  if (principal === undefined) return undefined
  if (reservation.principal === undefined) {
    return `A reserve operation was attempted by principal '${principal}', but there is a reserved resource in the request with no principal set`
  }
  if (reservation.principal !== principal) {
    return `A reserve operation was attempted by authenticated principal '${principal}', which does not match a reserved resource in the request with principal '${reservation.principal}'`
  }
  return undefined
}

function invalidUnreserve(resource: Resource): string | undefined {
  if (resource.reservations?.at(-1)?.type !== 'DYNAMIC')
    return `Resource ${printOne(resource)} is not dynamically reserved`
  if (resource.disk?.persistence === undefined) return undefined
  return `A dynamically reserved persistent volume ${printOne(resource)} cannot be unreserved directly. Please destroy the persistent volume first then unreserve the resource`
}

function invalidCreate(volume: Resource, { principal, volumes }: Caller): string | undefined {
  const persistence = volume.disk?.persistence
  if (persistence === undefined) return "Not a persistent volume: 'persistence' is not set in DiskInfo"
  if (reservedTo(volume) === undefined) return 'Persistent volumes cannot be created from unreserved resources.'
  if (volume.disk?.volume === undefined) return "Expecting 'volume' to be set for persistent volume"
  if (volume.disk.volume.mode === 'RO') return 'Read-only persistent volume not supported'
  if (persistence.id === '' || /[/\s]/.test(persistence.id))
    return `Persistence ID '${persistence.id}' contains invalid characters`
  if (volumes.some((other) => isSameVolume(other, volume))) return `Persistence ID '${persistence.id}' already exists`
  if (principal === undefined || persistence.principal === principal) return undefined
  if (persistence.principal === undefined) {
    return `Create volume operation attempted by principal '${principal}', but there is a volume in the operation with no principal set in 'disk.persistence'`
  }
  return `Create volume operation attempted by authenticated principal '${principal}', which does not match a volume in the operation with principal '${persistence.principal}' set in 'disk.persistence'`
}

function isSameVolume(a: Resource, b: Resource): boolean {
  const id = a.disk?.persistence?.id
  return id !== undefined && id === b.disk?.persistence?.id && reservedTo(a) === reservedTo(b)
}

function invalidDestroy(volume: Resource): string | undefined {
  return volume.disk?.persistence === undefined
    ? "Not a persistent volume: 'persistence' is not set in DiskInfo"
    : undefined
}

function invalidCreateDisk({ create_disk }: OfferOperation): string | undefined {
  if (create_disk === undefined) return "'create_disk' is not set"
  const { source, target_type, target_profile } = create_disk
  if (providerOf(source) === undefined) return "'source' is not managed by a resource provider"
  if (source.disk?.source?.type !== 'RAW') return "'source' is not a RAW disk resource"
  if (target_type !== 'MOUNT' && target_type !== 'BLOCK') return "'target_type' is neither MOUNT or BLOCK"
  const profile = source.disk.source.profile
  if (profile === undefined && target_profile === undefined)
    return "'target_profile' must be set when 'source' has no profile"
  if (profile !== undefined && target_profile !== undefined)
    return "'target_profile' must not be set when 'source' has a profile"
  return undefined
}

function invalidDestroyDisk(source: Resource): string | undefined {
  if (providerOf(source) === undefined) return "'source' is not managed by a resource provider"
  const type = source.disk?.source?.type
  if (type !== 'MOUNT' && type !== 'BLOCK' && type !== 'RAW')
    return "'source' is neither a MOUNT, BLOCK or RAW disk resource"
  if (source.disk?.source?.id === undefined) return "'source' is not backed by a CSI volume"
  if (source.disk.persistence === undefined) return undefined
  return `A disk resource containing a persistent volume ${printOne(source)} cannot be destroyed directly. Please destroy the persistent volume first then destroy the disk resource`
}

function invalidResize(what: 'Growing' | 'Shrinking', volume: Resource | undefined): string {
  if (volume !== undefined && providerOf(volume) === undefined) return `${what} a volume is not part of this double`
  return `${what} a volume from a resource provider is not supported`
}
