/** What a storm's frameworks do with their offers: one move at a time, as chance has it. */
import { randomUUID } from 'node:crypto'
import type { Resource } from '../../../src/mesos/resource.ts'
import type { Random } from '../../../src/simulate/random.ts'
import type { Offer, OfferOperation, TaskInfo } from '../../support/mesos/types.ts'
import type { Book } from './book.ts'
import {
  amountOf,
  forTask,
  isDisk,
  isRaw,
  type Offered,
  providerResources,
  together,
  volumeOf,
  withAmount,
} from './offered.ts'
import type { StormFramework } from './storm-framework.ts'
import { taskCommand } from './task-script.ts'

export interface Moving {
  readonly random: Random
  readonly book: Book
  readonly frameworks: readonly StormFramework[]
  /** Where tasks take their locks and keep their books. */
  readonly taskDirectory: string
}

const SIZES = [8, 12, 16, 24, 32]
const TASK = { cpus: 0.1, mem: 32 }

/** @returns whether there was anything to do it with */
export async function createDisk(moving: Moving): Promise<boolean> {
  const { random, book } = moving
  const found = pickOffered(moving, isRaw)
  if (found === undefined) return false
  const { framework, offered } = found
  const amount = amountOf(offered.resource)
  const fitting = random.pick(SIZES.filter((size) => size <= amount))
  // more than is offered, now and then
  if (fitting === undefined && !random.chance(0.02)) return false
  const sizeMiB = fitting === undefined || random.chance(0.03) ? amount + 8 : fitting
  const profile = random.weighted({ plain: 80, fast: 12, greedy: 4, missing: 4 })
  const source = withAmount(offered.resource, sizeMiB)
  const wanted = random.chance(0.02) ? 'BLOCK' : 'MOUNT'
  const create: OfferOperation = {
    type: 'CREATE_DISK',
    id: { value: operationId('create') },
    create_disk: { source, target_type: wanted, target_profile: profile },
  }
  const operations: OfferOperation[] = [create]
  if (random.chance(0.15)) {
    const own = reserved(source, framework, offered.offer.allocation_info.role)
    operations.unshift({ type: 'RESERVE', id: { value: operationId('reserve') }, reserve: { resources: [own] } })
    operations[1] = { ...create, create_disk: { source: own, target_type: wanted, target_profile: profile } }
  }
  for (const operation of operations) note(book, framework, offered, operation)
  await framework.accept([offered.offer], operations)
  return true
}

/** A short task on an idle disk; where the disk is bare its framework makes it a volume first. */
export async function launch(moving: Moving): Promise<boolean> {
  const { random, book, taskDirectory } = moving
  const found = pickOffered(moving, (resource, offer, framework) => {
    return isDisk(resource) && forTask(together(framework.offers, offer), TASK) !== undefined
  })
  if (found === undefined) return false
  const { framework, offered } = found
  const { offer, resource } = offered
  const offers = together(framework.offers, offer)
  const small = forTask(offers, TASK) ?? []
  const { volume, operations } = asVolume(framework, offered)
  for (const operation of operations) note(book, framework, offered, operation)
  const id = `task-${randomUUID().slice(0, 13)}`
  const volumeId = volumeOf(resource)
  const seconds = random.chance(0.1) ? 3 : random.int(0, 8) / 10
  const task: TaskInfo = {
    ...{ name: id, task_id: { value: id }, agent_id: offer.agent_id },
    resources: [...small, volume],
    command: { value: taskCommand(taskDirectory, volumeId, id, seconds) },
  }
  book.launched({ id, framework: framework.name, agentId: offer.agent_id.value, volumeId })
  await framework.accept(offers, [...operations, { type: 'LAUNCH', launch: { task_infos: [task] } }])
  return true
}

/** The operations that make a bare disk a volume of this framework, and the volume. */
function asVolume(framework: StormFramework, { offer, resource }: Offered) {
  const operations: OfferOperation[] = []
  if (resource.disk?.persistence !== undefined) return { volume: resource, operations }
  let disk = resource
  if ((disk.reservations ?? []).length === 0) {
    disk = reserved(disk, framework, offer.allocation_info.role)
    operations.push({ type: 'RESERVE', id: { value: operationId('reserve') }, reserve: { resources: [disk] } })
  }
  const volume = persistent(disk, framework)
  operations.push({ type: 'CREATE', id: { value: operationId('create-volume') }, create: { volumes: [volume] } })
  return { volume, operations }
}

/** A framework gives up a disk that is its own: what it made persistent it destroys first. */
export async function destroyDisk(moving: Moving): Promise<boolean> {
  const found = pickOffered(moving, (resource, _offer, { principal }) => {
    const persistence = resource.disk?.persistence
    return isDisk(resource) && (persistence === undefined || persistence.principal === principal)
  })
  if (found === undefined) return false
  const { framework, offered } = found
  const { resource, offer } = offered
  const { persistence, volume: _, ...disk } = resource.disk ?? {}
  const destroy: OfferOperation = {
    type: 'DESTROY',
    id: { value: operationId('destroy') },
    destroy: { volumes: [resource] },
  }
  const unmake: OfferOperation = {
    type: 'DESTROY_DISK',
    id: { value: operationId('destroy-disk') },
    destroy_disk: { source: { ...resource, disk } },
  }
  const operations = persistence === undefined ? [unmake] : [destroy, unmake]
  for (const operation of operations) note(moving.book, framework, offered, operation)
  await framework.accept([offer], operations)
  return true
}

export async function decline({ random, frameworks }: Moving): Promise<boolean> {
  const framework = random.pick(frameworks.filter(({ offers }) => offers.length > 0))
  if (framework === undefined) return false
  const offers = framework.offers.filter(() => random.chance(0.5))
  if (offers.length === 0) return false
  await framework.decline(offers, random.pick([0, 0.1, 0.5, 2]) ?? 0)
  return true
}

export async function killTask({ random, book, frameworks }: Moving): Promise<boolean> {
  const task = random.pick(book.openTasks)
  const framework = frameworks.find(({ name }) => name === task?.framework)
  if (task === undefined || framework === undefined) return false
  await framework.kill(task.id)
  return true
}

export function pickOffered(
  { random, frameworks }: Moving,
  fits: (resource: Resource, offer: Offer, framework: StormFramework) => boolean,
): { framework: StormFramework; offered: Offered } | undefined {
  const all = frameworks.flatMap((framework) =>
    providerResources(framework.offers)
      .filter(({ resource, offer }) => fits(resource, offer, framework))
      .map((offered) => ({ framework, offered })),
  )
  return random.pick(all)
}

/** One more level of reservation, of this framework's own. */
export function reserved(resource: Resource, framework: StormFramework, role: string): Resource {
  const own = { type: 'DYNAMIC', role, principal: framework.principal } as const
  return { ...resource, reservations: [...(resource.reservations ?? []), own] }
}

/** With a persistence of this framework's own. */
export function persistent(resource: Resource, framework: StormFramework): Resource {
  const persistence = { id: `pv-${randomUUID().slice(0, 13)}`, principal: framework.principal }
  return { ...resource, disk: { ...resource.disk, persistence, volume: { mode: 'RW', container_path: 'data' } } }
}

export function operationId(kind: string): string {
  return `${kind}-${randomUUID().slice(0, 13)}`
}

export function note(book: Book, framework: StormFramework, { offer, resource }: Offered, operation: OfferOperation) {
  book.asked({
    ...{ id: operation.id?.value ?? '', kind: operation.type, framework: framework.name },
    agentId: offer.agent_id.value,
    providerId: resource.provider_id?.value,
    volumeId: operation.type === 'DESTROY_DISK' ? volumeOf(resource) : undefined,
  })
}

/** Frameworks that keep what they don't use would starve the others. */
export async function giveBack(frameworks: readonly StormFramework[], heldMs: number): Promise<void> {
  for (const framework of frameworks) {
    const stale: Offer[] = framework.heldFor(heldMs)
    if (stale.length > 0) await framework.decline(stale, 0.1)
  }
}
