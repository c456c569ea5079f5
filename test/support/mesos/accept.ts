/** ACCEPT: the operations of a framework on what it was offered, one after the other. */

import { launch, launchGroup } from './accept-launch.ts'
import type { Action } from './acls.ts'
import { canonical } from './canonical.ts'
import { applied, conversionsOf, namedResources } from './conversions.ts'
import { withdraw } from './master-offers.ts'
import { startOperation } from './master-operations.ts'
import {
  type AgentRecord,
  count,
  describeAgent,
  type FrameworkRecord,
  type MasterState,
  sendTo,
} from './master-state.ts'
import { isPartitionAware, sayOfTask } from './master-tasks.ts'
import { print } from './print.ts'
import { add, contains, subtract } from './resources.ts'
import type { Offer, OfferOperation, Resource, TaskInfo, Value } from './types.ts'
import { invalidOperation, invalidResources } from './validation.ts'

export interface AcceptCall {
  readonly offer_ids?: readonly Value[]
  readonly operations?: readonly OfferOperation[]
  readonly filters?: { readonly refuse_seconds?: number }
}

/** What is left of the offers while the operations are gone through. */
export interface Accepting {
  readonly master: MasterState
  readonly framework: FrameworkRecord
  readonly agent: AgentRecord
  readonly role: string
  left: Resource[]
}

export function accept(master: MasterState, framework: FrameworkRecord, call: AcceptCall): void {
  const ids = (call.offer_ids ?? []).map(({ value }) => value)
  const offers = ids.map((id) => master.offers.get(id))
  const operations = call.operations ?? []
  const usable = offers.filter(
    (offer): offer is Offer => offer !== undefined && offer.framework_id.value === framework.id,
  )
  const wrong = wrongOffers(ids, usable)
  if (wrong !== undefined) {
    for (const offer of usable) withdraw(master, offer)
    for (const operation of operations) refuse(framework, operation, wrong, usable[0]?.agent_id.value)
    return
  }
  const [first] = usable
  const agent = first === undefined ? undefined : master.agents.get(first.agent_id.value)
  if (first === undefined || agent === undefined) return
  for (const offer of usable) master.offers.delete(offer.id.value)
  const offered = usable.reduce<Resource[]>((sum, { resources }) => add(sum, resources), [])
  const accepting: Accepting = { master, framework, agent, role: first.allocation_info.role, left: offered }
  for (const operation of operations) perform(accepting, withAllocation(operation, accepting.role))
  master.allocator.recover(framework.id, agent.id, accepting.left)
  const seconds = call.filters?.refuse_seconds
  master.allocator.filters.add(framework.id, accepting.role, agent.id, accepting.left, seconds)
}

function wrongOffers(ids: readonly string[], usable: readonly Offer[]): string | undefined {
  if (ids.length === 0) return 'No offers specified'
  const missing = ids.find((id) => !usable.some((offer) => offer.id.value === id))
  if (missing !== undefined) return `Offer ${missing} is no longer valid`
  const [first] = usable
  const other = usable.find(({ agent_id }) => agent_id.value !== first?.agent_id.value)
  if (other !== undefined)
    return `Aggregated offers must belong to one single agent. Offer ${other.id.value} uses another one`
  const role = usable.find(({ allocation_info }) => allocation_info.role !== first?.allocation_info.role)
  return role === undefined ? undefined : 'Aggregated offers must be allocated to the same role'
}

/** None of the operations can be done, because of the offers. */
function refuse(
  framework: FrameworkRecord,
  operation: OfferOperation,
  wrong: string,
  agentId: string | undefined,
): void {
  const tasks = operation.launch?.task_infos ?? operation.launch_group?.task_group?.tasks
  if (tasks === undefined) {
    fail(framework, operation, `Operation attempted with invalid offers: ${wrong}`)
    return
  }
  const state = isPartitionAware(framework) ? 'TASK_DROPPED' : 'TASK_LOST'
  for (const task of tasks) {
    const on = agentId ?? task.agent_id.value
    sayOfTask(
      framework,
      task.task_id.value,
      on,
      state,
      'REASON_INVALID_OFFERS',
      `Task launched with invalid offers: ${wrong}`,
    )
  }
}

/** Only an operation with an id is answered. */
export function fail(framework: FrameworkRecord, { id }: OfferOperation, message: string): void {
  if (id === undefined) return
  const status = { operation_id: id, state: 'OPERATION_ERROR', message }
  sendTo(framework, { type: 'UPDATE_OPERATION_STATUS', update_operation_status: { status } })
}

function perform(accepting: Accepting, operation: OfferOperation): void {
  const { framework, agent } = accepting
  if (operation.type === 'LAUNCH') launch(accepting, operation.launch?.task_infos ?? [])
  else if (operation.type === 'LAUNCH_GROUP') launchGroup(accepting, operation)
  else {
    const wrong = invalidResources(operation)
    if (wrong !== undefined) {
      fail(framework, operation, wrong)
      return
    }
    const { principal } = framework.info
    const volumes = agent.total.filter((resource) => isVolumeBut(operation, resource))
    const invalid = invalidOperation(operation, { principal, volumes })
    if (invalid !== undefined) fail(framework, operation, `${invalid}; on agent ${describeAgent(agent)}`)
    else performValid(accepting, operation)
  }
}

/** Volumes of the agent that a CREATE may not repeat; one on the same disk fails later, as not contained in the offer. */
function isVolumeBut(operation: OfferOperation, resource: Resource): boolean {
  if (resource.disk?.persistence === undefined) return false
  const id = resource.disk.source?.id
  return !namedResources(operation).some(({ disk }) => id !== undefined && disk?.source?.id === id)
}

function performValid(accepting: Accepting, operation: OfferOperation): void {
  const { master, framework, agent } = accepting
  const refused = unauthorized(master, framework.info.principal, operation)
  if (refused !== undefined) {
    fail(framework, operation, refused)
    return
  }
  if (operation.type === 'CREATE_DISK' || operation.type === 'DESTROY_DISK') {
    performSlow(accepting, operation)
    return
  }
  const conversions = conversionsOf(operation)
  const left = applied(accepting.left, conversions)
  if (typeof left === 'string') {
    fail(framework, operation, left)
    return
  }
  master.allocator.convert(framework.id, agent.id, conversions)
  accepting.left = left
  startOperation(master, agent, framework, operation)
}

/** CREATE_DISK and DESTROY_DISK: what they take is gone from the offer, what comes of it is offered later. */
function performSlow(accepting: Accepting, operation: OfferOperation): void {
  const { master, framework, agent } = accepting
  const consumed = namedResources(operation)
  if (!contains(accepting.left, consumed)) {
    const message = `Invalid ${operation.type} Operation: ${print(accepting.left)} does not contain ${print(consumed)}`
    fail(framework, operation, message)
    return
  }
  accepting.left = subtract(accepting.left, consumed)
  count(master, operation, 'total')
  startOperation(master, agent, framework, operation)
}

const ACTIONS: Readonly<Record<string, Action>> = {
  RESERVE: 'RESERVE_RESOURCES',
  UNRESERVE: 'UNRESERVE_RESOURCES',
  CREATE: 'CREATE_VOLUME',
  DESTROY: 'DESTROY_VOLUME',
}

/** @returns the sentence of the refusal */
export function unauthorized(
  master: MasterState,
  principal: string | undefined,
  operation: OfferOperation,
): string | undefined {
  const action = ACTIONS[operation.type]
  if (action === undefined) return undefined
  for (const resource of namedResources(operation)) {
    const refusal = master.authorizer.refusal(principal, action, resource)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

/** A framework may leave out allocation_info; the master fills in the role of the offer. */
function withAllocation(operation: OfferOperation, role: string): OfferOperation {
  const one = (resource: Resource) => canonical({ ...resource, allocation_info: resource.allocation_info ?? { role } })
  const all = (resources: readonly Resource[] | undefined) => (resources ?? []).map(one)
  const { reserve, unreserve, create, destroy, create_disk, destroy_disk, launch: launched } = operation
  const task = (info: TaskInfo) => ({ ...info, resources: all(info.resources) })
  return {
    ...operation,
    ...(reserve === undefined ? {} : { reserve: { ...reserve, resources: all(reserve.resources) } }),
    ...(unreserve === undefined ? {} : { unreserve: { resources: all(unreserve.resources) } }),
    ...(create === undefined ? {} : { create: { volumes: all(create.volumes) } }),
    ...(destroy === undefined ? {} : { destroy: { volumes: all(destroy.volumes) } }),
    ...(create_disk === undefined ? {} : { create_disk: { ...create_disk, source: one(create_disk.source) } }),
    ...(destroy_disk === undefined ? {} : { destroy_disk: { source: one(destroy_disk.source) } }),
    ...(launched === undefined ? {} : { launch: { task_infos: (launched.task_infos ?? []).map(task) } }),
  }
}
