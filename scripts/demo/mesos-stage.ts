import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { AgentDouble, Mesos } from '../../test/support/mesos/cluster.ts'
import { startMesos } from '../../test/support/mesos/cluster.ts'
import { TestFramework } from '../../test/support/mesos/framework.ts'
import { until } from '../../test/support/until.ts'
import { Daemon } from './process.ts'
import { type Machine, POOL, POOL_MIB, Stage } from './stage.ts'

/** A machine with everything on it: an agent of Mesos, a node daemon, the agent's provider. */
export interface MesosMachine extends Machine {
  readonly agent: AgentDouble
  readonly provider: Daemon
}

/** Mesos on a stage: a master, agents and frameworks, played by the double that the tests use. */
export class MesosStage {
  readonly stage: Stage
  readonly machines: MesosMachine[] = []
  readonly #frameworks: TestFramework[] = []
  #mesos: Mesos | undefined

  private constructor(stage: Stage) {
    this.stage = stage
  }

  static async empty(): Promise<MesosStage> {
    return new MesosStage(await Stage.empty())
  }

  get mesos(): Mesos {
    if (this.#mesos === undefined) throw new Error('Mesos does not run')
    return this.#mesos
  }

  /** Node daemons without agents yet: what the pool needs to be made. */
  async build(names: readonly string[]): Promise<void> {
    await this.stage.buildStorage()
    await this.stage.startController()
    for (const name of names) await this.stage.startMachine(name, false)
    await this.addPool(POOL, POOL_MIB, 0)
  }

  /** One more pool on the same storage, in a folder of its own. */
  async addPool(name: string, capacityMiB: number, iops: number): Promise<void> {
    const directory = join(this.stage.poolDirectory, name.split('~')[2] ?? '')
    mkdirSync(directory)
    await this.stage.do(
      ...['pool', 'create', name, '--driver', 'loop', '--setting', `directory=${directory}`],
      ...['--capacity', `${capacityMiB}MiB`, ...(iops === 0 ? [] : ['--iops', String(iops)])],
      ...['--mark-on', this.stage.machines.find(({ daemon }) => daemon.running)?.name ?? ''],
    )
    const running = this.stage.machines.filter(({ daemon }) => daemon.running).length
    await until(async () => (await this.stage.json<{ nodes: number }>('pool', 'show', name)).nodes === running, {
      ...{ what: `all nodes to reach ${name}`, deadlineMs: 20_000, everyMs: 100 },
    })
  }

  /** A master that has the ACLs, of which the controller learns; then an agent and a provider on every machine. */
  async startMesos(acls: unknown): Promise<void> {
    const workDir = join(this.stage.directory, 'mesos')
    this.#mesos = await startMesos({ workDir, agents: [], acls, minAllocatable: 'cpus:0.01|mem:32|disk:1' })
    await this.stage.restartController({ mesos: { masters: this.mesos.master.url } })
    for (const machine of this.stage.machines) await this.#addAgent(machine)
  }

  async #addAgent(machine: Machine): Promise<MesosMachine> {
    const { name } = machine
    const { directory, api } = this.stage
    const agent = await this.mesos.addAgent({ hostname: name, timing: { lingerMs: 1000 } })
    const home = join(directory, name)
    const provider = new Daemon(directory, `${name}-mesos`, ['mesos', 'provider'], {
      agent: agent.url,
      api,
      state: join(home, 'mesos'),
      nodeSocket: join(home, 'node.sock'),
      credential: join(home, 'state'),
      stopSeconds: 10,
    })
    provider.start()
    const all = { ...machine, agent, provider }
    this.machines.push(all)
    await this.stage.until(`the provider of ${name}`, provider, async () => agent.state.providers.size > 0)
    return all
  }

  /** A machine that was not there before. */
  async join(name: string): Promise<MesosMachine> {
    return this.#addAgent(await this.stage.startMachine(name, false))
  }

  /** Its power is cut: agent, tasks, node daemon and provider end at once, and nobody unmounts anything. */
  async lose({ agent, daemon, provider }: MesosMachine): Promise<void> {
    const { id } = agent
    await Promise.all([agent.stop(), daemon.end('SIGKILL'), provider.end('SIGKILL')])
    this.mesos.master.markAgentUnreachable(id)
  }

  async connect(name: string, role: string): Promise<TestFramework> {
    const framework = await TestFramework.connect(this.mesos.master.url, { name, roles: [role], failoverTimeout: 3600 })
    this.#frameworks.push(framework)
    return framework
  }

  /** Brings back the machines that the story has lost, and lets go of the offers. */
  async restart(): Promise<void> {
    await this.#endFrameworks()
    await this.stage.restart()
    for (const { agent, provider } of this.machines) {
      if (!agent.alive) await agent.restart()
      if (!provider.running) provider.start()
    }
  }

  async #endFrameworks(): Promise<void> {
    for (const framework of this.#frameworks.splice(0)) await framework.teardown().catch(() => undefined)
  }

  async strike(): Promise<void> {
    await this.#endFrameworks()
    await Promise.all(this.machines.map(({ provider }) => provider.end('SIGTERM')))
    await this.#mesos?.stop()
    await this.stage.strike()
  }
}
