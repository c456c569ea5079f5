import type { LedgerState } from '../ledger/state.ts'
import type { Clock } from '../model/clock.ts'
import type { Assignment, PoolSpec } from '../model/node-protocol.ts'
import type { Change } from '../model/records.ts'
import { assignmentFor, poolSpecs } from './assignment.ts'
import type { Committed, Engine } from './engine.ts'

/** A node's open stream, as the transport offers it. */
export interface NodeStream {
  send(assignment: Assignment): void
  close(): void
}

interface Session {
  readonly session: string
  /** Boottime of the last renewal that was handled. */
  renewedAt: number
  stream: NodeStream | undefined
  /** The pools as last sent on this stream. */
  sentPools: string
  /** An assignment is being made for it. */
  sending: boolean
  /** Something changed in the meantime. */
  again: boolean
}

/**
 * The nodes that are connected: their leases, counted from the *handling* of each renewal, and their streams, on
 * which every durable change that concerns a node is sent as a new assignment.
 */
export class Sessions {
  readonly #engine: Engine
  readonly #clock: Clock
  readonly leaseMs: number
  readonly #sessions = new Map<string, Session>()
  /** Boottime of the last look for leases that ran out. */
  #lookedAt = 0
  #pools: { revision: number; json: string } = { revision: -1, json: '' }

  constructor(engine: Engine, clock: Clock, leaseMs: number) {
    this.#engine = engine
    this.#clock = clock
    this.leaseMs = leaseMs
    engine.onCommitted((committed) => this.#announce(committed))
  }

  /** A new leader treats every lease as renewed at its own start. */
  adopt(state: LedgerState): void {
    this.closeAll()
    // a revision that was never durable may have been cached under a number that is used again
    this.#pools = { revision: -1, json: '' }
    for (const node of state.all('node').values()) {
      if (node.state === 'up' && node.session !== undefined) this.open(node.id, node.session)
    }
  }

  open(nodeId: string, session: string): void {
    this.#sessions.get(nodeId)?.stream?.close()
    this.#sessions.set(nodeId, {
      session,
      renewedAt: this.#clock.boottime(),
      stream: undefined,
      sentPools: '',
      sending: false,
      again: false,
    })
  }

  isLeased(nodeId: string): boolean {
    const session = this.#sessions.get(nodeId)
    return session !== undefined && this.#clock.boottime() - session.renewedAt <= this.leaseMs
  }

  isCurrent(nodeId: string, session: string): boolean {
    return this.#sessions.get(nodeId)?.session === session
  }

  /** Renews a lease; false when the session is not the current one. */
  renew(nodeId: string, session: string): boolean {
    const current = this.#sessions.get(nodeId)
    if (current?.session !== session) return false
    current.renewedAt = this.#clock.boottime()
    return true
  }

  /** Sessions whose lease ran out; they are forgotten here and must be recorded as lost. */
  takeExpired(): { nodeId: string; session: string }[] {
    const expired: { nodeId: string; session: string }[] = []
    this.#forgiveOwnAbsence()
    for (const [nodeId, session] of this.#sessions) {
      if (this.#clock.boottime() - session.renewedAt <= this.leaseMs) continue
      session.stream?.close()
      this.#sessions.delete(nodeId)
      expired.push({ nodeId, session: session.session })
    }
    return expired
  }

  /** When this process itself stood still, nobody could renew: that says nothing of the nodes. */
  #forgiveOwnAbsence(): void {
    const now = this.#clock.boottime()
    const absent = now - this.#lookedAt > this.leaseMs / 2
    this.#lookedAt = now
    if (absent) for (const session of this.#sessions.values()) session.renewedAt = now
  }

  /** Connects the stream of the current session and sends the whole assignment; false for another session. */
  async connect(nodeId: string, session: string, stream: NodeStream): Promise<boolean> {
    const current = this.#sessions.get(nodeId)
    if (current?.session !== session) return false
    current.stream?.close()
    current.stream = stream
    current.sentPools = ''
    await this.#send(nodeId, current)
    return true
  }

  disconnect(nodeId: string, stream: NodeStream): void {
    const current = this.#sessions.get(nodeId)
    if (current?.stream === stream) current.stream = undefined
  }

  get connected(): number {
    let count = 0
    for (const session of this.#sessions.values()) if (session.stream !== undefined) count += 1
    return count
  }

  closeAll(): void {
    for (const session of this.#sessions.values()) session.stream?.close()
    this.#sessions.clear()
  }

  #announce(committed: Committed): void {
    void this.#engine
      .read((state) => this.#concerned(state, committed))
      .then((nodes) => {
        for (const nodeId of nodes) {
          const session = this.#sessions.get(nodeId)
          if (session !== undefined) void this.#send(nodeId, session)
        }
      })
      .catch(() => undefined)
  }

  /** The nodes that must be told of what was changed. */
  #concerned(state: LedgerState, { changes }: Committed): Set<string> {
    const nodes = new Set<string>()
    for (const change of changes) {
      for (const nodeId of change.kind === 'pool' ? this.#sessions.keys() : nodesOf(state, change)) nodes.add(nodeId)
    }
    return nodes
  }

  /** Sends the newest assignment. While one is on its way, later changes wait and are sent as one. */
  async #send(nodeId: string, session: Session): Promise<void> {
    if (session.sending || session.stream === undefined) {
      session.again = session.sending
      return
    }
    session.sending = true
    do {
      session.again = false
      const made = await this.#engine
        .read((state) => ({ assignment: assignmentFor(state, nodeId), pools: this.#poolsJson(state) }))
        .catch(() => undefined)
      if (made === undefined || session.stream === undefined) break
      const fresh = made.pools !== session.sentPools
      session.sentPools = made.pools
      const pools = fresh ? { pools: JSON.parse(made.pools) as PoolSpec[] } : {}
      session.stream.send({ term: this.#engine.term, ...made.assignment, ...pools })
    } while (session.again)
    session.sending = false
  }

  /** The pools as JSON, made once per revision. */
  #poolsJson(state: LedgerState): string {
    if (this.#pools.revision !== state.revision) {
      this.#pools = { revision: state.revision, json: JSON.stringify(poolSpecs(state)) }
    }
    return this.#pools.json
  }
}

/** The nodes whose assignment a change is part of, before it or after. */
function nodesOf(state: LedgerState, change: Change): string[] {
  if (change.kind === 'operation' || change.kind === 'attachment') {
    return [change.record?.nodeId, change.before?.nodeId].filter((nodeId) => nodeId !== undefined)
  }
  if (change.kind !== 'volume') return []
  return [...state.attachmentsByVolume.get(change.id)].flatMap((id) => state.get('attachment', id)?.nodeId ?? [])
}
