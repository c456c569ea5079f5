import { HoldfastError } from '../model/errors.ts'
import { objectName } from '../model/ids.ts'
import { checkName } from '../model/names.ts'
import type { Snapshot } from '../model/volume.ts'
import { startSnapshotDelete } from './deletions.ts'
import { startOperation } from './operation-start.ts'
import { about, type Outcome } from './outcome.ts'
import type { Transaction } from './transaction.ts'

export type SnapshotCommand =
  | { kind: 'snapshot.create'; volumeId: string; name: string; labels: Record<string, string> }
  | { kind: 'snapshot.delete'; snapshotId: string }

type Of<K extends SnapshotCommand['kind']> = Extract<SnapshotCommand, { kind: K }>

/** A snapshot is counted in full: whatever the storage shares with the source now, it need not share later. */
export function createSnapshot(tx: Transaction, command: Of<'snapshot.create'>): Outcome<Snapshot> {
  const volume = tx.need('volume', command.volumeId)
  const pool = tx.need('pool', volume.poolId)
  const name = checkName('snapshot', command.name)
  const taken = tx.state.snapshotByName.get(name)
  if (taken !== undefined) throw new HoldfastError('name_taken', `snapshot ${name} exists already`, { snapshot: taken })
  if (volume.state !== 'available') {
    throw new HoldfastError(
      'wrong_state',
      `volume ${volume.name} is ${volume.state}; only available ones are snapshotted`,
    )
  }
  const how = pool.capabilities?.snapshot ?? 'none'
  if (how === 'none') throw new HoldfastError('unsupported', `pool ${pool.name} cannot make snapshots`)
  needIdleToCopy(tx, volume.id)
  const id = tx.newId('snapshot')
  const snapshot = tx.put('snapshot', {
    id,
    name,
    volumeId: volume.id,
    poolId: pool.id,
    role: volume.role,
    sizeMiB: volume.sizeMiB,
    fs: volume.fs,
    ...(volume.format.state === 'formatted' ? { fsUuid: volume.format.uuid } : {}),
    state: 'requested',
    object: objectName(tx.state.installation, id),
    labels: command.labels,
    createdAt: tx.now,
    createdBy: tx.context.actor,
  })
  startOperation(tx, {
    kind: 'snapshot',
    step: 'snapshot',
    subject: { kind: 'snapshot', id },
    poolId: pool.id,
    source: { kind: 'volume', id: volume.id },
  })
  return about('snapshot', snapshot, 'snapshot.created', { volume: volume.name, sizeMiB: snapshot.sizeMiB })
}

export function deleteSnapshot(tx: Transaction, command: Of<'snapshot.delete'>): Outcome<Snapshot> {
  const before = tx.need('snapshot', command.snapshotId)
  if (before.state === 'deleting') return about('snapshot', before, 'snapshot.deleting')
  const [operationId] = tx.state.operationsBySubject.get(before.id)
  if (operationId !== undefined) {
    throw new HoldfastError('in_use', `snapshot ${before.name} is busy (${operationId})`, { operation: operationId })
  }
  return about('snapshot', startSnapshotDelete(tx, before), 'snapshot.deleting')
}

/** Where copies are made byte by byte, only of what nobody uses. Operations that read it, too, are no harm. */
export function needIdleToCopy(tx: Transaction, volumeId: string): void {
  const volume = tx.need('volume', volumeId)
  const pool = tx.need('pool', volume.poolId)
  if (pool.capabilities?.snapshot !== 'copy') return
  for (const id of tx.state.attachmentsByVolume.get(volume.id)) {
    if (tx.need('attachment', id).users.every((user) => user.door === 'operation')) continue
    throw new HoldfastError(
      'snapshot_needs_idle',
      `pool ${pool.name} copies byte by byte, so volume ${volume.name} must be idle to be copied`,
    )
  }
}
