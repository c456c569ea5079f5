import { currentOf } from '../advertise/agent-state.ts'
import type { Book, ProviderState } from './book.ts'
import type { Operations } from './operations.ts'
import type { Subscriptions } from './subscriptions.ts'
import type { Uses } from './uses.ts'

const EVERY_MS = 10_000
const AFTER_CHANGE_MS = 500
const AFTER_FAILURE_MS = 2000

export interface ReportParts {
  readonly book: Book
  readonly operations: Operations
  readonly subscriptions: Subscriptions
  readonly uses: Uses
}

/** Tells the controller how this machine's providers are, for `holdfast mesos status`. Worth nothing when it is late. */
export class ProviderReport {
  readonly #parts: ReportParts
  readonly #failures = new Map<string, { message: string; at: string }>()
  #last = ''

  constructor(parts: ReportParts) {
    this.#parts = parts
  }

  start(): void {
    this.#send()
  }

  /** A task could not start: nobody else is told why. @param at RFC 3339 */
  publishFailed({ poolId }: ProviderState, message: string, at: string): void {
    this.#failures.set(poolId, { message: message.slice(0, 1000), at })
  }

  /** To be called at the end of every step. */
  review(): void {
    const { desk } = this.#parts.book
    if (desk.isAsked('report') || desk.isDue('report soon')) return
    if (this.#text() !== this.#last) desk.after(AFTER_CHANGE_MS, 'report soon', () => this.#send())
  }

  #send(): void {
    const { desk } = this.#parts.book
    this.#last = this.#text()
    const body = JSON.parse(this.#last)
    desk.ask('report', { kind: 'rest', method: 'PUT', path: '/v1/mesos/report', body }, (reply) => {
      if (!reply.ok) desk.after(AFTER_FAILURE_MS, 'report soon', () => this.#send())
    })
    desk.after(EVERY_MS, 'report', () => this.#send())
  }

  #text(): string {
    const { book, subscriptions } = this.#parts
    const { agentId, agentUrl } = book
    return JSON.stringify({
      agent: {
        url: agentUrl,
        agentId,
        state: subscriptions.confirmed ? 'up' : 'away',
        problem: subscriptions.problem?.slice(0, 1000),
      },
      providers: [...book.providers.values()].map((provider) => this.#of(provider)),
    })
  }

  #of(provider: ProviderState) {
    const { poolId, providerId, stream, problem, versionUuid, tornDown } = provider
    const shown = currentOf(this.#parts.book.pool(poolId))
    const operations = this.#parts.operations.of(provider)
    return {
      poolId,
      providerId,
      state: tornDown ? 'torn-down' : stream,
      problem: problem?.slice(0, 1000),
      version: versionUuid === '' ? undefined : versionUuid,
      operations: operations.length,
      unacknowledged: operations.filter(({ status }) => status !== undefined).length,
      advertisedMiB: shown?.raw.reduce((sum, { amount }) => sum + amount, 0) ?? 0,
      disks: shown?.disks.length ?? 0,
      usedDisks: shown?.disks.filter(({ volumeId }) => this.#parts.uses.has(volumeId)).length ?? 0,
      lastFailure: this.#failures.get(poolId),
    }
  }
}
