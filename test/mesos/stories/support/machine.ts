/** A machine of the cluster: a node daemon in this process, and a provider for the machine's agent in its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { type RunningNode, runNode } from '../../../../src/cli/run-node.ts'
import { until } from '../../../support/until.ts'

const MAIN = fileURLToPath(new URL('../../../../src/cli/main.ts', import.meta.url))

export interface MachineOptions {
  readonly name: string
  readonly dir: string
  readonly api: string
  readonly token: string
  readonly agentUrl: string
  /** 55 if not given, as for operators. */
  readonly publishSeconds?: number | undefined
}

export class Machine {
  readonly name: string
  readonly mountRoot: string
  readonly #options: MachineOptions
  #node: RunningNode | undefined
  #provider: ChildProcess | undefined

  constructor(options: MachineOptions) {
    this.#options = options
    this.name = options.name
    this.mountRoot = join(options.dir, options.name, 'mnt')
  }

  get #dir(): string {
    return join(this.#options.dir, this.name)
  }

  get #socket(): string {
    return join(this.#dir, 'node.sock')
  }

  async startNode(): Promise<void> {
    const { api, token } = this.#options
    this.#node = await runNode({
      name: this.name,
      api,
      joinToken: token,
      state: join(this.#dir, 'state'),
      mountRoot: this.mountRoot,
      mountRoots: [],
      labels: {},
      leaseMs: 15_000,
      socket: this.#socket,
      log: pino({ level: 'silent' }),
    })
  }

  /** What is mounted stays mounted. */
  async stopNode(): Promise<void> {
    const node = this.#node
    this.#node = undefined
    await node?.stop()
  }

  /** The holder; the logic is its child. */
  startProvider(): void {
    const { agentUrl, api } = this.#options
    const log = openSync(this.#log, 'a')
    const flags = {
      agent: agentUrl,
      api,
      state: join(this.#dir, 'mesos'),
      'node-socket': this.#socket,
      credential: join(this.#dir, 'state'),
      log: 'info',
      'publish-seconds': String(this.#options.publishSeconds ?? 55),
    }
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value])
    const command = ['--disable-warning=ExperimentalWarning', MAIN, 'mesos', 'provider', ...args]
    this.#provider = spawn(process.execPath, command, { stdio: ['ignore', log, log] })
  }

  /** Starts again what has been ended. */
  async restore(): Promise<void> {
    if (this.#node === undefined) await this.startNode()
    if (this.#provider === undefined) this.startProvider()
  }

  get #log(): string {
    return join(this.#options.dir, `${this.name}-provider.log`)
  }

  /** What holder and logic have logged, as objects; other lines are left out. */
  get logged(): Readonly<Record<string, unknown>>[] {
    const lines = readFileSync(this.#log, 'utf8').split('\n')
    return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
  }

  get lastWords(): string {
    return readFileSync(this.#log, 'utf8').slice(-3000)
  }

  get holderPid(): number {
    const { pid } = this.#provider ?? {}
    if (pid === undefined) throw new Error(`the provider of ${this.name} does not run`)
    return pid
  }

  /** Undefined between two lives. */
  get logicPid(): number | undefined {
    const pid = this.holderPid
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')
    return child === undefined || child === '' ? undefined : Number(child)
  }

  /** As an out-of-memory killer does it. The next life begins by itself. */
  async killLogic(): Promise<void> {
    const pid = await until(() => this.logicPid, { what: `the logic of ${this.name} to live` })
    process.kill(pid, 'SIGKILL')
    await until(() => this.logicPid !== undefined && this.logicPid !== pid, {
      what: `the logic of ${this.name} to live again`,
    })
  }

  /** @returns the exit code; null after a signal */
  async endProvider(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const provider = this.#provider
    if (provider === undefined) return null
    const ended = () => provider.exitCode !== null || provider.signalCode !== null
    if (!ended()) provider.kill(signal)
    await until(ended, { what: `the provider of ${this.name} to end`, deadlineMs: 70_000 })
    this.#provider = undefined
    return provider.exitCode
  }
}
