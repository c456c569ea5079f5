import type { Clock } from '../model/clock.ts'
import type { HoldfastError } from '../model/errors.ts'
import type { NewId } from '../model/ids.ts'
import type { Store } from '../store/store.ts'
import { Conductor } from './conductor.ts'
import { Engine } from './engine.ts'
import { Housekeeper } from './housekeeper.ts'
import { Inventories } from './inventories.ts'
import { ProviderReports } from './mesos/provider-reports.ts'
import { ProviderStreams } from './mesos/provider-streams.ts'
import { NodeService } from './node-service.ts'
import { ProgressBoard } from './progress.ts'
import { Sessions } from './sessions.ts'

export const DEFAULT_LEASE_MS = 15_000
const RESTART_MS = 1000
const DEFAULT_PRINCIPAL = 'holdfast'

export interface ControllerParts {
  readonly store: Store
  readonly clock: Clock
  readonly newId: NewId
  readonly newUuid: () => string
  readonly leaseMs?: number
  readonly trustClock?: boolean
  /** At most so long may any step run before it is said to be overdue, ms; by default each kind has its own time. */
  readonly overdueMs?: number | undefined
  /** Principal of all reservations and persistences that Mesos is shown; `holdfast` if not given. */
  readonly mesosPrincipal?: string
  /** Told what an operator should know: stepping down, coming back. */
  readonly onState?: (state: 'leading' | 'down', error: HoldfastError | undefined) => void
}

/** The controller without any transport: the engine, the sessions of nodes, and those that drive work. */
export class Controller {
  readonly engine: Engine
  readonly sessions: Sessions
  readonly progress = new ProgressBoard()
  readonly inventories: Inventories
  readonly nodes: NodeService
  readonly mesosPrincipal: string
  readonly providers: ProviderStreams
  readonly providerReports = new ProviderReports()
  readonly store: Store
  readonly #conductor: Conductor
  readonly #housekeeper: Housekeeper
  readonly #parts: ControllerParts
  #stopped = false
  #cancelRestart: (() => void) | undefined

  constructor(parts: ControllerParts) {
    this.#parts = parts
    this.store = parts.store
    this.engine = new Engine(parts)
    this.sessions = new Sessions(this.engine, parts.clock, parts.leaseMs ?? DEFAULT_LEASE_MS)
    this.inventories = new Inventories(this.engine, parts.clock)
    this.nodes = new NodeService({ ...this, newSession: parts.newUuid })
    this.mesosPrincipal = parts.mesosPrincipal ?? DEFAULT_PRINCIPAL
    this.providers = new ProviderStreams(this.engine, parts.clock, this.mesosPrincipal)
    this.#conductor = new Conductor({ ...parts, engine: this.engine, sessions: this.sessions })
    this.#housekeeper = new Housekeeper({ ...parts, engine: this.engine })
    this.engine.onDown((error) => this.#down(error))
  }

  /** Begins to lead; when it cannot, it is stopped. @throws fenced, store_corrupt, store_schema, state_dir */
  async start(): Promise<void> {
    try {
      await this.#lead()
    } catch (thrown) {
      await this.stop()
      throw thrown
    }
  }

  async #lead(): Promise<void> {
    await this.engine.start()
    await this.engine.read((state) => this.sessions.adopt(state))
    if (this.#stopped) return await this.engine.stop()
    // stepped down again already: the next start is on its way
    if (!this.engine.leading) return
    this.#conductor.start()
    this.#housekeeper.start()
    this.#parts.onState?.('leading', undefined)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelRestart?.()
    this.#halt()
    await this.engine.stop()
  }

  #halt(): void {
    this.#conductor.stop()
    this.#housekeeper.stop()
    this.sessions.closeAll()
    this.providers.closeAll()
  }

  /** Stepped down: what was in memory may not be true. Load it anew, and lead again if nobody else does. */
  #down(error: HoldfastError): void {
    this.#halt()
    this.#parts.onState?.('down', error)
    this.#restartLater()
  }

  #restartLater(): void {
    if (this.#stopped) return
    // stepping down in the middle of a start asks for another one twice
    this.#cancelRestart?.()
    this.#cancelRestart = this.#parts.clock.after(RESTART_MS, () => {
      this.#lead().catch((error: HoldfastError) => {
        this.#parts.onState?.('down', error)
        this.#restartLater()
      })
    })
  }
}
