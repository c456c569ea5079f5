import type { Allocation } from './allocator.ts'
import { type AgentRecord, type MasterState, offersOn, sendTo } from './master-state.ts'
import { providerOf } from './resources.ts'
import type { Offer } from './types.ts'

/** Offers from the allocator have arrived. Whether their providers are still there is not looked at, as in Mesos. */
export function makeOffers(master: MasterState, allocations: readonly Allocation[]): void {
  const byFramework = new Map<string, Offer[]>()
  for (const allocation of allocations) {
    const offer = makeOffer(master, allocation)
    if (offer === undefined) continue
    byFramework.set(allocation.frameworkId, [...(byFramework.get(allocation.frameworkId) ?? []), offer])
  }
  for (const [frameworkId, offers] of byFramework) {
    sendTo(master.frameworks.get(frameworkId), { type: 'OFFERS', offers: { offers } })
  }
}

function makeOffer(master: MasterState, { frameworkId, agentId, role, resources }: Allocation): Offer | undefined {
  const framework = master.frameworks.get(frameworkId)
  const agent = master.agents.get(agentId)
  if (framework?.stream === undefined || agent === undefined || !agent.connected) {
    master.allocator.recover(frameworkId, agentId, resources)
    return undefined
  }
  const offer: Offer = {
    id: { value: `${master.id}-O${master.nextOffer++}` },
    framework_id: { value: frameworkId },
    agent_id: { value: agentId },
    hostname: agent.hostname,
    url: {
      scheme: 'http',
      address: { hostname: agent.hostname, ip: '127.0.0.1', port: agent.httpPort },
      path: '/slave(1)',
    },
    resources,
    ...(agent.attributes.length === 0 ? {} : { attributes: agent.attributes }),
    allocation_info: { role },
  }
  master.offers.set(offer.id.value, offer)
  return offer
}

/** Takes an offer back, and gives what was in it to the allocator. */
export function rescind(master: MasterState, offer: Offer): void {
  withdraw(master, offer)
  sendTo(master.frameworks.get(offer.framework_id.value), { type: 'RESCIND', rescind: { offer_id: offer.id } })
}

/** The same for an offer that its framework need not hear of. */
export function withdraw(master: MasterState, offer: Offer): void {
  master.offers.delete(offer.id.value)
  master.allocator.recover(offer.framework_id.value, offer.agent_id.value, offer.resources)
}

/** Any change of any provider of an agent takes back every offer with something of any provider of that agent. */
export function rescindProviderOffers(master: MasterState, agent: AgentRecord): void {
  for (const offer of offersOn(master, agent.id)) {
    if (offer.resources.some((resource) => providerOf(resource) !== undefined)) rescind(master, offer)
  }
}

export function rescindAll(master: MasterState, agent: AgentRecord): void {
  for (const offer of offersOn(master, agent.id)) rescind(master, offer)
}
