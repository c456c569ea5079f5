import { HoldfastError } from '../model/errors.ts'
import type { IdKind, NewId } from '../model/ids.ts'
import type { Change, RecordKind, RecordTypes } from '../model/records.ts'
import { formatCount, formatMiB, quote } from '../model/units.ts'
import { type AccountName, limitedAccounts, parseAccount } from './accounts.ts'
import { limitOf } from './limits.ts'
import type { LedgerState } from './state.ts'

/** What the outside gives to a decision: nothing pure reads a clock or makes an id. */
export interface Context {
  /** ms since 1970. */
  readonly now: number
  readonly newId: NewId
  /** Who asks, for the record: `admin`, `node node-1`, `controller`. */
  readonly actor: string
}

/**
 * The changes of one command while it is being decided. They are made on the state at once, so that every later check
 * in the same command sees them, and are undone when the command is refused.
 */
export class Transaction {
  readonly state: LedgerState
  readonly context: Context
  /** Set by commands that report a fact: a fact is recorded even if it puts an account into deficit. */
  isFact = false
  readonly #undo: Change[] = []
  /** Sums of the accounts that the command touched, as they were before it. */
  readonly #before = new Map<string, number>()

  constructor(state: LedgerState, context: Context) {
    this.state = state
    this.context = context
  }

  get now(): number {
    return Math.max(this.context.now, this.state.at)
  }

  newId(kind: IdKind): string {
    return this.context.newId(kind)
  }

  get<K extends RecordKind>(kind: K, id: string): RecordTypes[K] | undefined {
    return this.state.get(kind, id)
  }

  /** @throws not_found */
  need<K extends RecordKind>(kind: K, id: string): RecordTypes[K] {
    const record = this.state.get(kind, id)
    if (record === undefined) throw new HoldfastError('not_found', `no such ${kind} ${quote(id)}`, { kind, id })
    return record
  }

  put<K extends RecordKind>(kind: K, record: RecordTypes[K]): RecordTypes[K] {
    this.#change({ kind, id: record.id, record } as Change)
    return record
  }

  remove(kind: RecordKind, id: string): void {
    this.#change({ kind, id, record: undefined } as Change)
  }

  #change(change: Change): void {
    // a limit that moves is settled like a sum that does
    for (const account of limitedAccounts(change.kind, change.id)) {
      if (!this.#before.has(account)) this.#before.set(account, this.state.sum(account))
    }
    this.#undo.push(this.state.apply(change, this.#before))
  }

  /**
   * Holds invariants I1–I3: refuses what raises a sum above its limit, and records or clears deficits.
   * @throws does_not_fit, quota_exceeded, node_full with the numbers compared
   */
  settle(): void {
    for (const [account, before] of [...this.#before]) {
      const limit = limitOf(this.state, account)
      const used = this.state.sum(account)
      const deficit = this.state.get('deficit', account)
      if (limit === undefined || used <= limit) {
        if (deficit !== undefined) this.remove('deficit', account)
        continue
      }
      if (used > before && !this.isFact) throw overdrawn(this.state, account, { before, used, limit })
      if (deficit?.used !== used || deficit.limit !== limit) {
        this.put('deficit', { id: account, used, limit, since: deficit?.since ?? this.now })
      }
    }
  }

  /** The net changes: the last one of each record, without those that changed nothing. */
  changes(): Change[] {
    const firsts = new Map<string, Change>()
    for (const undo of this.#undo) {
      const key = this.#undo.length === 1 ? '' : `${undo.kind}/${undo.id}`
      if (!firsts.has(key)) firsts.set(key, undo)
    }
    const changes: Change[] = []
    for (const first of firsts.values()) {
      const record = this.state.get(first.kind, first.id)
      if (record !== first.record)
        changes.push({ kind: first.kind, id: first.id, record, before: first.record } as Change)
    }
    return changes
  }

  rollback(): void {
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) this.state.apply(undo)
  }
}

const RESOURCE_UNIT = { mib: 'MiB', iops: 'IOPS', attachments: 'attachments', bandwidth: 'of bandwidth' } as const
const REFUSAL = { pool: 'does_not_fit', role: 'quota_exceeded', node: 'node_full' } as const

function overdrawn(
  state: LedgerState,
  account: string,
  figures: { before: number; used: number; limit: number },
): HoldfastError {
  const name = parseAccount(account) as AccountName
  const asked = figures.used - figures.before
  const free = Math.max(0, figures.limit - figures.before)
  const amount = (value: number) =>
    name.resource === 'mib' ? formatMiB(value) : `${formatCount(value)} ${RESOURCE_UNIT[name.resource]}`
  const who = `${name.kind} ${displayName(state, name)}`
  const deficit = figures.before > figures.limit ? `; it is in deficit, only what lowers its use is accepted` : ''
  return new HoldfastError(
    REFUSAL[name.kind],
    `${who}: ${amount(free)} free, ${amount(asked)} asked (limit ${amount(figures.limit)}, used ${amount(figures.before)})${deficit}`,
    {
      [name.kind]: displayName(state, name),
      resource: name.resource,
      asked,
      free,
      used: figures.before,
      limit: figures.limit,
    },
  )
}

function displayName(state: LedgerState, name: AccountName): string {
  if (name.kind === 'pool') return state.get('pool', name.id)?.name ?? name.id
  if (name.kind === 'node') return state.get('node', name.id)?.name ?? name.id
  return name.id
}
