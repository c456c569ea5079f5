import { asHoldfastError } from '../model/errors.ts'
import type { AttachmentReport, CallBody, CallReply, NodeCall } from '../model/node-protocol.ts'
import type { Journal, OwedEntry } from './journal.ts'

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
  readonly #journal: Journal
  readonly #waiting = new Map<string, AttachmentReport>()
  readonly #owed: Map<string, OwedEntry>
  #sending = false

  constructor(caller: Caller, journal: Journal) {
    this.#caller = caller
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
      // said again in the next session
    } finally {
      this.#sending = false
    }
  }

  /** Tells of a user's release; while the controller is away it is owed. */
  async release(body: CallBody<'release'>): Promise<void> {
    try {
      await this.#caller.call('release', body)
    } catch (thrown) {
      const { code, row } = asHoldfastError(thrown)
      if (code === 'in_use' || code === 'stale_epoch') return
      if (row.retry === 'no' && code !== 'stale_session') throw thrown
      this.#owe(owedId(body.volumeId, body.user), { call: 'release', body })
    }
  }

  /** A user came while the controller was away. */
  claimed(body: CallBody<'claim'>): void {
    this.#owe(owedId(body.volume, body.user), { call: 'claim', body })
  }

  #owe(id: string, entry: OwedEntry | undefined): void {
    this.#journal.write({ kind: 'owed', id, value: entry })
    if (entry === undefined) this.#owed.delete(id)
    else this.#owed.set(id, entry)
  }

  /** In a new session, before its first assignment: what is owed. @throws when the controller is away again */
  async settle(): Promise<void> {
    for (const [id, owed] of [...this.#owed]) {
      try {
        if (owed.call === 'claim') await this.#caller.call('claim', owed.body)
        else await this.#caller.call('release', owed.body)
      } catch (thrown) {
        const { row, code } = asHoldfastError(thrown)
        if (row.retry !== 'no' && code !== 'in_use') throw thrown
        if (code === 'stale_session') throw thrown
      }
      this.#owe(id, undefined)
    }
    void this.#send()
  }
}

/** One user of one volume owes one word: that it came, or that it went. */
function owedId(volumeId: string, user: { door: string; id: string }): string {
  return `${volumeId}/${user.door}/${user.id}`
}
