import { HoldfastError } from '../model/errors.ts'
import { objectName } from '../model/ids.ts'
import { checkName, checkRole } from '../model/names.ts'
import type { Operation } from '../model/operation.ts'
import type { Pool } from '../model/pool.ts'
import { formatMiB, MAX_MIB, quote } from '../model/units.ts'
import type { Access, Group, Source, Volume, VolumeFs } from '../model/volume.ts'
import { checkExpiry } from './clock.ts'
import { startDelete } from './deletions.ts'
import { drawOnHold, returnDraw } from './holds.ts'
import { cancelled } from './operation-end.ts'
import { startOperation } from './operation-start.ts'
import { about, type Outcome } from './outcome.ts'
import { needIdleToCopy } from './snapshots.ts'
import type { Transaction } from './transaction.ts'

/** A volume as asked for, with its pool chosen. */
export interface VolumeRequest {
  name: string
  poolId: string
  role: string
  sizeMiB: number
  iops: number
  fs: VolumeFs
  access: Access
  source: Source | undefined
  holdId: string | undefined
  protected: boolean
  labels: Record<string, string>
  bandwidth: number
  /** For doors whose idempotency key is the name: digest of the parameters as sent. */
  fingerprint: string | undefined
}

export type VolumeCommand =
  | { kind: 'volume.create'; volume: VolumeRequest }
  | { kind: 'group.create'; name: string | undefined; onFailure: Group['onFailure']; volumes: VolumeRequest[] }
  | {
      kind: 'volume.update'
      volumeId: string
      set: Partial<Pick<Volume, 'protected' | 'labels' | 'access' | 'bandwidth'>>
    }
  | { kind: 'volume.resize'; volumeId: string; sizeMiB: number }
  | { kind: 'volume.delete'; volumeId: string; trashMs: number }
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

export const MAX_GROUP = 16

export function createVolume(tx: Transaction, command: Of<'volume.create'>): Outcome<Volume> {
  const existing = sameNamed(tx, command.volume)
  if (existing !== undefined) return about('volume', existing, 'volume.created')
  const volume = addVolume(tx, command.volume, undefined)
  return about('volume', volume, 'volume.created', figures(tx, volume))
}

/** All or nothing, in one commit (invariant I8). */
export function createGroup(
  tx: Transaction,
  command: Of<'group.create'>,
): Outcome<{ group: Group; volumes: Volume[] }> {
  const { length } = command.volumes
  if (length < 1 || length > MAX_GROUP) {
    throw new HoldfastError('group_too_large', `a group has 1 to ${MAX_GROUP} volumes, not ${length}`)
  }
  const groupId = tx.newId('group')
  const volumes = command.volumes.map((request) => addVolume(tx, request, groupId))
  const group = tx.put('group', {
    id: groupId,
    ...(command.name === undefined ? {} : { name: checkName('group', command.name) }),
    volumeIds: volumes.map((volume) => volume.id),
    onFailure: command.onFailure,
    state: 'pending',
    createdAt: tx.now,
  })
  const { event } = about('group', group, 'group.created', { volumes: volumes.map((volume) => volume.name) })
  return { answer: { group, volumes }, event }
}

/** A door whose key is the name gets its first answer again; anybody else, and other parameters, a conflict. */
function sameNamed(tx: Transaction, request: VolumeRequest): Volume | undefined {
  const id = tx.state.volumeByName.get(request.name)
  if (id === undefined) return undefined
  const existing = tx.need('volume', id)
  const sameAsked = request.fingerprint !== undefined && existing.fingerprint === request.fingerprint
  if (sameAsked && existing.state !== 'deleting') return existing
  const asked = request.fingerprint === undefined || sameAsked ? '' : ' and was asked for with other parameters'
  const other = existing.state === 'deleting' ? ', but is being deleted' : asked
  throw new HoldfastError('name_taken', `volume ${request.name} exists already${other}`, { volume: id })
}

function addVolume(tx: Transaction, request: VolumeRequest, groupId: string | undefined): Volume {
  checkName('volume', request.name)
  checkRole(request.role)
  sameNamed(tx, { ...request, fingerprint: undefined })
  const pool = tx.need('pool', request.poolId)
  checkPool(pool, request)
  const { source } = request
  if (source !== undefined) checkSource(tx, request, source)
  const draw = request.holdId === undefined ? undefined : drawOnHold(tx, request.holdId, request)
  const id = tx.newId('volume')
  const volume = tx.put('volume', {
    id,
    name: request.name,
    poolId: pool.id,
    role: request.role,
    sizeMiB: request.sizeMiB,
    iops: request.iops,
    fs: request.fs,
    access: request.access,
    state: 'requested',
    format: request.fs === 'raw' ? { state: 'none' } : { state: 'blank' },
    epoch: 0,
    object: objectName(tx.state.installation, id),
    imported: false,
    protected: request.protected,
    labels: request.labels,
    bandwidth: request.bandwidth,
    ...(source === undefined ? {} : { source }),
    ...(draw === undefined ? {} : { draw }),
    ...(groupId === undefined ? {} : { groupId }),
    ...(request.fingerprint === undefined ? {} : { fingerprint: request.fingerprint }),
    createdAt: tx.now,
    createdBy: tx.context.actor,
  })
  startOperation(tx, {
    kind: 'provision',
    step: source === undefined ? 'create' : 'copy',
    subject: { kind: 'volume', id },
    poolId: pool.id,
    ...(source === undefined ? {} : { source }),
  })
  return volume
}

function checkPool(pool: Pool, request: VolumeRequest): void {
  if (pool.state === 'draining') throw new HoldfastError('wrong_state', `pool ${pool.name} is being drained`)
  const { capabilities } = pool
  if (capabilities === undefined) return
  if (request.sizeMiB > capabilities.maxObjectMiB) {
    throw new HoldfastError(
      'object_too_large',
      `pool ${pool.name} can make objects of at most ${formatMiB(capabilities.maxObjectMiB)}, ${formatMiB(request.sizeMiB)} asked`,
      { limit: capabilities.maxObjectMiB, asked: request.sizeMiB },
    )
  }
  if (request.fs !== 'raw' && !capabilities.filesystems.includes(request.fs)) {
    throw new HoldfastError(
      'unsupported',
      `pool ${pool.name}: no node can make ${request.fs} there; it has ${capabilities.filesystems.join(', ') || 'none'}`,
    )
  }
  if (request.source !== undefined && capabilities.snapshot === 'none') {
    throw new HoldfastError('unsupported', `pool ${pool.name} cannot copy volumes`)
  }
}

/** A copy has the filesystem of its source, lives in the same pool and is at least as large. */
function checkSource(tx: Transaction, request: VolumeRequest, source: Source): void {
  const origin = tx.need(source.kind, source.id)
  if (origin.state !== 'available') {
    throw new HoldfastError('wrong_state', `${source.kind} ${origin.name} is ${origin.state}, not available`)
  }
  if (origin.role !== request.role) {
    throw new HoldfastError('role_not_allowed', `${source.kind} ${origin.name} belongs to role ${origin.role}`)
  }
  if (source.kind === 'volume') needIdleToCopy(tx, source.id)
  if (origin.poolId !== request.poolId) {
    throw new HoldfastError(
      'unsupported',
      `${source.kind} ${origin.name} lives in another pool; a copy stays in its pool`,
    )
  }
  if (origin.fs !== request.fs) {
    throw new HoldfastError('invalid_option', `fs ${request.fs}: a copy of ${origin.name} is ${origin.fs}`)
  }
  if (request.sizeMiB < origin.sizeMiB) {
    throw new HoldfastError(
      'invalid_size',
      `${formatMiB(request.sizeMiB)} is less than the ${formatMiB(origin.sizeMiB)} of ${origin.name}`,
    )
  }
}

export function updateVolume(tx: Transaction, command: Of<'volume.update'>): Outcome<Volume> {
  const before = tx.need('volume', command.volumeId)
  if (command.set.access !== undefined && tx.state.attachmentsByVolume.get(before.id).size > 0) {
    throw new HoldfastError('in_use', `volume ${before.name} is in use; its access cannot change now`)
  }
  const volume = tx.put('volume', { ...before, ...command.set })
  return about('volume', volume, 'volume.updated', { ...command.set })
}

/** The difference is taken at the request; what is really there is read before anything is given back. */
export function resizeVolume(tx: Transaction, command: Of<'volume.resize'>): Outcome<Volume> {
  const before = tx.need('volume', command.volumeId)
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
  const before = tx.need('volume', command.volumeId)
  if (before.state === 'deleting' || (before.state === 'trash' && command.trashMs > 0)) {
    return about('volume', before, 'volume.deleting')
  }
  if (before.protected && before.state !== 'error') {
    throw new HoldfastError('protected', `volume ${before.name} is protected; take the protection off first`)
  }
  const provision = waitingProvision(tx, before)
  if (provision !== undefined) {
    cancelled(tx, provision)
    return about('volume', tx.need('volume', before.id), 'volume.deleting', figures(tx, before))
  }
  idle(tx, before)
  if (command.trashMs > 0 && before.state === 'available') {
    const trashed = tx.put('volume', { ...before, state: 'trash', purgeAt: tx.now + command.trashMs })
    return about('volume', trashed, 'volume.trashed', { purgeAt: trashed.purgeAt })
  }
  return about('volume', startDelete(tx, before), 'volume.deleting', figures(tx, before))
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
  return about('volume', startDelete(tx, before), 'volume.deleting', figures(tx, before))
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
  return about('volume', volume, 'volume.importing', figures(tx, volume))
}

/** Lets a volume go without touching what is on the storage. */
export function releaseVolume(tx: Transaction, command: Of<'volume.release'>): Outcome<Volume> {
  const volume = tx.need('volume', command.volumeId)
  idle(tx, volume)
  returnDraw(tx, volume.draw)
  tx.remove('volume', volume.id)
  return about('volume', volume, 'volume.released', figures(tx, volume))
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
  return about('volume', volume, 'volume.missing', figures(tx, volume))
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

function figures(tx: Transaction, volume: Volume): Record<string, unknown> {
  return {
    pool: tx.get('pool', volume.poolId)?.name,
    role: volume.role,
    sizeMiB: volume.sizeMiB,
    iops: volume.iops,
  }
}
