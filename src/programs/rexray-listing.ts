/**
 * One pool's part of what a REX-Ray service lists. The pool is the whole service, or its volumes of one type and one
 * zone where the settings say so; its marker is a volume of the smallest size, with the pool's UUID in its name.
 */
import { HoldfastError } from '../model/errors.ts'
import type { RexraySettings } from './rexray-settings.ts'
import type { RexrayVolume } from './rexray-volumes.ts'

export interface PoolIdentity {
  /** `type~instance~pool`, for messages. */
  readonly name: string
  readonly uuid: string
  readonly installation: string
}

const MARKER = /^hf-[0-9a-f]{8}-pool-[0-9a-f]{12}$/

/** 29 characters: ScaleIO cuts names off after 31. */
export function markerName({ uuid, installation }: PoolIdentity): string {
  return `hf-${installation.slice(0, 8)}-pool-${uuid.replaceAll('-', '').slice(0, 12)}`
}

/** The volumes that belong to a pool with these settings, markers included. */
export function inScope(settings: RexraySettings, volumes: readonly RexrayVolume[]): RexrayVolume[] {
  const { volumeType, availabilityZone } = settings
  return volumes.filter(
    ({ type, zone }) =>
      (volumeType === undefined || type === volumeType) &&
      (availabilityZone === undefined || zone === availabilityZone),
  )
}

/** Whether the pool's marker is there. @throws marker_conflict when another pool's is */
export function isMarked(pool: PoolIdentity, settings: RexraySettings, volumes: readonly RexrayVolume[]): boolean {
  const markers = inScope(settings, volumes).filter(({ name }) => MARKER.test(name))
  const other = markers.find(({ name }) => name !== markerName(pool))
  if (other !== undefined) {
    const text = `${placeOf(settings)} carries the marker of another pool (volume ${other.name}, ${other.id}), not that of`
    throw new HoldfastError('marker_conflict', `${text} ${pool.name} (${markerName(pool)})`, { found: other.name })
  }
  return markers.length > 0
}

/** The pool's volumes without its marker. @throws no_marker, marker_conflict */
export function poolVolumes(
  pool: PoolIdentity,
  settings: RexraySettings,
  volumes: readonly RexrayVolume[],
): RexrayVolume[] {
  if (isMarked(pool, settings, volumes)) return inScope(settings, volumes).filter(({ name }) => !MARKER.test(name))
  const text = `${placeOf(settings)} has no volume ${markerName(pool)}, the marker of the pool ${pool.name}`
  throw new HoldfastError('no_marker', `${text}: is it the right service? A new pool has to be marked first`)
}

/**
 * REX-Ray acts on whatever it matches: with an id also on a volume whose *name* begins with it.
 * @throws storage_failed when there is such a volume in the service
 */
export function requireUnmistakable({ id }: RexrayVolume, volumes: readonly RexrayVolume[]): void {
  const start = id.toLowerCase()
  const other = volumes.find(
    (each) => each.id !== id && [each.id, each.name].some((word) => word.toLowerCase().startsWith(start)),
  )
  if (other === undefined) return
  const text = `rexray would take the id ${id} for the volume ${other.name || other.id} (${other.id}) too`
  throw new HoldfastError('storage_failed', `${text}: rename that one`, { id, other: other.id })
}

/** What a new volume turned out to be. @throws storage_failed when it is not in the pool by its type or zone */
export function requireInScope(settings: RexraySettings, volume: RexrayVolume): void {
  if (inScope(settings, [volume]).length > 0) return
  const { volumeType = 'any', availabilityZone = 'any' } = settings
  const asked = `type ${volumeType}, zone ${availabilityZone}`
  const text = `rexray made ${volume.name} (${volume.id}) with type ${volume.type || 'none'}, zone ${volume.zone || 'none'}`
  throw new HoldfastError('storage_failed', `${text}, where ${asked} was asked: the settings name what is not there`)
}

function placeOf({ service, volumeType, availabilityZone }: RexraySettings): string {
  const parts = [
    service === undefined ? 'the default service of rexray' : `the rexray service ${service}`,
    ...(volumeType === undefined ? [] : [`type ${volumeType}`]),
    ...(availabilityZone === undefined ? [] : [`zone ${availabilityZone}`]),
  ]
  return parts.join(', ')
}
