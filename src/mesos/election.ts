import type { Clock } from '../model/clock.ts'
import { HoldfastError } from '../model/errors.ts'
import { masterUrls, readMasterInfo } from './master-info.ts'
import type { MasterSpec } from './master-spec.ts'
import { ZooKeeper } from './zookeeper.ts'
import type { ZooKeeperConnection } from './zookeeper-connection.ts'

/** Where the leading master may be found, in the order to try. */
export interface Election {
  /** Time after which to look again though nothing was heard, ms. */
  readonly lookAgainMs: number
  /**
   * @param onChange called once when the answer is no longer true
   * @throws mesos_unreachable, mesos_refused, mesos_protocol
   */
  candidates(onChange: () => void): Promise<readonly string[]>
  /**
   * Every master that is known, leading or not, each with the addresses under which it may be reached.
   * @throws as `candidates`
   */
  standing(): Promise<readonly (readonly string[])[]>
  close(): void
}

/** @param scheme of the masters that ZooKeeper names, since it does not say */
export function openElection(spec: MasterSpec, clock: Clock, scheme: 'http' | 'https'): Election {
  if (spec.kind === 'zookeeper') return new ZooKeeperElection(spec, clock, scheme)
  return {
    lookAgainMs: 5000,
    candidates: async () => spec.urls,
    standing: async () => spec.urls.map((url) => [url]),
    close: () => undefined,
  }
}

/**
 * Each master that stands for election has a node `json.info_<sequence>`; the lowest sequence leads, and its node holds
 * a MasterInfo as JSON (Mesos src/master/detector/zookeeper.cpp). Other nodes, such as `log_replicas`, mean nothing here.
 */
class ZooKeeperElection implements Election {
  /** ZooKeeper tells of changes; looking again now and then heals what was missed. */
  readonly lookAgainMs = 30_000
  readonly #path: string
  readonly #scheme: 'http' | 'https'
  readonly #zooKeeper: ZooKeeper
  #connection: ZooKeeperConnection | undefined
  #closed = false
  #onChange: () => void = () => undefined

  constructor(spec: MasterSpec & { kind: 'zookeeper' }, clock: Clock, scheme: 'http' | 'https') {
    this.#path = spec.path
    this.#scheme = scheme
    this.#zooKeeper = new ZooKeeper({ clock, servers: spec.servers, auth: spec.auth })
  }

  async candidates(onChange: () => void): Promise<readonly string[]> {
    this.#onChange = onChange
    const connection = this.#connection ?? (await this.#connect(onChange))
    const children = await connection.getChildren(this.#path, onChange)
    if (children === undefined) throw this.#none(connection, 'there is no such node')
    const node = leader(children)
    if (node === undefined) throw this.#none(connection, 'no master stands for election')
    const path = `${this.#path}/${node}`
    const data = await connection.getData(path)
    if (data === undefined) throw this.#none(connection, `${node} has just gone`)
    return masterUrls(this.#scheme, readMasterInfo(`${path} of ${connection.server}`, data.toString()))
  }

  async standing(): Promise<readonly (readonly string[])[]> {
    const connection = this.#connection
    // whoever looks for the leader connects, and soon
    if (connection === undefined) throw new HoldfastError('mesos_unreachable', 'ZooKeeper is not connected')
    const masters: string[][] = []
    for (const node of standing((await connection.getChildren(this.#path, this.#onChange)) ?? [])) {
      const path = `${this.#path}/${node}`
      const data = await connection.getData(path)
      if (data === undefined) continue
      masters.push(masterUrls(this.#scheme, readMasterInfo(`${path} of ${connection.server}`, data.toString())))
    }
    return masters
  }

  close(): void {
    this.#closed = true
    this.#connection?.close()
    this.#connection = undefined
  }

  async #connect(onChange: () => void): Promise<ZooKeeperConnection> {
    const connection = await this.#zooKeeper.connect()
    if (this.#closed) {
      connection.close()
      throw new HoldfastError('cancelled', 'looking for the master was ended')
    }
    this.#connection = connection
    void connection.closed.then(() => {
      if (this.#connection === connection) this.#connection = undefined
      onChange()
    })
    return connection
  }

  #none(connection: ZooKeeperConnection, why: string): HoldfastError {
    return new HoldfastError('mesos_unreachable', `no master leads by ${connection.server}, ${this.#path}: ${why}`)
  }
}

function leader(children: readonly string[]): string | undefined {
  return standing(children)[0]
}

/** The names of the nodes of masters, the leading one first. */
function standing(children: readonly string[]): string[] {
  const found = children.flatMap((name) => {
    const match = /^json\.info_(\d{10,12})$/.exec(name)
    return match === null ? [] : [{ name, sequence: Number(match[1]) }]
  })
  return found.sort((a, b) => a.sequence - b.sequence).map(({ name }) => name)
}
