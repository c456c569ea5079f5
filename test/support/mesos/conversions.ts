/** What an operation takes and what it makes of it (Mesos src/common/resources_utils.cpp, getResourceConversions). */
import { print } from './print.ts'
import { add, contains, providerOf, subtract, unallocated } from './resources.ts'
import type { OfferOperation, Resource } from './types.ts'

export interface Conversion {
  readonly consumed: readonly Resource[]
  readonly converted: readonly Resource[]
}

/** All resources that an operation names. */
export function namedResources(info: OfferOperation): readonly Resource[] {
  if (info.reserve !== undefined) return info.reserve.resources ?? []
  if (info.unreserve !== undefined) return info.unreserve.resources ?? []
  if (info.create !== undefined) return info.create.volumes ?? []
  if (info.destroy !== undefined) return info.destroy.volumes ?? []
  if (info.create_disk !== undefined) return [info.create_disk.source]
  if (info.destroy_disk !== undefined) return [info.destroy_disk.source]
  return []
}

export function providerOfOperation(info: OfferOperation): string | undefined {
  const [first] = namedResources(info)
  return first === undefined ? undefined : providerOf(first)
}

/** The conversions of RESERVE, UNRESERVE, CREATE and DESTROY; none for the others, whose result only the provider knows. */
export function conversionsOf(info: OfferOperation): Conversion[] {
  const named = namedResources(info)
  switch (info.type) {
    case 'RESERVE':
      return named.map((resource) => ({ consumed: [lessReserved(resource)], converted: [resource] }))
    case 'UNRESERVE':
      return named.map((resource) => ({ consumed: [resource], converted: [lessReserved(resource)] }))
    case 'CREATE':
      return named.map((volume) => ({ consumed: [withoutVolume(volume)], converted: [volume] }))
    case 'DESTROY':
      return named.map((volume) => ({ consumed: [volume], converted: [withoutVolume(volume)] }))
    default:
      return []
  }
}

export function unallocatedConversions(info: OfferOperation): Conversion[] {
  return conversionsOf(info).map(({ consumed, converted }) => ({
    consumed: unallocated(consumed),
    converted: unallocated(converted),
  }))
}

function lessReserved({ reservations, ...rest }: Resource): Resource {
  const fewer = (reservations ?? []).slice(0, -1)
  return fewer.length === 0 ? rest : { ...rest, reservations: fewer }
}

function withoutVolume({ disk, shared: _shared, ...rest }: Resource): Resource {
  return disk?.source === undefined ? rest : { ...rest, disk: { source: disk.source } }
}

/** @returns the new resources, or the sentence with which Mesos says that something is not there */
export function applied(to: readonly Resource[], conversions: readonly Conversion[]): Resource[] | string {
  let now: Resource[] = [...to]
  for (const { consumed, converted } of conversions) {
    if (!contains(now, consumed)) return `${print(now)} does not contain ${print(consumed)}`
    now = add(subtract(now, consumed), converted)
  }
  return now
}
