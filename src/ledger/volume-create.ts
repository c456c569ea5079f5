import { HoldfastError } from '../model/errors.ts'
import { objectName } from '../model/ids.ts'
import type { VolumeMesos } from '../model/mesos.ts'
import { checkName, checkRole } from '../model/names.ts'
import { canCopy, type Pool, sizeInPool } from '../model/pool.ts'
import { formatMiB } from '../model/units.ts'
import {
  type Access,
  type Draw,
  type Group,
  MAX_GROUP,
  type Source,
  type Volume,
  type VolumeFs,
} from '../model/volume.ts'
import { drawOnHold, drawOnOwnHolds } from './holds.ts'
import { startOperation } from './operation-start.ts'
import { about, type Outcome } from './outcome.ts'
import { needIdleToCopy } from './snapshots.ts'
import { takeFromStack } from './stacks.ts'
import type { Transaction } from './transaction.ts'
import { volumeFigures } from './volume-end.ts'

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
  /** Draw on the role's own holds in the pool, oldest first, as far as they go. */
  ownHolds?: boolean
  protected: boolean
  labels: Record<string, string>
  bandwidth: number
  /** For doors whose idempotency key is the name: digest of the parameters as sent. */
  fingerprint: string | undefined
  mesos?: MesosWish
}

/** What Mesos is to know of a volume that is asked for. */
export type MesosWish = Omit<VolumeMesos, 'persistence'> & {
  /** Principal of the persistence that it comes with, whose id is the volume's; absent: it comes without. */
  readonly persistAs?: string
}

export type CreateCommand =
  | { kind: 'volume.create'; volume: VolumeRequest }
  | { kind: 'group.create'; name: string | undefined; onFailure: Group['onFailure']; volumes: VolumeRequest[] }

type Of<K extends CreateCommand['kind']> = Extract<CreateCommand, { kind: K }>

export function createVolume(tx: Transaction, command: Of<'volume.create'>): Outcome<Volume> {
  const existing = sameNamed(tx, command.volume)
  if (existing !== undefined) return about('volume', existing, 'volume.created')
  const volume = addVolume(tx, command.volume, undefined)
  return about('volume', volume, 'volume.created', volumeFigures(tx, volume))
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

function addVolume(tx: Transaction, asked: VolumeRequest, groupId: string | undefined): Volume {
  const request = inPool(tx, asked)
  checkName('volume', request.name)
  checkRole(request.role)
  sameNamed(tx, { ...request, fingerprint: undefined })
  const pool = tx.need('pool', request.poolId)
  checkPool(pool, request)
  checkAccess(pool, request)
  const { source } = request
  if (source !== undefined) checkSource(tx, request, source)
  const draws = drawsOf(tx, request)
  const id = tx.newId('volume')
  const mesos = request.mesos === undefined ? undefined : mesosOf(request.mesos, id)
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
    ...(draws.length === 0 ? {} : { draws }),
    ...(groupId === undefined ? {} : { groupId }),
    ...(request.fingerprint === undefined ? {} : { fingerprint: request.fingerprint }),
    ...(mesos === undefined ? {} : { mesos }),
    createdAt: tx.now,
    createdBy: tx.context.actor,
  })
  takeFromStack(tx, volume)
  startOperation(tx, {
    kind: 'provision',
    step: source === undefined ? 'create' : 'copy',
    subject: { kind: 'volume', id },
    poolId: pool.id,
    ...(source === undefined ? {} : { source }),
  })
  return volume
}

/** As the pool can make it: what is really taken is what is counted. */
function inPool(tx: Transaction, request: VolumeRequest): VolumeRequest {
  return { ...request, sizeMiB: sizeInPool(tx.need('pool', request.poolId), request.sizeMiB) }
}

function drawsOf(tx: Transaction, request: VolumeRequest): Draw[] {
  if (request.holdId !== undefined) return drawOnHold(tx, request.holdId, request)
  return request.ownHolds === true ? drawOnOwnHolds(tx, request) : []
}

function mesosOf({ persistAs, ...mesos }: MesosWish, id: string): VolumeMesos {
  return persistAs === undefined ? mesos : { ...mesos, persistence: { id, principal: persistAs } }
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
  if (request.source !== undefined && !canCopy(capabilities)) {
    throw new HoldfastError('unsupported', `pool ${pool.name} cannot copy volumes`)
  }
}

/** A filesystem that each of its writers keeps for itself is destroyed by the second one. @throws unsupported */
export function checkAccess(pool: Pool, { fs, access }: Pick<VolumeRequest, 'fs' | 'access'>): void {
  if (access !== 'many-writers') return
  if (fs === 'directory' && pool.capabilities?.writersMany === true) return
  const why =
    fs === 'directory'
      ? `pool ${pool.name} does not share its directories`
      : `${fs} is for one writer at a time; only volumes with fs directory can have many`
  throw new HoldfastError('unsupported', `access many-writers: ${why}`)
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
