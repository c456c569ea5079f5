/** What the operator API of a master shows. Empty lists are left out, as recorded, but for those of the older calls. */
import { canonicalAll, withOldReservation } from './canonical.ts'
import { flagsOf } from './flags-view.ts'
import {
  type AgentRecord,
  type FrameworkRecord,
  type MasterState,
  offersOn,
  operationsOf,
  usedOn,
} from './master-state.ts'
import { reservedTo, sum } from './resources.ts'
import type { Resource } from './types.ts'

const AGENT_CAPABILITIES = [
  'MULTI_ROLE',
  'HIERARCHICAL_ROLE',
  'RESERVATION_REFINEMENT',
  'RESOURCE_PROVIDER',
  'RESIZE_VOLUME',
  'AGENT_OPERATION_FEEDBACK',
  'AGENT_DRAINING',
  'TASK_RESOURCE_LIMITS',
].map((type) => ({ type }))

export const VERSION = '1.12.0'

export function masterInfo({ id, port }: MasterState): object {
  return {
    id,
    ip: 16777343,
    port,
    pid: `master@127.0.0.1:${port}`,
    hostname: '127.0.0.1',
    version: VERSION,
    address: { hostname: '127.0.0.1', ip: '127.0.0.1', port },
    capabilities: [{ type: 'AGENT_UPDATE' }, { type: 'AGENT_DRAINING' }, { type: 'QUOTA_V2' }],
  }
}

/** `{name: list}`, or nothing when the list is empty. */
export function unlessEmpty(name: string, list: readonly unknown[]): Record<string, unknown> {
  return list.length === 0 ? {} : { [name]: list }
}

function shown(resources: readonly Resource[]): Resource[] {
  return sum(resources).map(withOldReservation)
}

export function agentInfo(agent: AgentRecord): object {
  return {
    hostname: agent.hostname,
    port: agent.httpPort,
    resources: agent.resources,
    ...unlessEmpty('attributes', agent.attributes),
    id: { value: agent.id },
    checkpoint: true,
  }
}

export function agentView(master: MasterState, agent: AgentRecord): object {
  const nanoseconds = (milliseconds: number) => ({ nanoseconds: milliseconds * 1_000_000 })
  const { reregisteredAt } = agent
  const offered = offersOn(master, agent.id).flatMap(({ resources }) => resources)
  const providers = [...agent.providers.values()].map(({ info, total }) => ({
    resource_provider_info: info,
    ...unlessEmpty('total_resources', canonicalAll(total)),
  }))
  return {
    agent_info: agentInfo(agent),
    active: agent.connected,
    deactivated: false,
    version: VERSION,
    pid: `slave(1)@127.0.0.1:${agent.httpPort}`,
    registered_time: nanoseconds(agent.registeredAt),
    ...(reregisteredAt === undefined ? {} : { reregistered_time: nanoseconds(reregisteredAt) }),
    ...unlessEmpty('total_resources', shown(agent.total)),
    ...unlessEmpty('allocated_resources', shown(usedOn(agent))),
    ...unlessEmpty('offered_resources', shown(offered)),
    capabilities: AGENT_CAPABILITIES,
    ...unlessEmpty('resource_providers', providers),
  }
}

function getAgents(master: MasterState): object {
  return { agents: [...master.agents.values()].map((agent) => agentView(master, agent)), recovered_agents: [] }
}

function getTasks(master: MasterState): object {
  const frameworks = [...master.frameworks.values(), ...master.completed.values()]
  const tasks = [...master.agents.values()].flatMap((agent) => [...agent.tasks.values()])
  const completed = frameworks.flatMap(({ completedTasks }) => completedTasks)
  return { tasks, unreachable_tasks: [], completed_tasks: completed }
}

function frameworkView(framework: FrameworkRecord): object {
  const active = framework.stream !== undefined
  return { framework_info: framework.info, active, connected: active, recovered: false }
}

function getFrameworks(master: MasterState): object {
  return {
    ...unlessEmpty('frameworks', [...master.frameworks.values()].map(frameworkView)),
    ...unlessEmpty('completed_frameworks', [...master.completed.values()].map(frameworkView)),
  }
}

function getOperations(master: MasterState): object {
  return unlessEmpty('operations', [...master.agents.values()].flatMap(operationsOf).map(operationView))
}

function operationView({ statuses, ...operation }: ReturnType<typeof operationsOf>[number]): object {
  return { ...operation, ...unlessEmpty('statuses', statuses) }
}

/** Roles that a framework has, something is reserved to, or a quota is set for. */
export function rolesOf(master: MasterState): string[] {
  const roles = new Set<string>()
  for (const { info } of master.frameworks.values()) for (const role of info.roles ?? ['*']) roles.add(role)
  for (const agent of master.agents.values()) {
    for (const resource of agent.total) {
      const role = reservedTo(resource)
      if (role !== undefined) roles.add(role)
    }
  }
  for (const role of master.allocator.quotas.keys()) roles.add(role)
  return [...roles].sort()
}

function getRoles(master: MasterState): object {
  const roles = rolesOf(master).map((name) => {
    const frameworks = [...master.frameworks.values()].filter(({ info }) => (info.roles ?? ['*']).includes(name))
    const held = [...master.agents.values()].flatMap((agent) => [
      ...usedOn(agent),
      ...offersOn(master, agent.id).flatMap(({ resources }) => resources),
    ])
    const amounts = new Map<string, number>()
    for (const { name: what, type, scalar, allocation_info } of held) {
      if (type === 'SCALAR' && allocation_info?.role === name)
        amounts.set(what, (amounts.get(what) ?? 0) + (scalar?.value ?? 0))
    }
    const resources = [...amounts].map(([what, value]) => ({ name: what, type: 'SCALAR', scalar: { value } }))
    const ids = frameworks.map(({ id }) => ({ value: id }))
    return { name, weight: 1, ...unlessEmpty('frameworks', ids), ...unlessEmpty('resources', resources) }
  })
  return { roles }
}

function getQuota(master: MasterState): object {
  const configs = [...master.allocator.quotas].map(([role, limits]) => ({
    role,
    limits: Object.fromEntries([...limits].map(([name, amount]) => [name, { value: amount / 1000 }])),
  }))
  return { status: unlessEmpty('configs', configs) }
}

export function getState(master: MasterState): object {
  return {
    get_tasks: getTasks(master),
    get_executors: {},
    get_frameworks: getFrameworks(master),
    get_agents: getAgents(master),
  }
}

const VIEWS: Readonly<Record<string, (master: MasterState) => object>> = {
  GET_HEALTH: () => ({ healthy: true }),
  GET_FLAGS: (master) => ({ flags: Object.entries(flagsOf(master)).map(([name, value]) => ({ name, value })) }),
  GET_VERSION: () => ({ version_info: { version: VERSION, build_date: '2024-08-20 00:00:00', build_user: 'root' } }),
  GET_MASTER: (master) => ({
    master_info: masterInfo(master),
    start_time: master.startedAt / 1000,
    elected_time: master.startedAt / 1000,
  }),
  GET_AGENTS: getAgents,
  GET_TASKS: getTasks,
  GET_FRAMEWORKS: getFrameworks,
  GET_OPERATIONS: getOperations,
  GET_ROLES: getRoles,
  GET_QUOTA: getQuota,
  GET_STATE: getState,
  GET_EXECUTORS: () => ({}),
}

/** @returns the whole answer to a call that only asks */
export function view(master: MasterState, type: string): object | undefined {
  const make = VIEWS[type]
  return make === undefined ? undefined : { type, [type.toLowerCase()]: make(master) }
}
