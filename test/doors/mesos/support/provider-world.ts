/** A controller, node daemons as processes, the double of Mesos, and the real provider of each machine between them. */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import { type RunningController, runController } from '../../../../src/cli/run-controller.ts'
import { type ProviderOptions, type RunningProvider, runProvider } from '../../../../src/cli/run-provider.ts'
import { requiredAcls } from '../../../../src/mesos/acls.ts'
import { HttpLink } from '../../../../src/node/http-link.ts'
import { takeBack } from '../../../e2e/support/node-cleanup.ts'
import { NodeProcess } from '../../../e2e/support/node-daemon.ts'
import { type AgentDouble, type AgentOptions, type Mesos, startMesos } from '../../../support/mesos/cluster.ts'
import { type FrameworkOptions, TestFramework } from '../../../support/mesos/framework.ts'
import type { Offer, Resource } from '../../../support/mesos/types.ts'
import { testDir } from '../../../support/temp-dir.ts'
import { until } from '../../../support/until.ts'

export const POOL = 'loop~row8~pool'
const LEASE_MS = 4000

export interface WorldOptions {
  readonly machines?: number
  readonly capacityMiB?: number
  /** Settings of the pool for Mesos, beside its roles. */
  readonly pool?: Record<string, unknown>
  readonly roles?: readonly string[]
  readonly guarded?: boolean
  readonly agents?: readonly AgentOptions[]
  readonly provider?: Partial<ProviderOptions>
}

export interface Machine {
  readonly node: NodeProcess
  readonly socket: string
  readonly mountRoot: string
  readonly agent: AgentDouble
  provider: RunningProvider | undefined
}

export class World {
  readonly dir: string
  readonly machines: Machine[] = []
  readonly #options: Required<WorldOptions>
  #controller: RunningController | undefined
  #rest: HttpLink | undefined
  #port = 0
  mesos!: Mesos
  poolId = ''

  private constructor(options: WorldOptions) {
    this.dir = testDir()
    const defaults = {
      machines: 2,
      capacityMiB: 4096,
      pool: {},
      roles: ['ads'],
      guarded: true,
      agents: [],
      provider: {},
    }
    this.#options = { ...defaults, ...options }
  }

  static async start(options: WorldOptions = {}): Promise<World> {
    const world = new World(options)
    onTestFinished(() => world.#stop())
    await world.#begin()
    return world
  }

  /** How a program of the user's reaches the controller. */
  get environment(): Record<string, string> {
    const { api = '', token = '' } = this.#controller ?? {}
    return { HOLDFAST_API: api, HOLDFAST_TOKEN: token }
  }

  get rest(): HttpLink {
    if (this.#rest === undefined) throw new Error('the controller has not been started')
    return this.#rest
  }

  machine(number: number): Machine {
    const machine = this.machines[number - 1]
    if (machine === undefined) throw new Error(`there is no machine ${number}`)
    return machine
  }

  async #begin(): Promise<void> {
    const { machines, roles, guarded, agents } = this.#options
    await this.startController()
    const acls = requiredAcls({ principal: 'holdfast', roles: [...roles] })
    const timings = Array.from({ length: machines }, (_, index) => agents[index] ?? {})
    const [mesos] = await Promise.all([
      startMesos({ workDir: join(this.dir, 'mesos'), agents: timings, ...(guarded ? { acls } : {}) }),
      this.#startNodes(machines),
    ])
    this.mesos = mesos
    await this.#makePool()
    for (const [index, node] of this.#nodes.entries()) {
      const agent = mesos.agents[index]
      if (agent === undefined) throw new Error('too few agents')
      const { name } = node
      const place = { socket: join(this.dir, name, 'node.sock'), mountRoot: join(this.dir, name, 'mnt') }
      this.machines.push({ node, agent, ...place, provider: undefined })
    }
    for (let number = 1; number <= machines; number += 1) await this.startProvider(number)
  }

  readonly #nodes: NodeProcess[] = []

  async startController(): Promise<void> {
    const log = pino({ level: 'warn' }, pino.destination({ dest: join(this.dir, 'controller.log'), sync: true }))
    const state = join(this.dir, 'controller')
    const options = {
      state,
      host: '127.0.0.1',
      port: this.#port,
      insecure: false,
      leaseMs: LEASE_MS,
      trustClock: true,
      log,
      // one that is started again finds a Mesos to watch
      ...(this.mesos === undefined ? {} : { mesos: { masters: this.mesos.master.url, principal: 'holdfast' } }),
    }
    this.#controller = await runController(options)
    this.#port = Number(new URL(this.#controller.api).port)
    await this.#rest?.close()
    this.#rest = new HttpLink({ api: this.#controller.api, token: this.#controller.token })
    if (this.#options.guarded) await this.guard('verified')
  }

  async stopController(): Promise<void> {
    await this.#controller?.stop()
    this.#controller = undefined
  }

  async guard(state: 'verified' | 'absent'): Promise<void> {
    await this.#controller?.controller.engine.submit({ actor: 'admin', command: { kind: 'guard.set', state, why: [] } })
  }

  async #startNodes(count: number): Promise<void> {
    const { api = '', token = '' } = this.#controller ?? {}
    for (let number = 1; number <= count; number += 1) {
      const name = `node-${number}`
      const dir = join(this.dir, name)
      mkdirSync(dir)
      this.#nodes.push(
        new NodeProcess({
          ...{ name, api, joinToken: token, state: join(dir, 'state'), mountRoot: join(dir, 'mnt'), mountRoots: [] },
          ...{ labels: {}, leaseMs: LEASE_MS, socket: join(dir, 'node.sock'), logFile: join(dir, 'node.log') },
        }),
      )
    }
    await Promise.all(this.#nodes.map((node) => node.start()))
  }

  async #makePool(): Promise<void> {
    const directory = join(this.dir, 'pool')
    mkdirSync(directory)
    const { capacityMiB, roles, pool } = this.#options
    await this.rest.rest('PUT', '/v1/profiles/default', { fs: 'ext4' })
    const mesos = { roles, ...pool }
    const settings = { directory }
    const body = { name: POOL, driver: 'loop', settings, capacityMiB, markOn: 'node-1', mesos }
    const made = await this.rest.rest<{ id: string }>('POST', '/v1/pools', body)
    this.poolId = made.id
    const reached = async () => (await this.rest.rest<{ nodes: number }>('GET', `/v1/pools/${POOL}`)).nodes
    await until(async () => (await reached()) === this.#nodes.length, {
      what: 'every node to reach the pool',
      everyMs: 50,
    })
  }

  async startProvider(number: number, more: Partial<ProviderOptions> = {}): Promise<void> {
    const machine = this.machine(number)
    const dir = join(this.dir, machine.node.name)
    const log = pino({ level: 'info' }, pino.destination({ dest: join(dir, 'provider.log'), sync: true }))
    machine.provider = await runProvider({
      agent: machine.agent.url,
      api: this.#controller?.api ?? `http://127.0.0.1:${this.#port}`,
      state: join(dir, 'mesos'),
      nodeSocket: machine.socket,
      credential: join(dir, 'state'),
      log,
      stopMs: 15_000,
      ...this.#options.provider,
      ...more,
    })
  }

  async stopProvider(number: number): Promise<void> {
    const machine = this.machine(number)
    await machine.provider?.stop()
    machine.provider = undefined
  }

  async framework(options: Partial<FrameworkOptions> = {}): Promise<TestFramework> {
    const framework = await TestFramework.connect(this.mesos.master.url, {
      ...{ name: 'f', roles: this.#options.roles, failoverTimeout: 60 },
      ...options,
    })
    onTestFinished(() => framework.disconnect())
    return framework
  }

  providerLog(number: number): string {
    return readFileSync(join(this.dir, `node-${number}`, 'provider.log'), 'utf8')
  }

  async #stop(): Promise<void> {
    const now = AbortSignal.abort()
    for (const { provider } of this.machines) await provider?.stop(now)
    await this.mesos?.stop()
    for (const node of this.#nodes) await node.kill()
    await this.#rest?.close()
    await this.stopController()
    takeBack(
      this.dir,
      'hf-',
      this.#nodes.flatMap(({ tag }) => (tag === undefined ? [] : [tag])),
    )
  }
}

export function isRaw({ disk }: Resource): boolean {
  return disk?.source?.type === 'RAW'
}

export function isVolume(id?: string): (resource: Resource) => boolean {
  return ({ disk }) => disk?.source?.type === 'MOUNT' && (id === undefined || disk.source.id === id)
}

/** The resource of an offer. */
export function pick(offers: readonly Offer[], is: (resource: Resource) => boolean): Resource {
  const found = offers.flatMap(({ resources }) => resources).find(is)
  if (found === undefined) throw new Error('no such resource in these offers')
  return found
}
