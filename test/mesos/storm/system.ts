/** The whole of it below one folder: a Mesos with agents, and a controller, node daemons and providers as processes. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { requiredAcls } from '../../../src/mesos/acls.ts'
import { HttpLink } from '../../../src/node/http-link.ts'
import { type Mesos, startMesos } from '../../support/mesos/cluster.ts'
import { until } from '../../support/until.ts'
import { Daemon } from './daemon.ts'

export interface StormPool {
  /** Last part of its name. */
  readonly name: string
  readonly capacityMiB: number
  readonly iops: number
  readonly shrink?: 'prompt' | 'on-exhaustion' | 'never'
}

export interface SystemOptions {
  readonly directory: string
  readonly machines: number
  readonly roles: readonly string[]
  readonly pools: readonly StormPool[]
  readonly acls: boolean
}

/** Of every reservation and persistence that Holdfast makes. */
export const PRINCIPAL = 'holdfast'

/** One machine: its agent is in this process, its daemons are not. */
export interface Machine {
  readonly name: string
  readonly mountRoot: string
  readonly state: string
  readonly node: Daemon
  readonly provider: Daemon
}

export class System {
  readonly options: SystemOptions
  readonly mesos: Mesos
  readonly controller: Daemon
  readonly machines: readonly Machine[]
  readonly rest: HttpLink
  readonly directory: string

  constructor(options: SystemOptions, mesos: Mesos, controller: Daemon, machines: readonly Machine[], rest: HttpLink) {
    this.options = options
    this.directory = options.directory
    this.mesos = mesos
    this.controller = controller
    this.machines = machines
    this.rest = rest
  }

  get daemons(): Daemon[] {
    return [this.controller, ...this.machines.flatMap(({ node, provider }) => [node, provider])]
  }

  poolDirectory(pool: string): string {
    return join(this.directory, 'pools', pool)
  }

  get<T>(path: string): Promise<T> {
    return this.rest.rest<T>('GET', path)
  }
}

/** Starts everything; what was started is handed over at once, so that it ends whatever happens. */
export async function startSystem(options: SystemOptions, onStarted: (close: () => Promise<void>) => void) {
  const { directory, machines: count, roles } = options
  const mesos = await startMesos({
    agents: Array.from({ length: count }, () => ({ cpus: 64, mem: 65_536, disk: 0, timing: { statusRetryMs: 1000 } })),
    workDir: join(directory, 'mesos'),
    restartAfterAbort: true,
    ...(options.acls ? { acls: requiredAcls({ principal: PRINCIPAL, roles }) } : {}),
  })
  onStarted(() => mesos.stop())
  const api = `http://127.0.0.1:${await freePort()}`
  const controller = controllerDaemon(directory, api, mesos.master.url)
  onStarted(() => controller.kill9())
  controller.start()
  const tokenFile = join(directory, 'controller', 'admin.token')
  const token = await until(() => readFileSync(tokenFile, 'utf8').trim() || undefined, {
    what: 'the token of the admin',
  })
  const rest = new HttpLink({ api, token })
  onStarted(() => rest.close())
  const machines = mesos.agents.map(({ url }, index) =>
    machine(directory, `n${index + 1}`, { api, tokenFile, agent: url }),
  )
  for (const { node, provider } of machines)
    onStarted(() => Promise.all([node.kill9(), provider.kill9()]).then(() => {}))
  const system = new System(options, mesos, controller, machines, rest)
  await until(() => system.get('/v1/status'), { what: 'the controller', deadlineMs: 20_000 })
  for (const { node } of machines) node.start()
  await addPools(system)
  for (const { provider } of machines) provider.start()
  await ready(system)
  return system
}

function controllerDaemon(directory: string, api: string, masters: string): Daemon {
  const config = {
    controller: {
      listen: new URL(api).host,
      state: join(directory, 'controller'),
      mesos: { masters, principal: PRINCIPAL },
    },
  }
  return daemon(directory, 'controller', ['controller', 'run'], config)
}

interface Surroundings {
  readonly api: string
  readonly tokenFile: string
  /** URL of its agent. */
  readonly agent: string
}

function machine(directory: string, name: string, { api, tokenFile, agent }: Surroundings): Machine {
  const base = join(directory, name)
  mkdirSync(base)
  const state = join(base, 'state')
  const mountRoot = join(base, 'mnt')
  const socket = join(base, 'node.sock')
  const node = { name, api, state, joinTokenFile: tokenFile, mountRoot, socket, doors: { docker: false } }
  const mesos = { agent, api, state: join(base, 'mesos'), nodeSocket: socket, credential: state }
  return {
    ...{ name, mountRoot, state },
    node: daemon(directory, `${name}-node`, ['node', 'run'], { node }),
    provider: daemon(directory, `${name}-provider`, ['mesos', 'provider'], { mesos }),
  }
}

function daemon(directory: string, name: string, command: readonly string[], config: object): Daemon {
  const file = join(directory, `${name}.yaml`)
  // JSON is YAML, too
  writeFileSync(file, JSON.stringify(config, undefined, 2))
  return new Daemon(name, ['--config', file, ...command], directory)
}

async function addPools(system: System): Promise<void> {
  const { roles, pools, machines } = system.options
  const nodes = async () => (await system.get<{ items: { name: string; state: string }[] }>('/v1/nodes')).items
  await until(async () => (await nodes()).filter(({ state }) => state === 'up').length === machines, {
    what: 'all nodes to be up',
    deadlineMs: 30_000,
  })
  for (const { name, capacityMiB, iops, shrink } of pools) {
    const settings = { directory: system.poolDirectory(name) }
    mkdirSync(settings.directory, { recursive: true })
    const mesos = { roles, ...(shrink === undefined ? {} : { shrink }) }
    const pool = { name: `loop~storm~${name}`, driver: 'loop', settings, capacityMiB, iops, mesos, markOn: 'n1' }
    await system.rest.rest('POST', '/v1/pools', pool)
  }
  await system.rest.rest('PUT', '/v1/profiles/plain', {})
  await system.rest.rest('PUT', '/v1/profiles/fast', { iops: 100 })
  await system.rest.rest('PUT', '/v1/profiles/greedy', { iops: 100_000_000 })
  const reached = async () => (await system.get<{ items: { nodes: number }[] }>('/v1/pools')).items
  await until(async () => (await reached()).every(({ nodes: count }) => count === machines), {
    what: 'all pools to be reached',
    deadlineMs: 20_000,
  })
}

/** Every agent has a provider for every pool, and the guard is what it should be. */
async function ready(system: System): Promise<void> {
  const { acls, pools, machines } = system.options
  const wanted = acls ? 'verified' : 'absent'
  await until(
    async () => {
      const { guard, providerCount } = await system.get<MesosStatus>('/v1/mesos')
      if (guard.state !== wanted) throw new Error(`the guard is ${guard.state}: ${guard.why.join('; ')}`)
      return providerCount === pools.length * machines
    },
    { what: `${wanted} ACLs and all providers`, deadlineMs: 60_000, everyMs: 100 },
  )
}

export interface MesosStatus {
  readonly guard: { readonly state: string; readonly why: readonly string[] }
  readonly providerCount: number
  readonly providers: readonly {
    readonly node: string
    readonly pool: string
    readonly connected: boolean
    /** What the provider has said of itself last. */
    readonly report?: { readonly operations: number; readonly state: string }
  }[]
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
