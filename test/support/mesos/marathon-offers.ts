/**
 * Which offers Marathon can use for an app, and what it does with them (Marathon 1.11: DiskResourceMatcher.scala,
 * ResourceMatcher.scala, OfferOperationFactory.scala): everything must be in one offer; an instance with persistent
 * volumes first reserves all it needs, with labels, and makes its volumes, and starts from a later offer.
 */
import { type MarathonApp, persistentVolumes } from './marathon-app.ts'
import { typeOf } from './marathon-rules.ts'
import { containerInfo } from './marathon-volumes.ts'
import type { Offer, OfferOperation, Resource } from './types.ts'

export interface MarathonIdentity {
  readonly frameworkId: string
  readonly role: string
  readonly principal: string
}

/** One instance of an app. What it has reserved stays its own, over any number of tasks. */
export interface Instance {
  readonly id: string
  readonly appId: string
  /** Ids of its persistent volumes, once it has reserved them. */
  readonly volumeIds: readonly string[]
  /** How many tasks it has had. */
  readonly incarnation: number
}

const CPUS = 1
const MEM = 128

/** RESERVE and CREATE, one of each for every resource provider, since Mesos takes no more in one operation. */
export function reserveAll(
  me: MarathonIdentity,
  app: MarathonApp,
  instance: Instance,
  offer: Offer,
): { operations: OfferOperation[]; volumeIds: string[] } | undefined {
  const plain = scalars(app, offer.resources, (resource) => (resource.reservations ?? []).length === 0)
  const disks = matchDisks(app, offer.resources)
  if (plain === undefined || disks === undefined) return undefined
  const stack = [{ type: 'DYNAMIC', role: me.role, principal: me.principal, labels: labels(me, instance) } as const]
  const reserved = [...plain, ...disks.map(({ resource }) => resource)].map((resource) => {
    return { ...resource, reservations: stack }
  })
  const volumes = disks.map(({ resource, containerPath }, index): Resource => {
    const id = `${instance.id}#${containerPath}#${index}`
    const volume = { mode: 'RW' as const, container_path: containerPath }
    const persistence = { id, principal: me.principal }
    return { ...resource, reservations: stack, disk: { ...resource.disk, persistence, volume } }
  })
  const reserve = byProvider(reserved).map((resources): OfferOperation => ({ type: 'RESERVE', reserve: { resources } }))
  const create = byProvider(volumes).map((each): OfferOperation => ({ type: 'CREATE', create: { volumes: each } }))
  const volumeIds = volumes.map(({ disk }) => disk?.persistence?.id ?? '')
  return { operations: [...reserve, ...create], volumeIds }
}

/** LAUNCH: with what the instance has reserved, or for an app without persistent volumes from what is free. */
export function launch(
  me: MarathonIdentity,
  app: MarathonApp,
  instance: Instance,
  offer: Offer,
): { operations: OfferOperation[]; taskId: string } | undefined {
  const isMine = (resource: Resource) => isReservedFor(me, instance, resource)
  const isFree = (resource: Resource) => (resource.reservations ?? []).length === 0
  const isResident = persistentVolumes(app).length > 0
  const plain = scalars(app, offer.resources, isResident ? isMine : isFree)
  const disks = instance.volumeIds.map((id) => offer.resources.find(({ disk }) => disk?.persistence?.id === id))
  const found = disks.filter((disk) => disk !== undefined)
  if (plain === undefined || found.length < disks.length) return undefined
  const taskId = `${instance.id}._app.${instance.incarnation + 1}`
  const container = containerInfo(app)
  const task = {
    name: app.id.slice(1),
    task_id: { value: taskId },
    agent_id: offer.agent_id,
    resources: [...plain, ...found],
    command: { value: app.cmd },
    ...(container === undefined ? {} : { container }),
  }
  return { operations: [{ type: 'LAUNCH', launch: { task_infos: [task] } }], taskId }
}

/** A whole disk for each volume, the biggest wish first: with just its profile, large enough, and nobody's yet. */
function matchDisks(app: MarathonApp, resources: readonly Resource[]) {
  const wishes = [...persistentVolumes(app)].sort((a, b) => b.persistent.size - a.persistent.size)
  const taken: { resource: Resource; containerPath: string }[] = []
  for (const { persistent, containerPath } of wishes) {
    if (typeOf(persistent) !== 'mount') return undefined
    const resource = resources.find((each) => {
      const size = each.scalar?.value ?? 0
      const isWhole = each.disk?.source?.type === 'MOUNT' && each.disk.volume === undefined
      const isNobodys = (each.reservations ?? []).length === 0 && taken.every((other) => other.resource !== each)
      const fits = size >= persistent.size && size <= (persistent.maxSize ?? Number.POSITIVE_INFINITY)
      return isWhole && isNobodys && fits && each.disk?.source?.profile === persistent.profileName
    })
    if (resource === undefined) return undefined
    taken.push({ resource, containerPath })
  }
  return taken
}

function scalars(
  app: MarathonApp,
  resources: readonly Resource[],
  accepts: (resource: Resource) => boolean,
): Resource[] | undefined {
  const cpus = take(resources, 'cpus', app.cpus ?? CPUS, accepts)
  const mem = take(resources, 'mem', app.mem ?? MEM, accepts)
  return cpus === undefined || mem === undefined ? undefined : [cpus, mem]
}

function take(
  resources: readonly Resource[],
  name: string,
  amount: number,
  accepts: (resource: Resource) => boolean,
): Resource | undefined {
  const found = resources.find((each) => each.name === name && (each.scalar?.value ?? 0) >= amount && accepts(each))
  return found === undefined ? undefined : { ...found, scalar: { value: amount } }
}

/** Marathon knows what it has reserved by labels of the reservation (TaskLabels.scala). */
function labels(me: MarathonIdentity, instance: Instance) {
  return {
    labels: [
      { key: 'marathon_framework_id', value: me.frameworkId },
      { key: 'marathon_task_id', value: instance.id },
    ],
  }
}

function isReservedFor(me: MarathonIdentity, instance: Instance, resource: Resource): boolean {
  const found = resource.reservations?.at(-1)?.labels?.labels ?? []
  return labels(me, instance).labels.every(({ key, value }) => {
    return found.some((label) => label.key === key && label.value === value)
  })
}

function byProvider(resources: readonly Resource[]): Resource[][] {
  const groups = Map.groupBy(resources, (resource) => resource.provider_id?.value ?? '')
  return [...groups.values()]
}
