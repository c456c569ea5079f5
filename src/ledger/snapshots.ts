import { HoldfastError } from '../model/errors.ts'
import { objectName } from '../model/ids.ts'
import { checkName } from '../model/names.ts'
import type { Node } from '../model/node.ts'
import { MAX_GROUP, type Snapshot, type SnapshotGroup } from '../model/volume.ts'
import { startSnapshotDelete } from './deletions.ts'
import { startOperation } from './operation-start.ts'
import { about, type Outcome } from './outcome.ts'
import type { Transaction } from './transaction.ts'

export type SnapshotCommand =
  | { kind: 'snapshot.create'; volumeId: string; name: string; labels: Record<string, string> }
  | { kind: 'snapshot.delete'; snapshotId: string }
  | { kind: 'snapshot.delete-group'; groupId: string }
  /** Of several volumes at one moment. */
  | {
      kind: 'snapshot.group'
      name: string
      members: { volumeId: string; name: string }[]
      labels: Record<string, string>
    }

type Of<K extends SnapshotCommand['kind']> = Extract<SnapshotCommand, { kind: K }>

/** A snapshot is counted in full: whatever the storage shares with the source now, it need not share later. */
export function createSnapshot(tx: Transaction, command: Of<'snapshot.create'>): Outcome<Snapshot> {
  const snapshot = addSnapshot(tx, command, undefined, undefined)
  const volume = tx.need('volume', command.volumeId)
  return about('snapshot', snapshot, 'snapshot.created', { volume: volume.name, sizeMiB: snapshot.sizeMiB })
}

/**
 * Snapshots of several volumes at one moment, all or none. One node has to stop them all together, so those that are in
 * use must be in use on the same one.
 */
export function createSnapshotGroup(tx: Transaction, command: Of<'snapshot.group'>): Outcome<Snapshot[]> {
  const { length } = command.members
  if (length < 1 || length > MAX_GROUP) {
    throw new HoldfastError('group_too_large', `a group has 1 to ${MAX_GROUP} volumes, not ${length}`)
  }
  const nodeId = stoppableOn(tx, command.members)
  const group = { id: tx.newId('group'), name: checkName('snapshot group', command.name), size: length }
  const { labels } = command
  const snapshots = command.members.map((member) => addSnapshot(tx, { ...member, labels }, group, nodeId))
  const first = snapshots[0] as Snapshot
  const { event } = about('snapshot', first, 'snapshot.group-created', {
    group,
    snapshots: snapshots.map(({ name }) => name),
  })
  return { answer: snapshots, event }
}

/** The node that has all of them that are in use, or one that reaches them all. @throws held_elsewhere, no_reach, in_use */
function stoppableOn(tx: Transaction, members: Of<'snapshot.group'>['members']): string {
  const volumes = members.map(({ volumeId }) => tx.need('volume', volumeId))
  const using = new Map<string, string>()
  for (const { id, name } of volumes) {
    const [busy] = tx.state.operationsBySubject.get(id)
    if (busy !== undefined) throw new HoldfastError('in_use', `volume ${name} is busy (${busy})`, { operation: busy })
    for (const attachment of tx.state.attachmentsByVolume.get(id)) {
      using.set(tx.need('attachment', attachment).nodeId, name)
    }
  }
  if (using.size > 1) {
    const where = [...using].map(([nodeId, name]) => `${name} on ${tx.need('node', nodeId).name}`).join(', ')
    const text = `snapshots of one moment need the volumes that are in use to be on one node: ${where}`
    throw new HoldfastError('held_elsewhere', text)
  }
  const [only] = using.keys()
  if (only !== undefined) return only
  const reaches = (node: Node) => node.state === 'up' && volumes.every(({ poolId }) => node.reach.includes(poolId))
  const able = [...tx.state.all('node').values()].filter(reaches)
  const [best] = able.sort((a, b) => (a.name < b.name ? -1 : 1))
  if (best !== undefined) return best.id
  throw new HoldfastError('no_reach', 'no node that is up reaches the pools of all these volumes')
}

function addSnapshot(
  tx: Transaction,
  command: Omit<Of<'snapshot.create'>, 'kind'>,
  group: SnapshotGroup | undefined,
  pinnedTo: string | undefined,
): Snapshot {
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
    ...(group === undefined ? {} : { group }),
    createdAt: tx.now,
    createdBy: tx.context.actor,
  })
  startOperation(tx, {
    kind: 'snapshot',
    step: 'snapshot',
    subject: { kind: 'snapshot', id },
    poolId: pool.id,
    source: { kind: 'volume', id: volume.id },
    ...(pinnedTo === undefined ? {} : { pinnedTo }),
    ...(group === undefined ? {} : { detail: { together: group.id } }),
  })
  return snapshot
}

export function deleteSnapshot(tx: Transaction, command: Of<'snapshot.delete'>): Outcome<Snapshot> {
  const before = tx.need('snapshot', command.snapshotId)
  return about('snapshot', remove(tx, before), 'snapshot.deleting')
}

/** All snapshots of one moment, or none of them. */
export function deleteSnapshotGroup(tx: Transaction, command: Of<'snapshot.delete-group'>): Outcome<Snapshot[]> {
  const members = [...tx.state.all('snapshot').values()].filter(({ group }) => group?.id === command.groupId)
  const [first] = members
  if (first === undefined) throw new HoldfastError('not_found', `no such snapshot group ${command.groupId}`)
  const going = members.map((each) => remove(tx, each))
  return { ...about('snapshot', first, 'snapshot.group-deleting', { group: first.group }), answer: going }
}

function remove(tx: Transaction, before: Snapshot): Snapshot {
  if (before.state === 'deleting') return before
  const [operationId] = tx.state.operationsBySubject.get(before.id)
  if (operationId !== undefined) {
    throw new HoldfastError('in_use', `snapshot ${before.name} is busy (${operationId})`, { operation: operationId })
  }
  return startSnapshotDelete(tx, before)
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
