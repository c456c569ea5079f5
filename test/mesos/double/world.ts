/** What most tests of the double start with. Everything ends with the test. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { DiskSource, Resource } from '../../../src/mesos/resource.ts'
import { type AgentDouble, type ClusterOptions, type Mesos, startMesos } from '../../support/mesos/cluster.ts'
import { type FrameworkOptions, TestFramework } from '../../support/mesos/framework.ts'
import type { Offer, TaskInfo } from '../../support/mesos/types.ts'
import { testDir } from '../../support/temp-dir.ts'
import { until } from '../../support/until.ts'
import { type Answer, post, type ScriptedOptions, ScriptedProvider } from './scripted-provider.ts'

export const PRINCIPAL = 'ext-storage'

export class World {
  readonly mesos: Mesos
  readonly dir: string

  constructor(mesos: Mesos, dir: string) {
    this.mesos = mesos
    this.dir = dir
  }

  agent(number = 0): AgentDouble {
    const agent = this.mesos.agents[number]
    if (agent === undefined) throw new Error(`there is no agent ${number}`)
    return agent
  }

  async provider(number = 0, options: ScriptedOptions = {}): Promise<ScriptedProvider> {
    const provider = await ScriptedProvider.connect(this.agent(number).url, { name: `rp${number + 1}`, ...options })
    onTestFinished(() => provider.close())
    return provider
  }

  async framework(options: Partial<FrameworkOptions> = {}): Promise<TestFramework> {
    const framework = await TestFramework.connect(this.mesos.master.url, {
      name: 'f',
      roles: ['R'],
      failoverTimeout: 60,
      ...options,
    })
    onTestFinished(() => framework.disconnect())
    return framework
  }

  /** The mount root of a provider's disks; with an id it has what the provider would have mounted there. */
  root(number = 0, id?: string): string {
    const root = join(this.dir, 'mnt', `a${number + 1}`)
    if (id !== undefined) mkdirSync(join(root, id, 'target'), { recursive: true })
    return root
  }

  /** Waits until the master has heard of so many providers. */
  async knows(count: number): Promise<void> {
    const known = () =>
      [...this.mesos.master.state.agents.values()].reduce((sum, { providers }) => sum + providers.size, 0)
    await until(() => known() === count, { what: `the master to know ${count} providers` })
  }

  operator(call: object, headers: Record<string, string> = {}): Promise<Answer> {
    return post(`${this.mesos.master.url}/api/v1`, call, headers)
  }

  async ask<T>(type: string, url = this.mesos.master.url): Promise<T> {
    const { body } = await post(`${url}/api/v1`, { type })
    return JSON.parse(body) as T
  }
}

export async function startWorld(options: Partial<ClusterOptions> = {}): Promise<World> {
  const dir = testDir()
  const mesos = await startMesos({ workDir: join(dir, 'mesos'), ...options })
  onTestFinished(() => mesos.stop())
  return new World(mesos, dir)
}

export function reservedFor(role: string): Pick<Resource, 'reservations'> {
  return { reservations: [{ type: 'DYNAMIC', role, principal: PRINCIPAL }] }
}

export function raw(value: number, role?: string, source: Partial<DiskSource> = {}): Resource {
  const reserved = role === undefined ? {} : reservedFor(role)
  return {
    name: 'disk',
    type: 'SCALAR',
    scalar: { value },
    ...reserved,
    disk: { source: { type: 'RAW', vendor: 'acme', ...source } },
  }
}

/** A MOUNT disk; a persistent volume unless told otherwise. */
export function volume(
  value: number,
  role: string,
  id: string,
  root: string,
  persistence: string | undefined = `pv-${id}`,
): Resource {
  const source: DiskSource = { type: 'MOUNT', mount: { root }, vendor: 'acme', id, profile: 'fast' }
  const kept = {
    persistence: { id: persistence, principal: PRINCIPAL },
    volume: { mode: 'RW', container_path: 'data' },
    source,
  } as const
  return { name: 'disk', type: 'SCALAR', scalar: { value }, ...reservedFor(role), disk: kept }
}

export function bare({ disk, ...rest }: Resource): Resource {
  return disk?.source === undefined ? rest : { ...rest, disk: { source: disk.source } }
}

export function allocatedTo(role: string, resource: Resource): Resource {
  return { ...resource, allocation_info: { role } }
}

export function amount(resource: Resource, value: number): Resource {
  return { ...resource, scalar: { value } }
}

export function scalar(name: string, value: number): Resource {
  return { name, type: 'SCALAR', scalar: { value } }
}

export function hasDisk(type: DiskSource['type'], id?: string) {
  return ({ resources }: Pick<Offer, 'resources'>) =>
    resources.some(({ disk }) => disk?.source?.type === type && (id === undefined || disk.source.id === id))
}

/** Enough cpus and memory for a task, and the disk. */
export function hasAllFor(id: string) {
  return (resources: readonly Resource[]) =>
    resources.some(({ name }) => name === 'cpus') && resources.some(({ disk }) => disk?.source?.id === id)
}

export function task(id: string, agentId: string, command: string, resources: readonly Resource[]): TaskInfo {
  const own = [scalar('cpus', 0.1), scalar('mem', 32)]
  return {
    name: id,
    task_id: { value: id },
    agent_id: { value: agentId },
    resources: [...own, ...resources],
    command: { value: command },
  }
}
