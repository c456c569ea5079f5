import type { LedgerState } from '../../ledger/state.ts'
import type { Clock } from '../../model/clock.ts'
import { asHoldfastError } from '../../model/errors.ts'
import { roleAndAncestors } from '../../model/names.ts'
import type { Change } from '../../model/records.ts'
import type { Committed, Engine } from '../engine.ts'
import { Board, type Outdated } from './board.ts'
import { type Concern, concernedBy } from './concerned.ts'
import { type PoolView, poolView } from './pool-view.ts'
import { type Current, type ProviderSink, ProviderStream } from './provider-stream.ts'

/** A stream is written to at once when it has been quiet for this long, else when it has been. */
export const QUIET_MS = 200
/** Characters that one pass writes; those that are left are written in the next one. */
const PER_PASS = 16 * 1024 * 1024

interface Parcel {
  readonly stream: ProviderStream
  readonly lines: string
}

/**
 * Tells every connected provider of its node's pools, and from then on what is new, as it becomes durable. The
 * capacity of a pool is worked out and put into words once, however many nodes are told; what changes while a stream is
 * quiet for a moment, or slow, is told together.
 */
export class ProviderStreams {
  readonly #engine: Engine
  readonly #clock: Clock
  readonly #principal: string
  readonly #streams = new Map<string, ProviderStream>()
  readonly #boards = new Map<string, Board>()
  /** Durable changes that no pass has looked at yet. */
  #changes: Change[] = []
  #revision = 0
  #passing = false
  #again = false
  #cancelTimer: (() => void) | undefined

  constructor(engine: Engine, clock: Clock, principal: string) {
    this.#engine = engine
    this.#clock = clock
    this.#principal = principal
    engine.onCommitted((committed) => this.#committed(committed))
    engine.onDown(() => this.closeAll())
  }

  /** Nodes whose provider is connected. */
  get connected(): ReadonlyMap<string, unknown> {
    return this.#streams
  }

  /** Connects a node's provider in place of one that was; resolves when it was sent all that is true now. */
  async connect(nodeId: string, sink: ProviderSink): Promise<void> {
    await this.#engine.read((state) => {
      const stream = new ProviderStream(nodeId, sink)
      stream.choose(shownTo(state, nodeId))
      this.#streams.get(nodeId)?.sink.close()
      this.#streams.set(nodeId, stream)
    })
    await this.#pass()
  }

  disconnect(nodeId: string, sink: ProviderSink): void {
    if (this.#streams.get(nodeId)?.sink === sink) this.#streams.delete(nodeId)
  }

  /** A slow reader has caught up. */
  drained(nodeId: string): void {
    const stream = this.#streams.get(nodeId)
    if (stream === undefined) return
    stream.blocked = false
    if (stream.isDue) void this.#pass()
  }

  /** Ends every stream: what was told may not be true. */
  closeAll(): void {
    this.#cancelTimer?.()
    for (const stream of this.#streams.values()) stream.sink.close()
    this.#streams.clear()
    this.#boards.clear()
    this.#changes = []
    this.#revision = 0
  }

  #committed({ changes, revision }: Committed): void {
    this.#revision = revision
    if (this.#streams.size === 0) {
      // nobody is told, and nothing is kept up to date
      this.#boards.clear()
      this.#changes = []
      return
    }
    for (const change of changes) this.#changes.push(change)
    void this.#pass()
  }

  /** Looks at what has changed and writes to whoever is due, one pass after the other. */
  async #pass(): Promise<void> {
    if (this.#passing) {
      this.#again = true
      return
    }
    this.#passing = true
    try {
      do {
        this.#again = false
        const parcels = await this.#engine.read((state) => this.#look(state))
        for (const parcel of parcels) this.#write(parcel)
      } while (this.#again)
    } catch (thrown) {
      // when the engine has stepped down every stream is closed already, and comes back
      const error = asHoldfastError(thrown)
      if (error.code !== 'not_ready') process.emitWarning(error)
      this.closeAll()
    } finally {
      this.#passing = false
    }
  }

  #write({ stream, lines }: Parcel): void {
    if (this.#streams.get(stream.nodeId) !== stream) return
    stream.blocked = !stream.sink.write(lines)
  }

  #look(state: LedgerState): Parcel[] {
    // a fresh one tells of the state as it is
    if (this.#revision === 0) this.#revision = state.revision
    const views = new Map<string, PoolView | undefined>()
    const viewOf = (poolId: string) => {
      if (!views.has(poolId)) views.set(poolId, poolView(state, poolId, this.#principal))
      return views.get(poolId)
    }
    this.#renew(state, concernedBy(state, this.#changes), viewOf)
    this.#changes = []
    return this.#parcels(state, (poolId) => this.#current(poolId, viewOf))
  }

  /** The board of a pool, made when somebody first wants it. */
  #current(poolId: string, viewOf: (poolId: string) => PoolView | undefined): Current | undefined {
    const view = viewOf(poolId)
    if (view === undefined) return undefined
    const board = this.#boards.get(poolId) ?? new Board(view)
    this.#boards.set(poolId, board)
    return { board, view }
  }

  #renew(state: LedgerState, concern: Concern, viewOf: (poolId: string) => PoolView | undefined): void {
    for (const [poolId, board] of this.#boards) {
      const view = viewOf(poolId)
      if (view === undefined) this.#boards.delete(poolId)
      else if (concern.everything || concern.pools.has(poolId)) board.renew(view)
      else this.#renewParts(board, view, concern)
    }
    this.#rechoose(state, concern)
  }

  #rechoose(state: LedgerState, concern: Concern): void {
    const anyPool = concern.everything || concern.pools.size > 0
    for (const stream of this.#streams.values()) {
      if (anyPool || concern.nodes.has(stream.nodeId)) stream.choose(shownTo(state, stream.nodeId))
      for (const poolId of concern.pools) stream.wantWhole(poolId)
      if (concern.everything || concern.cordons.has(stream.nodeId)) stream.wantAll()
      if (concern.shares.has(stream.nodeId)) for (const poolId of stream.pools.keys()) stream.look(poolId)
    }
  }

  #renewParts(board: Board, view: PoolView, concern: Concern): void {
    const { poolId } = board
    const rawConcerned = concern.allRaw || concern.raw.has(poolId) || sharesQuota(view, concern.roles)
    const newRaw = rawConcerned && board.renewRaw(view)
    const volumes = concern.volumes.get(poolId)
    const outdated: Outdated = concern.places.has(poolId)
      ? board.renewPlaces(view)
      : board.renewDisks(view, volumes ?? [])
    if (!newRaw && outdated.size === 0) return
    for (const stream of this.#streams.values()) {
      if (newRaw) stream.look(poolId)
      if (outdated.size > 0) stream.outdate(poolId, outdated)
    }
  }

  /** What is to be written now; the others are looked at again when they have been quiet for long enough. */
  #parcels(state: LedgerState, currentOf: (poolId: string) => Current | undefined): Parcel[] {
    const parcels: Parcel[] = []
    const now = this.#clock.boottime()
    let size = 0
    let wait = Number.POSITIVE_INFINITY
    for (const stream of this.#streams.values()) {
      if (!stream.isDue || stream.blocked) continue
      const quiet = stream.sentAt + QUIET_MS - now
      if (quiet > 0 || size > PER_PASS) {
        wait = Math.min(wait, Math.max(0, quiet))
        continue
      }
      const lines = stream.take(state, this.#revision, currentOf)
      if (lines === '') continue
      stream.sentAt = now
      size += lines.length
      parcels.push({ stream, lines })
    }
    this.#cancelTimer?.()
    if (wait < Number.POSITIVE_INFINITY) this.#cancelTimer = this.#clock.after(wait, () => void this.#pass())
    return parcels
  }
}

/** The pools that a node is told of: those that it reaches and Mesos is shown. */
function shownTo(state: LedgerState, nodeId: string): Set<string> {
  const reach = state.get('node', nodeId)?.reach ?? []
  return new Set(reach.filter((poolId) => state.get('pool', poolId)?.mesos !== undefined))
}

function sharesQuota({ mesos }: PoolView, roles: ReadonlySet<string>): boolean {
  return roles.size > 0 && mesos.roles.some((role) => roleAndAncestors(role).some((each) => roles.has(each)))
}
