/** What frameworks see of external storage in their offers. */
import type { DiskSource, Resource } from '../../../src/mesos/resource.ts'
import type { Offer } from '../../support/mesos/types.ts'

/** A resource in an offer that can be accepted now. */
export interface Offered {
  readonly offer: Offer
  readonly resource: Resource
}

export function providerResources(offers: Iterable<Offer>): Offered[] {
  return [...offers].flatMap((offer) =>
    offer.resources
      .filter(({ provider_id, disk }) => provider_id !== undefined && disk?.source !== undefined)
      .map((resource) => ({ offer, resource })),
  )
}

export function isRaw({ disk }: Resource): boolean {
  return disk?.source?.type === 'RAW' && disk.source.id === undefined
}

export function isDisk({ disk }: Resource): boolean {
  return disk?.source?.type === 'MOUNT' && disk.source.id !== undefined
}

/** The last part of the pool's name. */
export function poolOf(source: DiskSource | undefined): string {
  return source?.metadata?.labels?.find(({ key }) => key === 'pool')?.value ?? ''
}

export function volumeOf({ disk }: Resource): string {
  return disk?.source?.id ?? ''
}

export function amountOf({ scalar }: Resource): number {
  return scalar?.value ?? 0
}

export function withAmount(resource: Resource, value: number): Resource {
  return { ...resource, scalar: { value } }
}

/** Offers of the same agent and role can be accepted together. */
export function together(offers: Iterable<Offer>, { agent_id, allocation_info }: Offer): Offer[] {
  return [...offers].filter(
    (offer) => offer.agent_id.value === agent_id.value && offer.allocation_info.role === allocation_info.role,
  )
}

/** Processor and memory for a small task, as the offers have them; undefined when there is not enough. */
export function forTask(offers: readonly Offer[], wanted: Readonly<Record<string, number>>): Resource[] | undefined {
  const found: Resource[] = []
  for (const [name, amount] of Object.entries(wanted)) {
    const own = offers
      .flatMap(({ resources }) => resources)
      .filter((each) => each.name === name && each.type === 'SCALAR')
    const enough = own.find((each) => amountOf(each) >= amount && each.provider_id === undefined)
    if (enough === undefined) return undefined
    found.push(withAmount(enough, amount))
  }
  return found
}
