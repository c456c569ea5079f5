import { AgentClient, agentUrl } from '../../mesos/agent-client.ts'
import { agentHazards } from '../../mesos/agent-hazards.ts'
import type { Hazard } from '../../mesos/hazards.ts'
import type { MesosHttp } from '../../mesos/http.ts'
import type { MasterAgent } from '../../mesos/master-protocol.ts'
import type { Clock } from '../../model/clock.ts'
import { hasProvider } from './provider-hazards.ts'

/** Flags change with a restart only, so one agent is asked this seldom, ms. */
const EVERY_MS = 10 * 60_000
/** Agents asked at one time. */
const AT_ONCE = 100

interface Looked {
  readonly at: number
  readonly hazards: readonly Hazard[]
}

/** How the agents that have a provider of ours are run. Looks when somebody wants to know, and then seldom. */
export class AgentWatch {
  readonly #http: MesosHttp
  readonly #clock: Pick<Clock, 'boottime'>
  readonly #looked = new Map<string, Looked>()
  #looking: Promise<void> | undefined

  constructor(http: MesosHttp, clock: Pick<Clock, 'boottime'>) {
    this.#http = http
    this.#clock = clock
  }

  hazards(): readonly Hazard[] {
    return [...this.#looked.values()].flatMap(({ hazards }) => hazards)
  }

  /** Never throws. @param scheme in which the cluster speaks */
  look(agents: Iterable<MasterAgent>, scheme: 'http' | 'https'): Promise<void> {
    this.#looking ??= this.#pass([...agents].filter(hasProvider), scheme).finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #pass(agents: readonly MasterAgent[], scheme: 'http' | 'https'): Promise<void> {
    const known = new Set(agents.map(idOf))
    for (const id of this.#looked.keys()) if (!known.has(id)) this.#looked.delete(id)
    const now = this.#clock.boottime()
    const due = agents.filter((agent) => now - (this.#looked.get(idOf(agent))?.at ?? -EVERY_MS) >= EVERY_MS)
    // an agent that does not answer is asked again by the next look
    await Promise.allSettled(due.slice(0, AT_ONCE).map((agent) => this.#ask(agent, scheme, now)))
  }

  async #ask(agent: MasterAgent, scheme: 'http' | 'https', at: number): Promise<void> {
    const { hostname } = agent.agent_info
    const answer = await new AgentClient(this.#http, agentUrl(agent.pid ?? '', scheme)).flags()
    if (answer.kind !== 'answered') return
    const capabilities = (agent.capabilities ?? []).flatMap(({ type }) => type ?? [])
    const facts = { hostname, version: agent.version, flags: answer.value, capabilities }
    this.#looked.set(idOf(agent), { at, hazards: agentHazards(facts) })
  }
}

function idOf(agent: MasterAgent): string {
  return agent.agent_info.id?.value ?? ''
}
