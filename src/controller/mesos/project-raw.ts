import { nodeBandwidth } from '../../ledger/accounts.ts'
import type { ProjectedRaw } from '../../mesos/projection.ts'
import type { ReservationInfo } from '../../mesos/resource.ts'
import { providerRecordId, type Reservation } from '../../model/mesos.ts'
import type { Node } from '../../model/node.ts'
import type { Pool } from '../../model/pool.ts'
import { isPreReserved, ownReservation, type PoolView, takesNew } from './pool-view.ts'
import { holdsByRole, largest, roomOf } from './room.ts'
import { usableProfiles } from './usable.ts'

/** What is asked is rounded up to the pool's unit: what is shown must be what can be had. */
function wholeUnits(pool: Pool, sizeMiB: number): number {
  const unit = pool.capabilities?.unitMiB ?? 1
  return Math.floor(sizeMiB / unit) * unit
}

/**
 * The capacity that may still be taken of a pool, as every node sees it that has nothing of its own to say. Reserved
 * to each role in advance: exactly the largest disk that the ledger would grant it.
 */
export function sharedRaw(view: PoolView): ProjectedRaw[] {
  const { state, pool, mesos } = view
  const profiles = pool.state === 'active' && pool.marked ? usableProfiles(state, pool) : []
  if (!isPreReserved(view))
    return [{ reservations: [], sizeMiB: wholeUnits(pool, largest(roomOf(state, pool, undefined), profiles)) }]
  const holds = holdsByRole(state, pool.id)
  return mesos.roles.map((role) => ({
    reservations: infosOf([ownReservation(view, role)]),
    sizeMiB: wholeUnits(pool, largest(roomOf(state, pool, role, holds.get(role)), profiles)),
  }))
}

/** The same as one node sees it. What frameworks have reserved for themselves on its agent stays as it is. */
export function rawFor(view: PoolView, shared: readonly ProjectedRaw[], node: Node): readonly ProjectedRaw[] {
  const own = isPreReserved(view) ? [] : stacks(view, node)
  const taking = takesNew(node)
  if (own.length === 0 && taking) return shared
  const reservedMiB = own.reduce((sum, each) => sum + each.sizeMiB, 0)
  const left = shared.map((each) => ({ ...each, sizeMiB: taking ? Math.max(0, each.sizeMiB - reservedMiB) : 0 }))
  return [...left, ...own]
}

function stacks({ state, pool }: PoolView, node: Node): ProjectedRaw[] {
  const reserved = state.get('provider', providerRecordId(node.id, pool.id))?.reserved ?? []
  return reserved.map(({ reservations, sizeMiB }) => ({ reservations: infosOf(reservations), sizeMiB }))
}

/** Labels of reservations are kept as Mesos wrote them. */
export function infosOf(reservations: readonly Reservation[]): ReservationInfo[] {
  return reservations as readonly ReservationInfo[] as ReservationInfo[]
}

/** What the tasks of a node's agent may take of its storage bandwidth through this pool; undefined: not shown. */
export function bandwidthFor({ state, pool, mesos }: PoolView, node: Node): number | undefined {
  if (!mesos.bandwidth || node.bandwidth === undefined) return undefined
  const own = state.get('provider', providerRecordId(node.id, pool.id))?.bandwidth ?? 0
  return Math.max(0, node.bandwidth - (state.sum(nodeBandwidth(node.id)) - own))
}
