import type { DurableBatch, DurableChange, DurableLedger } from './durable-ledger.ts'

type Kind = 'volume' | 'snapshot' | 'hold'

/**
 * What clients were told, held against what is durable: nothing acknowledged is lost, nothing refused shows, and what
 * was asked once is there once.
 */
export class Promises {
  readonly #ledger: DurableLedger
  readonly #fail: (message: string) => void
  readonly #refused = new Set<string>()
  readonly #mayGo = new Set<string>()
  /** Ids by what the client named them, of everything that ever was. */
  readonly #ids = new Map<string, Set<string>>()
  readonly #gone = new Set<string>()
  /** Groups whose members may go when one of them fails. */
  readonly #rollbacks = new Set<string>()

  constructor(ledger: DurableLedger, fail: (message: string) => void) {
    this.#ledger = ledger
    this.#fail = fail
    ledger.watch((batch) => this.#follow(batch))
  }

  made(kind: Kind, id: string, name: string): void {
    const ids = this.#ids.get(`${kind} ${name}`)
    if (ids?.has(id) !== true) this.#fail(`I7: ${kind} ${name} was acknowledged as ${id}, and is not durable`)
    if (this.#gone.has(id)) this.#lost(id)
  }

  refused(kind: Kind, name: string): void {
    this.#refused.add(`${kind} ${name}`)
    if (this.#ids.has(`${kind} ${name}`)) this.#fail(`I7: ${kind} ${name} was refused, and was made`)
  }

  grown(volumeId: string, sizeMiB: number): void {
    const grew = this.#ledger.events.some(
      ({ type, subject, data }) =>
        type.startsWith('volume.resiz') &&
        subject.id === volumeId &&
        (data.toMiB === undefined || data.toMiB === sizeMiB),
    )
    const volume = this.#ledger.get('volume', volumeId)
    if (!grew && volume !== undefined && volume.sizeMiB < sizeMiB) {
      this.#fail(`volume ${volumeId} was acknowledged with ${sizeMiB} MiB, and has ${volume.sizeMiB}`)
    }
  }

  /** Somebody asked for what may end it. */
  mayGo(id: string): void {
    this.#mayGo.add(id)
  }

  #lost(id: string): void {
    if (!this.#mayGo.has(id)) this.#fail(`${id} was acknowledged and is gone, and nobody asked for that`)
  }

  #follow({ batch, changes, events }: DurableBatch): void {
    for (const change of changes) {
      const { kind, id } = change
      if (kind === 'group' && change.after?.onFailure === 'rollback') this.#rollbacks.add(id)
      if (kind !== 'volume' && kind !== 'snapshot' && kind !== 'hold') continue
      if (change.after === undefined) this.#ended(change, batch.at)
      else this.#named(`${kind} ${'name' in change.after ? change.after.name : change.after.labels.client}`, id)
    }
    for (const event of events) {
      if (event.type === 'group.created') this.#wholeGroup(event.subject.id)
    }
  }

  #ended({ id, before }: DurableChange, at: number): void {
    this.#gone.add(id)
    if (before === undefined) return
    if ('expiresAt' in before && (before.expiresAt ?? 0) <= at) this.mayGo(id)
    if ('groupId' in before && this.#rollbacks.has(before.groupId ?? '')) this.mayGo(id)
    this.#lost(id)
  }

  #named(key: string, id: string): void {
    if (this.#refused.has(key)) this.#fail(`I7: ${key} was refused, and is there`)
    const ids = this.#ids.get(key) ?? new Set()
    ids.add(id)
    this.#ids.set(key, ids)
    if (ids.size > 1) this.#fail(`I7: ${key} was asked for once, and is there ${ids.size} times`)
  }

  /** I8: all or nothing, in one commit. */
  #wholeGroup(groupId: string): void {
    const group = this.#ledger.get('group', groupId)
    for (const id of group?.volumeIds ?? []) {
      const { groupId: of } = this.#ledger.get('volume', id) ?? {}
      if (of !== groupId) this.#fail(`I8: volume ${id} of group ${groupId} was not made with it`)
    }
  }
}
