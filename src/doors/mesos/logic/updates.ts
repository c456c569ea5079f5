import type { Operation } from '../../../mesos/resource.ts'
import type { Update } from '../advertise/agent-state.ts'
import { toResources } from '../advertise/disk-resources.ts'
import { accepted, plan } from '../advertise/plan.ts'
import type { CallResult } from '../holder/protocol.ts'
import type { Book, ProviderState } from './book.ts'

export interface UpdatesParts {
  readonly book: Book
  /** Every operation of a provider that is under way or not acknowledged. */
  readonly operations: (provider: ProviderState) => Operation[]
  /** Their end is about to be told with this update. */
  readonly onCarried: (operations: readonly string[]) => void
  /** The agent has heard the update: the statuses may follow. */
  readonly onAccepted: (provider: ProviderState, update: Update) => void
}

/** Sends what `plan` says is due. */
export class Updates {
  readonly #parts: UpdatesParts

  constructor(parts: UpdatesParts) {
    this.#parts = parts
  }

  /** To be called at the end of every step. */
  pump(): void {
    const { agent, desk } = this.#parts.book
    const { updates, wakeAt } = plan(agent, desk.now)
    for (const update of updates) this.#send(update)
    if (wakeAt === undefined) desk.cancel('plan')
    else desk.after(wakeAt - desk.now, 'plan', () => undefined)
  }

  #send(update: Update): void {
    const { book, operations, onCarried } = this.#parts
    const provider = book.providers.get(update.poolId)
    const place = provider === undefined ? undefined : book.place(provider)
    if (provider === undefined || place === undefined) return
    // for a repetition, too: the agent forgets an operation that is on its way to us and not in our list, so that one
    // has to be dropped by its version, else we would report it to a master that may never have heard of it
    provider.versionUuid = book.desk.newUuid()
    onCarried(update.finished)
    book.saveShown(provider)
    const call = {
      type: 'UPDATE_STATE' as const,
      resource_provider_id: { value: place.providerId },
      update_state: {
        resources: toResources(update.shown, place),
        operations: operations(provider),
        resource_version_uuid: { value: provider.versionUuid },
      },
    }
    book.desk.call(provider.poolId, call, (result) => this.#answered(provider, update, result))
  }

  #answered(provider: ProviderState, update: Update, result: CallResult): void {
    const { book, onAccepted } = this.#parts
    if ('closed' in result) return
    if (result.status === 202) {
      accepted(book.agent, update, book.desk.now)
      onAccepted(provider, update)
      return
    }
    // what the agent has now is unknown: a new subscription says everything anew
    book.desk.log('update.refused', { pool: provider.poolId, status: result.status, text: result.text })
    book.desk.close(provider.poolId)
  }
}
