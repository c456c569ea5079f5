import type { Logger } from 'pino'
import type { Hazard } from '../../mesos/hazards.ts'
import type { Clock } from '../../model/clock.ts'
import type { Engine } from '../engine.ts'
import { AgentWatch } from './agent-watch.ts'
import { conflictHazard, mastersHazards, unreachableHazard } from './cluster-hazards.ts'
import { GuardWatch } from './guard-watch.ts'
import { type MasterSettings, MasterWatch } from './master-watch.ts'
import type { ClusterView, MasterState, MesosView } from './mesos-view.ts'

export interface MesosWatchParts {
  readonly engine: Engine
  readonly clock: Clock
  readonly log: Logger
  readonly settings: MasterSettings
}

/** How long somebody who looks waits for fresh figures, ms. */
const PATIENCE_MS = 3000

/** The controller's eye on Mesos: its masters, their guard, and what may hurt. Begins at once, ends with `close`. */
export class MesosWatch implements MesosView {
  readonly #parts: MesosWatchParts
  readonly #masters: MasterWatch
  readonly #guard: GuardWatch
  readonly #agents: AgentWatch
  #seen = false

  /** @throws invalid_option for a list of masters that cannot be read */
  constructor(parts: MesosWatchParts) {
    this.#parts = parts
    const { engine, clock, log, settings } = parts
    this.#masters = new MasterWatch({
      ...{ settings, clock, log },
      onLeader: () => this.#guard.look(),
      onAgent: () => {
        this.#seen = true
        this.#guard.agentCame()
      },
    })
    this.#guard = new GuardWatch({ engine, clock, log, masters: this.#masters, principal: settings.principal })
    this.#agents = new AgentWatch(this.#masters.http, clock)
    this.#guard.start()
  }

  get connected(): boolean {
    return this.#masters.isConnected
  }

  masters(): readonly MasterState[] {
    const { leader, problem } = this.#masters
    const { others } = this.#guard.asked
    const rest = others.filter(({ url }) => url !== leader?.url)
    const followers = rest.map(({ url, trouble }) => ({ url, leading: false, ...textOf('trouble', trouble) }))
    if (leader === undefined) return followers
    const { url, version } = leader
    return [{ url, leading: true, ...textOf('version', version), ...textOf('trouble', problem?.message) }, ...followers]
  }

  hazards(): readonly Hazard[] {
    const { leader, problem, cluster } = this.#masters
    const { principal } = this.#parts.settings
    const frameworks = [...cluster.frameworks.values()]
    return [
      ...(problem === undefined ? [] : [unreachableHazard(problem.message)]),
      ...mastersHazards(this.#guard.asked, { version: leader?.version, frameworks, principal }),
      ...this.#guard.conflicts.map(conflictHazard),
      ...this.#agents.hazards(),
    ]
  }

  cluster(): ClusterView | undefined {
    if (!this.#seen) return undefined
    const { cluster, roles, operations } = this.#masters
    return {
      agents: cluster.agents,
      frameworks: cluster.frameworks.size,
      tasks: cluster.tasks.size,
      tasksOn: (agentId) => cluster.tasksOn(agentId),
      ...{ roles, operations },
      hints: cluster.hints,
    }
  }

  async refresh(): Promise<void> {
    const { clock } = this.#parts
    let cancel = () => {}
    const late = new Promise<void>((resolve) => {
      cancel = clock.after(PATIENCE_MS, resolve)
    })
    await Promise.race([this.#refresh(), late])
    cancel()
  }

  async close(): Promise<void> {
    await this.#guard.stop()
    await this.#masters.close()
  }

  async #refresh(): Promise<void> {
    await this.#masters.refresh()
    const isTls = this.#masters.leader?.url.startsWith('https:') === true
    await this.#agents.look(this.#masters.cluster.agents.values(), isTls ? 'https' : 'http')
  }
}

function textOf<K extends string>(key: K, text: string | undefined): { [Key in K]?: string } {
  return text === undefined ? {} : ({ [key]: text } as { [Key in K]?: string })
}
