import { HoldfastError } from '../model/errors.ts'
import type { VolumeMesos } from '../model/mesos.ts'
import { checkName, checkRole } from '../model/names.ts'
import type { Operation } from '../model/operation.ts'
import { sizeInPool } from '../model/pool.ts'
import { formatMiB, MAX_MIB, quote } from '../model/units.ts'
import type { Access, Volume } from '../model/volume.ts'
import { checkExpiry } from './clock.ts'
import { startDelete } from './deletions.ts'
import { cancelled } from './operation-end.ts'
import { startOperation } from './operation-start.ts'
import { about, type Outcome } from './outcome.ts'
import type { Transaction } from './transaction.ts'
import { type CreateCommand, checkAccess } from './volume-create.ts'
import { removeVolume, volumeFigures } from './volume-end.ts'

export type VolumeCommand =
  | CreateCommand
  | {
      kind: 'volume.update'
      volumeId: string
      set: Partial<Pick<Volume, 'protected' | 'labels' | 'access' | 'bandwidth'>>
    }
  | { kind: 'volume.resize'; volumeId: string; sizeMiB: number }
  | {
      kind: 'volume.delete'
      volumeId: string
      trashMs: number
      /** Of a disk that Mesos destroys: what it knew of it last. */
      mesos?: VolumeMesos
    }
  /** What Mesos knows of it from now on. */
  | { kind: 'volume.mesos'; volumeId: string; set: VolumeMesos }
  | { kind: 'volume.undelete'; volumeId: string; name: string | undefined }
  | { kind: 'volume.purge'; volumeId: string }
  | {
      kind: 'volume.import'
      poolId: string
      object: string
      name: string
      role: string
      sizeMiB: number
      access: Access
    }
  | { kind: 'volume.release'; volumeId: string }
  | { kind: 'volume.missing'; volumeId: string }
  | { kind: 'volume.found'; volumeId: string }

type Of<K extends VolumeCommand['kind']> = Extract<VolumeCommand, { kind: K }>

export function updateVolume(tx: Transaction, command: Of<'volume.update'>): Outcome<Volume> {
  const before = tx.need('volume', command.volumeId)
  if (command.set.access !== undefined && tx.state.attachmentsByVolume.get(before.id).size > 0) {
    throw new HoldfastError('in_use', `volume ${before.name} is in use; its access cannot change now`)
  }
  if (command.set.access !== undefined) {
    checkAccess(tx.need('pool', before.poolId), { fs: before.fs, access: command.set.access })
  }
  const volume = tx.put('volume', { ...before, ...command.set })
  return about('volume', volume, 'volume.updated', { ...command.set })
}

/** Bookkeeping of what Mesos has done already, so nothing of it is refused. */
export function setVolumeMesos(tx: Transaction, command: Of<'volume.mesos'>): Outcome<Volume> {
  const before = tx.need('volume', command.volumeId)
  const volume = tx.put('volume', { ...before, mesos: command.set })
  return about('volume', volume, 'volume.mesos', { ...command.set })
}

/** The difference is taken at the request; what is really there is read before anything is given back. */
export function resizeVolume(tx: Transaction, asked: Of<'volume.resize'>): Outcome<Volume> {
  const before = tx.need('volume', asked.volumeId)
  const command = { ...asked, sizeMiB: sizeInPool(tx.need('pool', before.poolId), asked.sizeMiB) }
  needState(before, 'available', 'resized')
  if (command.sizeMiB === before.sizeMiB) return about('volume', before, 'volume.resized')
  if (command.sizeMiB < before.sizeMiB) {
    throw new HoldfastError(
      'invalid_size',
      `volume ${before.name} has ${formatMiB(before.sizeMiB)}; it can grow, not shrink to ${formatMiB(command.sizeMiB)}`,
    )
  }
  noOperation(tx, before)
  const pool = tx.need('pool', before.poolId)
  const { capabilities } = pool
  if (capabilities?.grow === 'none') throw new HoldfastError('unsupported', `pool ${pool.name} cannot grow volumes`)
  if (command.sizeMiB > (capabilities?.maxObjectMiB ?? MAX_MIB)) {
    throw new HoldfastError(
      'object_too_large',
      `pool ${pool.name} can make objects of at most ${formatMiB(capabilities?.maxObjectMiB ?? MAX_MIB)}`,
    )
  }
  const volume = tx.put('volume', { ...before, sizeMiB: command.sizeMiB })
  startOperation(tx, {
    kind: 'grow',
    step: 'grow',
    subject: { kind: 'volume', id: volume.id },
    poolId: volume.poolId,
    detail: { fromMiB: before.sizeMiB, toMiB: command.sizeMiB },
  })
  return about('volume', volume, 'volume.resizing', { fromMiB: before.sizeMiB, toMiB: command.sizeMiB })
}

/** With a trash time the data stays, counted, and can be had back; the name is free at once. */
export function deleteVolume(tx: Transaction, command: Of<'volume.delete'>): Outcome<Volume> {
  const before = noted(tx, command)
  if (before.state === 'deleting' || (before.state === 'trash' && command.trashMs > 0)) {
    return about('volume', before, 'volume.deleting')
  }
  if (before.protected && before.state !== 'error') {
    throw new HoldfastError('protected', `volume ${before.name} is protected; take the protection off first`)
  }
  const provision = waitingProvision(tx, before)
  if (provision !== undefined) {
    cancelled(tx, provision)
    return about('volume', tx.need('volume', before.id), 'volume.deleting', volumeFigures(tx, before))
  }
  idle(tx, before)
  if (command.trashMs > 0 && before.state === 'available') {
    const trashed = tx.put('volume', { ...before, state: 'trash', purgeAt: tx.now + command.trashMs })
    return about('volume', trashed, 'volume.trashed', { purgeAt: trashed.purgeAt })
  }
  return about('volume', startDelete(tx, before), 'volume.deleting', volumeFigures(tx, before))
}

/** A disk that Mesos destroys leaves its capacity under its last reservations. */
function noted(tx: Transaction, { volumeId, mesos }: Of<'volume.delete'>): Volume {
  const volume = tx.need('volume', volumeId)
  return mesos === undefined ? volume : tx.put('volume', { ...volume, mesos })
}

/** The operation that would make the volume, while no node works on it. */
function waitingProvision(tx: Transaction, volume: Volume): Operation | undefined {
  for (const id of tx.state.operationsBySubject.get(volume.id)) {
    const operation = tx.need('operation', id)
    if (operation.kind === 'provision' && operation.subject.id === volume.id && operation.state === 'pending')
      return operation
  }
  return undefined
}

export function undeleteVolume(tx: Transaction, command: Of<'volume.undelete'>): Outcome<Volume> {
  const before = tx.need('volume', command.volumeId)
  needState(before, 'trash', 'undeleted')
  const name = checkName('volume', command.name ?? before.name)
  const taken = tx.state.volumeByName.get(name)
  if (taken !== undefined) {
    throw new HoldfastError('name_taken', `the name ${name} is taken by now; undelete under another`, { volume: taken })
  }
  const { purgeAt: _, ...kept } = before
  const volume = tx.put('volume', { ...kept, name, state: 'available' })
  return about('volume', volume, 'volume.undeleted')
}

/** Ends a volume's time in the trash by its date; somebody who asks deletes it instead. */
export function purgeVolume(tx: Transaction, command: Of<'volume.purge'>): Outcome<Volume> {
  const before = tx.need('volume', command.volumeId)
  needState(before, 'trash', 'purged')
  checkExpiry(tx)
  if (before.purgeAt !== undefined && before.purgeAt > tx.now) {
    throw new HoldfastError('wrong_state', `volume ${before.name} is not due`)
  }
  return about('volume', startDelete(tx, before), 'volume.deleting', volumeFigures(tx, before))
}

/**
 * Adopts an object that is on the storage already. It is counted from now on and never formatted; its size,
 * filesystem and UUID are read. It counts as a fact: it takes its room whether or not we know of it.
 */
export function importVolume(tx: Transaction, command: Of<'volume.import'>): Outcome<Volume> {
  const pool = tx.need('pool', command.poolId)
  const name = checkName('volume', command.name)
  const taken = tx.state.volumeByName.get(name)
  if (taken !== undefined) throw new HoldfastError('name_taken', `volume ${name} exists already`, { volume: taken })
  const owner = tx.state.ownerOfObject.get(`${pool.id}/${command.object}`)
  if (owner !== undefined) {
    throw new HoldfastError('in_use', `object ${quote(command.object)} is ${owner} already`, { owner })
  }
  if (pool.capabilities?.import === false) {
    throw new HoldfastError('unsupported', `pool ${pool.name}: its driver cannot adopt what others made`)
  }
  checkAccess(pool, { fs: 'raw', access: command.access })
  const volume = tx.put('volume', {
    id: tx.newId('volume'),
    name,
    poolId: pool.id,
    role: checkRole(command.role),
    sizeMiB: command.sizeMiB,
    iops: 0,
    fs: 'raw',
    access: command.access,
    state: 'importing',
    format: { state: 'none' },
    epoch: 0,
    object: command.object,
    imported: true,
    protected: true,
    labels: {},
    bandwidth: 0,
    createdAt: tx.now,
    createdBy: tx.context.actor,
  })
  startOperation(tx, { kind: 'import', step: 'import', subject: { kind: 'volume', id: volume.id }, poolId: pool.id })
  tx.isFact = true
  return about('volume', volume, 'volume.importing', volumeFigures(tx, volume))
}

/** Lets a volume go without touching what is on the storage. */
export function releaseVolume(tx: Transaction, command: Of<'volume.release'>): Outcome<Volume> {
  const volume = tx.need('volume', command.volumeId)
  idle(tx, volume)
  removeVolume(tx, volume)
  return about('volume', volume, 'volume.released', volumeFigures(tx, volume))
}

/** Its object is not on the storage any more. The room stays counted: nobody knows yet what happened. */
export function missVolume(tx: Transaction, command: Of<'volume.missing'>): Outcome<Volume> {
  const before = tx.need('volume', command.volumeId)
  needState(before, 'available', 'missing')
  const volume = tx.put('volume', {
    ...before,
    state: 'missing',
    fault: {
      code: 'object_missing',
      message: `object ${before.object} is not on pool ${tx.need('pool', before.poolId).name}`,
      next: 'bring the object back (it is found again by itself), or delete the volume to give its room back',
    },
  })
  return about('volume', volume, 'volume.missing', volumeFigures(tx, volume))
}

export function findVolume(tx: Transaction, command: Of<'volume.found'>): Outcome<Volume> {
  const before = tx.need('volume', command.volumeId)
  needState(before, 'missing', 'found')
  const { fault: _, ...kept } = before
  return about('volume', tx.put('volume', { ...kept, state: 'available' }), 'volume.found')
}

function idle(tx: Transaction, volume: Volume): void {
  const [attachmentId] = tx.state.attachmentsByVolume.get(volume.id)
  if (attachmentId !== undefined) {
    const node = tx.need('node', tx.need('attachment', attachmentId).nodeId)
    throw new HoldfastError('in_use', `volume ${volume.name} is in use on node ${node.name}`, {
      attachment: attachmentId,
      node: node.name,
    })
  }
  noOperation(tx, volume)
}

function noOperation(tx: Transaction, volume: Volume): void {
  const [operationId] = tx.state.operationsBySubject.get(volume.id)
  if (operationId === undefined) return
  const { kind } = tx.need('operation', operationId)
  throw new HoldfastError('in_use', `volume ${volume.name} is busy: ${kind} is under way (${operationId})`, {
    operation: operationId,
  })
}

function needState(volume: Volume, state: Volume['state'], verb: string): void {
  if (volume.state === state) return
  throw new HoldfastError('wrong_state', `volume ${volume.name} is ${volume.state}; only ${state} ones are ${verb}`, {
    state: volume.state,
  })
}
