/**
 * Who is offered what. It keeps its own totals, and its offers are on their way for a while: one made just before a
 * provider went away still reaches its framework.
 */

import { applied, type Conversion } from './conversions.ts'
import { Filters } from './filters.ts'
import { consumed, fitting, type Quantities } from './quota.ts'
import { add, allocated, isAllocatableTo, quantities, reservedTo, subtract, unallocated } from './resources.ts'
import type { Resource } from './types.ts'

export interface Allocation {
  readonly frameworkId: string
  readonly agentId: string
  readonly role: string
  readonly resources: readonly Resource[]
}

interface AgentShare {
  total: readonly Resource[]
  active: boolean
  readonly allocated: Map<string, Resource[]>
}

interface FrameworkShare {
  roles: readonly string[]
  readonly suppressed: Set<string>
  active: boolean
  shares: boolean
  turns: number
}

export interface AllocatorOptions {
  readonly intervalMs: number
  /** As the master's flag --min_allocatable_resources. */
  readonly minAllocatable: string
}

export class Allocator {
  readonly quotas = new Map<string, Quantities>()
  readonly filters = new Filters()
  readonly #agents = new Map<string, AgentShare>()
  readonly #frameworks = new Map<string, FrameworkShare>()
  readonly #offer: (allocations: Allocation[]) => void
  readonly #minimums: readonly Quantities[]
  readonly #timer: NodeJS.Timeout
  #soon: NodeJS.Timeout | undefined

  constructor(options: AllocatorOptions, offer: (allocations: Allocation[]) => void) {
    this.#offer = offer
    this.#minimums = options.minAllocatable.split('|').map(parseQuantities)
    this.#timer = setInterval(() => this.#allocate(), options.intervalMs)
  }

  stop(): void {
    clearInterval(this.#timer)
    clearTimeout(this.#soon)
  }

  setAgent(id: string, total: readonly Resource[], active: boolean): void {
    const known = this.#agents.get(id)
    if (known === undefined) this.#agents.set(id, { total, active, allocated: new Map() })
    else Object.assign(known, { total, active })
    this.allocateSoon()
  }

  /** New totals, what providers and conversions have changed included. */
  updateTotal(id: string, total: readonly Resource[]): void {
    const agent = this.#agents.get(id)
    if (agent === undefined) return
    agent.total = total
    this.allocateSoon()
  }

  activate(id: string, active: boolean): void {
    const agent = this.#agents.get(id)
    if (agent !== undefined) agent.active = active
  }

  removeAgent(id: string): void {
    this.#agents.delete(id)
  }

  setFramework(
    id: string,
    roles: readonly string[],
    capabilities: readonly string[],
    suppressed: readonly string[],
  ): void {
    const share = {
      roles,
      suppressed: new Set(suppressed),
      active: true,
      shares: capabilities.includes('SHARED_RESOURCES'),
    }
    this.#frameworks.set(id, { ...share, turns: 0 })
    this.allocateSoon()
  }

  deactivateFramework(id: string): void {
    const framework = this.#frameworks.get(id)
    if (framework !== undefined) framework.active = false
    this.filters.clear(id)
  }

  removeFramework(id: string): void {
    this.#frameworks.delete(id)
    this.filters.clear(id)
    for (const agent of this.#agents.values()) agent.allocated.delete(id)
  }

  revive(id: string, roles: readonly string[]): void {
    const framework = this.#frameworks.get(id)
    if (framework === undefined) return
    for (const role of roles.length === 0 ? framework.roles : roles) framework.suppressed.delete(role)
    this.filters.clear(id, roles.length === 0 ? undefined : roles)
    this.allocateSoon()
  }

  suppress(id: string, roles: readonly string[]): void {
    const framework = this.#frameworks.get(id)
    if (framework === undefined) return
    for (const role of roles.length === 0 ? framework.roles : roles) framework.suppressed.add(role)
  }

  /** Something is used that the allocator did not give: a task or an operation that a new master learns of. */
  use(frameworkId: string, agentId: string, resources: readonly Resource[]): void {
    const agent = this.#agents.get(agentId)
    if (agent === undefined) return
    agent.allocated.set(frameworkId, add(agent.allocated.get(frameworkId) ?? [], resources))
  }

  recover(frameworkId: string, agentId: string, resources: readonly Resource[]): void {
    const agent = this.#agents.get(agentId)
    const held = agent?.allocated.get(frameworkId)
    if (agent === undefined || held === undefined) return
    agent.allocated.set(frameworkId, subtract(held, resources))
  }

  /** What a framework holds is converted, and the total with it. */
  convert(frameworkId: string, agentId: string, conversions: readonly Conversion[]): void {
    const agent = this.#agents.get(agentId)
    if (agent === undefined) return
    for (const { consumed: taken, converted } of conversions) {
      const held = agent.allocated.get(frameworkId) ?? []
      agent.allocated.set(frameworkId, add(subtract(held, taken), converted))
      agent.total = add(subtract(agent.total, unallocated(taken)), unallocated(converted))
    }
  }

  /** For the operator API. @returns undefined, or why it can't be done */
  convertAvailable(agentId: string, conversions: readonly Conversion[]): string | undefined {
    const agent = this.#agents.get(agentId)
    if (agent === undefined) return `Agent ${agentId} not found`
    const result = applied(available(agent, true), conversions)
    if (typeof result === 'string') return result
    for (const { consumed: taken, converted } of conversions) agent.total = add(subtract(agent.total, taken), converted)
    return undefined
  }

  available(agentId: string): Resource[] {
    const agent = this.#agents.get(agentId)
    return agent === undefined ? [] : available(agent, true)
  }

  get held(): { totals: (readonly Resource[])[]; allocated: Resource[] } {
    const agents = [...this.#agents.values()]
    return {
      totals: agents.map(({ total }) => total),
      allocated: agents.flatMap(({ allocated: by }) => [...by.values()].flat()),
    }
  }

  /** Within a few milliseconds, once for all that asks in the meantime. */
  allocateSoon(): void {
    if (this.#soon !== undefined) return
    this.#soon = setTimeout(() => this.#allocate(), 3)
  }

  /** As when the allocator, which runs beside its master, is quicker than that. */
  allocateNow(): void {
    this.#allocate()
  }

  #allocate(): void {
    clearTimeout(this.#soon)
    this.#soon = undefined
    const allocations: Allocation[] = []
    for (const [agentId, agent] of this.#agents) {
      if (!agent.active) continue
      const sharedNow = new Set<string>()
      for (const { frameworkId, role } of this.#turns()) {
        const given = this.#give(agentId, agent, frameworkId, role, sharedNow)
        if (given !== undefined) allocations.push(given)
      }
    }
    if (allocations.length > 0) this.#offer(allocations)
  }

  /** Frameworks and roles, those first that have had the fewest turns. */
  #turns(): { frameworkId: string; role: string }[] {
    return [...this.#frameworks]
      .filter(([, { active }]) => active)
      .sort(([, a], [, b]) => a.turns - b.turns)
      .flatMap(([frameworkId, { roles, suppressed, turns }]) => {
        const wanted = roles.filter((role) => !suppressed.has(role))
        const first = wanted.length === 0 ? 0 : turns % wanted.length
        return [...wanted.slice(first), ...wanted.slice(0, first)].map((role) => ({ frameworkId, role }))
      })
  }

  #give(
    agentId: string,
    agent: AgentShare,
    frameworkId: string,
    role: string,
    sharedNow: Set<string>,
  ): Allocation | undefined {
    const framework = this.#frameworks.get(frameworkId)
    if (framework === undefined) return undefined
    const free = available(agent, framework.shares).filter(
      (resource) => isAllocatableTo(resource, role) && !(resource.shared && sharedNow.has(JSON.stringify(resource))),
    )
    const reserved = free.filter((resource) => reservedTo(resource) !== undefined)
    const resources = inOrderOfOffers(allocated([...reserved, ...this.#unreserved(role, free)], role))
    if (!this.#isAllocatable(resources) || this.filters.refuses(frameworkId, role, agentId, resources)) return undefined
    for (const resource of free) if (resource.shared) sharedNow.add(JSON.stringify(resource))
    agent.allocated.set(frameworkId, add(agent.allocated.get(frameworkId) ?? [], resources))
    framework.turns++
    return { frameworkId, agentId, role, resources }
  }

  #unreserved(role: string, free: readonly Resource[]): Resource[] {
    const unreserved = free.filter((resource) => reservedTo(resource) === undefined)
    const top = role.split('/')[0] ?? role
    const limits = this.quotas.get(top)
    return limits === undefined ? unreserved : fitting(unreserved, limits, consumed(top, this.held))
  }

  #isAllocatable(resources: readonly Resource[]): boolean {
    if (resources.length === 0) return false
    const amounts = quantities(resources)
    return this.#minimums.some((minimum) => [...minimum].every(([name, least]) => (amounts.get(name) ?? 0) >= least))
  }
}

function available(agent: AgentShare, withShared: boolean): Resource[] {
  const used = [...agent.allocated.values()].flat().filter(({ shared }) => shared === undefined)
  const free = subtract(agent.total, unallocated(used))
  return withShared ? free : free.filter(({ shared }) => shared === undefined)
}

/** Ranges, what is reserved, then the rest: the order in which recorded offers have them. */
function inOrderOfOffers(resources: readonly Resource[]): Resource[] {
  const rank = (resource: Resource) => (resource.type !== 'SCALAR' ? 0 : reservedTo(resource) === undefined ? 2 : 1)
  return [...resources].sort((a, b) => rank(a) - rank(b))
}

function parseQuantities(text: string): Quantities {
  const pairs = text.split(';').map((pair) => pair.split(':'))
  return new Map(pairs.map(([name, amount]) => [(name ?? '').trim(), Math.round(Number(amount ?? 0) * 1000)]))
}
