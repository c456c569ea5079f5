import type { LedgerState } from '../../ledger/state.ts'
import { roleAndAncestors } from '../../model/names.ts'
import type { Change, RecordTypes } from '../../model/records.ts'

/** What of the projections may be another after some changes. It may be too much; it is never too little. */
export interface Concern {
  /** Everything of every pool. */
  everything: boolean
  /** The capacity of every pool. */
  allRaw: boolean
  /** Pools of which everything may be another. */
  readonly pools: Set<string>
  /** Pools whose capacity may be another. */
  readonly raw: Set<string>
  /** Pools whose disks may have other places: nodes came or went. */
  readonly places: Set<string>
  /** Volumes, by their pool. */
  readonly volumes: Map<string, Set<string>>
  /** Roles of whose quota something else is free. */
  readonly roles: Set<string>
  /** Nodes that may reach other pools now. */
  readonly nodes: Set<string>
  /** Nodes that see everything in another way. */
  readonly cordons: Set<string>
  /** Nodes whose own part of the capacity or bandwidth may be another. */
  readonly shares: Set<string>
}

export function concernedBy(state: LedgerState, changes: readonly Change[]): Concern {
  const concern: Concern = {
    everything: false,
    allRaw: false,
    pools: new Set(),
    raw: new Set(),
    places: new Set(),
    volumes: new Map(),
    roles: new Set(),
    nodes: new Set(),
    cordons: new Set(),
    shares: new Set(),
  }
  for (const change of changes) note(state, concern, change)
  return concern
}

function note(state: LedgerState, concern: Concern, change: Change): void {
  switch (change.kind) {
    case 'guard':
      concern.everything = true
      break
    case 'profile':
      concern.allRaw = true
      break
    case 'pool':
      notePool(concern, change.id, change.before, change.record)
      break
    case 'role':
      concern.roles.add(change.id)
      break
    case 'hold':
    case 'snapshot':
      noteUse(state, concern, change.before, change.record)
      break
    case 'volume':
      noteUse(state, concern, change.before, change.record)
      noteVolume(concern, change.id, (change.record ?? change.before)?.poolId)
      break
    case 'attachment':
      noteAttachment(state, concern, change.before ?? change.record, change.record)
      break
    case 'node':
      noteNode(concern, change.id, change.before, change.record)
      break
    case 'provider':
      noteProvider(concern, change.before, change.record)
      break
    default:
  }
}

type Before<K extends keyof RecordTypes> = RecordTypes[K] | undefined

function notePool(concern: Concern, id: string, before: Before<'pool'>, after: Before<'pool'>): void {
  const same = before !== undefined && after !== undefined && before.mesos === after.mesos && before.iops === after.iops
  if (same) concern.raw.add(id)
  else concern.pools.add(id)
}

interface Use {
  readonly poolId: string
  readonly role: string
}

/** Something that takes of a pool and of a role's quota. */
function noteUse(state: LedgerState, concern: Concern, before: Use | undefined, after: Use | undefined): void {
  if (sameUse(before, after)) return
  for (const use of [before, after]) {
    if (use === undefined) continue
    concern.raw.add(use.poolId)
    for (const role of roleAndAncestors(use.role)) if (state.get('role', role) !== undefined) concern.roles.add(role)
  }
}

/** Most changes of a volume are of its state alone. */
function sameUse(before: Use | undefined, after: Use | undefined): boolean {
  if (before === undefined || after === undefined || !('access' in before) || !('access' in after)) return false
  const [a, b] = [before, after] as [RecordTypes['volume'], RecordTypes['volume']]
  return a.sizeMiB === b.sizeMiB && a.iops === b.iops && a.role === b.role
}

function noteVolume(concern: Concern, id: string, poolId: string | undefined): void {
  if (poolId === undefined) return
  const known = concern.volumes.get(poolId)
  if (known === undefined) concern.volumes.set(poolId, new Set([id]))
  else known.add(id)
}

function noteAttachment(
  state: LedgerState,
  concern: Concern,
  some: Before<'attachment'>,
  after: Before<'attachment'>,
): void {
  if (some === undefined) return
  noteVolume(concern, some.volumeId, state.get('volume', some.volumeId)?.poolId)
  if (some.bandwidth > 0 || (after?.bandwidth ?? 0) > 0) concern.shares.add(some.nodeId)
}

function noteNode(concern: Concern, id: string, before: Before<'node'>, after: Before<'node'>): void {
  const sameReach = before !== undefined && after !== undefined && sameList(before.reach, after.reach)
  const sameCordon = before?.cordoned === after?.cordoned
  if (before?.bandwidth !== after?.bandwidth) concern.shares.add(id)
  if (!sameReach) concern.nodes.add(id)
  if (!sameCordon) concern.cordons.add(id)
  if (sameReach && sameCordon && before?.state === after?.state) return
  for (const poolId of [...(before?.reach ?? []), ...(after?.reach ?? [])]) concern.places.add(poolId)
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each, index) => each === b[index])
}

function noteProvider(concern: Concern, before: Before<'provider'>, after: Before<'provider'>): void {
  const some = before ?? after
  if (some === undefined) return
  concern.shares.add(some.nodeId)
  if (before === undefined || after === undefined) concern.places.add(some.poolId)
}
