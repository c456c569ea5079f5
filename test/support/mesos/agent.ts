import { mkdirSync, rmSync } from 'node:fs'
import type { Certificate } from '../certificates.ts'
import { type Abort, abortOf, CheckFailure, type Hazards } from './aborts.ts'
import { agentApi } from './agent-api.ts'
import { acknowledged, applyFromMaster, reconcile, reconcileForFramework } from './agent-operations.ts'
import { type AgentDisk, type AgentState, reportToMaster, type Timing } from './agent-state.ts'
import { acknowledgeTask, attach, endExecutor, killTask, run, sendStatus, shutdownFramework } from './agent-tasks.ts'
import { authenticate, type Credential } from './basic.ts'
import type { Isolator } from './container-info.ts'
import type { Executor } from './executor.ts'
import { answer, type Call, HttpHost } from './http-host.ts'
import { uuidBytes } from './ids.ts'
import { providerApi } from './provider-api.ts'
import { ProviderManager } from './provider-manager.ts'
import { providerOf } from './resources.ts'
import type { Attribute, Resource } from './types.ts'
import type { AgentPort, ToAgent, Wire } from './wire.ts'

export interface AgentSetUp {
  readonly hostname: string
  readonly workDir: string
  readonly resources: readonly Resource[]
  readonly attributes: readonly Attribute[]
  readonly timing: Timing
  readonly isolator: Isolator | undefined
  /** For https. */
  readonly certificate: Certificate | undefined
  /** Of its flag --http_credentials; without any nobody is asked. */
  readonly credentials: readonly Credential[]
  /** Of what stands before its provider endpoint, which itself asks nobody. */
  readonly shield: readonly Credential[]
  readonly hazards: Hazards
  readonly wire: Wire
  readonly aborts: Abort[]
  readonly restartAfterAbort: boolean
}

/** A Mesos agent on a machine: the process may die and come back, its executors and its disk stay. */
export class AgentDouble implements AgentPort {
  readonly #setUp: AgentSetUp
  readonly #host: HttpHost
  readonly #executors = new Set<Executor>()
  readonly #past: Executor[] = []
  #disk: AgentDisk
  #process: AgentState | undefined

  constructor(setUp: AgentSetUp) {
    this.#setUp = setUp
    this.#disk = { agentId: undefined, own: setUp.resources, providers: new Map() }
    this.#host = new HttpHost((call) => this.#turn((agent) => this.#route(agent, call)), setUp.certificate)
  }

  get url(): string {
    return this.#host.url
  }

  get hostname(): string {
    return this.#setUp.hostname
  }

  get workDir(): string {
    return this.#setUp.workDir
  }

  /** Undefined until a master has given one. */
  get agentId(): string | undefined {
    return this.#disk.agentId
  }

  get id(): string {
    if (this.#disk.agentId === undefined) throw new Error(`agent ${this.hostname} has not registered yet`)
    return this.#disk.agentId
  }

  get alive(): boolean {
    return this.#process !== undefined
  }

  /** For assertions about what the agent has in its memory. */
  get state(): AgentState {
    if (this.#process === undefined) throw new Error(`agent ${this.hostname} is dead`)
    return this.#process
  }

  /** From its next start on. */
  certify(certificate: Certificate): void {
    this.#host.certify(certificate)
  }

  /** Recovery begins; it ends by itself. */
  async start(): Promise<void> {
    mkdirSync(this.workDir, { recursive: true })
    await this.#host.listen()
    const process = this.#newProcess()
    this.#process = process
    process.after(process.timing.recoveryMs, () => this.#recovered(process))
  }

  #newProcess(): AgentState {
    const { hostname, workDir, resources, attributes, timing, isolator, hazards, wire } = this.#setUp
    const turn = (step: () => void) => {
      if (this.#process === state) this.#turn(step)
    }
    const state: AgentState = {
      ...{ hostname, workDir, resources, attributes, timing, isolator, hazards, wire, turn },
      httpPort: this.#host.port,
      disk: this.#disk,
      port: this,
      executors: this.#executors,
      completedExecutors: this.#past,
      pending: new Set(),
      phase: 'recovering',
      total: this.#disk.own,
      version: uuidBytes(),
      providers: new Map(),
      operations: new Map(),
      manager: new ProviderManager(() => state),
      after: (milliseconds, step) => {
        setTimeout(() => turn(step), milliseconds)
      },
      exit: () => this.#exit(),
    }
    return state
  }

  #recovered(agent: AgentState): void {
    agent.phase = 'disconnected'
    this.#repeatStatuses(agent)
    for (const executor of this.#executors) {
      attach(agent, executor)
      for (const entry of executor.tasks.values()) {
        if (entry.stage !== 'queued') continue
        const message = 'Abnormal executor termination: the agent restarted before it was launched'
        executor.say(entry, {
          state: 'TASK_FAILED',
          source: 'SOURCE_AGENT',
          reason: 'REASON_EXECUTOR_TERMINATED',
          message,
        })
      }
      agent.after(agent.timing.lingerMs, () => endExecutor(agent, executor))
    }
    this.#register(agent)
  }

  /** For as long as this process lives. */
  #repeatStatuses(agent: AgentState): void {
    const repeat = () => {
      if (this.#process !== agent) return
      this.#turn(sendUnacknowledged)
      this.#repeatStatuses(agent)
    }
    setTimeout(repeat, agent.timing.statusRetryMs).unref()
  }

  #register(agent: AgentState): void {
    const { hostname, resources, attributes, disk, version, wire } = agent
    const tasks = [...this.#executors].flatMap((executor) =>
      [...executor.tasks.values()].filter(({ stage }) => stage !== 'completed').map(({ task }) => task),
    )
    const frameworks = new Map([...this.#executors].map((executor) => [executor.frameworkId, executor.framework]))
    wire.toMaster(this, {
      kind: 'register',
      identity: { hostname, port: this.#host.port, resources, attributes },
      agentId: disk.agentId,
      version,
      total: agent.total.filter((resource) => providerOf(resource) === undefined),
      tasks: tasks.map((task) => ({ ...task })),
      frameworks: [...frameworks.values()],
    })
  }

  /** A master has come up, after the one before was lost. */
  masterElected(): void {
    this.#turn((agent) => {
      if (agent.phase === 'recovering') return
      agent.phase = 'disconnected'
      this.#register(agent)
    })
  }

  masterLost(): void {
    this.#turn((agent) => {
      if (agent.phase === 'running') agent.phase = 'disconnected'
    })
  }

  /** As SIGKILL does: sockets are reset, tasks go on. */
  kill(): void {
    if (this.#process === undefined) return
    this.#process = undefined
    this.#host.drop()
    for (const executor of this.#executors) {
      executor.onStatus = undefined
      executor.onIdle = undefined
      // without checkpoints an executor ends when it loses its agent
      if (executor.framework.checkpoint !== true) this.#abandon(executor)
    }
    this.#setUp.wire.agentGone(this)
  }

  #abandon(executor: Executor): void {
    this.#executors.delete(executor)
    void executor.destroy()
  }

  async restart(options: { readonly wipe?: boolean } = {}): Promise<void> {
    this.kill()
    if (options.wipe === true) await this.#wipe()
    await this.start()
  }

  async #wipe(): Promise<void> {
    const executors = [...this.#executors]
    this.#executors.clear()
    this.#past.length = 0
    await Promise.all(executors.map((executor) => executor.destroy()))
    this.#disk = { agentId: undefined, own: this.#setUp.resources, providers: new Map() }
    rmSync(this.workDir, { recursive: true, force: true })
  }

  #exit(): void {
    this.kill()
    for (const executor of this.#executors) this.#abandon(executor)
  }

  #route(agent: AgentState, call: Call): void {
    const { credentials, shield } = this.#setUp
    const path = (call.path.split('?')[0] ?? '').replace(/^\/slave\(1\)/, '')
    const isProvider = path === '/api/v1/resource_provider'
    const caller = isProvider
      ? authenticate(call, shield, 'shield')
      : authenticate(call, credentials, 'mesos-agent-readwrite')
    if (caller === undefined) return
    const api = isProvider ? providerApi : path === '/api/v1' ? agentApi : undefined
    const reply = api === undefined ? { status: 404, body: '' } : api(agent, call)
    if (reply !== undefined) answer(call.response, reply.status, reply.body)
  }

  /** The end of the machine: the process, and every task. */
  async stop(): Promise<void> {
    this.kill()
    const executors = [...this.#executors, ...this.#past]
    await Promise.all(executors.map((executor) => executor.destroy()))
  }

  #turn(step: (agent: AgentState) => void): void {
    if (this.#process === undefined) return
    try {
      step(this.#process)
    } catch (thrown) {
      if (!(thrown instanceof CheckFailure)) throw thrown
      this.#setUp.aborts.push(abortOf(this.hostname, thrown))
      this.kill()
      if (this.#setUp.restartAfterAbort) void this.start()
    }
  }

  receive(message: ToAgent): void {
    this.#turn((agent) => {
      if (agent.phase !== 'recovering') handle(agent, message)
    })
  }
}

const HANDLERS: {
  readonly [K in ToAgent['kind']]: (agent: AgentState, message: Extract<ToAgent, { kind: K }>) => void
} = {
  registered: (agent, { agentId }) => registered(agent, agentId),
  shutdown: (agent, { why }) => agent.exit(why),
  run,
  kill: (agent, { frameworkId, taskId }) => killTask(agent, frameworkId, taskId),
  acknowledge: (agent, { frameworkId, taskId, uuid }) => acknowledgeTask(agent, frameworkId, taskId, uuid),
  'shutdown framework': (agent, { frameworkId }) => shutdownFramework(agent, frameworkId),
  apply: applyFromMaster,
  'acknowledge operation': (agent, { operationUuid, statusUuid }) => acknowledged(agent, operationUuid, statusUuid),
  reconcile: (agent, { operations }) => reconcile(agent, operations),
  'reconcile for framework': reconcileForFramework,
}

function handle<K extends ToAgent['kind']>(agent: AgentState, message: Extract<ToAgent, { kind: K }>): void {
  const handler: (agent: AgentState, message: Extract<ToAgent, { kind: K }>) => void = HANDLERS[message.kind as K]
  handler(agent, message)
}

function registered(agent: AgentState, agentId: string): void {
  agent.disk.agentId = agentId
  agent.phase = 'running'
  reportToMaster(agent)
  sendUnacknowledged(agent)
}

function sendUnacknowledged(agent: AgentState): void {
  for (const executor of [...agent.executors, ...agent.completedExecutors]) {
    for (const entry of executor.tasks.values()) {
      const [first] = entry.unacknowledged
      if (first !== undefined) sendStatus(agent, executor, entry, first)
    }
  }
}
