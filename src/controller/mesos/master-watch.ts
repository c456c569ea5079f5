import type { Logger } from 'pino'
import { type Detection, detectMaster, type MasterDetector } from '../../mesos/detector.ts'
import { MesosHttp } from '../../mesos/http.ts'
import type { Master } from '../../mesos/leading-master.ts'
import { MasterClient } from '../../mesos/master-client.ts'
import type { MasterEvent } from '../../mesos/master-protocol.ts'
import type { MasterStream } from '../../mesos/master-stream.ts'
import type { Clock } from '../../model/clock.ts'
import { asHoldfastError, type HoldfastError } from '../../model/errors.ts'
import { Cluster } from './cluster.ts'
import { type AskedMasters, askMasters } from './masters.ts'

export interface MasterSettings {
  /** `zk://…/mesos`, or `http(s)://…:5050,…`. */
  readonly masters: string
  /** Of Holdfast's reservations and volumes; with a secret, of its calls as well. */
  readonly principal: string
  readonly secret?: string | undefined
  /** PEM of the authority that signed the certificates of masters and agents. */
  readonly ca?: string | undefined
  /** Whether masters that ZooKeeper names are spoken to by TLS. */
  readonly tls?: boolean
}

export interface MasterWatchParts {
  readonly settings: MasterSettings
  readonly clock: Clock
  readonly log: Logger
  /** Another master leads, or none: what was known of flags is void. */
  readonly onLeader: () => void
  /** An agent has come, perhaps after a fail-over. */
  readonly onAgent: () => void
}

/** Figures that events do not tell are asked for when somebody looks, and not more often than this, ms. */
const FRESH_MS = 1000

/**
 * Follows the leading master: who it is, and what its events say. Whatever it tells of agents is a hint: the ledger
 * frees nothing for it.
 */
export class MasterWatch {
  readonly http: MesosHttp
  readonly cluster = new Cluster()
  readonly client: MasterClient
  readonly #parts: MasterWatchParts
  readonly #detector: MasterDetector
  readonly #stream: MasterStream
  #leader: Master | undefined
  /** Whether the events of the leading master are being received. */
  #connected = false
  #problem: HoldfastError | undefined
  #refreshedAt = Number.NEGATIVE_INFINITY
  #refreshing: Promise<void> | undefined
  #roles: readonly string[] = []
  #operations: number | undefined
  #closed = false

  /** @throws invalid_option for a list of masters that cannot be read */
  constructor(parts: MasterWatchParts) {
    this.#parts = parts
    const { masters, principal, secret, ca, tls = false } = parts.settings
    const { clock } = parts
    this.http = new MesosHttp({ ca, ...(secret === undefined ? {} : { credentials: { principal, secret } }) })
    const onChange = (detection: Detection) => this.#detected(detection)
    this.#detector = detectMaster(masters, { clock, http: this.http, tls, onChange })
    this.client = new MasterClient(this.http, this.#detector, clock)
    this.#stream = this.client.subscribe({
      onEvent: (event) => this.#heard(event),
      onLost: (reason) => this.#lost(reason),
    })
  }

  get leader(): Master | undefined {
    return this.#leader
  }

  get isConnected(): boolean {
    return this.#connected
  }

  /** Why the leading master is not known, or does not tell its events. */
  get problem(): HoldfastError | undefined {
    return this.#connected ? undefined : this.#problem
  }

  get roles(): readonly string[] {
    return this.#roles
  }

  /** Operations that the master tracks; undefined: it was not asked yet. */
  get operations(): number | undefined {
    return this.#operations
  }

  askAll(): Promise<AskedMasters> {
    return askMasters(this.http, this.#detector, this.#leader)
  }

  /** Asks for what events do not tell: offers, totals, roles, operations. Never throws; what fails stays as it was. */
  refresh(): Promise<void> {
    const now = this.#parts.clock.boottime()
    if (!this.#connected || now - this.#refreshedAt < FRESH_MS) return Promise.resolve()
    this.#refreshing ??= this.#ask().finally(() => {
      this.#refreshing = undefined
      this.#refreshedAt = this.#parts.clock.boottime()
    })
    return this.#refreshing
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#stream.close()
    await this.#detector.close()
    await this.http.close()
  }

  async #ask(): Promise<void> {
    try {
      const [{ agents = [] }, { roles = [] }, { operations = [] }] = await Promise.all([
        this.client.query('GET_AGENTS'),
        this.client.query('GET_ROLES'),
        this.client.query('GET_OPERATIONS'),
      ])
      this.cluster.setAgents(agents)
      this.#roles = roles.map(({ name }) => name)
      this.#operations = operations.length
    } catch (thrown) {
      this.#parts.log.warn({ event: 'mesos.ask', message: asHoldfastError(thrown).message }, 'mesos.ask')
    }
  }

  #detected({ master, problem }: Detection): void {
    this.#leader = master
    this.#problem = problem
    const { log, onLeader } = this.#parts
    if (master === undefined) log.warn({ event: 'mesos.leader.none', message: problem.message }, 'mesos.leader.none')
    else log.info({ event: 'mesos.leader', url: master.url, id: master.id, version: master.version }, 'mesos.leader')
    this.#stream.reconnect()
    onLeader()
  }

  #heard(event: MasterEvent): void {
    const { clock, log, onAgent } = this.#parts
    if (event.type === 'SUBSCRIBED') {
      this.#connected = true
      this.#problem = undefined
      this.#refreshedAt = Number.NEGATIVE_INFINITY
    }
    const hint = this.cluster.apply(event, clock.now())
    if (hint !== undefined) log.warn({ event: 'mesos.hint', ...hint }, 'mesos.hint')
    if (event.type === 'SUBSCRIBED' || event.type === 'AGENT_ADDED') onAgent()
  }

  #lost(reason: HoldfastError): void {
    if (this.#closed) return
    const { log } = this.#parts
    const isNew = this.#connected || (this.#leader !== undefined && this.#problem?.message !== reason.message)
    this.#connected = false
    // without a leader it was said already why there is none
    if (this.#leader !== undefined || this.#problem === undefined) this.#problem = reason
    if (isNew) log.warn({ event: 'mesos.lost', message: reason.message }, 'mesos.lost')
  }
}
