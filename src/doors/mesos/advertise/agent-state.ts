import type { ProjectedRaw, Projection } from '../../../mesos/projection.ts'
import { type Conversion, convert, volumesOf } from './conversion.ts'
import { type Reservations, type Shown, type ShownDisk, sameDisk, sameReservations } from './shown.ts'

/**
 * What one agent has been told and should be told, over all pools of the machine: data that the functions of this
 * folder change in place. No I/O; times are milliseconds of a clock that never goes back.
 */
export interface AgentState {
  readonly pools: Map<string, PoolState>
  /** When the last two batches were sent, or, once that is known, were accepted. Older one first. */
  readonly batches: number[]
}

/** What an update is for. */
export type Phase =
  /** The first one of a subscription. */
  | 'subscribe'
  /** The very same as before, because it is not known whether the agent has it. */
  | 'repeat'
  /** It carries the end of an operation. */
  | 'finished'
  /** A new version of the same totals: offers made of the old one are rescinded before the figures fall. */
  | 'before-shrink'
  | 'shrink'
  | 'change'

/** One UPDATE_STATE to be sent. */
export interface Update {
  readonly poolId: string
  readonly shown: Shown
  readonly phase: Phase
  /** Operations whose end it carries: their statuses may follow once it is accepted. */
  readonly finished: readonly string[]
}

/** What an unfinished operation consumes. It stays in the totals until the operation ends, else the agent aborts. */
export type Piece =
  | { readonly kind: 'raw'; readonly reservations: Reservations; readonly sizeMiB: number }
  | { readonly kind: 'disk'; readonly volumeId: string }

export interface Settling {
  readonly key: string
  readonly conversion: Conversion
  /** Since when the ledger has it. */
  recordedAt?: number
}

export interface PoolState {
  readonly poolId: string
  /** The last one that was used. */
  version: number
  subscribed: boolean
  /** The agent knows nothing of this subscription yet. */
  fresh: boolean
  /** Say the same again: nobody knows whether it was heard. */
  repeat: boolean
  /** Say the same again in a new version. */
  bump: boolean
  /** What the controller wants to be shown; absent until it has said so. Capacity and disks are kept beside it. */
  projection?: Projection
  wantedRaw: readonly ProjectedRaw[]
  readonly wantedDisks: Map<string, ShownDisk>
  /** Since when what is wanted of capacity and bandwidth is as it is. */
  wantedSince: number
  /** The pool is not to be shown any more. */
  gone: boolean
  /** What the agent has accepted last. */
  shown?: Shown
  /** On its way. */
  sent?: Update
  readonly held: Map<string, Piece>
  /** Operations that have finished and of which the agent was not told yet. */
  readonly finishing: Map<string, Conversion>
  /** What was done here and what the projection may not show yet. */
  settling: Settling[]
  /** Stacks of which a CREATE_DISK failed for lack of room, and when. */
  exhausted: { readonly reservations: Reservations; readonly at: number }[]
  /** Since when the agent has a new version with the old totals, made because the figures are going to fall. */
  bumpedAt?: number
  /** What is on its way begins that. */
  bumping: boolean
  /** Volumes of which what is wanted and what is shown may differ. */
  readonly unlike: Set<string>
}

export function newAgent(): AgentState {
  return { pools: new Map(), batches: [] }
}

export function poolOf(agent: AgentState, poolId: string): PoolState {
  const known = agent.pools.get(poolId)
  if (known !== undefined) return known
  const pool: PoolState = {
    poolId,
    version: 0,
    subscribed: false,
    fresh: true,
    repeat: false,
    bump: false,
    wantedRaw: [],
    wantedDisks: new Map(),
    wantedSince: 0,
    gone: false,
    held: new Map(),
    finishing: new Map(),
    settling: [],
    exhausted: [],
    bumping: false,
    unlike: new Set(),
  }
  agent.pools.set(poolId, pool)
  return pool
}

/** The version under which the agent decides now; an operation made on another one has to be dropped. */
export function versionOf(pool: PoolState): number | undefined {
  return (pool.sent?.shown ?? pool.shown)?.version
}

/** What the agent has, or has in a moment. */
export function currentOf(pool: PoolState): Shown | undefined {
  return pool.sent?.shown ?? pool.shown
}

/** What the agent has once it has been told of every operation that has finished. */
export function afterFinishing(pool: PoolState): Shown | undefined {
  let shown = currentOf(pool)
  if (shown === undefined || pool.finishing.size === 0) return shown
  for (const [key, conversion] of pool.finishing) {
    if (!pool.sent?.finished.includes(key)) shown = convert(shown, conversion)
  }
  return shown
}

/** How much of a stack unfinished operations consume. */
export function heldIn(pool: PoolState, reservations: Reservations): number {
  let sum = 0
  for (const [key, piece] of pool.held) {
    if (piece.kind !== 'raw' || pool.finishing.has(key)) continue
    if (sameReservations(piece.reservations, reservations)) sum += piece.sizeMiB
  }
  return sum
}

/** Forgets differences that are none, so that the next look is short. */
export function forgetLike(pool: PoolState, shown: Shown): void {
  if (pool.unlike.size === 0) return
  const told = new Map<string, ShownDisk>(shown.disks.map((disk) => [disk.volumeId, disk]))
  for (const volumeId of pool.unlike) {
    const wanted = pool.gone ? undefined : pool.wantedDisks.get(volumeId)
    const disk = told.get(volumeId)
    const alike = wanted === undefined ? disk === undefined : disk !== undefined && sameDisk(wanted, disk)
    if (alike) pool.unlike.delete(volumeId)
  }
}

/** What was done here to a disk, and what the ledger may not have followed yet, leaves it as it is. */
export function isSettling(pool: PoolState, volumeId: string): boolean {
  return pool.settling.some(({ conversion }) => volumesOf(conversion).includes(volumeId))
}

export function isHeld(pool: PoolState, volumeId: string): boolean {
  for (const [key, piece] of pool.held) {
    if (piece.kind === 'disk' && piece.volumeId === volumeId && !pool.finishing.has(key)) return true
  }
  return false
}
