/** The volume on a CSI plugin that marks a pool. It cannot be looked for, so the ledger keeps its id. */
import { formatHandle, parseHandle } from '../csi/object-handle.ts'
import type { CsiPlugin } from '../csi/plugin.ts'
import { HoldfastError } from '../model/errors.ts'
import type { PoolTarget } from './driver.ts'

/** For so long the marker is not asked for again, ms. */
const MARKED_MS = 5000

interface Marked {
  readonly pool: PoolTarget
  readonly plugin: CsiPlugin
}

export class CsiMarkers {
  /** When each was last seen, by pool and id. */
  readonly #seen = new Map<string, number>()

  /** @returns the handle */
  async make({ pool, plugin }: Marked, signal: AbortSignal): Promise<string> {
    const { uuid, installation, handle } = pool
    if (handle !== undefined && (await plugin.volume({ id: idOf(pool), context: {} }, signal))) return handle
    const name = `hf-${installation.slice(0, 8)}-pool-${uuid}`
    const { id } = await plugin.createVolume({ name, sizeMiB: plugin.settings.unitMiB, exactly: false }, signal)
    return formatHandle({ kind: 'pool', id, uuid, installation })
  }

  /** @throws no_marker, marker_conflict */
  async require({ pool, plugin }: Marked, signal: AbortSignal, freshMs = MARKED_MS): Promise<void> {
    if (signal.aborted) throw new HoldfastError('cancelled', `Work on ${pool.name} was cancelled`)
    const id = idOf(pool)
    const key = `${pool.uuid} ${id}`
    if (performance.now() - (this.#seen.get(key) ?? Number.NEGATIVE_INFINITY) < freshMs) return
    if ((await plugin.volume({ id, context: {} }, signal)) === undefined) {
      this.#seen.delete(key)
      throw new HoldfastError('no_marker', `The CSI plugin has no volume ${id}, which marks ${pool.name}`)
    }
    this.#seen.set(key, performance.now())
  }
}

/** @throws no_marker, marker_conflict */
function idOf({ handle, name, uuid, installation }: PoolTarget): string {
  const marker = parseHandle(handle)
  if (marker?.kind !== 'pool') throw new HoldfastError('no_marker', `No volume of the CSI plugin marks ${name} yet`)
  if (marker.uuid === uuid && marker.installation === installation) return marker.id
  const text = `The volume ${marker.id} marks pool ${marker.uuid} of installation ${marker.installation}, not ${name}`
  throw new HoldfastError('marker_conflict', text, { uuid: marker.uuid, installation: marker.installation })
}
