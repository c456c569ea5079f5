import type { ProjectedDisk } from '../../mesos/projection.ts'
import type { Label } from '../../mesos/resource.ts'
import type { VolumeMesos } from '../../model/mesos.ts'
import type { Node } from '../../model/node.ts'
import type { Volume } from '../../model/volume.ts'
import { ownReservation, type PoolView, takesNew } from './pool-view.ts'
import { infosOf } from './project-raw.ts'
import { rendezvous } from './rendezvous.ts'

/** Path in the container at which a disk stands that comes with its persistence. */
export const CONTAINER_PATH = 'data'

/** What Mesos knows of a volume: what was recorded, or what every volume of its pool would say. */
export function mesosOf(view: PoolView, volume: Volume): VolumeMesos {
  if (volume.mesos !== undefined) return volume.mesos
  const target = volume.fs === 'raw' ? 'BLOCK' : 'MOUNT'
  const reservations = [ownReservation(view, volume.role)]
  if (target === 'BLOCK') return { target, float: true, reservations }
  const persistence = { id: volume.id, principal: view.principal }
  return { target, float: true, reservations, persistence, containerPath: CONTAINER_PATH }
}

/** A volume as a disk, without saying where it is used. */
export function diskOf(view: PoolView, volume: Volume): Omit<ProjectedDisk, 'usedHere'> {
  const { target, profile, reservations, persistence, containerPath, shared } = mesosOf(view, volume)
  return {
    volumeId: volume.id,
    sizeMiB: volume.sizeMiB,
    target,
    ...(profile === undefined ? {} : { profile }),
    metadata: { labels: labelsOf(view, volume) },
    reservations: infosOf(reservations),
    ...(persistence === undefined ? {} : { persistence }),
    ...(containerPath === undefined ? {} : { containerPath }),
    ...(shared === undefined ? {} : { shared }),
  }
}

function labelsOf({ pool }: PoolView, { fs, iops, source }: Volume): Label[] {
  return [
    { key: 'instance', value: pool.instance },
    { key: 'pool', value: pool.pool },
    { key: 'filesystem', value: fs },
    ...(iops > 0 ? [{ key: 'iops', value: String(iops) }] : []),
    ...(source?.kind === 'snapshot' ? [{ key: 'snapshot', value: source.id }] : []),
  ]
}

/** The nodes on which a disk is seen. */
export type Place = { readonly kind: 'everywhere' } | NodesPlace

interface NodesPlace {
  readonly kind: 'nodes'
  readonly ids: readonly string[]
  /** Tasks of these nodes have it: it is seen whether or not they take anything new. */
  readonly used: boolean
}

/** Where a volume is seen; undefined: nowhere. One in use is seen by its user alone. */
export function placeOf(view: PoolView, volume: Volume): Place | undefined {
  if (!isOffered(view, volume)) return undefined
  const { state } = view
  const all = [...state.attachmentsByVolume.get(volume.id)].map((id) => state.get('attachment', id))
  const attachments = all.filter((each) => each !== undefined)
  if (attachments.length === 0) return idlePlace(view, volume)
  const claimed = attachments.filter((each) => each.users.some((user) => user.door === 'mesos'))
  if (claimed.length > 0) return { kind: 'nodes', ids: claimed.map((each) => each.nodeId), used: true }
  // while it is being let go of, only the node that has it could take it again
  const [last] = attachments
  if (last === undefined || attachments.length > 1 || last.users.length > 0) return undefined
  const idle = idlePlace(view, volume)
  const mayStay = idle?.kind === 'everywhere' || mayFloat(view, volume) || idle?.ids.includes(last.nodeId) === true
  return mayStay ? { kind: 'nodes', ids: [last.nodeId], used: false } : undefined
}

/** Whether any agent is to see it at all. */
function isOffered({ mesos }: PoolView, volume: Volume): boolean {
  const known = volume.mesos !== undefined || mesos.roles.includes(volume.role)
  if (!known || volume.state !== 'available') return false
  // Mesos knows only disks that may be written
  if (volume.access === 'read-only') return false
  const isBlock = (volume.mesos?.target ?? (volume.fs === 'raw' ? 'BLOCK' : 'MOUNT')) === 'BLOCK'
  return isBlock === (volume.fs === 'raw') && (!isBlock || mesos.block)
}

function idlePlace(view: PoolView, volume: Volume): Place | undefined {
  if (!mayFloat(view, volume)) return at(homeOf(view, volume))
  const { spread } = view.mesos
  if (spread === 0) return { kind: 'everywhere' }
  const home = volume.mesos?.home
  const first = home !== undefined && view.candidates.includes(home) ? [home] : []
  const others = rendezvous(
    volume.id,
    view.candidates.filter((id) => id !== home),
    spread - first.length,
  )
  return { kind: 'nodes', ids: [...first, ...others], used: false }
}

function mayFloat({ guarded, mesos }: PoolView, volume: Volume): boolean {
  return guarded && mesos.float && (volume.mesos?.float ?? true)
}

/** Where a disk stays that does not float; one that no agent made, on some node, and always the same. */
function homeOf(view: PoolView, volume: Volume): string | undefined {
  const home = volume.mesos?.home
  if (home !== undefined && view.state.get('node', home) !== undefined) return home
  return rendezvous(volume.id, view.candidates, 1)[0]
}

function at(nodeId: string | undefined): Place | undefined {
  return nodeId === undefined ? undefined : { kind: 'nodes', ids: [nodeId], used: false }
}

/** Whether a node sees what has this place. */
export function seenFrom(place: Place | undefined, node: Node): boolean {
  if (place === undefined) return false
  if (place.kind === 'everywhere') return takesNew(node)
  return place.ids.includes(node.id) && (place.used || takesNew(node))
}

export function usedFrom(place: Place | undefined, node: Pick<Node, 'id'>): boolean {
  return place?.kind === 'nodes' && place.used && place.ids.includes(node.id)
}
