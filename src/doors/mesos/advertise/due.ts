import type { ProjectedRaw } from '../../../mesos/projection.ts'
import type { Shrink } from '../../../model/mesos.ts'
import { afterFinishing, heldIn, isHeld, isSettling, type PoolState } from './agent-state.ts'
import { changeOf } from './conversion.ts'
import {
  amountIn,
  type Divisible,
  type Reservations,
  type Shown,
  type ShownDisk,
  type Stack,
  sameDisk,
  sameLabels,
  sameReservations,
  withDisks,
} from './shown.ts'

/** A figure follows growth when it lacks at least this part of what is wanted. */
const GROWTH_STEP = 1 / 16
/** How long what is wanted has to stay as it is before a smaller growth is followed, ms. */
const QUIET_MS = 30_000
/** How long a failure for lack of room allows a figure to fall, ms. */
export const EXHAUSTED_MS = 30_000

/** What of one pool is due. */
export interface Due {
  /** Figures that rise, disks that come, change or go. */
  readonly change: boolean
  /** Figures that have to fall, which takes two phases. */
  readonly shrink: boolean
  /** When a growth will be due that is not yet; infinite: there is none. */
  readonly growAt: number
}

export function dueOf(pool: PoolState, now: number): Due {
  const base = afterFinishing(pool) ?? nothingOf(pool)
  const due = { change: false, shrink: isRelabelled(pool, base), growAt: Number.POSITIVE_INFINITY }
  eachFigure(pool, base, (what, reservations, shown, wanted) => {
    const goal = goalOf(pool, what, reservations, shown, wanted, now)
    if (goal < shown) due.shrink = true
    else if (goal > shown) {
      if (growsNow(pool, shown, wanted, now)) due.change = true
      else due.growAt = pool.wantedSince + QUIET_MS
    }
  })
  if (!due.change && pool.unlike.size > 0) {
    const disks = disksDue(pool, base)
    due.change = disks.set.length > 0 || disks.removed.size > 0
  }
  return due
}

/**
 * What the agent should be told now. Growth that is not due and figures that may not fall yet stay as they are.
 * @param shrink figures may fall: the agent has had a new version of the old ones
 */
export function nextOf(pool: PoolState, now: number, shrink: boolean): Shown {
  const base = afterFinishing(pool) ?? nothingOf(pool)
  if (isUnknown(pool)) return base
  const stacks: Record<Divisible, Stack[]> = { raw: [], bandwidth: [] }
  eachFigure(pool, base, (what, reservations, shown, wanted) => {
    const goal = goalOf(pool, what, reservations, shown, wanted, now)
    const follows = goal < shown ? shrink : growsNow(pool, shown, wanted, now)
    const amount = follows ? goal : shown
    if (amount > 0) stacks[what].push({ reservations, amount })
  })
  const { set, removed } = disksDue(pool, base)
  const projection = pool.projection
  const relabel = projection !== undefined && (base.raw.length === 0 || (shrink && isRelabelled(pool, base)))
  return {
    version: base.version,
    vendor: projection?.vendor ?? base.vendor,
    metadata: relabel ? projection.metadata : base.metadata,
    ...stacks,
    disks: set.length > 0 || removed.size > 0 ? withDisks(base.disks, set, removed) : base.disks,
  }
}

/** Is given each stack of what is divisible, what is shown of it, and what the controller wants to be. */
type Visit = (what: Divisible, reservations: Reservations, shown: number, wanted: number) => void

/** In the order in which they are wanted; then those that are shown though nobody wants them. */
function eachFigure(pool: PoolState, base: Shown, visit: Visit): void {
  if (isUnknown(pool)) return
  const wanted = pool.gone ? [] : pool.wantedRaw
  for (const { reservations, sizeMiB } of wanted) {
    visit('raw', reservations, amountIn(base.raw, reservations), sizeMiB)
  }
  for (const { reservations, amount } of base.raw) {
    if (!isWanted(wanted, reservations)) visit('raw', reservations, amount, 0)
  }
  const bandwidth = pool.gone ? undefined : pool.projection?.bandwidth
  if (bandwidth !== undefined || base.bandwidth.length > 0) eachBandwidth(base.bandwidth, bandwidth, visit)
}

function isWanted(wanted: readonly ProjectedRaw[], reservations: Reservations): boolean {
  for (const each of wanted) if (sameReservations(each.reservations, reservations)) return true
  return false
}

/** The controller does not know which part of it frameworks have reserved: that stays, and the rest is not reserved. */
function eachBandwidth(shown: readonly Stack[], wanted: number | undefined, visit: Visit): void {
  let reserved = 0
  for (const { reservations, amount } of shown) {
    if (reservations.length === 0) continue
    reserved += amount
    visit('bandwidth', reservations, amount, wanted === undefined ? 0 : amount)
  }
  visit('bandwidth', [], amountIn(shown, []), Math.max(0, (wanted ?? 0) - reserved))
}

/**
 * The figure that should be shown. The projection may or may not contain yet what unfinished operations take and what
 * finished ones did; whatever lies between the two readings is left alone.
 */
function goalOf(
  pool: PoolState,
  what: Divisible,
  reservations: Reservations,
  shown: number,
  wanted: number,
  now: number,
): number {
  let low = wanted
  let high = wanted
  if (pool.held.size > 0 || pool.settling.length > 0) {
    const same = (of: Reservations) => sameReservations(of, reservations)
    for (const { conversion } of pool.settling) {
      const change = changeOf(conversion, what, same)
      low += Math.min(0, change)
      high += Math.max(0, change)
    }
    if (what === 'raw') {
      high += heldIn(pool, reservations)
      low -= heldDisksOf(pool, same)
    }
  }
  if (shown < low) return low
  return shown > high && mayShrink(pool, what, reservations, now) ? high : shown
}

/** Capacity that comes back to a stack when the operations that delete its disks have ended. */
function heldDisksOf(pool: PoolState, same: (of: Reservations) => boolean): number {
  let sum = 0
  for (const [operation, piece] of pool.held) {
    if (piece.kind !== 'disk' || pool.finishing.has(operation)) continue
    const disk = pool.shown?.disks.find((each) => each.volumeId === piece.volumeId)
    if (disk !== undefined && same(disk.reservations)) sum += disk.sizeMiB
  }
  return sum
}

function growsNow(pool: PoolState, shown: number, wanted: number, now: number): boolean {
  return shown === 0 || wanted - shown >= wanted * GROWTH_STEP || now - pool.wantedSince >= QUIET_MS || pool.fresh
}

function mayShrink(pool: PoolState, what: Divisible, reservations: Reservations, now: number): boolean {
  if (pool.gone) return true
  const policy = policyOf(pool)
  if (policy !== 'on-exhaustion') return policy === 'prompt'
  if (what !== 'raw') return false
  return pool.exhausted.some(
    (each) => now - each.at <= EXHAUSTED_MS && sameReservations(each.reservations, reservations),
  )
}

function policyOf(pool: PoolState): Shrink {
  return pool.projection?.guarded === true ? pool.projection.shrink : 'never'
}

/** Labels of capacity change by a withdrawal of the old and an offer of the new. */
function isRelabelled(pool: PoolState, base: Shown): boolean {
  if (pool.gone || base.raw.length === 0 || policyOf(pool) !== 'prompt') return false
  if (sameLabels(pool.projection?.metadata, base.metadata)) return false
  return !base.raw.some(({ reservations }) => heldIn(pool, reservations) > 0)
}

/** Without the guard disks go only by operations; with it they change and go whenever nobody is at them. */
function disksDue(pool: PoolState, base: Shown): { set: ShownDisk[]; removed: Set<string> } {
  const set: ShownDisk[] = []
  const removed = new Set<string>()
  if (isUnknown(pool)) return { set, removed }
  const told = new Map(base.disks.map((disk) => [disk.volumeId, disk]))
  const mayGo = pool.gone || pool.projection?.guarded === true
  for (const volumeId of pool.unlike) {
    const wanted = pool.gone ? undefined : pool.wantedDisks.get(volumeId)
    const shown = told.get(volumeId)
    if (shown !== undefined && !mayGo) continue
    if (isSettling(pool, volumeId) || isHeld(pool, volumeId)) continue
    if (wanted === undefined) {
      if (shown !== undefined) removed.add(volumeId)
    } else if (shown === undefined || !sameDisk(wanted, shown)) set.push(wanted)
  }
  return { set, removed }
}

/** The controller has said nothing of this pool yet: what is shown stays. */
function isUnknown(pool: PoolState): boolean {
  return pool.projection === undefined && !pool.gone
}

function nothingOf(pool: PoolState): Shown {
  const { vendor = '', metadata = {} } = pool.projection ?? {}
  return { version: pool.version, vendor, metadata, raw: [], bandwidth: [], disks: [] }
}
