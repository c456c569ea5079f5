import type { Hazard } from '../../mesos/hazards.ts'
import type { MasterAgent } from '../../mesos/master-protocol.ts'
import type { Hint } from './cluster.ts'

/** A Mesos master as it was last seen. */
export interface MasterState {
  readonly url: string
  readonly leading: boolean
  readonly version?: string
  /** Why it cannot be asked, or what it answered last that was no answer. */
  readonly trouble?: string
}

/** What the leading master tells of its cluster. */
export interface ClusterView {
  /** By id. */
  readonly agents: ReadonlyMap<string, MasterAgent>
  readonly frameworks: number
  /** That have not ended. */
  readonly tasks: number
  tasksOn(agentId: string): number
  readonly roles: readonly string[]
  /** Operations that it tracks; undefined: it was not asked yet. */
  readonly operations: number | undefined
  /** What it said of agents, oldest first. They prove nothing. */
  readonly hints: readonly Hint[]
}

/** What is known of Mesos itself, from whoever watches its masters. */
export interface MesosView {
  masters(): readonly MasterState[]
  /** What is found at masters and agents. */
  hazards(): readonly Hazard[]
  /** Whether the events of the leading master are being received. */
  readonly connected: boolean
  /** Undefined until a master has told all of it. */
  cluster(): ClusterView | undefined
  /** Asks for what events do not tell. Never throws, and never takes long. */
  refresh(): Promise<void>
}
