/** The calls of an operator that change something: reservations, volumes, quotas, an end to agents and frameworks. */
import { unauthorized } from './accept.ts'
import { canonicalAll } from './canonical.ts'
import { applied, unallocatedConversions } from './conversions.ts'
import { type Reply, reply } from './http-host.ts'
import { removeFramework } from './master-frameworks.ts'
import { rescind } from './master-offers.ts'
import { operationStatusArrived, startOperation } from './master-operations.ts'
import {
  type AgentRecord,
  describeAgent,
  type MasterState,
  offersOn,
  operationsOf,
  publish,
  sendTo,
} from './master-state.ts'
import { lostTasks } from './master-tasks.ts'
import { consumed, fromScalars, printQuantities } from './quota.ts'
import { sameResources, subtract, unallocated } from './resources.ts'
import type { OfferOperation, Resource, Value } from './types.ts'
import { isTerminalOperation } from './types.ts'
import { invalidOperation, invalidResources } from './validation.ts'

type Members = Readonly<Record<string, unknown>>

export function change(master: MasterState, json: Members, principal: string | undefined): Reply | undefined {
  const type = String(json.type)
  const body = json[type.toLowerCase()] as Members | undefined
  if (body === undefined) return undefined
  const { resources, volumes } = body as { resources?: Resource[]; volumes?: Resource[] }
  switch (type) {
    case 'RESERVE_RESOURCES':
      return operate(master, body, principal, { type: 'RESERVE', reserve: { resources: canonicalAll(resources) } })
    case 'UNRESERVE_RESOURCES':
      return operate(master, body, principal, { type: 'UNRESERVE', unreserve: { resources: canonicalAll(resources) } })
    case 'CREATE_VOLUMES':
      return operate(master, body, principal, { type: 'CREATE', create: { volumes: canonicalAll(volumes) } })
    case 'DESTROY_VOLUMES':
      return operate(master, body, principal, { type: 'DESTROY', destroy: { volumes: canonicalAll(volumes) } })
    case 'UPDATE_QUOTA':
      return updateQuota(master, body)
    case 'MARK_AGENT_GONE':
      return markGone(master, (body.agent_id as Value | undefined)?.value ?? '')
    case 'TEARDOWN':
      return teardown(master, (body.framework_id as Value | undefined)?.value ?? '')
    default:
      return undefined
  }
}

function operate(master: MasterState, body: Members, principal: string | undefined, info: OfferOperation): Reply {
  const agent = master.agents.get((body.agent_id as Value | undefined)?.value ?? '')
  if (agent === undefined) return reply(400, 'No agent found with specified ID')
  const volumes = agent.total.filter(({ disk }) => disk?.persistence !== undefined)
  const wrong =
    invalidResources(info) ?? invalidOperation(info, { principal, volumes: info.type === 'CREATE' ? volumes : [] })
  if (wrong !== undefined)
    return reply(400, `Invalid ${info.type} operation on agent ${describeAgent(agent)}: ${wrong}`)
  if (unauthorized(master, principal, info) !== undefined) return reply(403)
  const conversions = unallocatedConversions(info)
  const total = applied(agent.total, conversions)
  if (typeof total === 'string') return reply(409, total)
  freeOffers(
    master,
    agent,
    conversions.flatMap(({ consumed: taken }) => taken),
  )
  const conflict = master.allocator.convertAvailable(agent.id, conversions)
  if (conflict !== undefined) return reply(409, conflict)
  startOperation(master, agent, undefined, info)
  return reply(202)
}

/** Takes back as many offers as it takes until what the operator wants is free. */
function freeOffers(master: MasterState, agent: AgentRecord, wanted: readonly Resource[]): void {
  let missing = subtract(wanted, master.allocator.available(agent.id))
  for (const offer of offersOn(master, agent.id)) {
    if (missing.length === 0) return
    const rest = subtract(missing, unallocated(offer.resources))
    if (sameResources(rest, missing)) continue
    missing = rest
    rescind(master, offer)
  }
}

interface QuotaConfig {
  readonly role?: string
  readonly limits?: Record<string, { value?: number }>
}

function updateQuota(master: MasterState, body: Members): Reply {
  const { force, quota_configs } = body as { force?: boolean; quota_configs?: readonly QuotaConfig[] }
  const wanted = (quota_configs ?? []).map(({ role, limits }) => ({ role: role ?? '', limits: fromScalars(limits) }))
  for (const { role, limits } of wanted) {
    if (role === '' || role.includes('/'))
      return reply(400, `Invalid QuotaConfig: Quota is only supported on top-level roles, not '${role}'`)
    const used = new Map([...consumed(role, master.allocator.held)].filter(([name]) => limits.has(name)))
    const isOver = [...limits].some(([name, limit]) => (used.get(name) ?? 0) > limit)
    if (!isOver || force === true) continue
    const have = printQuantities(used)
    const why = `Role '${role}' is already consuming '${have}'; this is more than the requested limits '${printQuantities(limits)}' (use 'force' flag to bypass this check)`
    return reply(400, `Invalid QuotaConfig: ${why}`)
  }
  for (const { role, limits } of wanted) {
    if (limits.size === 0) master.allocator.quotas.delete(role)
    else master.allocator.quotas.set(role, limits)
    rescindOver(master, role)
  }
  return reply(200)
}

/** So that the limit holds at once, offers with unreserved resources for the role are taken back. */
function rescindOver(master: MasterState, role: string): void {
  for (const offer of [...master.offers.values()]) {
    const owner = offer.allocation_info.role
    if (owner === role || owner.startsWith(`${role}/`)) rescind(master, offer)
  }
}

export function markGone(master: MasterState, agentId: string): Reply {
  const agent = master.agents.get(agentId)
  if (agent === undefined) return reply(404, `Agent '${agentId}' not found`)
  master.registry.gone.add(agentId)
  for (const operation of operationsOf(agent)) {
    if (isTerminalOperation(operation.latest_status.state)) continue
    const status = {
      ...operation.latest_status,
      state: 'OPERATION_GONE_BY_OPERATOR',
      message: 'Agent has been marked gone',
    } as const
    const update = {
      frameworkId: operation.framework_id?.value,
      operationUuid: operation.uuid.value,
      status,
      latestStatus: undefined,
    }
    operationStatusArrived(master, agent, update)
  }
  lostTasks(master, agent, () => true, 'Agent has been marked gone', 'TASK_GONE_BY_OPERATOR')
  for (const offer of offersOn(master, agentId)) rescind(master, offer)
  master.agents.delete(agentId)
  master.allocator.removeAgent(agentId)
  for (const framework of master.frameworks.values()) {
    sendTo(framework, { type: 'FAILURE', failure: { agent_id: { value: agentId } } })
  }
  publish(master, { type: 'AGENT_REMOVED', agent_removed: { agent_id: { value: agentId } } })
  master.wire.toAgent(agent.port, { kind: 'shutdown', why: 'Agent has been marked gone' })
  return reply(200)
}

function teardown(master: MasterState, frameworkId: string): Reply {
  const framework = master.frameworks.get(frameworkId)
  if (framework === undefined) return reply(400, 'No framework found with specified ID')
  removeFramework(master, framework)
  return reply(200)
}
