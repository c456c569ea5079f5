import type { LedgerState } from '../../ledger/state.ts'
import type { Hazard } from '../../mesos/hazards.ts'
import type { MasterAgent } from '../../mesos/master-protocol.ts'
import type { Provider } from '../../model/mesos.ts'
import type { ProviderReport } from './provider-reports.ts'

export interface ProviderFacts {
  readonly state: LedgerState
  /** Nodes whose provider process is connected. */
  readonly connected: { has(nodeId: string): boolean }
  readonly reports: { get(nodeId: string): { readonly report: ProviderReport } | undefined }
  /** By id, as the leading master has them; undefined: it is not known. */
  readonly agents: ReadonlyMap<string, MasterAgent> | undefined
}

/** Names that one sentence holds. */
const NAMED = 10

/** Whether a provider of Holdfast runs with an agent: their types are `org.holdfast.<type of the pool>`. */
export function hasProvider({ resource_providers: providers = [] }: MasterAgent): boolean {
  return providers.some((each) => each.resource_provider_info.type.startsWith('org.holdfast.'))
}

/** What is wrong with the providers of the machines, and between them and the master. */
export function providerHazards(facts: ProviderFacts): Hazard[] {
  const { state, agents } = facts
  if (![...state.all('pool').values()].some(({ mesos }) => mesos !== undefined)) return []
  const records = Map.groupBy(state.all('provider').values(), ({ nodeId }) => nodeId)
  const nodes = [...state.all('node').values()].filter(
    ({ id }) => records.has(id) || facts.connected.has(id) || facts.reports.get(id) !== undefined,
  )
  return [
    ...nodes.flatMap(({ id, name }) => ofNode(facts, id, name)),
    ...(agents === undefined ? [] : unknownAgents(state, records, agents)),
    ...(agents === undefined ? [] : agentsWithout(agents)),
  ]
}

function ofNode({ state, connected, reports }: ProviderFacts, nodeId: string, node: string): Hazard[] {
  const where = `node ${node}`
  if (!connected.has(nodeId)) {
    return [
      {
        code: 'provider_away',
        severity: 'stops',
        where,
        sentence: 'its provider process is not connected: what its agent shows is as it was, and nothing new is made',
        advice: 'start `holdfast mesos provider` there, or see in its log why it does not reach this controller',
      },
    ]
  }
  const report = reports.get(nodeId)?.report
  if (report === undefined) return []
  const troubles = [
    ...troubleOf(report.agent.state === 'away', `its agent at ${report.agent.url}`, report.agent),
    ...report.providers.flatMap((each) => {
      const pool = state.get('pool', each.poolId)?.name ?? each.poolId
      return troubleOf(each.state === 'none' || each.state === 'torn-down', `its provider of pool ${pool}`, each)
    }),
  ]
  return troubles.map((sentence) => ({
    code: 'provider_trouble',
    severity: 'stops',
    where,
    sentence,
    advice: 'see the log of `holdfast mesos provider` there, and whether its agent runs and is the right one',
  }))
}

/** Fields that only a newer provider knows are kept in reports, and those of an older one may be missing. */
function troubleOf(isTrouble: boolean, what: string, said: { state?: string; problem?: unknown }): string[] {
  if (!isTrouble) return []
  const why = typeof said.problem === 'string' ? said.problem : ''
  return [`${what} is ${said.state === 'torn-down' ? 'marked gone' : 'not connected'}${why === '' ? '' : `: ${why}`}`]
}

function unknownAgents(
  state: LedgerState,
  records: ReadonlyMap<string, readonly Provider[]>,
  agents: ReadonlyMap<string, MasterAgent>,
): Hazard[] {
  return [...records].flatMap(([nodeId, providers]) => {
    const agentId = providers.find((each) => each.agentId !== undefined && !agents.has(each.agentId))?.agentId
    if (agentId === undefined) return []
    return [
      {
        code: 'agent_unknown',
        severity: 'stops',
        where: `node ${state.get('node', nodeId)?.name ?? nodeId}`,
        sentence: `the master does not know its agent ${agentId}, so nobody is offered what it shows`,
        advice:
          'see whether the agent runs and has registered with these masters; its volumes stay held until the machine ' +
          'is proven to write no more',
      },
    ]
  })
}

function agentsWithout(agents: ReadonlyMap<string, MasterAgent>): Hazard[] {
  const names = [...agents.values()]
    .filter((agent) => agent.active !== false && !hasProvider(agent))
    .map((agent) => agent.agent_info.hostname)
    .sort()
  if (names.length === 0) return []
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : ''
  return [
    {
      code: 'provider_missing',
      severity: 'note',
      where: 'the agents',
      sentence: `${names.length} of ${agents.size} have no provider of Holdfast: ${names.slice(0, NAMED).join(', ')}${more}`,
      advice: 'start `holdfast mesos provider` on those that are to use external storage',
    },
  ]
}
