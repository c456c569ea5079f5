import { contains } from './resources.ts'
import type { Resource } from './types.ts'

interface Filter {
  readonly role: string
  readonly agentId: string
  readonly resources: readonly Resource[]
  readonly until: number
}

/** What frameworks have refused, and for how long. */
export class Filters {
  readonly #byFramework = new Map<string, Filter[]>()

  /** @param seconds refuse_seconds of the call; Mesos' default is 5 */
  add(frameworkId: string, role: string, agentId: string, resources: readonly Resource[], seconds = 5): void {
    if (seconds <= 0 || resources.length === 0) return
    const filters = this.#byFramework.get(frameworkId) ?? []
    filters.push({ role, agentId, resources, until: performance.now() + seconds * 1000 })
    this.#byFramework.set(frameworkId, filters)
  }

  clear(frameworkId: string, roles?: readonly string[]): void {
    const kept = (this.#byFramework.get(frameworkId) ?? []).filter(
      ({ role }) => roles !== undefined && !roles.includes(role),
    )
    this.#byFramework.set(frameworkId, kept)
  }

  /** Whether the framework has refused all of this, or more. */
  refuses(frameworkId: string, role: string, agentId: string, resources: readonly Resource[]): boolean {
    const now = performance.now()
    const current = (this.#byFramework.get(frameworkId) ?? []).filter(({ until }) => until > now)
    this.#byFramework.set(frameworkId, current)
    return current.some(
      (filter) => filter.role === role && filter.agentId === agentId && contains(filter.resources, resources),
    )
  }

  active(role: string): number {
    const now = performance.now()
    return [...this.#byFramework.values()].flat().filter((filter) => filter.role === role && filter.until > now).length
  }
}
