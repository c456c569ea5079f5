/** Resources of offers, and the operations of a framework on them. */
import type { Resource } from '../../../../src/mesos/resource.ts'
import type { OfferOperation } from '../../../support/mesos/types.ts'

export function amountOf({ scalar }: Resource): number {
  return scalar?.value ?? 0
}

/** A part of something divisible. */
export function part(resource: Resource, value: number): Resource {
  return { ...resource, scalar: { value } }
}

export function labelOf({ disk }: Resource, name: string): string | undefined {
  return disk?.source?.metadata?.labels?.find(({ key }) => key === name)?.value
}

/** Role of the innermost reservation. */
export function reservedTo({ reservations }: Resource): string | undefined {
  return reservations?.at(-1)?.role
}

export function isRaw(resource: Resource, pool: string): boolean {
  return resource.disk?.source?.type === 'RAW' && labelOf(resource, 'pool') === pool
}

export function isVolume({ disk, provider_id }: Resource, volumeId: string): boolean {
  return provider_id !== undefined && disk?.source?.id === volumeId
}

/** The sum of what differs in nothing but the amount; the parts come in several offers. */
export function merged(resources: readonly Resource[]): Resource | undefined {
  const [first] = resources
  if (first === undefined) return undefined
  return part(
    first,
    resources.reduce((sum, each) => sum + amountOf(each), 0),
  )
}

export function createDisk(
  id: string,
  source: Resource,
  profile: string | undefined,
  target: 'MOUNT' | 'BLOCK' = 'MOUNT',
): OfferOperation {
  const create = { source, target_type: target, ...(profile === undefined ? {} : { target_profile: profile }) }
  return { type: 'CREATE_DISK', id: { value: id }, create_disk: create }
}

export function destroyDisk(id: string, source: Resource): OfferOperation {
  return { type: 'DESTROY_DISK', id: { value: id }, destroy_disk: { source } }
}

/** One more level on the stack. */
export function reserved(resource: Resource, role: string, principal?: string): Resource {
  const level = { type: 'DYNAMIC' as const, role, ...(principal === undefined ? {} : { principal }) }
  return { ...resource, reservations: [...(resource.reservations ?? []), level] }
}

export function reserve(id: string, ...resources: readonly Resource[]): OfferOperation {
  return { type: 'RESERVE', id: { value: id }, reserve: { resources } }
}

export function unreserve(id: string, ...resources: readonly Resource[]): OfferOperation {
  return { type: 'UNRESERVE', id: { value: id }, unreserve: { resources } }
}

/** A disk with a persistent volume on it. */
export function persistent(disk: Resource, id: string, principal?: string, containerPath = 'data'): Resource {
  const persistence = { id, ...(principal === undefined ? {} : { principal }) }
  const volume = { mode: 'RW' as const, container_path: containerPath }
  return { ...disk, disk: { ...disk.disk, persistence, volume } }
}

export function bare({ disk, shared: _, ...rest }: Resource): Resource {
  return disk?.source === undefined ? rest : { ...rest, disk: { source: disk.source } }
}

export function create(id: string, ...volumes: readonly Resource[]): OfferOperation {
  return { type: 'CREATE', id: { value: id }, create: { volumes } }
}

export function destroy(id: string, ...volumes: readonly Resource[]): OfferOperation {
  return { type: 'DESTROY', id: { value: id }, destroy: { volumes } }
}

export function launch(
  taskId: string,
  agentId: string,
  command: string,
  resources: readonly Resource[],
): OfferOperation {
  const scalar = (name: string, value: number): Resource => ({ name, type: 'SCALAR', scalar: { value } })
  const task = {
    name: taskId,
    task_id: { value: taskId },
    agent_id: { value: agentId },
    resources: [scalar('cpus', 0.1), scalar('mem', 32), ...resources],
    command: { value: command },
  }
  return { type: 'LAUNCH', launch: { task_infos: [task] } }
}
