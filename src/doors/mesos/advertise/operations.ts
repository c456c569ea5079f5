import {
  type AgentState,
  afterFinishing,
  heldIn,
  type Piece,
  type PoolState,
  poolOf,
  type Settling,
} from './agent-state.ts'
import { type Conversion, convert, volumesOf } from './conversion.ts'
import { EXHAUSTED_MS } from './due.ts'
import { amountIn, type Reservations, type Shown } from './shown.ts'

/** How long the controller may take to show what it has already recorded, ms; its stream gathers changes for 200 ms. */
const SETTLE_MS = 2000
/**
 * An operation begins that consumes a piece of what is shown. From now on the piece stays in the totals.
 * @returns false when the agent has no such piece that is not consumed already: then the operation has to be refused
 */
export function hold(agent: AgentState, poolId: string, operation: string, piece: Piece): boolean {
  const pool = poolOf(agent, poolId)
  const current = afterFinishing(pool)
  if (pool.held.has(operation)) return true
  if (current === undefined || !has(pool, current, piece)) return false
  pool.held.set(operation, piece)
  return true
}

/** The operation failed: what it would have consumed is as free as before. */
export function released(agent: AgentState, poolId: string, operation: string): void {
  poolOf(agent, poolId).held.delete(operation)
}

/**
 * The operation has succeeded. `made` and `unmade` are told to the agent by the next update, at once; the two others are
 * speculative: agent and master have done them already, so they change what is shown without an update.
 */
export function converted(
  agent: AgentState,
  poolId: string,
  operation: string,
  conversion: Conversion,
  now: number,
): void {
  const pool = poolOf(agent, poolId)
  const slow = conversion.kind === 'made' || conversion.kind === 'unmade'
  // the ledger made or deleted the volume itself, so it knows
  unsettled(agent, poolId, operation, conversion)
  if (slow) {
    recorded(agent, poolId, operation, now)
    pool.finishing.set(operation, conversion)
    return
  }
  pool.held.delete(operation)
  if (pool.shown !== undefined) pool.shown = convert(pool.shown, conversion)
  if (pool.sent !== undefined) pool.sent = { ...pool.sent, shown: convert(pool.sent.shown, conversion) }
}

/** After a restart: it was done here, but the ledger may not have followed. */
export function unsettled(agent: AgentState, poolId: string, operation: string, conversion: Conversion): void {
  const pool = poolOf(agent, poolId)
  pool.settling = pool.settling.filter(({ key }) => key !== operation)
  pool.settling.push({ key: operation, conversion })
  for (const volumeId of volumesOf(conversion)) pool.unlike.add(volumeId)
}

/** The ledger has recorded it; its projection will say so soon. */
export function recorded(agent: AgentState, poolId: string, operation: string, now: number): void {
  const settling = poolOf(agent, poolId).settling.find(({ key }) => key === operation)
  if (settling !== undefined) settling.recordedAt ??= now
}

/** A line or a heartbeat of the controller's stream came: all that was recorded well before is in its projection. */
export function heard(agent: AgentState, now: number): void {
  for (const pool of agent.pools.values()) {
    if (pool.settling.length > 0) pool.settling = pool.settling.filter((each) => !isSettled(each, now))
  }
}

/** A CREATE_DISK of this stack failed for lack of room: under `on-exhaustion` its figure may fall to what is free. */
export function failedForRoom(agent: AgentState, poolId: string, reservations: Reservations, now: number): void {
  const pool = poolOf(agent, poolId)
  pool.exhausted = pool.exhausted.filter(({ at }) => now - at <= EXHAUSTED_MS)
  pool.exhausted.push({ reservations, at: now })
}

function has(pool: PoolState, current: Shown, piece: Piece): boolean {
  if (piece.kind === 'raw') {
    const { reservations, sizeMiB } = piece
    return amountIn(current.raw, reservations) - heldIn(pool, reservations) >= sizeMiB
  }
  const taken = [...pool.held.values()].some((each) => each.kind === 'disk' && each.volumeId === piece.volumeId)
  return !taken && current.disks.some((disk) => disk.volumeId === piece.volumeId)
}

function isSettled({ recordedAt }: Settling, now: number): boolean {
  return recordedAt !== undefined && now - recordedAt >= SETTLE_MS
}
