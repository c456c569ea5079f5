import { Client } from 'undici'
import { onTestFinished } from 'vitest'
import type { Projection, ProjectionLine } from '../../../src/mesos/projection.ts'
import type { NodeClient } from '../../support/node-client.ts'
import { until } from '../../support/until.ts'
import type { Answer, Rest } from './rest.ts'

/** Follows the stream of a node's Mesos provider, and keeps what it was told. */
export class ProviderClient {
  readonly lines: ProjectionLine[] = []
  readonly pools = new Map<string, Projection>()
  readonly providerIds = new Map<string, string | undefined>()
  readonly #rest: Rest
  readonly #node: NodeClient
  readonly #http: Client
  ended = false

  constructor(rest: Rest, node: NodeClient) {
    this.#rest = rest
    this.#node = node
    this.#http = new Client(rest.url, { bodyTimeout: 0 })
    onTestFinished(() => this.#http.destroy())
  }

  /** Connects, and waits for all that is true now. */
  async start(): Promise<this> {
    const headers = { authorization: `Bearer ${this.#node.secret}`, 'holdfast-door': 'mesos' }
    const { statusCode, body } = await this.#http.request({ method: 'GET', path: '/v1/mesos/stream', headers })
    if (statusCode !== 200) throw new Error(await body.text())
    void this.#read(body)
      .catch(() => undefined)
      .finally(() => {
        this.ended = true
      })
    await until(() => this.lines.some(({ kind }) => kind === 'complete'), { what: 'the whole of the stream' })
    return this
  }

  /** Asks in the name of the node. */
  ask(method: string, path: string, body?: unknown): Promise<Answer> {
    return this.#rest.ask(method, `/v1/mesos/${path}`, body, { token: this.#node.secret })
  }

  async #read(body: AsyncIterable<Uint8Array>): Promise<void> {
    let rest = ''
    for await (const chunk of body) {
      const lines = (rest + Buffer.from(chunk).toString()).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) if (line !== '') this.#hear(JSON.parse(line) as ProjectionLine)
    }
  }

  #hear(line: ProjectionLine): void {
    this.lines.push(line)
    if (line.kind === 'pool') {
      this.pools.set(line.projection.poolId, line.projection)
      this.providerIds.set(line.projection.poolId, line.providerId)
    } else if (line.kind === 'gone') this.pools.delete(line.poolId)
    else if (line.kind === 'raw') this.#change(line.poolId, { raw: line.raw })
    else if (line.kind === 'disks') {
      const before = this.pools.get(line.poolId)?.disks ?? []
      const out = new Set([...line.removed, ...line.set.map((each) => each.volumeId)])
      this.#change(line.poolId, { disks: [...before.filter((each) => !out.has(each.volumeId)), ...line.set] })
    }
  }

  #change(poolId: string, set: Partial<Projection>): void {
    const before = this.pools.get(poolId)
    if (before === undefined) throw new Error(`told of ${poolId}, which was never shown`)
    this.pools.set(poolId, { ...before, ...set })
  }
}

/** Disks in one order, since a stream tells of them in any. */
export function sorted(projection: Projection | undefined): Projection | undefined {
  if (projection === undefined) return undefined
  return { ...projection, disks: [...projection.disks].sort((a, b) => (a.volumeId < b.volumeId ? -1 : 1)) }
}
