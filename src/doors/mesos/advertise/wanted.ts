import type { ProjectedDisk, ProjectedRaw, Projection } from '../../../mesos/projection.ts'
import { type AgentState, type PoolState, poolOf } from './agent-state.ts'

/** All of a pool, from the controller. */
export function wantPool(agent: AgentState, projection: Projection, now: number): void {
  const pool = poolOf(agent, projection.poolId)
  pool.projection = projection
  pool.wantedRaw = projection.raw
  pool.gone = false
  pool.wantedSince = now
  for (const volumeId of pool.wantedDisks.keys()) pool.unlike.add(volumeId)
  pool.wantedDisks.clear()
  for (const disk of projection.disks) wantDisk(pool, disk)
  for (const disk of pool.shown?.disks ?? []) pool.unlike.add(disk.volumeId)
}

export function wantRaw(agent: AgentState, poolId: string, raw: readonly ProjectedRaw[], now: number): void {
  const pool = agent.pools.get(poolId)
  if (pool?.projection === undefined) return
  pool.wantedRaw = raw
  pool.wantedSince = now
}

export function wantDisks(
  agent: AgentState,
  poolId: string,
  set: readonly ProjectedDisk[],
  removed: readonly string[],
): void {
  const pool = agent.pools.get(poolId)
  if (pool === undefined) return
  for (const disk of set) wantDisk(pool, disk)
  for (const volumeId of removed) {
    pool.wantedDisks.delete(volumeId)
    pool.unlike.add(volumeId)
  }
}

/** Nothing of the pool is to be shown, except what unfinished operations still need. */
export function wantNothing(agent: AgentState, poolId: string, now: number): void {
  const pool = agent.pools.get(poolId)
  if (pool === undefined || pool.gone) return
  pool.gone = true
  pool.wantedSince = now
  for (const disk of pool.shown?.disks ?? []) pool.unlike.add(disk.volumeId)
}

/** A new version of the same totals, so that every offer of this agent is rescinded once more. */
export function wantNewVersion(agent: AgentState, poolId: string): void {
  poolOf(agent, poolId).bump = true
}

function wantDisk(pool: PoolState, { usedHere: _, ...disk }: ProjectedDisk): void {
  pool.wantedDisks.set(disk.volumeId, disk)
  pool.unlike.add(disk.volumeId)
}
