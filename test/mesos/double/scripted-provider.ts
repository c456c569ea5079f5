/** A resource provider that does what a test tells it: it speaks the API of an agent and decides nothing by itself. */
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import type { ApplyOperation, ProviderEvent } from '../../../src/mesos/provider-protocol.ts'
import type { Operation, OperationState, OperationStatus, Resource } from '../../../src/mesos/resource.ts'
import { uuidBytes } from '../../support/mesos/ids.ts'
import { RecordDecoder } from '../../support/mesos/record-io.ts'
import { until } from '../../support/until.ts'

export interface ScriptedOptions {
  readonly type?: string
  readonly name?: string
  /** Of an earlier subscription. */
  readonly id?: string
  /** Answers a PUBLISH_RESOURCES; OK when not given, no answer at all for undefined. */
  readonly onPublish?: (resources: readonly Resource[]) => 'OK' | 'FAILED' | undefined
  readonly onApply?: (operation: ApplyOperation, provider: ScriptedProvider) => void
}

export interface Answer {
  readonly status: number
  readonly body: string
}

export class ScriptedProvider {
  readonly events: ProviderEvent[] = []
  readonly applied: ApplyOperation[] = []
  readonly published: (readonly Resource[])[] = []
  /** Of the last UPDATE_STATE. */
  version = ''
  id = ''
  headers: IncomingMessage['headers'] = {}
  /** The agent has ended the stream. */
  ended = false
  readonly #agentUrl: string
  readonly #options: ScriptedOptions
  #stream: ClientRequest | undefined
  #decide: (resources: readonly Resource[]) => 'OK' | 'FAILED' | undefined

  private constructor(agentUrl: string, options: ScriptedOptions) {
    this.#agentUrl = agentUrl
    this.#options = options
    this.#decide = options.onPublish ?? (() => 'OK')
  }

  /** Resolves when subscribed, or when the agent has ended the stream instead. */
  static async connect(agentUrl: string, options: ScriptedOptions = {}): Promise<ScriptedProvider> {
    const provider = new ScriptedProvider(agentUrl, options)
    await provider.#subscribe()
    return provider
  }

  async #subscribe(): Promise<void> {
    const { type = 'org.acme.rp.external.storage', name = 'rp1', id } = this.#options
    const info = { type, name, ...(id === undefined ? {} : { id: { value: id } }) }
    const outgoing = request(`${this.#agentUrl}/api/v1/resource_provider`, {
      method: 'POST',
      headers: JSON_HEADERS,
      agent: false,
    })
    this.#stream = outgoing
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.on('response', resolve)
      outgoing.on('error', reject)
    })
    outgoing.end(JSON.stringify({ type: 'SUBSCRIBE', subscribe: { resource_provider_info: info } }))
    const response = await answered
    outgoing.on('error', () => {})
    response.on('error', () => {})
    this.headers = response.headers
    const decoder = new RecordDecoder()
    response.on('data', (chunk: Buffer) => {
      for (const event of decoder.push(chunk)) this.#receive(event as ProviderEvent)
    })
    response.on('close', () => {
      this.ended = true
    })
    await until(() => this.id !== '' || this.ended, { what: 'SUBSCRIBED' })
  }

  #receive(event: ProviderEvent): void {
    this.events.push(event)
    if (event.type === 'SUBSCRIBED') this.id = event.subscribed.provider_id.value
    if (event.type === 'APPLY_OPERATION') {
      this.applied.push(event.apply_operation)
      this.#options.onApply?.(event.apply_operation, this)
    }
    if (event.type === 'PUBLISH_RESOURCES') this.#publish(event.publish_resources)
  }

  #publish({ uuid, resources }: Extract<ProviderEvent, { type: 'PUBLISH_RESOURCES' }>['publish_resources']): void {
    this.published.push(resources ?? [])
    const status = this.#decide(resources ?? [])
    if (status === undefined) return
    void this.call({
      type: 'UPDATE_PUBLISH_RESOURCES_STATUS',
      update_publish_resources_status: { uuid, status },
    }).catch(() => {})
  }

  /** From now on every PUBLISH_RESOURCES is answered so; undefined: not at all. */
  answers(status: 'OK' | 'FAILED' | undefined): void {
    this.#decide = () => status
  }

  async call(
    call: object,
    headers: Record<string, string> = { 'Mesos-Stream-Id': String(this.headers['mesos-stream-id']) },
  ): Promise<Answer> {
    return post(
      `${this.#agentUrl}/api/v1/resource_provider`,
      { resource_provider_id: { value: this.id }, ...call },
      headers,
    )
  }

  /** Totals, given without provider_id. A new version each time unless one is given. */
  async updateState(
    resources: readonly Resource[],
    operations: readonly Operation[] = [],
    version = uuidBytes(),
  ): Promise<Answer> {
    this.version = version
    const update_state = {
      resources: resources.map((resource) => this.own(resource)),
      operations,
      resource_version_uuid: { value: version },
    }
    return this.call({ type: 'UPDATE_STATE', update_state })
  }

  own(resource: Resource): Resource {
    return { provider_id: { value: this.id }, ...resource }
  }

  /** The operation ends so. Its status has a uuid, to be acknowledged. */
  async end(operation: ApplyOperation, state: OperationState, more: Partial<OperationStatus> = {}): Promise<Answer> {
    return this.say(operation, this.statusOf(operation, state, more))
  }

  statusOf(operation: ApplyOperation, state: OperationState, more: Partial<OperationStatus> = {}): OperationStatus {
    const id = operation.info.id
    return {
      state,
      ...(id === undefined ? {} : { operation_id: id }),
      uuid: { value: uuidBytes() },
      resource_provider_id: { value: this.id },
      ...more,
    }
  }

  async say({ framework_id, operation_uuid }: ApplyOperation, status: OperationStatus): Promise<Answer> {
    const framework = framework_id === undefined ? {} : { framework_id }
    const update_operation_status = { ...framework, operation_uuid, status, latest_status: status }
    return this.call({ type: 'UPDATE_OPERATION_STATUS', update_operation_status })
  }

  async waitApply(what: string, nth = 0): Promise<ApplyOperation> {
    const found = () => this.applied.filter(({ info }) => info.type === what || info.id?.value === what)[nth]
    return until(found, { what: `APPLY_OPERATION ${what}`, everyMs: 2 })
  }

  /** As when the provider's process ends. */
  close(): void {
    this.#stream?.destroy()
  }
}

const JSON_HEADERS = { 'Content-Type': 'application/json', Accept: 'application/json' }

export async function post(url: string, call: object, headers: Record<string, string> = {}): Promise<Answer> {
  const outgoing = request(url, { method: 'POST', headers: { ...JSON_HEADERS, ...headers }, agent: false })
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.on('response', resolve)
    outgoing.on('error', reject)
  })
  outgoing.end(JSON.stringify(call))
  const response = await answered
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }
}
