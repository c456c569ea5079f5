/** What is true at every moment, seen from outside: asked again and again while the storm goes on. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Book } from './book.ts'
import type { System } from './system.ts'

export interface PoolView {
  readonly name: string
  readonly capacityMiB: number
  readonly usage: {
    readonly usedMiB: number
    readonly heldMiB: number
    readonly iopsLimit: number | null
    readonly iopsUsed: number
  }
  readonly deficit?: readonly unknown[]
}

export interface VolumeView {
  readonly id: string
  readonly name: string
  readonly state: string
  readonly pool: string
  readonly object: string
  readonly sizeMiB: number
  readonly inUse: boolean
}

export async function listPools(system: System): Promise<PoolView[]> {
  return everything<PoolView>(system, '/v1/pools')
}

export async function listVolumes(system: System): Promise<VolumeView[]> {
  return everything<VolumeView>(system, '/v1/volumes')
}

export async function everything<T>(system: System, path: string): Promise<T[]> {
  const items: T[] = []
  for (let cursor = ''; ; ) {
    const page = await system.get<{ items: T[]; next?: string }>(`${path}?limit=1000${cursor}`)
    items.push(...page.items)
    if (page.next === undefined) return items
    cursor = `&cursor=${page.next}`
  }
}

const ENDED = new Set(['deleting', 'deleted', 'error', 'missing'])

/** Nothing is granted twice, and what a framework was told it has is there. */
export async function checkLedger(system: System, book: Book): Promise<void> {
  const told = [...book.volumes.values()].filter(({ state }) => state === 'there')
  const pools = await listPools(system)
  for (const { name, capacityMiB, usage, deficit } of pools) {
    const { usedMiB, heldMiB, iopsLimit, iopsUsed } = usage
    const fits = usedMiB + heldMiB <= capacityMiB && iopsUsed <= (iopsLimit ?? iopsUsed) && deficit === undefined
    if (!fits) book.violations.push(`the ledger has too much of ${name} in use: ${JSON.stringify(usage)}`)
  }
  const volumes = new Map((await listVolumes(system)).map((volume) => [volume.id, volume]))
  for (const { name, capacityMiB } of pools) {
    const sum = [...volumes.values()]
      .filter(({ pool }) => pool === name)
      .reduce((total, each) => total + each.sizeMiB, 0)
    if (sum > capacityMiB) book.violations.push(`volumes of ${name} have ${sum} of ${capacityMiB} MiB`)
  }
  for (const { id, state } of told) {
    const found = volumes.get(id)
    // it may have been given back meanwhile
    if (state !== 'there' || (found !== undefined && !ENDED.has(found.state))) continue
    book.violations.push(`volume ${id} was acknowledged, and is ${found?.state ?? 'not in the ledger'}`)
  }
}

/** What tasks have found wrong with their volumes. */
export function taskTroubles(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.trouble'))
    .map((name) => `${name}: ${readFileSync(join(directory, name), 'utf8').trim()}`)
}

/** The lines that tasks have made durable in a volume. */
export function durableLines(directory: string, volumeId: string): string[] {
  const file = join(directory, `${volumeId}.lines`)
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
}
