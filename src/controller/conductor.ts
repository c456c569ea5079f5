import type { Command } from '../ledger/commands.ts'
import { mayMove } from '../ledger/operations.ts'
import type { LedgerState } from '../ledger/state.ts'
import type { Clock } from '../model/clock.ts'
import type { Operation } from '../model/operation.ts'
import { pickNode } from '../placement/nodes.ts'
import type { Engine } from './engine.ts'
import type { Sessions } from './sessions.ts'

/** How long a step may run before it is said to be overdue. Nothing is given up for that: it is made visible. */
const DEADLINE_MS: Record<Operation['step'], number> = {
  create: 60_000,
  format: 10 * 60_000,
  copy: 60 * 60_000,
  delete: 60_000,
  grow: 10 * 60_000,
  snapshot: 60 * 60_000,
  'delete-snapshot': 60_000,
  import: 60_000,
  mark: 60_000,
  fence: 60_000,
}

/** Snapshots of one moment that no node has taken up by then are not made: the caller wanted them of then, not of later. */
const GATHER_MS = 60_000

/** Commands that one pass submits at most, so that a flood of work leaves room for callers. */
const PER_PASS = 64

export interface ConductorParts {
  readonly engine: Engine
  readonly sessions: Sessions
  readonly clock: Clock
  readonly newUuid: () => string
  /** At most so long may any step run before it is said to be overdue, ms. */
  readonly overdueMs?: number | undefined
}

/**
 * Drives slow work: after every change, and every half second, it looks at the ledger and asks for what is due: give
 * a waiting operation to a node, move one from a lost node where that is allowed, say that one is overdue, fence the
 * volumes of lost nodes. It keeps nothing: everything follows from the ledger.
 */
export class Conductor {
  readonly #parts: ConductorParts
  readonly #submitted = new Set<string>()
  #cancelTimer: (() => void) | undefined
  #scheduled = false
  #stopped = true

  constructor(parts: ConductorParts) {
    this.#parts = parts
    parts.engine.onCommitted(() => this.#schedule(0))
  }

  start(): void {
    this.#stopped = false
    this.#submitted.clear()
    this.#tick()
  }

  stop(): void {
    this.#stopped = true
    this.#cancelTimer?.()
  }

  #tick(): void {
    if (this.#stopped) return
    this.#schedule(0)
    this.#cancelTimer = this.#parts.clock.after(500, () => this.#tick())
  }

  #schedule(delay: number): void {
    if (this.#scheduled || this.#stopped) return
    this.#scheduled = true
    this.#parts.clock.after(delay, () => {
      this.#scheduled = false
      void this.#pass()
    })
  }

  async #pass(): Promise<void> {
    if (this.#stopped || !this.#parts.engine.leading) return
    for (const { nodeId, session } of this.#parts.sessions.takeExpired()) {
      this.#submit(`lost/${nodeId}`, { kind: 'node.lost', nodeId, session })
    }
    const due = await this.#parts.engine.read((state) => this.#due(state)).catch(() => [])
    for (const { key, command } of due) this.#submit(key, command)
  }

  #submit(key: string, command: Command): void {
    if (this.#submitted.has(key)) return
    this.#submitted.add(key)
    // a refusal means that the ledger has moved on; the next pass looks again
    this.#parts.engine
      .submit({ actor: 'controller', command, internal: true })
      .catch(() => undefined)
      .finally(() => this.#submitted.delete(key))
  }

  #due(state: LedgerState): { key: string; command: Command }[] {
    const due: { key: string; command: Command }[] = []
    const now = this.#parts.engine.now()
    const hopeless = new Set<string>()
    for (const id of state.openOperations) {
      if (due.length >= PER_PASS) return due
      if (this.#submitted.has(id)) continue
      const operation = state.get('operation', id) as Operation
      const command =
        operation.state === 'pending'
          ? this.#assignment(state, operation, now, hopeless)
          : this.#afterthought(state, operation, now)
      if (command !== undefined) due.push({ key: id, command })
    }
    due.push(...this.#fences(state))
    return due
  }

  #assignment(state: LedgerState, operation: Operation, now: number, hopeless: Set<string>): Command | undefined {
    if (operation.step === 'fence' && isBack(state, operation)) return { kind: 'fence.stop', operationId: operation.id }
    if (operation.notBefore > now) return undefined
    const { together } = operation.detail
    if (together !== undefined && now - operation.createdAt > GATHER_MS)
      return { kind: 'operation.cancel', operationId: operation.id }
    // free work of one kind for one pool finds no node if the one before found none
    const free = operation.pinnedTo === undefined && operation.nodeId === undefined && operation.step === 'create'
    const kind = `${operation.poolId}/${operation.step}`
    if (free && hopeless.has(kind)) return undefined
    const node = pickNode(state, operation)
    if (node?.session === undefined) {
      if (free) hopeless.add(kind)
      return undefined
    }
    return {
      kind: 'operation.assign',
      operationId: operation.id,
      nodeId: node.id,
      session: node.session,
      uuid: this.#parts.newUuid(),
      deadlineAt: now + Math.min(DEADLINE_MS[operation.step], this.#parts.overdueMs ?? Number.POSITIVE_INFINITY),
    }
  }

  /** What is due for an operation that runs: on a lost node it may move, late it is said to be overdue. */
  #afterthought(state: LedgerState, operation: Operation, now: number): Command | undefined {
    const node = operation.nodeId === undefined ? undefined : state.get('node', operation.nodeId)
    const lost = node === undefined || node.state === 'lost'
    if (lost && mayMove(state, operation)) return { kind: 'operation.requeue', operationId: operation.id }
    const late = operation.deadlineAt !== undefined && operation.deadlineAt <= now && !operation.overdue
    return late ? { kind: 'operation.overdue', operationId: operation.id } : undefined
  }

  /** Proofs that can be had for the volumes of lost nodes without anybody's help. */
  #fences(state: LedgerState): { key: string; command: Command }[] {
    const due: { key: string; command: Command }[] = []
    for (const node of state.all('node').values()) {
      if (node.state !== 'lost') continue
      for (const attachmentId of state.attachmentsByNode.get(node.id)) {
        const command = this.#proof(state, attachmentId)
        if (command !== undefined) due.push({ key: attachmentId, command })
      }
    }
    return due.slice(0, PER_PASS)
  }

  #proof(state: LedgerState, attachmentId: string): Command | undefined {
    const attachment = state.get('attachment', attachmentId)
    const volume = attachment === undefined ? undefined : state.get('volume', attachment.volumeId)
    const pool = volume === undefined ? undefined : state.get('pool', volume.poolId)
    const node = attachment === undefined ? undefined : state.get('node', attachment.nodeId)
    if (attachment === undefined || pool === undefined || node === undefined) return undefined
    if (pool.fence === 'self' && node.watchdog) return { kind: 'attachment.lease-ended', attachmentId }
    if (pool.fence !== 'driver' || state.operationsBySubject.get(attachmentId).size > 0) return undefined
    const reach = pool.capabilities?.fence ?? 'none'
    if (reach === 'none') return undefined
    for (const otherId of state.nodesByPool.get(pool.id)) {
      const other = state.get('node', otherId)
      if (other?.state !== 'up' || otherId === node.id) continue
      if (reach === 'any' || other.bootId === attachment.bootId) return { kind: 'fence.start', attachmentId }
    }
    return undefined
  }
}

/** Whether the node that was to be fenced has come back. */
function isBack(state: LedgerState, fence: Operation): boolean {
  const attachment = state.get('attachment', fence.subject.id)
  return attachment !== undefined && state.get('node', attachment.nodeId)?.state === 'up'
}
