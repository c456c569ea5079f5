import { Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'
import type { MasterAgent } from '../../mesos/master-protocol.ts'
import type { Resource } from '../../mesos/resource.ts'
import type { ClusterView } from '../mesos/mesos-view.ts'
import { hasProvider } from '../mesos/provider-hazards.ts'
import { withTimes } from './rest-schema.ts'

const Text = Type.String()
/** Agents and roles shown at once. */
const MAX_SHOWN = 1000

/** As a master has it: nothing here frees anything. */
export const Cluster = Type.Object({
  agentCount: Type.Integer(),
  frameworks: Type.Integer(),
  /** That have not ended. */
  tasks: Type.Integer(),
  operations: Type.Optional(Type.Integer()),
  roles: Type.Array(Text),
  /** Those that have a provider of ours, or should have. */
  agents: Type.Array(
    Type.Object({
      id: Text,
      hostname: Text,
      active: Type.Boolean(),
      version: Type.Optional(Text),
      tasks: Type.Integer(),
      providers: Type.Array(
        Type.Object({
          id: Text,
          type: Text,
          /** MiB of its disks and its capacity, and of them in offers that nobody has used yet. */
          totalMiB: Type.Number(),
          offeredMiB: Type.Number(),
        }),
      ),
    }),
  ),
  /** What it said of agents. */
  hints: Type.Array(Type.Object({ at: Type.Integer(), agentId: Text, hostname: Type.Optional(Text), sentence: Text })),
})

export function showCluster(state: LedgerState, cluster: ClusterView): unknown {
  const known = new Set([...state.all('provider').values()].map(({ agentId }) => agentId))
  const { frameworks, tasks, operations, roles, hints } = cluster
  const agents = [...cluster.agents].filter(([id, agent]) => known.has(id) || hasProvider(agent)).slice(0, MAX_SHOWN)
  return withTimes({
    agentCount: cluster.agents.size,
    ...{ frameworks, tasks, roles: roles.slice(0, MAX_SHOWN), hints },
    ...(operations === undefined ? {} : { operations }),
    agents: agents.map(([id, agent]) => ({ ...showAgent(id, agent), tasks: cluster.tasksOn(id) })),
  })
}

function showAgent(id: string, agent: MasterAgent): object {
  const { agent_info: info, active = true, version, resource_providers: providers = [] } = agent
  return {
    id,
    hostname: info.hostname,
    active,
    ...(version === undefined ? {} : { version }),
    providers: providers.map((each) => {
      const { id: providerId, type } = each.resource_provider_info
      const own = (agent.offered_resources ?? []).filter(({ provider_id: of }) => of?.value === providerId?.value)
      return {
        ...{ id: providerId?.value ?? '', type },
        totalMiB: diskMiB(each.total_resources ?? []),
        offeredMiB: diskMiB(own),
      }
    }),
  }
}

function diskMiB(resources: readonly Resource[]): number {
  return resources.reduce((sum, { name, scalar }) => sum + (name === 'disk' ? (scalar?.value ?? 0) : 0), 0)
}
