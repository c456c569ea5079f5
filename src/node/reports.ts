import type { Clock } from '../model/clock.ts'
import { asHoldfastError, type HoldfastError } from '../model/errors.ts'
import type { AttachmentReport, CallBody, CallReply, NodeCall } from '../model/node-protocol.ts'
import type { Journal, OwedEntry } from './journal.ts'

const AGAIN_MS = 3000

/** The part of the session that reporting needs. */
export interface Caller {
  call<K extends NodeCall>(name: K, body: CallBody<K>): Promise<CallReply<K>>
}

/**
 * What the controller is still to be told. The state of attachments is a level: the newest word on each is enough,
 * and is said again in every session. A user's release that could not be told is kept in the journal.
 */
export class Reports {
  readonly #caller: Caller
  readonly #clock: Clock
  readonly #onClaimed: (volumeId: string, revision: number) => void
  readonly #journal: Journal
  readonly #waiting = new Map<string, AttachmentReport>()
  readonly #owed: Map<string, OwedEntry>
  #sending = false
  #againSoon = false
  #settling: Promise<unknown> | undefined

  /** @param onClaimed told when a user who came unheard has been recorded, at which revision */
  constructor(
    caller: Caller,
    journal: Journal,
    clock: Clock,
    onClaimed: (volumeId: string, revision: number) => void = () => {},
  ) {
    this.#caller = caller
    this.#onClaimed = onClaimed
    this.#clock = clock
    this.#journal = journal
    this.#owed = journal.entries('owed')
  }

  attachment(report: AttachmentReport): void {
    this.#waiting.set(report.attachmentId, report)
    void this.#send()
  }

  get owed(): number {
    return this.#owed.size
  }

  async #send(): Promise<void> {
    if (this.#sending) return
    this.#sending = true
    try {
      while (this.#waiting.size > 0) {
        const reports = [...this.#waiting.values()].slice(0, 100)
        await this.#caller.call('attachments', { reports })
        for (const report of reports) {
          // a newer word may have come in the meantime
          if (this.#waiting.get(report.attachmentId) === report) this.#waiting.delete(report.attachmentId)
        }
      }
    } catch {
      this.#again()
    } finally {
      this.#sending = false
    }
  }

  /** What could not be told is told in the next session, or in this one when it goes on without an answer. */
  #again(): void {
    if (this.#againSoon) return
    this.#againSoon = true
    this.#clock.after(AGAIN_MS, () => {
      this.#againSoon = false
      this.settle().catch(() => this.#again())
    })
  }

  /** Tells of a user's release; while the controller is away it is owed. */
  async release(body: CallBody<'release'>): Promise<void> {
    const id = owedId(body.volumeId, body.user)
    // what is owed is being told right now, one thing after the other: this comes after it
    if (this.#settling !== undefined) return this.#owe(id, { call: 'release', body })
    const owed = this.#owed.get(id)
    try {
      await this.#caller.call('release', body)
    } catch (thrown) {
      const { code, row } = asHoldfastError(thrown)
      if (code === 'in_use' || code === 'stale_epoch') return
      if (row.retry === 'no' && code !== 'stale_session') throw thrown
      // the same user may have come again while this was on its way
      if (this.#owed.get(id) !== owed) return
      this.#owe(id, { call: 'release', body })
      this.#again()
    }
  }

  /** A user came while the controller was away. */
  claimed(body: CallBody<'claim'>): void {
    this.#owe(owedId(body.volume, body.user), { call: 'claim', body })
    this.#again()
  }

  #owe(id: string, entry: OwedEntry | undefined): void {
    this.#journal.write({ kind: 'owed', id, value: entry })
    if (entry === undefined) this.#owed.delete(id)
    else this.#owed.set(id, entry)
  }

  /** Resolved when nothing is being settled: a claim must not be overtaken by an older release of the same user. */
  get settled(): Promise<unknown> {
    return this.#settling ?? Promise.resolve()
  }

  /** In a new session, before its first assignment: what is owed. @throws when the controller is away again */
  async settle(): Promise<void> {
    if (this.#settling !== undefined) await this.#settling
    const settling = this.#settle()
    this.#settling = settling
      .catch(() => undefined)
      .then(() => {
        this.#settling = undefined
      })
    await settling
    void this.#send()
  }

  /** Whether a user's coming is still to be told. */
  owesClaim(volumeId: string, user: { door: string; id: string }): boolean {
    return this.#owed.get(owedId(volumeId, user))?.call === 'claim'
  }

  async #settle(): Promise<void> {
    const refused = new Set<OwedEntry>()
    for (;;) {
      const next = [...this.#owed].find(([, owed]) => !refused.has(owed))
      if (next === undefined) break
      const [id, owed] = next
      try {
        if (owed.call === 'claim') {
          const { revision, attachment } = await this.#caller.call('claim', owed.body)
          this.#onClaimed(attachment.volume.id, revision)
        } else await this.#caller.call('release', owed.body)
      } catch (thrown) {
        const error = asHoldfastError(thrown)
        if (!isRefusal(error)) throw thrown
        // it is mounted here all the same: the ledger must know, as soon as it may
        if (owed.call === 'claim' && error.row.retry === 'later') {
          refused.add(owed)
          continue
        }
      }
      // something newer may be owed by now
      if (this.#owed.get(id) === owed) this.#owe(id, undefined)
    }
    if (refused.size > 0) this.#again()
  }
}

/** The controller has decided. Any other failure says nothing, and the same is told again. */
function isRefusal({ code, row }: HoldfastError): boolean {
  return row.status < 500 && code !== 'stale_session' && code !== 'unauthenticated'
}

/** One user of one volume owes one word: that it came, or that it went. */
function owedId(volumeId: string, user: { door: string; id: string }): string {
  return `${volumeId}/${user.door}/${user.id}`
}
