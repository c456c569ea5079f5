import type { LedgerState } from '../../ledger/state.ts'
import type { ProjectedDisk, Projection } from '../../mesos/projection.ts'
import { headerOf, poolView } from './pool-view.ts'
import { diskOf, placeOf, seenFrom, usedFrom } from './project-disks.ts'
import { bandwidthFor, rawFor, sharedRaw } from './project-raw.ts'

/**
 * What one agent is to say of one pool: a pure function of the ledger. Undefined when the node does not reach the
 * pool, or the pool is not shown to Mesos.
 * @param principal whose reservations and persistences ours are
 */
export function projectPool(
  state: LedgerState,
  nodeId: string,
  poolId: string,
  principal: string,
): Projection | undefined {
  const view = poolView(state, poolId, principal)
  const node = state.get('node', nodeId)
  if (view === undefined || node === undefined || !node.reach.includes(poolId)) return undefined
  const disks: ProjectedDisk[] = []
  for (const id of state.volumesByPool.get(poolId)) {
    const volume = state.get('volume', id)
    const place = volume === undefined ? undefined : placeOf(view, volume)
    if (volume === undefined || !seenFrom(place, node)) continue
    disks.push({ ...diskOf(view, volume), usedHere: usedFrom(place, node) })
  }
  disks.sort((a, b) => (a.volumeId < b.volumeId ? -1 : 1))
  const bandwidth = bandwidthFor(view, node)
  return {
    ...headerOf(view),
    raw: rawFor(view, sharedRaw(view), node),
    disks,
    ...(bandwidth === undefined ? {} : { bandwidth }),
  }
}
