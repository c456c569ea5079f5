import type { LedgerState } from '../../ledger/state.ts'
import { providerRecordId } from '../../model/mesos.ts'
import type { Node } from '../../model/node.ts'
import type { Board, Outdated, Shown } from './board.ts'
import type { PoolView } from './pool-view.ts'
import { bandwidthFor } from './project-raw.ts'

/** A provider's stream, as the transport offers it. */
export interface ProviderSink {
  /** Whole lines. False: it takes no more until it says that it is drained. */
  write(lines: string): boolean
  close(): void
}

/** What a stream was told of one pool, as far as it must be known to tell it what is new. */
interface Told {
  /** Everything is to be told. */
  whole: boolean
  raw: string
  bandwidth: number | undefined
  /** Volumes that have changed since, as they were told. */
  readonly outdated: Map<string, Shown | undefined>
}

/** A board, and the pool as the ledger has it now. */
export interface Current {
  readonly board: Board
  readonly view: PoolView
}

/** One connected provider process: which pools its node is told of, and what is due to it. */
export class ProviderStream {
  readonly nodeId: string
  readonly sink: ProviderSink
  readonly pools = new Map<string, Told>()
  readonly #due = new Set<string>()
  readonly #gone = new Set<string>()
  #begun = false
  /** Boottime at which it was last written to. */
  sentAt = Number.NEGATIVE_INFINITY
  /** It has not taken yet what it was sent last. */
  blocked = false

  constructor(nodeId: string, sink: ProviderSink) {
    this.nodeId = nodeId
    this.sink = sink
  }

  get isDue(): boolean {
    return !this.#begun || this.#due.size > 0 || this.#gone.size > 0
  }

  /** The pools that its node is to be told of now. */
  choose(poolIds: ReadonlySet<string>): void {
    for (const poolId of this.pools.keys()) {
      if (poolIds.has(poolId)) continue
      // what it was never told of need not be taken back
      if (this.pools.get(poolId)?.raw !== '') this.#gone.add(poolId)
      this.pools.delete(poolId)
      this.#due.delete(poolId)
    }
    for (const poolId of poolIds) {
      this.#gone.delete(poolId)
      if (this.pools.has(poolId)) continue
      this.pools.set(poolId, { whole: true, raw: '', bandwidth: undefined, outdated: new Map() })
      this.#due.add(poolId)
    }
  }

  wantWhole(poolId: string): void {
    const told = this.pools.get(poolId)
    if (told === undefined) return
    told.whole = true
    told.outdated.clear()
    this.#due.add(poolId)
  }

  wantAll(): void {
    for (const poolId of this.pools.keys()) this.wantWhole(poolId)
  }

  /** Something of the pool may be new to it. */
  look(poolId: string): void {
    if (this.pools.has(poolId)) this.#due.add(poolId)
  }

  /** Volumes of the pool are not any more as it was told. */
  outdate(poolId: string, outdated: Outdated): void {
    const told = this.pools.get(poolId)
    if (told === undefined || told.whole) return
    for (const [id, before] of outdated) if (!told.outdated.has(id)) told.outdated.set(id, before)
    this.#due.add(poolId)
  }

  /** The lines that are due; from then on it knows them. Empty when what has changed is nothing to it. */
  take(state: LedgerState, revision: number, currentOf: (poolId: string) => Current | undefined): string {
    const node = state.get('node', this.nodeId)
    let lines = ''
    for (const poolId of this.#gone) lines += `${JSON.stringify({ kind: 'gone', revision, poolId })}\n`
    this.#gone.clear()
    for (const poolId of this.#due) {
      const told = this.pools.get(poolId)
      const current = currentOf(poolId)
      if (told !== undefined && current !== undefined && node !== undefined) {
        lines += told.whole ? wholeLine(told, current, node, revision) : newLines(told, current, node, revision)
      }
    }
    this.#due.clear()
    if (this.#begun) return lines
    this.#begun = true
    return `${lines}${JSON.stringify({ kind: 'complete', revision, node: node?.name ?? this.nodeId })}\n`
  }
}

function wholeLine(told: Told, { board, view }: Current, node: Node, revision: number): string {
  told.whole = false
  told.outdated.clear()
  told.raw = board.rawText(view, node)
  told.bandwidth = bandwidthFor(view, node)
  const projection = board.projection(node, told.raw, told.bandwidth)
  const providerId = view.state.get('provider', providerRecordId(node.id, board.poolId))?.providerId
  const known = providerId === undefined ? '' : `,"providerId":${JSON.stringify(providerId)}`
  return `{"kind":"pool","revision":${revision},"projection":${projection}${known}}\n`
}

function newLines(told: Told, current: Current, node: Node, revision: number): string {
  const { board, view } = current
  if (bandwidthFor(view, node) !== told.bandwidth) return wholeLine(told, current, node, revision)
  const start = `"revision":${revision},"poolId":${JSON.stringify(board.poolId)}`
  let lines = ''
  const raw = board.rawText(view, node)
  if (raw !== told.raw) lines += `{"kind":"raw",${start},"raw":${raw}}\n`
  told.raw = raw
  const disks = board.difference(told.outdated, node)
  told.outdated.clear()
  if (disks !== undefined) lines += `{"kind":"disks",${start},"set":${disks.set},"removed":${disks.removed}}\n`
  return lines
}
