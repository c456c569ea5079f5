/** What frameworks see in the offers that they hold. */
import type { TestFramework } from '../../test/support/mesos/framework.ts'
import type { Offer, Resource } from '../../test/support/mesos/types.ts'
import { until } from '../../test/support/until.ts'
import { say } from './telling.ts'

export interface Audience {
  readonly role: string
  readonly framework: TestFramework
}

export function format(amount: number): string {
  return amount.toLocaleString('en-US')
}

function resourcesOn(framework: TestFramework, hostname: string): Resource[] {
  return [...framework.offers.values()].filter((offer) => offer.hostname === hostname).flatMap((each) => each.resources)
}

/** MiB of a pool that a framework may take from an agent now. */
export function freeIn(framework: TestFramework, hostname: string, pool: string): number {
  const sizes = resourcesOn(framework, hostname)
    .filter((resource) => isRaw(resource, pool))
    .map(sizeOf)
  return sizes.reduce((sum, size) => sum + size, 0)
}

export function isRaw({ disk }: Resource, pool: string): boolean {
  const label = (key: string) => disk?.source?.metadata?.labels?.find((each) => each.key === key)?.value
  return disk?.source?.type === 'RAW' && `loop~${label('instance')}~${label('pool')}` === pool
}

export function sizeOf(resource: Resource): number {
  return resource.scalar?.value ?? 0
}

export function disksOn(framework: TestFramework, hostname: string): string[] {
  return resourcesOn(framework, hostname).flatMap(({ disk }) => {
    return disk?.source?.type === 'MOUNT' && disk.source.id !== undefined ? [disk.source.id] : []
  })
}

/** One line for each agent and role. */
export function table(agents: readonly string[], audiences: readonly Audience[], pools: readonly string[]): void {
  const rows = agents.flatMap((agent) =>
    audiences.flatMap(({ role, framework }) =>
      pools.map((pool) => {
        const volumes = disksOn(framework, agent).join(' ') || '-'
        return [agent, role, pool, `${format(freeIn(framework, agent, pool))} MiB`, volumes]
      }),
    ),
  )
  const all = [['agent', 'role', 'pool', 'RAW offered', 'volumes offered'], ...rows]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  for (const row of all) {
    const cells = row.map((cell, column) =>
      column === 3 ? cell.padStart(widths[3] ?? 0) : cell.padEnd(widths[column] ?? 0),
    )
    say(`  ${cells.join('  ').trimEnd()}`)
  }
}

/** Waits until all the roles are offered so much of a pool by each of the agents. @returns true */
export async function allOffered(
  audiences: readonly Audience[],
  agents: readonly string[],
  pool: string,
  sizeMiB: number,
): Promise<true> {
  for (const { role, framework } of audiences) {
    const shown = () => agents.every((agent) => freeIn(framework, agent, pool) === sizeMiB)
    const what = `role ${role} to be offered ${format(sizeMiB)} MiB of ${pool} on ${agents.join(', ')}`
    await until(shown, { what, deadlineMs: 40_000, everyMs: 20 }).catch((thrown: Error) => {
      const seen = agents.map((agent) => `${agent}: ${format(freeIn(framework, agent, pool))}`)
      throw new Error(`${thrown.message}; it is ${seen.join(', ')}`)
    })
  }
  return true
}

/** All that a framework is offered by an agent, to be accepted together. */
export function offersOf(framework: TestFramework, hostname: string): Offer[] {
  return [...framework.offers.values()].filter((offer) => offer.hostname === hostname)
}
