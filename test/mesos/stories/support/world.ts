/**
 * The double of Mesos with its hazards on, and Holdfast on it: a controller, for each agent a node daemon and a
 * provider, and loop pools that all of them reach.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { type RunningController, runController } from '../../../../src/cli/run-controller.ts'
import type { PoolMesos } from '../../../../src/model/mesos.ts'
import { HttpLink } from '../../../../src/node/http-link.ts'
import { unmountAll } from '../../../doors/docker/support/unmount-all.ts'
import { type AgentDouble, type Mesos, startMesos } from '../../../support/mesos/cluster.ts'
import type { LinkName } from '../../../support/mesos/links.ts'
import { type TempDir, tempDir } from '../../../support/temp-dir.ts'
import { until } from '../../../support/until.ts'
import { Client, type ClientOptions } from './client.ts'
import { Machine } from './machine.ts'

export const PRINCIPAL = 'holdfast'
export const INSTANCE = 'story'

export interface PoolWish {
  readonly sizeMiB: number
  readonly iops?: number
  readonly mesos: Partial<PoolMesos> & Pick<PoolMesos, 'roles'>
}

export interface WorldOptions {
  /** 2 if not given. */
  readonly agents?: number
  /** Whether the master has our ACLs; true if not given. */
  readonly guarded?: boolean
  /** By the last part of their names. */
  readonly pools: Readonly<Record<string, PoolWish>>
  /** By name: `fs` and so on; `plain` is ext4 if none are given. */
  readonly profiles?: Readonly<Record<string, object>>
  /** Storage bandwidth of each node; none if not given. */
  readonly bandwidth?: number
  readonly allocationIntervalMs?: number
  /** How long a task may wait for its volumes. */
  readonly publishSeconds?: number
}

export interface VolumeShown {
  readonly id: string
  readonly state: string
  readonly role: string
  readonly sizeMiB: number
  readonly iops: number
  readonly fs: string
  readonly mesos?: {
    readonly target: string
    readonly float: boolean
    readonly reservations: readonly { readonly role: string; readonly principal?: string }[]
    readonly persistence?: { readonly id: string; readonly principal?: string }
  }
  readonly attachments: readonly { readonly node: string; readonly users: readonly { readonly door: string }[] }[]
}

export class World {
  readonly dir: TempDir = tempDir()
  readonly machines: Machine[] = []
  readonly clients: Client[] = []
  readonly #options: WorldOptions
  #mesos: Mesos | undefined
  #controller: RunningController | undefined
  #rest: HttpLink | undefined
  #api: string | undefined
  readonly #held: [LinkName, string][] = []

  constructor(options: WorldOptions) {
    this.#options = options
  }

  get mesos(): Mesos {
    return there(this.#mesos)
  }

  /** The admin's. */
  get rest(): HttpLink {
    return there(this.#rest)
  }

  /** 1 for the first one. */
  agent(number: number): AgentDouble {
    return there(this.mesos.agents[number - 1])
  }

  machine(number: number): Machine {
    return there(this.machines[number - 1])
  }

  async start(): Promise<void> {
    const { agents = 2, pools, profiles = { plain: {} } } = this.#options
    await this.#startMesos(agents)
    const controller = await this.startController()
    this.#rest = new HttpLink(controller)
    for (let number = 1; number <= agents; number += 1) await this.#addMachine(controller, number)
    for (const [name, body] of Object.entries(profiles)) await this.rest.rest('PUT', `/v1/profiles/${name}`, body)
    await Promise.all(Object.entries(pools).map(([name, wish]) => this.#addPool(name, wish)))
    await this.#guard()
    for (const machine of this.machines) machine.startProvider()
    await this.allShown()
  }

  /** Waits until every agent was told by every provider. */
  async allShown(): Promise<void> {
    const what = 'all agents to have all providers'
    await until(() => this.#allShown(), { what, deadlineMs: 40_000, everyMs: 20 }).catch((thrown: Error) => {
      const logs = this.machines.map((machine) => `${machine.name}: ${machine.lastWords}`)
      throw new Error([thrown.message, ...logs].join('\n'))
    })
  }

  async #startMesos(count: number): Promise<void> {
    const { allocationIntervalMs } = this.#options
    this.#mesos = await startMesos({
      workDir: join(this.dir.path, 'mesos'),
      agents: Array.from({ length: count }, () => ({})),
      ...(allocationIntervalMs === undefined ? {} : { allocationIntervalMs }),
    })
  }

  /** As an operator does it who sets all this up. */
  async #guard(): Promise<void> {
    const guarded = this.#options.guarded !== false
    if (guarded) await this.mesos.master.restart({ acls: await this.rest.rest('GET', '/v1/mesos/acls') })
    await this.#guardIs(guarded ? 'verified' : 'absent')
  }

  /** On the port that it had before. */
  async startController(): Promise<RunningController> {
    const port = Number(new URL(this.#api ?? 'http://127.0.0.1:0').port)
    const state = join(this.dir.path, 'controller')
    const log = pino({ level: 'silent' })
    const mesos = { masters: this.mesos.master.url, principal: PRINCIPAL }
    const options = { state, host: '127.0.0.1', port, insecure: false, leaseMs: 15_000, trustClock: true, log, mesos }
    this.#controller = await runController(options)
    this.#api = this.#controller.api
    return this.#controller
  }

  async stopController(): Promise<void> {
    await this.#controller?.stop()
    this.#controller = undefined
  }

  async #addMachine({ api, token }: RunningController, number: number): Promise<void> {
    const { bandwidth, publishSeconds } = this.#options
    const agentUrl = this.agent(number).url
    const machine = new Machine({ name: `n${number}`, dir: this.dir.path, api, token, agentUrl, publishSeconds })
    this.machines.push(machine)
    await machine.startNode()
    if (bandwidth !== undefined) await this.rest.rest('PATCH', `/v1/nodes/${machine.name}`, { bandwidth })
  }

  async #addPool(name: string, { sizeMiB, iops, mesos }: PoolWish): Promise<void> {
    const directory = join(this.dir.path, `pool-${name}`)
    mkdirSync(directory)
    const settings = { directory }
    const full = poolName(name)
    const body = { name: full, driver: 'loop', settings, capacityMiB: sizeMiB, iops: iops ?? 0, mesos, markOn: 'n1' }
    await this.rest.rest('POST', '/v1/pools', body)
    const reached = async () => (await this.rest.rest<{ nodes: number }>('GET', `/v1/pools/${full}`)).nodes
    await until(async () => (await reached()) === this.machines.length, {
      what: `every node to reach ${full}`,
      deadlineMs: 30_000,
      everyMs: 50,
    })
  }

  /** What the controller has found out about the master's ACLs by itself. */
  async #guardIs(state: string): Promise<void> {
    interface Status {
      readonly guard: { readonly state: string; readonly why: readonly string[] }
    }
    let found: Status | undefined
    const isSo = async () => {
      found = await this.rest.rest<Status>('GET', '/v1/mesos')
      return found.guard.state === state
    }
    await until(isSo, { what: `the guard to be ${state}`, deadlineMs: 20_000, everyMs: 20 }).catch((thrown: Error) => {
      throw new Error(`${thrown.message}: ${JSON.stringify(found?.guard)}`)
    })
  }

  #allShown(): boolean {
    const count = Object.keys(this.#options.pools).length
    return this.mesos.agents.every(({ state }) => {
      const known = [...state.providers.values()].filter(({ version }) => version !== undefined)
      return known.length === count
    })
  }

  async client(options: ClientOptions): Promise<Client> {
    const client = await Client.connect(this.mesos.master.url, options)
    this.clients.push(client)
    return client
  }

  /** Messages of one kind stay where they are from now on; at the end of the test they go on. */
  hold(link: LinkName, agent: AgentDouble): void {
    this.mesos.links.hold(link, agent.id)
    this.#held.push([link, agent.id])
  }

  release(link: LinkName, agent: AgentDouble): void {
    this.mesos.links.release(link, agent.id)
  }

  /** What a story has taken away and not given back, because it failed. */
  async restore(): Promise<void> {
    for (const [link, id] of this.#held.splice(0)) this.mesos.links.release(link, id)
    if (this.#controller === undefined) await this.startController()
    if (!this.mesos.master.alive) await this.mesos.master.restart()
    for (const agent of this.mesos.agents) if (!agent.alive) await agent.restart()
    for (const machine of this.machines) await machine.restore()
    await this.allShown()
  }

  /** Frameworks of one story do not stand in the way of the next one's. */
  async endClients(): Promise<void> {
    for (const client of this.clients.splice(0)) await client.end()
  }

  volume(id: string): Promise<VolumeShown> {
    return this.rest.rest('GET', `/v1/volumes/${id}`)
  }

  /** An empty file, as a sign to a task. */
  touch(path: string): void {
    writeFileSync(path, '')
  }

  async usedMiB(pool: string): Promise<number> {
    const { usage } = await this.rest.rest<{ usage: { usedMiB: number } }>('GET', `/v1/pools/${poolName(pool)}`)
    return usage.usedMiB
  }

  /** By the REST API, as soon as nothing uses it any more. */
  async deleted(id: string): Promise<void> {
    await until(
      async () => {
        await this.rest.rest('DELETE', `/v1/volumes/${id}`).catch((thrown: { code?: string }) => {
          if (thrown.code !== 'not_found') throw thrown
        })
        return true
      },
      { what: `volume ${id} to be deletable`, deadlineMs: 20_000, everyMs: 50 },
    )
    const isGone = () =>
      this.volume(id).then(
        () => false,
        (thrown: { code?: string }) => thrown.code === 'not_found',
      )
    await until(isGone, { what: `volume ${id} to be gone`, deadlineMs: 20_000, everyMs: 50 })
  }

  async dispose(): Promise<void> {
    for (const client of this.clients) client.framework.disconnect()
    for (const machine of this.machines) await machine.endProvider('SIGKILL')
    await this.#mesos?.stop()
    for (const machine of this.machines) await machine.stopNode()
    await this.#rest?.close()
    await this.stopController()
    unmountAll(this.dir.path)
    this.dir.remove()
  }
}

export function poolName(name: string): string {
  return `loop~${INSTANCE}~${name}`
}

/** One world for the stories of a file: after each of them everything runs, and nothing of Mesos has died. */
export function sharedWorld(options: WorldOptions): World {
  const world = new World(options)
  beforeAll(() => world.start())
  afterEach(async () => {
    const aborts = world.mesos.aborts.splice(0)
    await world.restore()
    expect(aborts).toEqual([])
    await world.endClients()
  })
  afterAll(() => world.dispose())
  return world
}

function there<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the world has not been started, or has no such part')
  return value
}
