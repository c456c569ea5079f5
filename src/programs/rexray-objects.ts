/** Holdfast's objects among REX-Ray's volumes: what they are called there, and which one is meant. */
import { HoldfastError } from '../model/errors.ts'
import { handleId } from '../model/fields.ts'
import { isOwnObject } from '../model/ids.ts'
import type { RexraySettings } from './rexray-settings.ts'
import type { RexrayVolume } from './rexray-volumes.ts'

/** A pool as far as it knows its objects. */
export interface KnownObjects {
  /** `type~instance~pool`, for messages. */
  readonly name: string
  readonly installation: string
  /** The volume's id in its first line, where the ledger has it. */
  readonly handleOf: (object: string) => string | undefined
}

/** What an object is called on the storage, which may cut names off. */
export function storageName({ nameLength }: RexraySettings, object: string): string {
  return object.slice(0, nameLength)
}

/** Names are not unique; the first made comes first, as far as ids tell. */
export function volumesNamed(volumes: readonly RexrayVolume[], name: string): RexrayVolume[] {
  return volumes.filter((volume) => volume.name === name).sort((a, b) => (a.id < b.id ? -1 : 1))
}

/**
 * By the id that the ledger has, else by name. That id may be of a volume that was made anew since, with an answer that
 * was lost: then one of a name that nobody else gives is the one that is meant, but not one that just has the same name.
 * @throws storage_failed when the name is several volumes'
 */
export function findVolume(
  pool: KnownObjects,
  settings: RexraySettings,
  volumes: readonly RexrayVolume[],
  object: string,
): RexrayVolume | undefined {
  const handle = pool.handleOf(object)
  const known = handle === undefined ? undefined : volumes.find(({ id }) => id === handleId(handle))
  if (known !== undefined || (handle !== undefined && !isOwnObject(pool.installation, object))) return known
  const found = volumesNamed(volumes, storageName(settings, object))
  if (found.length < 2) return found[0]
  const ids = found.map(({ id }) => id).join(', ')
  throw new HoldfastError('storage_failed', `${object} is the name of several volumes (${ids}): rename all but one`)
}

/** @throws object_missing, and as `findVolume` */
export function needVolume(
  pool: KnownObjects,
  settings: RexraySettings,
  volumes: readonly RexrayVolume[],
  object: string,
): RexrayVolume {
  const volume = findVolume(pool, settings, volumes, object)
  if (volume !== undefined) return volume
  throw new HoldfastError('object_missing', `There is no volume ${object} in ${pool.name}`, { object })
}

/** A volume by its name, up to 255 letters; of several with one name all but the one that is meant have their id in it. */
export function labelOf(pool: KnownObjects, volumes: readonly RexrayVolume[], { id, name }: RexrayVolume): string {
  if (name === '') return `unnamed (${id})`
  const twins = volumesNamed(volumes, name).map((each) => each.id)
  const known = handleId(pool.handleOf(name) ?? '')
  const meant = twins.includes(known) ? known : twins[0]
  return id === meant ? name.slice(0, 255) : `${name.slice(0, 128)} (${id})`.slice(0, 255)
}

/** What to ask of REX-Ray, GiB. @throws invalid_size, object_too_large */
export function sizeInGiB({ unitGiB, maxSizeGiB }: RexraySettings, sizeMiB: number): number {
  if (!Number.isSafeInteger(sizeMiB) || sizeMiB < 1) {
    throw new HoldfastError('invalid_size', `Bad size ${sizeMiB}: whole MiB, 1 or more`, { sizeMiB })
  }
  const sizeGiB = Math.ceil(sizeMiB / 1024 / unitGiB) * unitGiB
  if (sizeGiB <= maxSizeGiB) return sizeGiB
  const text = `${sizeMiB} MiB are more than the ${maxSizeGiB} GiB that a volume can have there (setting maxSizeGiB)`
  throw new HoldfastError('object_too_large', text, { sizeMiB })
}
