import { checkDisk } from '../../../mesos/check-disk.ts'
import type { DiskInfo, Labels, Resource } from '../../../mesos/resource.ts'
import { contains, reservationsOf, withoutAllocation } from '../../../mesos/resources.ts'
import { HoldfastError } from '../../../model/errors.ts'
import { MAX_RATE, quote } from '../../../model/units.ts'
import type { Reservations, Shown, ShownDisk, Stack } from './shown.ts'

/** Name of the scalar of storage bandwidth. */
export const BANDWIDTH = 'storage_bw'
const DEFAULT_CONTAINER_PATH = 'data'

export interface Place {
  readonly providerId: string
  /** The agent binds `<mountRoot>/<volume id>/target` (Mesos src/slave/paths.cpp, src/csi/paths.cpp). */
  readonly mountRoot: string
}

/** The totals of UPDATE_STATE. The same data make the same list: capacity, disks by id, bandwidth. */
export function toResources(shown: Shown, place: Place): Resource[] {
  return [
    ...inOrder(shown.raw).map((stack) => rawResource(stack, shown, place.providerId)),
    ...shown.disks.map((disk) => diskResource(disk, shown.vendor, place)),
    ...inOrder(shown.bandwidth).map((stack) => scalar(place.providerId, BANDWIDTH, stack.amount, stack.reservations)),
  ]
}

export function rawResource({ reservations, amount }: Stack, shown: Shown, providerId: string): Resource {
  const { vendor, metadata } = shown
  const source = { type: 'RAW' as const, vendor, ...some('metadata', labelled(metadata)) }
  return { ...scalar(providerId, 'disk', amount, reservations), disk: { source } }
}

export function diskResource(disk: ShownDisk, vendor: string, { providerId, mountRoot }: Place): Resource {
  const { volumeId, target, profile, metadata, persistence, containerPath, shared } = disk
  const source = {
    type: target,
    vendor,
    id: volumeId,
    ...some('profile', profile),
    ...some('metadata', labelled(metadata)),
    ...(target === 'MOUNT' ? { mount: { root: mountRoot } } : {}),
  }
  const volume = { mode: 'RW' as const, container_path: containerPath ?? DEFAULT_CONTAINER_PATH }
  const info: DiskInfo = persistence === undefined ? { source } : { persistence, volume, source }
  return {
    ...scalar(providerId, 'disk', disk.sizeMiB, disk.reservations),
    disk: info,
    ...(shared === true ? { shared: {} } : {}),
  }
}

export type ReadResource =
  | { readonly kind: 'raw'; readonly reservations: Reservations; readonly sizeMiB: number }
  | ({ readonly kind: 'disk'; readonly disk: ShownDisk } & DiskWords)
  | { readonly kind: 'bandwidth'; readonly reservations: Reservations; readonly amount: number }

/** What a message says of one of our disks, beside what we know of it ourselves. */
interface DiskWords {
  readonly volumeId: string
  readonly sizeMiB: number
  readonly reservations: Reservations
  readonly persistence?: { readonly id: string; readonly principal?: string }
  readonly containerPath?: string
  readonly shared: boolean
}

/**
 * Reads a resource of an operation or of PUBLISH_RESOURCES that should be one of those that are shown.
 * Of a disk it need not say what our record says: see `sameAsShown`.
 * @param what what it is, for messages: `source of CREATE_DISK`
 * @throws invalid_request, invalid_size: what is wrong in a sentence that a framework's author can act on
 */
export function readResource(resource: Resource, shown: Shown, providerId: string, what = 'resource'): ReadResource {
  const owner = resource.provider_id?.value
  if (owner !== providerId) {
    const whose = typeof owner === 'string' ? `of provider ${quote(owner)}` : 'of no provider'
    throw invalid(what, `is ${whose}; this provider is ${quote(providerId)}`)
  }
  if (resource.name === BANDWIDTH) return readBandwidth(resource, what)
  const { sizeMiB, source } = checkDisk(resource, what)
  if (source.vendor !== shown.vendor) {
    throw invalid(what, `has the vendor ${quote(String(source.vendor))}; that of this pool is ${quote(shown.vendor)}`)
  }
  const reservations = reservationsOf(resource)
  if (source.type === 'RAW' && source.id === undefined) return { kind: 'raw', reservations, sizeMiB }
  if (source.id === undefined) throw invalid(what, `is a ${source.type} disk without an id`)
  const disk = shown.disks.find((each) => each.volumeId === source.id)
  if (disk === undefined) {
    throw invalid(what, `has the id ${quote(String(source.id))}, and no such disk is offered here`)
  }
  if (disk.target !== source.type) {
    throw invalid(what, `is a ${source.type} disk, but ${quote(disk.volumeId)} is a ${disk.target} disk`)
  }
  return { kind: 'disk', disk, volumeId: disk.volumeId, sizeMiB, reservations, ...diskWords(resource) }
}

/**
 * Whether a resource that is consumed or published is what we say we have: of capacity and bandwidth a part of it, of a
 * disk all of it. By Mesos' own equality: `allocation_info` and how a task uses a volume (`disk.volume`) do not count.
 */
export function sameAsShown(resource: Resource, shown: Shown, place: Place): boolean {
  try {
    readResource(resource, shown, place.providerId)
    return contains(toResources(shown, place), [withoutAllocation(resource)])
  } catch (thrown) {
    if (thrown instanceof HoldfastError) return false
    throw thrown
  }
}

function readBandwidth(resource: Resource, what: string): ReadResource {
  const amount: unknown = resource.type === 'SCALAR' ? resource.scalar?.value : undefined
  if (typeof amount !== 'number' || !(amount > 0 && amount <= MAX_RATE) || !Number.isInteger(amount)) {
    const said = `the ${BANDWIDTH} ${String(amount)}`
    throw new HoldfastError('invalid_size', `${what}: ${said} should be a whole number from 1 to ${MAX_RATE}`)
  }
  if (resource.disk !== undefined) throw invalid(what, `has a disk, which ${BANDWIDTH} has not`)
  return { kind: 'bandwidth', reservations: reservationsOf(resource), amount }
}

function diskWords(resource: Resource): Pick<DiskWords, 'persistence' | 'containerPath' | 'shared'> {
  return {
    ...some('persistence', resource.disk?.persistence),
    ...some('containerPath', resource.disk?.volume?.container_path),
    shared: resource.shared !== undefined,
  }
}

function scalar(providerId: string, name: string, value: number, reservations: Reservations): Resource {
  return {
    provider_id: { value: providerId },
    name,
    type: 'SCALAR',
    scalar: { value },
    ...(reservations.length > 0 ? { reservations } : {}),
  }
}

function inOrder(stacks: readonly Stack[]): Stack[] {
  const key = (stack: Stack) => JSON.stringify(stack.reservations.map(({ role, type, ...rest }) => [role, type, rest]))
  return stacks.toSorted((a, b) => (key(a) < key(b) ? -1 : 1))
}

function labelled(labels: Labels): Labels | undefined {
  return labels.labels !== undefined && labels.labels.length > 0 ? labels : undefined
}

/** The field if there is a value for it. */
function some<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: V }
}

function invalid(what: string, why: string): HoldfastError {
  return new HoldfastError('invalid_request', `${what}: it ${why}`)
}
