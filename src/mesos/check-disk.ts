import { HoldfastError } from '../model/errors.ts'
import { formatMiB, MAX_MIB, quote } from '../model/units.ts'
import type { DiskSource, DiskSourceType, Resource } from './resource.ts'
import { reservationsOf } from './resources.ts'

/** A disk resource of a provider, with everything in it that Holdfast relies on. */
export interface CheckedDisk {
  readonly providerId: string
  readonly sizeMiB: number
  readonly source: DiskSource
  /** Of the most refined reservation; undefined when it is not reserved. */
  readonly role: string | undefined
}

/**
 * A resource that should be a disk of a resource provider.
 * @param what what it is, for messages: `source of CREATE_DISK`
 * @param type the type that its source must have; any but UNKNOWN if not given
 * @throws invalid_request, invalid_size
 */
export function checkDisk(resource: Resource, what: string, type?: DiskSourceType): CheckedDisk {
  if (resource.name !== 'disk') throw invalid(what, `should be a disk, not ${shown(resource.name)}`)
  const providerId = resource.provider_id?.value
  if (typeof providerId !== 'string' || providerId === '') {
    throw invalid(what, 'has no provider_id, so it is no disk of a resource provider')
  }
  return {
    providerId,
    sizeMiB: checkDiskSize(resource, what),
    source: checkDiskSource(resource, what, type),
    role: reservationsOf(resource).at(-1)?.role,
  }
}

/** Its size in MiB, which is whole. @throws invalid_size saying what would be right */
export function checkDiskSize(resource: Resource, what: string): number {
  const value: unknown = resource.type === 'SCALAR' ? resource.scalar?.value : undefined
  const wrong = (why: string) => new HoldfastError('invalid_size', `${what}: ${why}`)
  if (typeof value !== 'number' || Number.isNaN(value)) {
    throw wrong('its size is missing; a disk is a SCALAR whose value is a number of MiB')
  }
  if (value <= 0) throw wrong(`its size is ${value} MiB; it has to be at least 1 MiB`)
  if (value > MAX_MIB) throw wrong(`its size of ${value} MiB is above the largest one, ${formatMiB(MAX_MIB)}`)
  if (!Number.isInteger(value)) {
    const [below, above] = [Math.floor(value), Math.ceil(value)]
    const right = below === 0 ? `${above}` : `${below} or ${above}`
    throw wrong(`its size of ${value} MiB is not whole; take ${right} MiB`)
  }
  return value
}

/** @throws invalid_request */
export function checkDiskSource(resource: Resource, what: string, type?: DiskSourceType): DiskSource {
  const source = resource.disk?.source
  if (source === undefined) throw invalid(what, 'has no disk.source, so it is no disk of a resource provider')
  if (type !== undefined && source.type !== type) {
    throw invalid(what, `should be a ${type} disk, not ${shown(source.type)}`)
  }
  if (!['PATH', 'MOUNT', 'BLOCK', 'RAW'].includes(source.type)) {
    throw invalid(what, `has a source of the unknown type ${shown(source.type)}`)
  }
  return source
}

function invalid(what: string, why: string): HoldfastError {
  return new HoldfastError('invalid_request', `${what}: it ${why}`)
}

function shown(text: unknown): string {
  return typeof text === 'string' ? quote(text) : String(text)
}
