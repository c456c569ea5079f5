import type { Clock } from '../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { Assignment, CallBody, CallReply, Envelope, NodeCall } from '../model/node-protocol.ts'
import { PROTOCOL_VERSION } from '../model/node-protocol.ts'
import type { Journal } from './journal.ts'
import type { ControllerLink } from './link.ts'

const HEARTBEAT_MS = 2000
const RECONNECT_BASE_MS = 250
const RECONNECT_CAP_MS = 5000

export interface SessionParts {
  readonly link: ControllerLink
  readonly journal: Journal
  readonly clock: Clock
  readonly bootId: string
  readonly machineId: string
  readonly version: string
  readonly watchdog: () => boolean
  /** Called in every new session, before its assignments: tells what the controller is owed. A throw ends the session. */
  readonly onSession: (hello: CallReply<'hello'>) => Promise<void>
  /** The lease had run out before it was renewed: what was said before may not be so any more. */
  readonly onLapse: () => void
  readonly onAssignment: (assignment: Assignment) => void
  readonly log: (event: string, data: Record<string, unknown>) => void
}

/**
 * The connection to the controller: says hello, keeps the lease, follows the stream, and begins anew whenever any of
 * it fails. Without a controller nothing else in the node stops.
 */
export class Session {
  readonly #parts: SessionParts
  #session: string | undefined
  #installation: string | undefined
  #term: number
  #leaseUntil = 0
  #stream: { close(): void } | undefined
  #revision = -1
  #failures = 0
  #stopped = true
  #cancelTimer: (() => void) | undefined
  /** Which attempt to connect is the current one; words of earlier ones are ignored. */
  #attempt = 0

  constructor(parts: SessionParts) {
    this.#parts = parts
    this.#term = parts.journal.entries('term').get('term') ?? 0
  }

  start(): void {
    this.#stopped = false
    void this.#connect()
  }

  stop(): void {
    this.#stopped = true
    this.#attempt += 1
    this.#session = undefined
    this.#cancelTimer?.()
    this.#stream?.close()
  }

  get connected(): boolean {
    return this.#stream !== undefined
  }

  /** Boottime until which the lease surely runs: counted from *sending* what renewed it. */
  get leaseUntil(): number {
    return this.#leaseUntil
  }

  /** @throws unreachable while there is no session, and what the controller answers */
  async call<K extends NodeCall>(name: K, body: CallBody<K>): Promise<CallReply<K>> {
    const session = this.#session
    if (session === undefined) throw new HoldfastError('unreachable', 'this node is not connected to its controller')
    try {
      return await this.#parts.link.call(name, this.#envelope(session), body)
    } catch (thrown) {
      const error = asHoldfastError(thrown)
      if (error.code === 'stale_session' && session === this.#session) this.#reconnect(error)
      throw error
    }
  }

  #envelope(session: string | undefined): Envelope {
    return {
      protocol: PROTOCOL_VERSION,
      term: this.#term,
      bootId: this.#parts.bootId,
      ...(this.#installation === undefined ? {} : { installation: this.#installation }),
      ...(session === undefined ? {} : { session }),
    }
  }

  async #connect(): Promise<void> {
    if (this.#stopped) return
    this.#attempt += 1
    const attempt = this.#attempt
    const { link, clock, machineId, version, watchdog } = this.#parts
    try {
      const sentAt = clock.boottime()
      const hello = await link.call('hello', this.#envelope(undefined), { machineId, version, watchdog: watchdog() })
      if (attempt !== this.#attempt) return
      this.#installation = hello.installation
      this.#seeTerm(hello.term)
      this.#session = hello.session
      this.#revision = -1
      this.#renewed(sentAt + hello.leaseMs)
      await this.#parts.onSession(hello)
      if (attempt !== this.#attempt) return
      const stream = await link.open(
        hello.session,
        (assignment) => this.#take(attempt, assignment),
        () => this.#lost(attempt, new HoldfastError('unreachable', 'the stream ended')),
      )
      if (attempt !== this.#attempt) return stream.close()
      this.#stream = stream
      this.#failures = 0
      this.#parts.log('session.open', { node: hello.name, term: hello.term })
      this.#renewLater(attempt)
    } catch (thrown) {
      this.#lost(attempt, asHoldfastError(thrown))
    }
  }

  #take(attempt: number, assignment: Assignment): void {
    if (attempt !== this.#attempt) return
    // what is older than something already followed is late, and void
    if (assignment.term < this.#term || assignment.revision < this.#revision) return
    this.#seeTerm(assignment.term)
    this.#revision = assignment.revision
    this.#parts.onAssignment(assignment)
  }

  #seeTerm(term: number): void {
    if (term <= this.#term) return
    this.#parts.journal.write({ kind: 'term', id: 'term', value: term })
    this.#term = term
  }

  #renewed(until: number): void {
    if (this.#parts.clock.boottime() >= this.#leaseUntil) this.#parts.onLapse()
    this.#leaseUntil = Math.max(this.#leaseUntil, until)
  }

  #renewLater(attempt: number): void {
    this.#cancelTimer = this.#parts.clock.after(HEARTBEAT_MS, () => void this.#renew(attempt))
  }

  async #renew(attempt: number): Promise<void> {
    if (attempt !== this.#attempt || this.#stopped) return
    const sentAt = this.#parts.clock.boottime()
    try {
      const { leaseMs, term } = await this.#parts.link.call('renew', this.#envelope(this.#session), {})
      if (attempt !== this.#attempt) return
      this.#seeTerm(term)
      this.#renewed(sentAt + leaseMs)
      this.#renewLater(attempt)
    } catch (thrown) {
      const error = asHoldfastError(thrown)
      const mayRecover = error.code === 'unreachable' || error.code === 'not_ready'
      if (mayRecover && this.#stream !== undefined && attempt === this.#attempt) this.#renewLater(attempt)
      else this.#lost(attempt, error)
    }
  }

  #reconnect(error: HoldfastError): void {
    this.#lost(this.#attempt, error)
  }

  #lost(attempt: number, error: HoldfastError): void {
    if (attempt !== this.#attempt || this.#stopped) return
    this.#attempt += 1
    this.#cancelTimer?.()
    this.#stream?.close()
    this.#stream = undefined
    this.#session = undefined
    this.#failures += 1
    if (this.#failures === 1 || error.code !== 'unreachable') {
      this.#parts.log('session.lost', { code: error.code, message: error.message })
    }
    const wait = Math.min(RECONNECT_CAP_MS, RECONNECT_BASE_MS * 2 ** Math.min(this.#failures - 1, 10))
    this.#cancelTimer = this.#parts.clock.after(wait, () => void this.#connect())
  }
}
