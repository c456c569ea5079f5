/** A scheduler for tests that knows nothing but the public v1 scheduler API. */
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { until } from '../until.ts'
import { RecordDecoder } from './record-io.ts'
import type {
  FrameworkInfo,
  Offer,
  OfferOperation,
  OperationStatus,
  Resource,
  TaskState,
  TaskStatus,
  Value,
} from './types.ts'

export interface FrameworkOptions {
  readonly name: string
  readonly roles: readonly string[]
  /** All that the double knows, when not given. */
  readonly capabilities?: readonly string[]
  readonly principal?: string
  /** With it the principal is proven by HTTP basic. */
  readonly secret?: string
  /** Seconds; 0 when not given: the framework ends with its connection. */
  readonly failoverTimeout?: number
  readonly checkpoint?: boolean
  /** Of a framework that fails over. */
  readonly frameworkId?: string
  /** Whether operation statuses are acknowledged by themselves; true when not given. */
  readonly acknowledgeOperations?: boolean
}

/** An event as it came, with the time since the subscription. */
export interface SeenEvent {
  readonly atMs: number
  readonly type: string
  readonly event: Readonly<Record<string, unknown>>
}

const CAPABILITIES = ['RESERVATION_REFINEMENT', 'MULTI_ROLE', 'PARTITION_AWARE', 'SHARED_RESOURCES']

interface Event {
  readonly type: string
  readonly subscribed?: { readonly framework_id: Value }
  readonly offers?: { readonly offers: readonly Offer[] }
  readonly rescind?: { readonly offer_id: Value }
  readonly update?: { readonly status: TaskStatus }
  readonly update_operation_status?: { readonly status: OperationStatus }
}

export class TestFramework {
  /** Those that can be accepted now, by id. */
  readonly offers = new Map<string, Offer>()
  readonly events: SeenEvent[] = []
  readonly #masterUrl: string
  readonly #options: FrameworkOptions
  readonly #operations = new Map<string, OperationStatus[]>()
  readonly #tasks = new Map<string, TaskStatus[]>()
  #acknowledges: boolean
  #stream: ClientRequest | undefined
  #streamId = ''
  #id: string | undefined
  #since = performance.now()
  #connected = false

  private constructor(masterUrl: string, options: FrameworkOptions) {
    this.#masterUrl = masterUrl
    this.#options = options
    this.#id = options.frameworkId
    this.#acknowledges = options.acknowledgeOperations ?? true
  }

  /** Resolves when subscribed. */
  static async connect(masterUrl: string, options: FrameworkOptions): Promise<TestFramework> {
    const framework = new TestFramework(masterUrl, options)
    await framework.#subscribe()
    return framework
  }

  /** Whether the stream of events is open. */
  get isConnected(): boolean {
    return this.#connected
  }

  get id(): string {
    if (this.#id === undefined) throw new Error('not subscribed')
    return this.#id
  }

  async #subscribe(): Promise<void> {
    const { name, roles, capabilities, principal, failoverTimeout, checkpoint } = this.#options
    const info: FrameworkInfo = {
      user: 'root',
      name,
      roles,
      capabilities: (capabilities ?? CAPABILITIES).map((type) => ({ type })),
      failover_timeout: failoverTimeout ?? 0,
      checkpoint: checkpoint ?? true,
      ...(principal === undefined ? {} : { principal }),
      ...(this.#id === undefined ? {} : { id: { value: this.#id } }),
    }
    const call = {
      type: 'SUBSCRIBE',
      ...(this.#id === undefined ? {} : { framework_id: { value: this.#id } }),
      subscribe: { framework_info: info },
    }
    const outgoing = request(`${this.#masterUrl}/api/v1/scheduler`, {
      method: 'POST',
      headers: this.#headers(),
      agent: false,
    })
    this.#stream = outgoing
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.on('response', resolve)
      outgoing.on('error', reject)
    })
    outgoing.end(JSON.stringify(call))
    const response = await answered
    outgoing.on('error', () => {})
    if (response.statusCode !== 200)
      throw new Error(`SUBSCRIBE was answered ${response.statusCode}: ${await bodyOf(response)}`)
    this.#streamId = String(response.headers['mesos-stream-id'])
    this.#since = performance.now()
    const decoder = new RecordDecoder()
    response.on('data', (chunk: Buffer) => {
      for (const event of decoder.push(chunk)) this.#receive(event as Event)
    })
    response.on('error', () => {})
    this.#connected = true
    response.on('close', () => {
      this.#connected = false
      this.offers.clear()
    })
    const answer = () => this.events.find(({ type }) => type === 'SUBSCRIBED' || type === 'ERROR')
    const { type, event } = await until(answer, { what: 'SUBSCRIBED' })
    if (type === 'ERROR') throw new Error(`SUBSCRIBE was answered ${JSON.stringify(event)}`)
  }

  #headers(): Record<string, string> {
    const { principal, secret } = this.#options
    const basic =
      secret === undefined ? {} : { Authorization: `Basic ${Buffer.from(`${principal}:${secret}`).toString('base64')}` }
    return { 'Content-Type': 'application/json', Accept: 'application/json', ...basic }
  }

  #receive(event: Event): void {
    const seen = { ...event }
    this.events.push({ atMs: performance.now() - this.#since, type: event.type, event: seen })
    if (event.subscribed !== undefined) this.#id = event.subscribed.framework_id.value
    for (const offer of event.offers?.offers ?? []) this.offers.set(offer.id.value, offer)
    if (event.rescind !== undefined) this.offers.delete(event.rescind.offer_id.value)
    if (event.update !== undefined) this.#taskUpdate(event.update.status)
    if (event.update_operation_status !== undefined) this.#operationUpdate(event.update_operation_status.status)
  }

  #taskUpdate(status: TaskStatus): void {
    const id = status.task_id.value
    this.#tasks.set(id, [...(this.#tasks.get(id) ?? []), status])
    if (status.uuid === undefined) return
    const { agent_id, task_id, uuid } = status
    this.#forget({ type: 'ACKNOWLEDGE', acknowledge: { agent_id, task_id, uuid } })
  }

  #operationUpdate(status: OperationStatus): void {
    const id = status.operation_id?.value ?? ''
    this.#operations.set(id, [...(this.#operations.get(id) ?? []), status])
    if (this.#acknowledges) this.acknowledgeOperation(status)
  }

  /** For frameworks that do not acknowledge by themselves. */
  acknowledgeOperation(status: OperationStatus): void {
    if (status.uuid === undefined) return
    const { agent_id, resource_provider_id, operation_id, uuid } = status
    const acknowledge_operation_status = { agent_id, resource_provider_id, uuid: uuid.value, operation_id }
    this.#forget({ type: 'ACKNOWLEDGE_OPERATION_STATUS', acknowledge_operation_status })
  }

  set acknowledgesOperations(does: boolean) {
    this.#acknowledges = does
  }

  /** A call whose answer does not matter: the master may be dying. */
  #forget(call: object): void {
    this.call(call).catch(() => {})
  }

  /** @returns the status of the answer, 202 as a rule */
  async call(call: object): Promise<{ readonly status: number; readonly body: string }> {
    const headers = { ...this.#headers(), 'Mesos-Stream-Id': this.#streamId }
    const outgoing = request(`${this.#masterUrl}/api/v1/scheduler`, { method: 'POST', headers, agent: false })
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.on('response', resolve)
      outgoing.on('error', reject)
    })
    outgoing.end(JSON.stringify({ framework_id: { value: this.id }, ...call }))
    const response = await answered
    return { status: response.statusCode ?? 0, body: await bodyOf(response) }
  }

  /** Waits for an offer that fits; it stays in `offers`. */
  async waitOffer(fits: (offer: Offer) => boolean, deadlineMs = 10_000): Promise<Offer> {
    return until(() => [...this.offers.values()].find(fits), {
      what: `an offer for ${this.#options.name}`,
      deadlineMs,
      everyMs: 5,
    })
  }

  /** Waits until all offers of one agent together have what is needed: a disk may come apart from cpus and memory. */
  async waitTogether(
    agentId: string,
    suffices: (resources: readonly Resource[]) => boolean,
    deadlineMs = 10_000,
  ): Promise<Offer[]> {
    const found = () => {
      const offers = [...this.offers.values()].filter(({ agent_id }) => agent_id.value === agentId)
      return suffices(offers.flatMap(({ resources }) => resources)) ? offers : undefined
    }
    return until(found, { what: `offers of agent ${agentId} for ${this.#options.name}`, deadlineMs, everyMs: 5 })
  }

  /** refuse_seconds is 0 when not given, so that what is left is offered again at once. */
  async accept(
    offers: readonly (Offer | string)[],
    operations: readonly OfferOperation[],
    options: { readonly refuseSeconds?: number } = {},
  ): Promise<void> {
    const offer_ids = offers.map((offer) => (typeof offer === 'string' ? { value: offer } : offer.id))
    for (const { value } of offer_ids) this.offers.delete(value)
    await this.call({
      type: 'ACCEPT',
      accept: { offer_ids, operations, filters: { refuse_seconds: options.refuseSeconds ?? 0 } },
    })
  }

  async decline(offers: readonly Offer[], refuseSeconds = 5): Promise<void> {
    for (const { id } of offers) this.offers.delete(id.value)
    await this.call({
      type: 'DECLINE',
      decline: { offer_ids: offers.map(({ id }) => id), filters: { refuse_seconds: refuseSeconds } },
    })
  }

  async revive(roles: readonly string[] = []): Promise<void> {
    await this.call({ type: 'REVIVE', revive: { roles } })
  }

  async suppress(roles: readonly string[] = []): Promise<void> {
    await this.call({ type: 'SUPPRESS', suppress: { roles } })
  }

  async teardown(): Promise<void> {
    await this.call({ type: 'TEARDOWN' })
    this.#stream?.destroy()
  }

  async kill(taskId: string): Promise<void> {
    await this.call({ type: 'KILL', kill: { task_id: { value: taskId } } })
  }

  /** An empty list asks for all. */
  async reconcileOperations(
    operations: readonly { operationId: string; agentId?: string; providerId?: string }[],
  ): Promise<void> {
    const asked = operations.map(({ operationId, agentId, providerId }) => ({
      operation_id: { value: operationId },
      ...(agentId === undefined ? {} : { agent_id: { value: agentId } }),
      ...(providerId === undefined ? {} : { resource_provider_id: { value: providerId } }),
    }))
    await this.call({ type: 'RECONCILE_OPERATIONS', reconcile_operations: { operations: asked } })
  }

  /** The first status of an operation, or the one after those seen. */
  async operationStatus(id: string, deadlineMs = 10_000, nth = 0): Promise<OperationStatus> {
    return until(() => this.#operations.get(id)?.[nth], { what: `a status of operation ${id}`, deadlineMs, everyMs: 5 })
  }

  /** Waits until the task has been in one of the states. */
  async taskStatus(id: string, states: readonly TaskState[], deadlineMs = 15_000): Promise<TaskStatus> {
    const found = () => this.#tasks.get(id)?.find(({ state }) => states.includes(state))
    return until(found, { what: `task ${id} to be ${states.join(' or ')}`, deadlineMs, everyMs: 5 })
  }

  statuses(taskId: string): readonly TaskStatus[] {
    return this.#tasks.get(taskId) ?? []
  }

  /** The connection breaks; the framework goes on for its failoverTimeout. */
  disconnect(): void {
    this.#stream?.destroy()
  }
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
