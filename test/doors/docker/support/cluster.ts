/** A controller and nodes as processes of their own, which can be killed, with a pool that all of them share. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DockerDoorConfig } from '../../../../src/doors/docker/config.ts'
import { HttpLink } from '../../../../src/node/http-link.ts'
import { until } from '../../../support/until.ts'
import type { ControllerProcess, NodeProcess } from './cluster-process.ts'
import type { VolumeOfRest } from './world.ts'

const MAIN = fileURLToPath(new URL('./cluster-process.ts', import.meta.url))
const LEASE_MS = 4000
export const POOL = 'loop~e2e~pool'

/** A process that can be ended and started again with the same options. */
export class Member {
  readonly name: string
  readonly #dir: string
  readonly #args: readonly string[]
  #child: ChildProcess | undefined
  #said = ''

  constructor(name: string, dir: string, role: 'controller' | 'node', options: ControllerProcess | NodeProcess) {
    this.name = name
    this.#dir = dir
    this.#args = ['--disable-warning=ExperimentalWarning', MAIN, role, JSON.stringify(options)]
  }

  /** @returns its ready line */
  async start(): Promise<Record<string, string>> {
    const log = openSync(join(this.#dir, `${this.name}.log`), 'a')
    const child = spawn(process.execPath, this.#args, { cwd: this.#dir, stdio: ['ignore', 'pipe', log] })
    this.#child = child
    this.#said = ''
    child.stdout?.on('data', (chunk) => {
      this.#said += chunk
    })
    await until(() => this.#said.includes('\n') || hasEnded(child), {
      what: `${this.name} to be ready`,
      deadlineMs: 30_000,
    })
    if (hasEnded(child)) throw new Error(`${this.name} ended: see ${this.#dir}/${this.name}.log`)
    return JSON.parse(this.#said.split('\n', 1)[0] ?? '')
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child
    if (child === undefined) return
    child.kill(signal)
    await until(() => hasEnded(child), { what: `${this.name} to end`, deadlineMs: 30_000 })
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

export interface ClusterNode extends Member {
  readonly plugins: string
  readonly socket: string
  readonly mountRoot: string
}

export class Cluster {
  readonly dir: string
  readonly controller: Member
  readonly nodes: ClusterNode[] = []
  #rest: HttpLink | undefined

  constructor(dir: string, port: number) {
    this.dir = dir
    const state = join(dir, 'controller')
    this.controller = new Member('controller', dir, 'controller', { state, port, leaseMs: LEASE_MS })
  }

  /** The admin's. */
  get rest(): HttpLink {
    if (this.#rest === undefined) throw new Error('the cluster has not been started')
    return this.#rest
  }

  async start(count: number, config: (node: number) => Partial<DockerDoorConfig> = () => ({})): Promise<void> {
    const { api = '', token = '' } = await this.controller.start()
    this.#rest = new HttpLink({ api, token })
    for (let number = 1; number <= count; number += 1) {
      this.nodes.push(this.#node(number, { api, joinToken: token }, config(number)))
    }
    await Promise.all(this.nodes.map((node) => node.start()))
    await this.#makePool()
  }

  #node(number: number, { api, joinToken }: { api: string; joinToken: string }, config: Partial<DockerDoorConfig>) {
    const name = `node-${number}`
    const plugins = join(this.dir, name, 'plugins')
    const socket = join(plugins, 'hf.sock')
    const mountRoot = join(this.dir, name, 'mnt')
    const state = join(this.dir, name, 'state')
    mkdirSync(plugins, { recursive: true })
    const options = { name, api, joinToken, state, mountRoot, leaseMs: LEASE_MS, socket }
    const member = new Member(name, this.dir, 'node', { ...options, config: { roles: ['default'], ...config } })
    return Object.assign(member, { plugins, socket, mountRoot })
  }

  async #makePool(): Promise<void> {
    const directory = join(this.dir, 'pool')
    mkdirSync(directory, { recursive: true })
    const body = { name: POOL, driver: 'loop', settings: { directory }, capacityMiB: 64 * 1024, markOn: 'node-1' }
    await this.rest.rest('POST', '/v1/pools', body)
    await until(
      async () => (await this.rest.rest<{ nodes: number }>('GET', `/v1/pools/${POOL}`)).nodes === this.nodes.length,
      { what: 'every node to reach the pool', deadlineMs: 30_000, everyMs: 50 },
    )
  }

  node(number: number): ClusterNode {
    const node = this.nodes[number - 1]
    if (node === undefined) throw new Error(`there are ${this.nodes.length} nodes`)
    return node
  }

  volume(name: string): Promise<VolumeOfRest> {
    return this.rest.rest('GET', `/v1/volumes/${name}`)
  }

  /** `node-1: 2` for two users there. */
  async users(name: string): Promise<Record<string, number>> {
    const { attachments } = await this.volume(name)
    return Object.fromEntries(attachments.map((each) => [each.node, each.users.length]))
  }

  async dispose(): Promise<void> {
    for (const node of this.nodes) await node.end('SIGTERM')
    await this.#rest?.close()
    await this.controller.end('SIGTERM')
  }
}
