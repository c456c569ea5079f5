import { randomUUID } from 'node:crypto'
import { type Abort, abortOf, CheckFailure, type Hazards } from './aborts.ts'
import { Authorizer } from './acls.ts'
import { Allocator } from './allocator.ts'
import { authenticate } from './basic.ts'
import { answer, type Call, HttpHost } from './http-host.ts'
import { disconnect, register, updateAgent } from './master-agents.ts'
import { closeStream } from './master-frameworks.ts'
import { makeOffers } from './master-offers.ts'
import { operationStatusArrived } from './master-operations.ts'
import type { MasterFlags, MasterState, Registry } from './master-state.ts'
import { statusArrived } from './master-tasks.ts'
import { markUnreachable } from './master-unreachable.ts'
import { endpoint, operatorApi } from './operator-api.ts'
import { markGone } from './operator-writes.ts'
import { schedulerApi } from './scheduler-api.ts'
import type { AgentPort, MasterPort, ToMaster, Wire } from './wire.ts'

export interface MasterSetUp {
  readonly flags: MasterFlags
  readonly hazards: Hazards
  readonly wire: Wire
  readonly aborts: Abort[]
  /** Another master leads: everything is redirected to this URL. */
  readonly leading: string | undefined
  readonly restartAfterAbort: boolean
  /** A master has come up; agents that are alive register with it. */
  readonly onElected: () => void
  readonly onLost: () => void
}

/** A Mesos master. A restart is a fail-over: a new process with the same registry, and with nothing else. */
export class MasterDouble implements MasterPort {
  readonly #setUp: MasterSetUp
  readonly #host: HttpHost
  readonly #registry: Registry = { admitted: new Set(), gone: new Set(), nextAgent: 0 }
  #process: MasterState | undefined
  #flags: MasterFlags

  constructor(setUp: MasterSetUp) {
    this.#setUp = setUp
    this.#flags = setUp.flags
    this.#host = new HttpHost((call) => this.#route(call))
  }

  get url(): string {
    return this.#host.url
  }

  /** Of the current run. */
  get id(): string {
    return this.state.id
  }

  get alive(): boolean {
    return this.#process !== undefined
  }

  /** For assertions about what the master has in its memory. */
  get state(): MasterState {
    if (this.#process === undefined) throw new Error('the master is dead')
    return this.#process
  }

  async start(): Promise<void> {
    await this.#host.listen()
    const { hazards, wire } = this.#setUp
    const flags = this.#flags
    const allocator = new Allocator(
      { intervalMs: flags.allocationIntervalMs, minAllocatable: flags.minAllocatable },
      (allocations) => {
        wire.links.send('allocator->master', '', () => {
          if (this.#process === process) this.#turn(() => makeOffers(process, allocations))
        })
      },
    )
    const process: MasterState = {
      id: randomUUID(),
      port: this.#host.port,
      startedAt: Date.now(),
      flags,
      hazards,
      authorizer: new Authorizer(flags.acls),
      allocator,
      wire,
      agents: new Map(),
      frameworks: new Map(),
      completed: new Map(),
      offers: new Map(),
      subscribers: new Set(),
      registry: this.#registry,
      nextOffer: 0,
      nextFramework: 0,
      counters: new Map(),
      turn: (step) => {
        if (this.#process === process) this.#turn(step)
      },
    }
    this.#registry.nextAgent = 0
    this.#process = process
    this.#setUp.onElected()
  }

  /** Fail-over. @param change flags that are others from now on */
  async restart(change: Partial<Pick<MasterFlags, 'acls'>> = {}): Promise<void> {
    this.kill()
    this.#flags = { ...this.#flags, ...change }
    await this.start()
  }

  /** As SIGKILL does. */
  kill(): void {
    const process = this.#process
    this.#process = undefined
    this.#host.drop()
    if (process === undefined) return
    this.#setUp.onLost()
    process.allocator.stop()
    for (const framework of process.frameworks.values()) {
      clearTimeout(framework.failoverTimer)
      closeStream(process, framework)
    }
    for (const subscriber of process.subscribers) subscriber.end()
  }

  markAgentGone(agentId: string): void {
    this.#turn((master) => markGone(master, agentId))
  }

  /** As if it had not answered for 75 seconds. */
  markAgentUnreachable(agentId: string): void {
    this.#turn((master) => markUnreachable(master, agentId))
  }

  #turn(step: (master: MasterState) => void): void {
    if (this.#process === undefined) return
    try {
      step(this.#process)
    } catch (thrown) {
      if (!(thrown instanceof CheckFailure)) throw thrown
      this.#setUp.aborts.push(abortOf('master', thrown))
      this.kill()
      if (this.#setUp.restartAfterAbort) void this.start()
    }
  }

  receive(from: AgentPort, message: ToMaster): void {
    this.#turn((master) => {
      if (message.kind === 'register') {
        register(master, from, message)
        return
      }
      const agent = master.agents.get(from.agentId ?? '')
      if (agent === undefined || !agent.connected) return
      if (message.kind === 'update') updateAgent(master, agent, message)
      else if (message.kind === 'status')
        statusArrived(master, agent, message.frameworkId, message.status, message.latest)
      else operationStatusArrived(master, agent, message.update)
    })
  }

  exited(from: AgentPort): void {
    this.#turn((master) => {
      const agent = master.agents.get(from.agentId ?? '')
      if (agent?.connected) disconnect(master, agent)
    })
  }

  #route(call: Call): void {
    this.#turn((master) => {
      const { leading } = this.#setUp
      const path = call.path.split('?')[0]
      // every master shows its own flags, leading or not (src/master/http.cpp, Master::Http::flags)
      if (leading !== undefined && path !== '/flags') {
        const base = leading.replace(/^https?:/, '').replace(/\/$/, '')
        call.response.writeHead(307, { Location: base + call.path, 'Content-Length': 0 }).end()
        return
      }
      const caller = authenticate(call, this.#flags.credentials, 'mesos-master-readwrite')
      if (caller === undefined) return
      const { principal } = caller
      const api = path === '/api/v1' || path === '/master/api/v1' ? operatorApi : undefined
      const scheduler = path === '/api/v1/scheduler' || path === '/master/api/v1/scheduler' ? schedulerApi : undefined
      const reply = (scheduler ?? api ?? endpoint)(master, call, principal)
      if (reply !== undefined) answer(call.response, reply.status, reply.body)
    })
  }
}
