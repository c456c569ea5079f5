import type { Clock } from '../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import { ZooKeeperConnection, type ZooKeeperServer } from './zookeeper-connection.ts'

export interface ZooKeeperOptions {
  readonly clock: Clock
  readonly servers: readonly ZooKeeperServer[]
  /** `user:password` for the scheme `digest`. */
  readonly auth?: string | undefined
  /** Session asked for, ms; 10,000 if not given. */
  readonly sessionMs?: number
  /** Limit for connecting and for each call, ms; 5,000 if not given. */
  readonly callMs?: number
}

/**
 * A ZooKeeper ensemble to read from (docs/decisions/0010-zookeeper-client.md). It keeps nothing in ZooKeeper, so a lost
 * session is replaced by a new one, on the next server; who reads and watches does both again.
 */
export class ZooKeeper {
  readonly #options: ZooKeeperOptions
  #next = 0
  #seen = 0n
  #current: ZooKeeperConnection | undefined

  constructor(options: ZooKeeperOptions) {
    this.#options = options
  }

  /**
   * A connection to the first server that gives one, beginning after the one used last. A server that is behind what
   * was seen before is refused by its own rules; when no server is left, that memory is given up (an ensemble may have
   * been made anew).
   * @throws mesos_unreachable naming every server and what was wrong with it
   */
  async connect(): Promise<ZooKeeperConnection> {
    const { clock, servers, auth, sessionMs = 10_000, callMs = 5000 } = this.#options
    if (this.#current !== undefined && this.#current.seen > this.#seen) this.#seen = this.#current.seen
    const failures: HoldfastError[] = []
    for (let count = 0; count < servers.length; count += 1) {
      const server = servers[this.#next % servers.length] as ZooKeeperServer
      this.#next += 1
      try {
        this.#current = await ZooKeeperConnection.open(server, { clock, auth, sessionMs, callMs, seen: this.#seen })
        return this.#current
      } catch (thrown) {
        failures.push(asHoldfastError(thrown))
      }
    }
    this.#seen = 0n
    this.#current = undefined
    const worst = failures.find(({ code }) => code !== 'mesos_unreachable')?.code ?? 'mesos_unreachable'
    throw new HoldfastError(worst, failures.map(({ message }) => message).join('; '))
  }
}
