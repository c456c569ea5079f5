import type { Command } from '../../ledger/commands.ts'
import type { LedgerState } from '../../ledger/state.ts'
import type { MesosWish } from '../../ledger/volume-create.ts'
import { HoldfastError } from '../../model/errors.ts'
import type { Reservation, VolumeMesos } from '../../model/mesos.ts'
import { roleAndAncestors } from '../../model/names.ts'
import type { Node } from '../../model/node.ts'
import { type Profile, profileIops } from '../../model/profile.ts'
import { quote } from '../../model/units.ts'
import type { Volume } from '../../model/volume.ts'
import { findPool } from '../../placement/pools.ts'
import { isPreReserved, ownReservation, type PoolView, poolView } from './pool-view.ts'
import { CONTAINER_PATH, mesosOf, placeOf, seenFrom } from './project-disks.ts'
import { checkRoom, holdsByRole, roomOf } from './room.ts'
import { type Target, targetOf, usableProfiles, whyUnusable } from './usable.ts'

/** A CREATE_DISK as a provider passes it on. */
export interface DiskRequest {
  /** The operation's UUID. */
  readonly operation: string
  readonly poolId: string
  readonly role: string
  /** Of the capacity that it is made of. */
  readonly reservations: Reservation[]
  readonly sizeMiB: number
  readonly profile?: string
  readonly target: Target
  readonly frameworkId?: string
  readonly operationId?: string
}

/** Who asks, and in whose name reservations are ours. */
export interface Provider {
  readonly nodeId: string
  readonly principal: string
}

/**
 * The command that makes a disk.
 * @throws does_not_fit, quota_exceeded, not_found, invalid_option, unsupported, no_reach, role_not_allowed: each with a
 *   sentence for the author of the framework
 */
export function createDisk(state: LedgerState, provider: Provider, request: DiskRequest): Command {
  const { role, sizeMiB } = request
  const view = neededView(state, provider, request.poolId)
  const { pool } = view
  const node = state.get('node', provider.nodeId)
  if (node?.reach.includes(pool.id) !== true) {
    throw new HoldfastError('no_reach', `node ${node?.name} does not reach pool ${pool.name}`, { pool: pool.name })
  }
  checkMesosRole(view, role)
  const profile = neededProfile(view, request)
  const others = usableProfiles(state, pool).filter((each) => each !== profile && targetOf(each) === request.target)
  const room = roomOf(state, pool, role, holdsByRole(state, pool.id).get(role))
  checkRoom(room, { pool, role, sizeMiB, profile }, others)
  return {
    kind: 'volume.create',
    volume: {
      name: `mesos-${request.operation}`,
      poolId: pool.id,
      role,
      sizeMiB,
      iops: profileIops(profile, sizeMiB),
      fs: profile.fs,
      access: profile.access,
      source: undefined,
      holdId: undefined,
      ownHolds: true,
      protected: false,
      labels: {},
      bandwidth: 0,
      fingerprint: undefined,
      mesos: wishOf(view, provider, request, profile),
    },
  }
}

function neededView(state: LedgerState, { principal }: Provider, poolId: string): PoolView {
  const pool = findPool(state, poolId)
  const view = poolView(state, pool.id, principal)
  if (view !== undefined) return view
  throw new HoldfastError('wrong_state', `pool ${pool.name} is not shown to Mesos; give it the roles that may use it`)
}

/** A role may also take what is shown to a role above it, as in Mesos. */
function checkMesosRole({ pool, mesos }: PoolView, role: string): void {
  if (mesos.unreserved || roleAndAncestors(role).some((each) => mesos.roles.includes(each))) return
  throw new HoldfastError(
    'role_not_allowed',
    `role ${quote(role)} may not take from pool ${pool.name}; ${mesos.roles.join(', ')} may`,
  )
}

function neededProfile({ state, pool }: PoolView, { profile: name, target }: DiskRequest): Profile {
  const fitting = usableProfiles(state, pool).filter((each) => targetOf(each) === target)
  const there = `; there ${fitting.length === 1 ? 'is' : 'are'} ${fitting.map(({ id }) => id).join(', ') || 'none'}`
  if (target === 'BLOCK' && pool.mesos?.block !== true) {
    throw new HoldfastError('unsupported', `pool ${pool.name} offers no BLOCK disks; ask for MOUNT`)
  }
  if (name === undefined) {
    throw new HoldfastError('invalid_option', `CREATE_DISK names no target_profile for pool ${pool.name}${there}`)
  }
  const profile = state.get('profile', name)
  if (profile === undefined) throw new HoldfastError('not_found', `profile ${quote(name)} does not exist${there}`)
  const why = whyUnusable(pool, profile)
  if (why !== undefined) {
    throw new HoldfastError('unsupported', `profile ${name} cannot be used in pool ${pool.name}: ${why}${there}`)
  }
  if (targetOf(profile) === target) return profile
  throw new HoldfastError(
    'unsupported',
    `profile ${name} makes ${profile.fs}, which is a ${targetOf(profile)} disk, not a ${target} one${there}`,
  )
}

function wishOf(view: PoolView, { nodeId, principal }: Provider, request: DiskRequest, { id }: Profile): MesosWish {
  const { target, frameworkId, operationId } = request
  const float = target === 'MOUNT' && view.guarded && view.mesos.float
  const given = request.reservations
  // what has a persistence belongs to a role
  const reservations = float && given.length === 0 ? [ownReservation(view, request.role)] : given
  return {
    profile: id,
    target,
    float,
    home: nodeId,
    reservations,
    ...(float ? { persistAs: principal, containerPath: CONTAINER_PATH } : {}),
    ...(!isPreReserved(view) && given.length > 0 ? { givesBack: true } : {}),
    ...(frameworkId === undefined ? {} : { frameworkId }),
    ...(operationId === undefined ? {} : { operationId }),
  }
}

/** The command that destroys a disk. @throws not_found, held_elsewhere */
export function destroyDisk(state: LedgerState, provider: Provider, volumeId: string): Command {
  const { volume, mesos } = ownDisk(state, provider, volumeId)
  const view = poolView(state, volume.poolId, provider.principal)
  const givesBack = view !== undefined && !isPreReserved(view) && mesos.reservations.length > 0
  return { kind: 'volume.delete', volumeId, trashMs: 0, mesos: { ...mesos, home: provider.nodeId, givesBack } }
}

/** What Mesos did to a disk by itself. */
export interface DiskRecord {
  readonly reservations?: Reservation[]
  /** Null: there is none any more. */
  readonly persistence?: NonNullable<VolumeMesos['persistence']> | null
  readonly containerPath?: string
  readonly shared?: boolean
}

/** The command that writes down what Mesos did to a disk. @throws not_found, held_elsewhere */
export function recordDisk(state: LedgerState, provider: Provider, volumeId: string, said: DiskRecord): Command {
  const { mesos } = ownDisk(state, provider, volumeId)
  const { persistence: before, containerPath, shared, ...kept } = mesos
  const { reservations = mesos.reservations, persistence = before } = said
  const ofPersistence = persistence === null ? undefined : persistence
  const rest = ofPersistence === undefined ? {} : { containerPath: said.containerPath ?? containerPath }
  const isShared = ofPersistence === undefined ? undefined : (said.shared ?? shared)
  return {
    kind: 'volume.mesos',
    volumeId,
    set: {
      ...kept,
      home: mesos.home ?? provider.nodeId,
      reservations,
      ...(ofPersistence === undefined ? {} : { persistence: ofPersistence }),
      ...(rest.containerPath === undefined ? {} : { containerPath: rest.containerPath }),
      ...(isShared === undefined ? {} : { shared: isShared }),
    },
  }
}

/** A disk that this node is shown, or made. */
function ownDisk(
  state: LedgerState,
  { nodeId, principal }: Provider,
  volumeId: string,
): { volume: Volume; mesos: VolumeMesos } {
  const volume = state.get('volume', volumeId)
  if (volume === undefined) throw new HoldfastError('not_found', `no such volume ${quote(volumeId)}`)
  const view = poolView(state, volume.poolId, principal)
  const node: Node | undefined = state.get('node', nodeId)
  const seen = view !== undefined && node !== undefined && seenFrom(placeOf(view, volume), node)
  const mesos = view === undefined ? volume.mesos : mesosOf(view, volume)
  if (mesos !== undefined && (seen || volume.mesos?.home === nodeId)) return { volume, mesos }
  throw new HoldfastError(
    'held_elsewhere',
    `volume ${volume.name} is not shown on node ${node?.name ?? nodeId}, so nothing is done with it there`,
  )
}
