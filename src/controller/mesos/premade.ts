import type { LedgerState } from '../../ledger/state.ts'
import type { VolumeRequest } from '../../ledger/volume-create.ts'
import { HoldfastError } from '../../model/errors.ts'
import type { Profile } from '../../model/profile.ts'
import { isPreReserved, ownReservation, poolView } from './pool-view.ts'
import { CONTAINER_PATH } from './project-disks.ts'
import { targetOf, whyUnusable } from './usable.ts'

/**
 * A volume that is made in advance with a profile, where its pool is shown to Mesos: it is offered as a CREATE_DISK
 * with that profile would have made it, with its persistence where it floats, and bare where it doesn't.
 * @throws unsupported when the profile can't be used in the pool that was chosen
 */
export function premadeDisk(
  state: LedgerState,
  request: VolumeRequest,
  profile: Profile,
  principal: string,
): VolumeRequest {
  const view = poolView(state, request.poolId, principal)
  if (view === undefined) return request
  const why = whyUnusable(view.pool, profile)
  if (why !== undefined) {
    throw new HoldfastError('unsupported', `profile ${profile.id} cannot be used in pool ${view.pool.name}: ${why}`)
  }
  const target = targetOf(profile)
  const float = target === 'MOUNT' && view.guarded && view.mesos.float
  const reservations = float || isPreReserved(view) ? [ownReservation(view, request.role)] : []
  const persistence = float ? { persistAs: principal, containerPath: CONTAINER_PATH } : {}
  return { ...request, mesos: { profile: profile.id, target, float, reservations, ...persistence } }
}
