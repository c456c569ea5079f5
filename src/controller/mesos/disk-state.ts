import type { LedgerState } from '../../ledger/state.ts'
import type { ProjectedDisk } from '../../mesos/projection.ts'
import type { Operation } from '../../model/operation.ts'
import type { Volume } from '../../model/volume.ts'
import { poolView } from './pool-view.ts'
import { diskOf, placeOf, usedFrom } from './project-disks.ts'

/** How far the work on a disk is, as its provider needs to know it. */
export interface DiskState {
  readonly state: 'pending' | 'ready' | 'failed' | 'gone'
  readonly disk?: ProjectedDisk
  /** Why it failed. */
  readonly message?: string
}

const PENDING: ReadonlySet<Volume['state']> = new Set(['requested', 'creating', 'formatting', 'importing'])

export function diskState(state: LedgerState, nodeId: string, principal: string, volumeId: string): DiskState {
  const volume = state.get('volume', volumeId)
  if (volume !== undefined && PENDING.has(volume.state)) return { state: 'pending' }
  if (volume?.state === 'available') return ready(state, nodeId, principal, volume)
  if (volume?.state === 'missing') return { state: 'failed', message: volume.fault?.message ?? 'its object is gone' }
  // one that could not be made is taken away by itself, and its operation tells why for a day
  const making = volume?.state === 'trash' ? undefined : unmade(state, volumeId)
  if (making !== undefined) {
    return { state: 'failed', message: making.fault?.message ?? `operation ${making.id} was cancelled` }
  }
  return { state: volume?.state === 'deleting' ? 'pending' : 'gone' }
}

function ready(state: LedgerState, nodeId: string, principal: string, volume: Volume): DiskState {
  const view = poolView(state, volume.poolId, principal)
  if (view === undefined) return { state: 'failed', message: 'its pool is not shown to Mesos any more' }
  const usedHere = usedFrom(placeOf(view, volume), { id: nodeId })
  return { state: 'ready', disk: { ...diskOf(view, volume), usedHere } }
}

/** The operation that did not make a volume. */
function unmade(state: LedgerState, volumeId: string): Operation | undefined {
  for (const operation of state.all('operation').values()) {
    if (operation.kind !== 'provision' || operation.subject.id !== volumeId) continue
    if (operation.state === 'failed' || operation.state === 'cancelled') return operation
  }
  return undefined
}
