import type { LedgerState } from '../../ledger/state.ts'
import type { Projection } from '../../mesos/projection.ts'
import type { Label } from '../../mesos/resource.ts'
import { type PoolMesos, providerRecordId, type Reservation, type Shrink } from '../../model/mesos.ts'
import type { Node } from '../../model/node.ts'
import type { Pool } from '../../model/pool.ts'

/** A pool that is shown to Mesos, in one state of the ledger. */
export interface PoolView {
  readonly state: LedgerState
  readonly pool: Pool
  readonly mesos: PoolMesos
  /** Whose reservations and persistences ours are. */
  readonly principal: string
  /** Whether the masters' ACLs were verified. */
  readonly guarded: boolean
  /** Nodes on which something that not every node is to see may be put: up, taking work, and with an agent. */
  readonly candidates: readonly string[]
}

/** Undefined when there is no such pool, or it is not shown. */
export function poolView(state: LedgerState, poolId: string, principal: string): PoolView | undefined {
  const pool = state.get('pool', poolId)
  if (pool?.mesos === undefined) return undefined
  let candidates: string[] | undefined
  return {
    state,
    pool,
    mesos: pool.mesos,
    principal,
    guarded: isGuarded(state),
    get candidates() {
      candidates ??= [...state.nodesByPool.get(poolId)].filter((id) => isCandidate(state, id, poolId))
      return candidates
    },
  }
}

export function isGuarded(state: LedgerState): boolean {
  return state.get('guard', 'mesos')?.state === 'verified'
}

function isCandidate(state: LedgerState, nodeId: string, poolId: string): boolean {
  const node = state.get('node', nodeId)
  const hasAgent = state.get('provider', providerRecordId(nodeId, poolId)) !== undefined
  return node?.state === 'up' && !node.cordoned && hasAgent
}

/** Whether capacity is shown already reserved to each role; else frameworks reserve for themselves. */
export function isPreReserved({ guarded, mesos }: Pick<PoolView, 'guarded' | 'mesos'>): boolean {
  return guarded && !mesos.unreserved
}

/** Where frameworks may RESERVE capacity themselves, an update that lowers it at that moment aborts the agent. */
export function effectiveShrink(view: Pick<PoolView, 'guarded' | 'mesos'>): Shrink {
  return isPreReserved(view) ? (view.mesos.shrink ?? 'prompt') : 'never'
}

/** The stack of reservations that is ours to give. */
export function ownReservation({ mesos, principal }: Pick<PoolView, 'mesos' | 'principal'>, role: string): Reservation {
  return { type: mesos.reservation === 'static' ? 'STATIC' : 'DYNAMIC', role, principal }
}

type Header = Omit<Projection, 'raw' | 'disks' | 'bandwidth'>

/** What is said of a pool on every node alike, and seldom changes. */
export function headerOf(view: PoolView): Header {
  const { pool, mesos, principal, guarded } = view
  const labels: Label[] = [
    { key: 'instance', value: pool.instance },
    { key: 'pool', value: pool.pool },
    ...(pool.iops > 0 ? [{ key: 'iops', value: String(pool.iops) }] : []),
  ]
  return {
    poolId: pool.id,
    pool: pool.name,
    vendor: pool.type,
    metadata: { labels },
    principal,
    guarded,
    shrink: effectiveShrink(view),
    block: mesos.block,
  }
}

/** Whether a node of a pool takes anything new. */
export function takesNew(node: Pick<Node, 'cordoned'>): boolean {
  return !node.cordoned
}
