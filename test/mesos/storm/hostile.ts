/** Speculative operations on whatever is offered, by frameworks and by operators who know no better. */
import type { Resource } from '../../../src/mesos/resource.ts'
import type { OfferOperation } from '../../support/mesos/types.ts'
import { type Moving, note, operationId, persistent, pickOffered, reserved } from './moves.ts'
import { amountOf, isRaw, type Offered, withAmount } from './offered.ts'
import type { StormFramework } from './storm-framework.ts'

type Hostility =
  | 'RESERVE'
  | 'UNRESERVE'
  | 'CREATE'
  | 'DESTROY'
  | 'DESTROY_DISK'
  | 'DESTROY+UNRESERVE'
  | 'CREATE+DESTROY'

const HOSTILITIES: Readonly<Record<Hostility, number>> = {
  RESERVE: 5,
  UNRESERVE: 5,
  CREATE: 4,
  DESTROY: 5,
  DESTROY_DISK: 3,
  'DESTROY+UNRESERVE': 2,
  'CREATE+DESTROY': 1,
}

export async function hostile(moving: Moving): Promise<boolean> {
  const { random, book } = moving
  const found = pickOffered(moving, () => true)
  if (found === undefined) return false
  const { framework, offered } = found
  const what = random.weighted(HOSTILITIES)
  const part = random.chance(0.5) ? offered.resource : partOf(moving, offered.resource)
  const operations = hostileOperations(what, framework, { offer: offered.offer, resource: part })
  for (const operation of operations) note(book, framework, offered, operation)
  await framework.accept([offered.offer], operations)
  return true
}

/** Only capacity can be had in parts. */
function partOf({ random }: Moving, resource: Resource): Resource {
  const amount = Math.floor(amountOf(resource))
  return isRaw(resource) && amount > 1 ? withAmount(resource, random.int(1, amount)) : resource
}

function hostileOperations(what: Hostility, framework: StormFramework, { offer, resource }: Offered): OfferOperation[] {
  const { role } = offer.allocation_info
  const bare = withoutPersistence(resource)
  switch (what) {
    case 'RESERVE':
      return [operation('RESERVE', { reserve: { resources: [reserved(resource, framework, role)] } })]
    case 'UNRESERVE':
      return [operation('UNRESERVE', { unreserve: { resources: [resource] } })]
    case 'CREATE':
      return [operation('CREATE', { create: { volumes: [persistent(resource, framework)] } })]
    case 'DESTROY':
      return [operation('DESTROY', { destroy: { volumes: [resource] } })]
    case 'DESTROY_DISK':
      return [operation('DESTROY_DISK', { destroy_disk: { source: resource } })]
    case 'DESTROY+UNRESERVE':
      return [
        operation('DESTROY', { destroy: { volumes: [resource] } }),
        operation('UNRESERVE', { unreserve: { resources: [bare] } }),
      ]
    case 'CREATE+DESTROY': {
      const volume = persistent(resource, framework)
      return [
        operation('CREATE', { create: { volumes: [volume] } }),
        operation('DESTROY', { destroy: { volumes: [volume] } }),
      ]
    }
  }
}

function operation(type: OfferOperation['type'], members: Partial<OfferOperation>): OfferOperation {
  return { ...members, type, id: { value: operationId(type.toLowerCase()) } }
}

function withoutPersistence(resource: Resource): Resource {
  const { persistence: _, volume: __, ...disk } = resource.disk ?? {}
  return { ...resource, disk }
}

/** The same by the master's operator API, which needs no offer. */
export async function operator(moving: Moving, masterUrl: string): Promise<boolean> {
  const { random, book } = moving
  const found = pickOffered(moving, () => true)
  if (found === undefined) return false
  const { framework, offered } = found
  const { allocation_info: _, ...resource } = partOf(moving, offered.resource)
  const { role } = offered.offer.allocation_info
  const call = random.pick([
    { type: 'RESERVE_RESOURCES', resources: [reserved(resource, framework, role)] },
    { type: 'UNRESERVE_RESOURCES', resources: [resource] },
    { type: 'CREATE_VOLUMES', volumes: [persistent(resource, framework)] },
    { type: 'DESTROY_VOLUMES', volumes: [resource] },
  ])
  if (call === undefined) return false
  const { type, ...rest } = call
  const body = { type, [type.toLowerCase()]: { agent_id: offered.offer.agent_id, ...rest } }
  try {
    const answer = await fetch(`${masterUrl}/api/v1`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    await answer.arrayBuffer()
    book.count(type, String(answer.status))
  } catch {
    book.count(type, 'no master')
  }
  return true
}
