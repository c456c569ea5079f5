import type { Snapshot, Volume } from '../model/volume.ts'
import { startOperation } from './operation-start.ts'
import type { Transaction } from './transaction.ts'

/** Records the deletion of a volume that nobody uses. One from the trash keeps its date: its name is free already. */
export function startDelete(tx: Transaction, before: Volume): Volume {
  const volume = tx.put('volume', { ...before, state: 'deleting' })
  startOperation(tx, {
    kind: 'delete',
    step: 'delete',
    subject: { kind: 'volume', id: volume.id },
    poolId: volume.poolId,
  })
  return volume
}

export function startSnapshotDelete(tx: Transaction, before: Snapshot): Snapshot {
  const snapshot = tx.put('snapshot', { ...before, state: 'deleting' })
  startOperation(tx, {
    kind: 'delete-snapshot',
    step: 'delete-snapshot',
    subject: { kind: 'snapshot', id: snapshot.id },
    poolId: snapshot.poolId,
  })
  return snapshot
}
