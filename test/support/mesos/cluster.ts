/**
 * A double of Mesos: a master and agents that talk HTTP on 127.0.0.1, run tasks as real processes, behave as recorded,
 * and die where Mesos dies.
 */
import { join } from 'node:path'
import type { Certificate } from '../certificates.ts'
import { until } from '../until.ts'
import { type Abort, Hazards } from './aborts.ts'
import { AgentDouble } from './agent.ts'
import type { Timing } from './agent-state.ts'
import type { Credential } from './basic.ts'
import type { Isolator } from './container-info.ts'
import { Links } from './links.ts'
import { MasterDouble } from './master.ts'
import type { Attribute, Resource } from './types.ts'
import { Wire } from './wire.ts'

export type { Abort } from './aborts.ts'
export type { AgentDouble } from './agent.ts'
export type { MasterDouble } from './master.ts'

export interface AgentOptions {
  readonly hostname?: string
  readonly cpus?: number
  readonly mem?: number
  readonly disk?: number
  readonly ports?: { readonly begin: number; readonly end: number }
  readonly attributes?: readonly Attribute[] | Readonly<Record<string, string>>
  /** Beside or instead of the above: these are all, when given. */
  readonly resources?: readonly Resource[]
  readonly timing?: Partial<Timing>
  /** For the volumes in a task's `container`; without it they are ignored. */
  readonly isolator?: Isolator
  /** It speaks https. */
  readonly certificate?: Certificate
  /** HTTP basic for its operator API. */
  readonly credentials?: readonly Credential[]
  /** HTTP basic of a proxy before its provider endpoint, which itself has none. */
  readonly shield?: readonly Credential[]
}

export interface ClusterOptions {
  /** One agent when not given. */
  readonly agents?: readonly AgentOptions[]
  /** The JSON of the master's flag --acls; undefined: none. */
  readonly acls?: unknown
  /** 100 when not given. */
  readonly allocationIntervalMs?: number
  /** As the flag --min_allocatable_resources; here `cpus:0.01|mem:32|disk:1`. Mesos' own default lacks the disk. */
  readonly minAllocatable?: string
  /** HTTP basic for frameworks and operators. */
  readonly credentials?: readonly Credential[]
  /** A folder of the test; each agent's work folder is below it. */
  readonly workDir: string
  /** Whether the CHECKs of Mesos end its processes; true when not given. */
  readonly hazards?: boolean
  /** A supervisor starts again what has aborted; false when not given. */
  readonly restartAfterAbort?: boolean
  /** URL of the master that leads, when this one does not. */
  readonly leading?: string
  /** Whether what a provider adds is offered by itself before the rest is taken back and offered again; recorded once. */
  readonly fragmentGrowth?: boolean
  /** How long messages between master and agents take at least, ms; 1 when not given. */
  readonly latencyMs?: number
}

export interface Mesos {
  readonly master: MasterDouble
  readonly agents: AgentDouble[]
  readonly links: Links
  /** Every death by a failed CHECK, in order. */
  readonly aborts: Abort[]
  /** Resolves when it has registered. */
  addAgent(options?: AgentOptions): Promise<AgentDouble>
  /** Kills tasks, closes everything. */
  stop(): Promise<void>
}

const TIMING: Timing = { recoveryMs: 50, launchMs: 10, registerMs: 10, lingerMs: 250, statusRetryMs: 10_000 }

export async function startMesos(options: ClusterOptions): Promise<Mesos> {
  const links = new Links(options.latencyMs ?? 1)
  const wire = new Wire(links)
  const aborts: Abort[] = []
  const agents: AgentDouble[] = []
  const hazards = new Hazards(options.hazards ?? true)
  const restartAfterAbort = options.restartAfterAbort ?? false
  const flags = {
    acls: options.acls,
    allocationIntervalMs: options.allocationIntervalMs ?? 100,
    minAllocatable: options.minAllocatable ?? 'cpus:0.01|mem:32|disk:1',
    credentials: options.credentials ?? [],
    fragmentGrowth: options.fragmentGrowth ?? false,
  }
  const master = new MasterDouble({
    ...{ flags, hazards, wire, aborts, restartAfterAbort },
    leading: options.leading,
    onElected: () => {
      for (const agent of agents) agent.masterElected()
    },
    onLost: () => {
      for (const agent of agents) agent.masterLost()
    },
  })
  wire.master = master
  await master.start()

  const addAgent = async (given: AgentOptions = {}): Promise<AgentDouble> => {
    const number = agents.length + 1
    const hostname = given.hostname ?? `a${number}`
    const agent = new AgentDouble({
      ...{ hostname, hazards, wire, aborts, restartAfterAbort },
      workDir: join(options.workDir, hostname),
      resources: resourcesOf(given, number),
      attributes: attributesOf(given.attributes),
      timing: { ...TIMING, ...given.timing },
      isolator: given.isolator,
      certificate: given.certificate,
      credentials: given.credentials ?? [],
      shield: given.shield ?? [],
    })
    agents.push(agent)
    await agent.start()
    await until(() => agent.agentId !== undefined && agent.state.phase === 'running', {
      what: `agent ${hostname} to register`,
    })
    return agent
  }
  const mesos: Mesos = {
    ...{ master, agents, links, aborts, addAgent },
    stop: async () => {
      links.stop()
      await Promise.all(agents.map((agent) => agent.stop()))
      master.kill()
    },
  }
  for (const agent of options.agents ?? [{}]) await addAgent(agent)
  return mesos
}

function resourcesOf({ cpus, mem, disk, ports, resources }: AgentOptions, number: number): Resource[] {
  if (resources !== undefined) return [...resources]
  const range = ports ?? { begin: 31_000 + number * 100, end: 31_099 + number * 100 }
  const scalar = (name: string, value: number): Resource => ({ name, type: 'SCALAR', scalar: { value } })
  const scalars = [scalar('cpus', cpus ?? 4), scalar('mem', mem ?? 4096), scalar('disk', disk ?? 10_000)]
  return [...scalars, { name: 'ports', type: 'RANGES', ranges: { range: [range] } }]
}

function attributesOf(given: AgentOptions['attributes']): readonly Attribute[] {
  if (given === undefined) return []
  if (isList(given)) return given
  return Object.entries(given).map(([name, value]) => ({ name, type: 'TEXT', text: { value } }))
}

function isList(given: NonNullable<AgentOptions['attributes']>): given is readonly Attribute[] {
  return Array.isArray(given)
}
