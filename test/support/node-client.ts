import { randomBytes, randomUUID } from 'node:crypto'
import { Client } from 'undici'
import type { Assignment, AttachmentSpec, PoolSpec, WorkOrder } from '../../src/model/node-protocol.ts'
import type { PoolCapabilities } from '../../src/model/pool.ts'
import { digest } from '../../src/runtime/secrets.ts'

export const CAPABILITIES: PoolCapabilities = {
  snapshot: 'reflink',
  grow: 'online',
  block: true,
  readOnlyMany: true,
  formats: 'holdfast',
  filesystems: ['ext4', 'xfs'],
  fence: 'same-machine',
  idempotent: ['create', 'snapshot', 'delete'],
  maxObjectMiB: 16_000_000,
}

export interface NodeClientOptions {
  readonly url: string
  readonly name: string
  /** What a work order is answered with; undefined: not at all. Done without doing anything, if not given. */
  readonly work?: (order: WorkOrder) => { code: string; message: string } | 'ok' | undefined
  readonly capabilities?: PoolCapabilities
}

/** Speaks the node protocol over HTTP as a node does, and has no storage: it says that everything was done. */
export class NodeClient {
  readonly name: string
  readonly secret = `hft_${randomBytes(24).toString('base64url')}`
  readonly machineId = randomUUID()
  readonly bootId = randomUUID()
  readonly #options: NodeClientOptions
  readonly #http: Client
  readonly #stream: Client
  readonly #marked = new Set<string>()
  readonly #answered = new Set<string>()
  #pools: PoolSpec[] = []
  #beat: NodeJS.Timeout | undefined
  #tail: Promise<unknown> = Promise.resolve()
  session = ''
  nodeId = ''
  /** Calls that were refused although they should not have been. */
  readonly troubles: unknown[] = []
  /** Every assignment that came, oldest first. */
  readonly assignments: Assignment[] = []

  constructor(options: NodeClientOptions) {
    this.#options = options
    this.name = options.name
    this.#http = new Client(options.url)
    this.#stream = new Client(options.url, { bodyTimeout: 0, headersTimeout: 10_000 })
  }

  join(
    token: string,
  ): Promise<{ status: number; body: { node: { id: string }; installation: string } & Record<string, unknown> }> {
    const body = { name: this.name, machineId: this.machineId, credentialHash: digest(this.secret) }
    return this.#post('/v1/nodes/join', body, token) as never
  }

  async hello(): Promise<void> {
    const { session, nodeId } = (await this.call('hello', {
      machineId: this.machineId,
      version: 'test',
      watchdog: false,
    })) as {
      session: string
      nodeId: string
    }
    this.session = session
    this.nodeId = nodeId
  }

  /** Joins, says hello, opens the stream, and from then on does what it is told. */
  async start(joinToken: string): Promise<this> {
    const joined = await this.join(joinToken)
    if (joined.status !== 201) throw new Error(`join: ${JSON.stringify(joined.body)}`)
    await this.hello()
    this.#beat = setInterval(() => void this.call('renew', {}).catch(() => undefined), 2000)
    const { statusCode, body } = await this.#stream.request({
      method: 'GET',
      path: `/v1/node/stream?session=${this.session}`,
      headers: { authorization: `Bearer ${this.secret}` },
    })
    if (statusCode !== 200) throw new Error(`stream: ${statusCode} ${await body.text()}`)
    void this.#read(body).catch(() => undefined)
    return this
  }

  async close(): Promise<void> {
    clearInterval(this.#beat)
    await Promise.all([this.#stream.destroy(), this.#http.destroy()])
  }

  /** Makes a call of the protocol. @throws with the problem when it is refused */
  async call(name: string, body: object): Promise<unknown> {
    const envelope = {
      protocol: 1,
      term: 0,
      bootId: this.bootId,
      ...(this.session === '' ? {} : { session: this.session }),
    }
    const answer = await this.#post(`/v1/node/${name}`, { envelope, body }, this.secret)
    if (answer.status !== 200) throw new Error(`${name}: ${JSON.stringify(answer.body)}`)
    return answer.body
  }

  async #post(path: string, body: object, token: string): Promise<{ status: number; body: unknown }> {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const answer = await this.#http.request({ method: 'POST', path, headers, body: JSON.stringify(body) })
    return { status: answer.statusCode, body: await answer.body.json() }
  }

  async #read(body: AsyncIterable<Buffer>): Promise<void> {
    let rest = ''
    for await (const chunk of body) {
      const lines = (rest + chunk.toString()).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line === '') continue
        const assignment = JSON.parse(line) as Assignment
        this.assignments.push(assignment)
        this.#tail = this.#tail.then(() => this.#obey(assignment)).catch((thrown) => this.troubles.push(thrown))
      }
    }
  }

  async #obey({ pools, work, attachments }: Assignment): Promise<void> {
    if (pools !== undefined) {
      this.#pools = pools
      await this.report()
    }
    for (const order of work) await this.#work(order)
    for (const attachment of attachments) await this.#attach(attachment)
  }

  /** Reaches a pool that another node has marked; false while it has not heard of that pool. */
  async find(poolId: string): Promise<boolean> {
    if (!this.#pools.some(({ id }) => id === poolId)) return false
    this.#marked.add(poolId)
    await this.report()
    return true
  }

  /** Says which pools it reaches: those that it has marked. */
  async report(): Promise<void> {
    const capabilities = this.#options.capabilities ?? CAPABILITIES
    const storage = { sizeMiB: 1_000_000, freeMiB: 900_000 }
    const pools = this.#pools.map(({ id }) =>
      this.#marked.has(id)
        ? { poolId: id, ok: true, capabilities, storage }
        : { poolId: id, ok: false, code: 'no_marker', message: 'no marker' },
    )
    await this.call('pools', { pools })
  }

  async #work(order: WorkOrder): Promise<void> {
    const key = `${order.operationId}/${order.attempt}`
    if (this.#answered.has(key)) return
    const said = this.#options.work === undefined ? 'ok' : this.#options.work(order)
    if (said === undefined) return
    this.#answered.add(key)
    const { operationId, attempt, sizeMiB } = order
    const detached = [order, order.source].flatMap((each) =>
      each?.attachmentId === undefined ? [] : [{ attachmentId: each.attachmentId, claims: each.claims ?? 1 }],
    )
    const facts = { ...(sizeMiB === undefined ? {} : { sizeMiB }) }
    const outcome = said === 'ok' ? { ok: true, facts } : { ok: false, ...said, facts: {} }
    await this.call('result', { operationId, attempt, outcome, detached })
    if (order.step !== 'mark' || said !== 'ok') return
    this.#marked.add(order.poolId)
    await this.report()
  }

  async #attach(attachment: AttachmentSpec): Promise<void> {
    const { id, epoch, claims, state, users, volume } = attachment
    const mine = users.every((user) => user.door !== 'operation')
    const path = `/var/lib/holdfast/mnt/${volume.id}/target`
    const report = (said: 'mounted' | 'detached') => ({
      attachmentId: id,
      epoch,
      claims,
      state: said,
      ...(said === 'mounted' ? { path } : {}),
    })
    if (users.length > 0 && mine && state === 'attaching')
      await this.call('attachments', { reports: [report('mounted')] })
    if (users.length === 0) await this.call('attachments', { reports: [report('detached')] })
  }
}
