import { versionOf } from '../advertise/agent-state.ts'
import { forgotten, subscribed, unsubscribed } from '../advertise/subscription.ts'
import type { StreamEvent } from '../holder/protocol.ts'
import type { Book, ProviderState } from './book.ts'
import type { Reply } from './desk.ts'

const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 30_000
const AGENT_PAUSE_MS = 500
const AGENT_LONGEST_PAUSE_MS = 5000

export interface SubscriptionParts {
  readonly book: Book
  /** SUBSCRIBED came: the controller is to know the id. */
  readonly onSubscribed: (provider: ProviderState) => void
  readonly onClosed: (provider: ProviderState) => void
  /** An operator has marked it gone. */
  readonly onTornDown: (provider: ProviderState) => void
  /** What was under way at the agent under this provider is of the past. */
  readonly onForgotten: (provider: ProviderState, why: string) => void
}

/** One subscription for each pool, for as long as the agent is there and knows who it is. */
export class Subscriptions {
  readonly #parts: SubscriptionParts
  /** The agent has said its id since the last stream ended. */
  #confirmed = false
  #failures = 0
  /** The controller has said what there is, or has not answered for long: what was written down counts. */
  #settled = false
  /** Ids that the controller knows from an earlier life of this process's state. */
  readonly #knownIds = new Map<string, string>()
  problem: string | undefined

  constructor(parts: SubscriptionParts) {
    this.#parts = parts
  }

  /** The agent answers. */
  get confirmed(): boolean {
    return this.#confirmed
  }

  start(): void {
    this.#askNode()
    this.#askAgent()
  }

  /** Now that it is known which pools there are. */
  settled(): void {
    if (this.#settled) return
    this.#settled = true
    this.review()
  }

  controllerKnows(poolId: string, providerId: string | undefined): void {
    if (providerId !== undefined) this.#knownIds.set(poolId, providerId)
  }

  /** Subscribes what should be and is not. */
  review(): void {
    const { book } = this.#parts
    if (!this.#confirmed || !this.#settled || book.mountRoot === undefined || book.stopping) return
    for (const provider of book.providers.values()) {
      const { gone, projection } = book.pool(provider.poolId)
      const isWanted = !provider.tornDown && !gone && projection !== undefined
      if (isWanted && provider.stream === 'none' && !book.desk.isDue(pauseOf(provider))) this.#subscribe(provider)
    }
  }

  subscribed(provider: ProviderState, id: string): void {
    const { book } = this.#parts
    if (provider.providerId !== undefined && provider.providerId !== id)
      this.#forget(provider, 'the agent gave a new id')
    provider.stream = 'open'
    provider.providerId = id
    provider.failures = 0
    delete provider.problem
    book.saveProvider(provider)
    subscribed(book.agent, provider.poolId)
    this.#parts.onSubscribed(provider)
  }

  closed(provider: ProviderState, { reason, status, text }: Extract<StreamEvent, { kind: 'closed' }>): void {
    const { book } = this.#parts
    provider.stream = 'none'
    unsubscribed(book.agent, provider.poolId)
    this.#parts.onClosed(provider)
    provider.problem = [reason, status, text].filter((each) => each !== undefined).join(': ')
    if (reason === 'unknown-id') this.#forget(provider, 'the agent does not know this provider')
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(provider.failures, 10))
    provider.failures += 1
    book.desk.after(reason === 'unknown-id' ? 0 : pause, pauseOf(provider), () => this.review())
    // it may be another agent by now, with another id
    this.#confirmed = false
    this.#askAgent()
  }

  /** TEARDOWN: an operator has marked the provider gone at the agent. */
  tornDown(provider: ProviderState): void {
    provider.tornDown = true
    this.#forget(provider, 'an operator has marked the provider gone')
    this.#parts.onTornDown(provider)
    this.#parts.book.desk.close(provider.poolId)
  }

  #subscribe(provider: ProviderState): void {
    const { desk, agentUrl } = this.#parts.book
    const id = provider.providerId ?? this.#knownIds.get(provider.poolId)
    const known = id === undefined || id === provider.rejectedId ? {} : { id: { value: id } }
    if (known.id !== undefined) provider.providerId = known.id.value
    provider.stream = 'opening'
    desk.subscribe({ kind: 'subscribe', key: provider.poolId, agent: agentUrl, info: { ...known, ...provider.info } })
  }

  #forget(provider: ProviderState, why: string): void {
    const { book } = this.#parts
    book.desk.log('provider.forgotten', { pool: provider.poolId, provider: provider.providerId, why })
    if (provider.providerId !== undefined) provider.rejectedId = provider.providerId
    delete provider.providerId
    forgotten(book.agent, provider.poolId)
    book.saveProvider(provider)
    book.saveShown(provider)
    this.#parts.onForgotten(provider, why)
  }

  #askNode(): void {
    const { book } = this.#parts
    book.desk.ask('node', { kind: 'node' }, (reply) => {
      if (!reply.ok) return book.desk.after(1000, 'node', () => this.#askNode())
      const { mountRoot } = reply.value as { mountRoot: string }
      if (mountRoot === book.mountRoot) return
      book.mountRoot = mountRoot
      book.desk.write('node', { mountRoot })
      this.review()
    })
  }

  #askAgent(): void {
    const { desk } = this.#parts.book
    desk.ask('agent', { kind: 'agent' }, (reply) => this.#heardAgent(reply))
  }

  #heardAgent(reply: Reply): void {
    const { book } = this.#parts
    if (!reply.ok) {
      if (this.problem !== reply.error.message) book.desk.log('agent.away', { message: reply.error.message })
      this.problem = reply.error.message
      const pause = Math.min(AGENT_LONGEST_PAUSE_MS, AGENT_PAUSE_MS * 2 ** Math.min(this.#failures, 10))
      this.#failures += 1
      book.desk.after(pause, 'agent', () => this.#askAgent())
      return
    }
    this.problem = undefined
    this.#failures = 0
    this.#confirmed = true
    const { id } = reply.value as { id: string }
    if (book.agentId !== id) this.#newAgent(id)
    this.review()
  }

  /** Its work directory was wiped: it has no memory of any provider or operation. */
  #newAgent(id: string): void {
    const { book } = this.#parts
    const isOther = book.agentId !== undefined
    book.agentId = id
    book.desk.write('agent', { agentId: id })
    if (!isOther) return
    for (const provider of book.providers.values()) {
      if (provider.stream === 'none') this.#forget(provider, `the agent is a new one, ${id}`)
    }
  }
}

export function isCurrentVersion(book: Book, provider: ProviderState, version: string | undefined): boolean {
  return version === provider.versionUuid && versionOf(book.pool(provider.poolId)) !== undefined
}

function pauseOf(provider: ProviderState): string {
  return `subscribe ${provider.poolId}`
}
