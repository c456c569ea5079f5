/** Volumes of a CSI plugin on this machine. */
import type { VolumeHandle } from '../csi/object-handle.ts'
import type { CsiPlugin } from '../csi/plugin.ts'
import { PluginNode } from '../csi/plugin-node.ts'
import { asHoldfastError, type ErrorCode, HoldfastError } from '../model/errors.ts'
import { lookAtDevice, makeReadOnly, makeWritable } from '../programs/block-device.ts'
import type { CsiPlaces, Place } from '../programs/csi-places.ts'
import type { Programs } from '../programs/run.ts'
import type { Attached } from './driver.ts'

/** For taking back what a call that failed has left. */
const CLEAN_UP_MS = 60_000
/** After these the plugin may still do what it was asked. */
const UNKNOWN_OUTCOME: ReadonlySet<ErrorCode> = new Set(['storage_timeout', 'cancelled'])

export interface CsiAttacherParts {
  readonly programs: Programs
  readonly plugin: CsiPlugin
  readonly places: CsiPlaces
  /** The pool's UUID. */
  readonly pool: string
}

export class CsiAttacher {
  readonly #parts: CsiAttacherParts
  readonly #node: PluginNode

  constructor(parts: CsiAttacherParts) {
    this.#parts = parts
    this.#node = new PluginNode(parts.plugin)
  }

  async attached(object?: string): Promise<Attached[]> {
    const { places, pool } = this.#parts
    const one = object === undefined ? undefined : await places.at(pool, object)
    const found = object === undefined ? await places.all(pool) : one === undefined ? [] : [one]
    return await Promise.all(found.map((place) => this.#attached(place)))
  }

  /** What was asked for, and never came to be, has to be taken back all the same. */
  async #attached(place: Place): Promise<Attached> {
    const { device } = await this.#published(place)
    return { object: place.object, device: device ?? place.target, readOnly: place.readOnly }
  }

  #published(place: Place) {
    return this.#parts.places.published(place, this.#parts.plugin.settings.mode)
  }

  /** @throws in_use when it is attached in the other mode */
  async attach(object: string, handle: VolumeHandle, readOnly: boolean, signal: AbortSignal): Promise<Attached> {
    const { places, pool } = this.#parts
    const before = await places.at(pool, object)
    if (before !== undefined && before.readOnly !== readOnly) {
      if (await this.#isPublished(before)) throw otherMode(before, readOnly)
      await this.#takeBack(before, signal)
    } else if (before !== undefined && (await this.#isPublished(before))) return await this.#attached(before)
    const place = await places.write(pool, object, { volumeId: handle.id, readOnly })
    try {
      await this.#node.bring(handle, place, readOnly, signal)
      return await this.#check(place, handle, signal)
    } catch (thrown) {
      // what the plugin may still be doing stays on record, and is taken back by the next detach
      if (!UNKNOWN_OUTCOME.has(asHoldfastError(thrown).code)) {
        await this.detach(object, AbortSignal.timeout(CLEAN_UP_MS)).catch(() => undefined)
      }
      throw thrown
    }
  }

  async #isPublished(place: Place): Promise<boolean> {
    const { device, mount } = await this.#published(place)
    return this.#parts.plugin.settings.mode === 'block' ? device !== undefined : mount !== undefined
  }

  /** What a plugin says that it has published is looked at before anything is written there. */
  async #check(place: Place, handle: VolumeHandle, signal: AbortSignal): Promise<Attached> {
    const { plugin, programs, places, pool } = this.#parts
    const { object, readOnly, target } = place
    const { device, mount } = await this.#published(place)
    if (plugin.settings.mode === 'mount') {
      if (mount === undefined) throw unpublished(place, 'nothing is mounted there')
      if (readOnly && !mount.readOnly) throw unpublished(place, 'it is mounted for writing, and was asked for reading')
      return { object, device: target, readOnly }
    }
    if (device === undefined) throw unpublished(place, 'there is no block device')
    const disk = await lookAtDevice(device)
    const smallest = handle.sizeMiB * 1024 * 1024
    if (disk === undefined || disk.bytes < smallest) {
      throw unpublished(place, `${device} has ${disk?.bytes ?? 0} bytes, and the volume ${smallest}`)
    }
    if (!readOnly && disk.readOnly) throw unpublished(place, `${device} is read-only, and was asked for writing`)
    if (readOnly && !disk.readOnly) {
      await places.write(pool, object, { volumeId: handle.id, readOnly, locked: device })
      await makeReadOnly(programs, device, signal)
    }
    return { object, device, readOnly }
  }

  /** @throws still_mounted */
  async detach(object: string, signal: AbortSignal): Promise<void> {
    const place = await this.#parts.places.at(this.#parts.pool, object)
    if (place !== undefined) await this.#takeBack(place, signal)
  }

  async #takeBack(place: Place, signal: AbortSignal): Promise<void> {
    const { places, pool, programs } = this.#parts
    const published = await this.#published(place)
    await places.requireUnused(place, published)
    if (place.locked !== undefined && place.locked === published.device) {
      await makeWritable(programs, place.locked, signal)
    }
    await this.#node.unpublish(place.volumeId, place, signal)
    if (await this.#isPublished(place)) {
      const text = `the CSI plugin says that it took ${place.object} back, and still has it at ${place.target}`
      throw new HoldfastError('still_mounted', text, { target: place.target })
    }
    await this.#node.unstage(place.volumeId, place, signal)
    await this.#node.unpublishFrom(place.volumeId, signal)
    await places.end(pool, place)
  }

  /** Lets the node know of a volume's new size; one that is not here is brought here for that. */
  async expand(object: string, handle: VolumeHandle, sizeMiB: number, signal: AbortSignal): Promise<void> {
    const { places, pool } = this.#parts
    const here = (await places.at(pool, object)) !== undefined
    if (!here) await this.attach(object, handle, false, signal)
    try {
      const place = await places.at(pool, object)
      if (place !== undefined) await this.#node.expand(handle, place, sizeMiB, signal)
    } finally {
      if (!here) await this.detach(object, AbortSignal.timeout(CLEAN_UP_MS))
    }
  }

  /** Where it is mounted by its users, the newest first. */
  async mountsOf(object: string): Promise<string[]> {
    const { places, pool } = this.#parts
    const place = await places.at(pool, object)
    if (place === undefined) return []
    return (await places.mountsOf(place, await this.#published(place))).map(({ target }) => target).reverse()
  }

  /** @param nodeId the plugin's name of another machine */
  async tearAway(volumeId: string, nodeId: string, signal: AbortSignal): Promise<void> {
    await this.#node.unpublishFrom(volumeId, signal, nodeId)
  }
}

function otherMode({ object, target }: Place, readOnly: boolean): HoldfastError {
  const [is, asked] = readOnly ? ['for writing', 'read-only'] : ['read-only', 'for writing']
  const text = `${object} is attached ${is} at ${target}; detach it before attaching it ${asked}`
  return new HoldfastError('in_use', text, { target })
}

function unpublished({ object, target }: Place, why: string): HoldfastError {
  const text = `the CSI plugin says that it has published ${object} at ${target}, but ${why}`
  return new HoldfastError('storage_failed', text, { target })
}
