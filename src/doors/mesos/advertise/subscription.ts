import { type AgentState, poolOf } from './agent-state.ts'
import type { Shown } from './shown.ts'

/** How far the agent is: it does not have what was written down, may have it, or has it for sure. */
export type Heard = 'no' | 'perhaps' | 'yes'

/** Takes up what was written down before a restart. */
export function restored(agent: AgentState, poolId: string, shown: Shown, heard: Heard): void {
  const pool = poolOf(agent, poolId)
  pool.shown = shown
  pool.version = shown.version
  pool.subscribed = heard !== 'no'
  pool.fresh = heard === 'no'
  pool.repeat = heard === 'perhaps'
  for (const disk of shown.disks) pool.unlike.add(disk.volumeId)
}

/** SUBSCRIBED came: the agent has no totals of this provider until it gets an update. */
export function subscribed(agent: AgentState, poolId: string): void {
  const pool = poolOf(agent, poolId)
  pool.subscribed = true
  pool.fresh = true
  pool.repeat = false
}

/** The stream is closed: the agent has forgotten the totals, and what was on its way does not matter any more. */
export function unsubscribed(agent: AgentState, poolId: string): void {
  const pool = poolOf(agent, poolId)
  pool.subscribed = false
  pool.repeat = false
  delete pool.sent
}

/** The agent does not know the provider's id any more: what it was told, and its operations, are of the past. */
export function forgotten(agent: AgentState, poolId: string): void {
  unsubscribed(agent, poolId)
  const pool = poolOf(agent, poolId)
  pool.fresh = true
  pool.held.clear()
  pool.finishing.clear()
  pool.settling = []
  pool.exhausted = []
  delete pool.shown
  for (const volumeId of pool.wantedDisks.keys()) pool.unlike.add(volumeId)
}
