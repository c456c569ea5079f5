/** Reading offers: which of the things in them is external storage, and of which kind. */
export interface Resource {
  readonly name: string
  readonly provider_id?: { readonly value: string }
  readonly scalar?: { readonly value: number }
  readonly reservations?: readonly { readonly type?: string; readonly role: string; readonly principal?: string }[]
  readonly disk?: {
    readonly persistence?: { readonly id: string }
    readonly volume?: { readonly container_path: string; readonly mode: string }
    readonly source?: {
      readonly type: string
      readonly id?: string
      readonly profile?: string
      readonly metadata?: { readonly labels?: readonly { readonly key: string; readonly value?: string }[] }
    }
  }
  readonly [member: string]: unknown
}

export interface Offer {
  readonly id: { readonly value: string }
  readonly agent_id: { readonly value: string }
  readonly hostname: string
  readonly resources?: readonly Resource[]
}

/** Capacity of an external pool: RAW without an id. Any part of it may be taken. */
export function rawOf(offer: Offer, wish: { sizeMiB: number; iops: number }): Resource | undefined {
  return offer.resources?.find((resource) => {
    const source = resource.disk?.source
    const isPool = resource.provider_id !== undefined && source?.type === 'RAW' && source.id === undefined
    if (!isPool || (resource.scalar?.value ?? 0) < wish.sizeMiB) return false
    // a pool that counts IOPS says how many it has in all: one that could never give ours is declined
    const iops = source.metadata?.labels?.find((label) => label.key === 'iops')?.value
    return iops === undefined || Number(iops) >= wish.iops
  })
}

/** Our volume: it is offered wherever it could be used, by its id. */
export function diskOf(offer: Offer, volumeId: string): Resource | undefined {
  return offer.resources?.find(({ disk }) => disk?.source?.id === volumeId)
}

/**
 * Where volumes do not float, a disk comes bare: it is reserved and made a persistent volume before its first task, in
 * the same ACCEPT.
 */
export function asPersistent(
  disk: Resource,
  wish: { role: string; principal: string | undefined },
): { operations: unknown[]; disk: Resource } {
  if (disk.disk?.persistence !== undefined) return { operations: [], disk }
  const principal = wish.principal === undefined ? {} : { principal: wish.principal }
  const operations: unknown[] = []
  let resource = disk
  if ((disk.reservations ?? []).length === 0) {
    resource = { ...disk, reservations: [{ type: 'DYNAMIC', role: wish.role, ...principal }] }
    operations.push({ type: 'RESERVE', reserve: { resources: [resource] } })
  }
  const persistence = { id: disk.disk?.source?.id ?? '', ...principal }
  const volume = { mode: 'RW', container_path: 'data' }
  const persistent = { ...resource, disk: { ...resource.disk, persistence, volume } }
  operations.push({ type: 'CREATE', create: { volumes: [persistent] } })
  return { operations, disk: persistent }
}

/** Takes so much of a plain scalar; undefined when the offers do not have it. */
export function takeScalar(offers: readonly Offer[], name: string, amount: number): Resource[] | undefined {
  const taken: Resource[] = []
  let missing = amount
  for (const resource of offers.flatMap((offer) => offer.resources ?? [])) {
    if (missing <= 0) break
    if (resource.name !== name || resource.provider_id !== undefined || resource.disk !== undefined) continue
    const value = Math.min(missing, resource.scalar?.value ?? 0)
    if (value > 0) taken.push({ ...resource, scalar: { value } })
    missing -= value
  }
  return missing > 0 ? undefined : taken
}
