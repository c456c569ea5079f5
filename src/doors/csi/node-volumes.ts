import { asHoldfastError, HoldfastError } from '../../model/errors.ts'
import { isName } from '../../model/names.ts'
import { quote } from '../../model/units.ts'
import type { Access, Fault, VolumeFs, VolumeState } from '../../model/volume.ts'
import type { NodeDaemon } from '../../node/daemon.ts'
import type { RestClient } from '../../node/http-link.ts'
import type { Slot } from '../../node/slot.ts'
import { DOOR_HEADER } from './words.ts'

/** What the Node service reads of a volume. */
export interface VolumeFacts {
  readonly id: string
  readonly name: string
  readonly fs: VolumeFs
  readonly sizeMiB: number
  readonly realSizeMiB?: number
  /** Unknown, with the rest, while the controller is away. */
  readonly access: Access | undefined
  readonly state?: VolumeState
  readonly fault?: Fault
  readonly attachments?: readonly Holder[]
}

interface Holder {
  readonly id: string
  readonly users: readonly { readonly door: string; readonly id: string }[]
}

interface ShownVolume extends VolumeFacts {
  readonly role: string
  readonly access: Access
  readonly state: VolumeState
  readonly purgeAt?: string
}

/** Volumes by id or name, as far as they concern this door. */
export class NodeVolumes {
  readonly #rest: RestClient
  readonly #table: NodeDaemon['table']
  readonly #roles: readonly string[]

  constructor(rest: RestClient, table: NodeDaemon['table'], roles: readonly string[]) {
    this.#rest = rest
    this.#table = table
    this.#roles = roles
  }

  /** This node's own knowledge of a volume that it has, or had. */
  here(idOrName: string): Slot | undefined {
    return this.#table.find(idOrName)
  }

  /** @throws not_found also for one that belongs to another role or is on its way out; unreachable, … */
  async need(idOrName: string): Promise<VolumeFacts> {
    try {
      return await this.#shown(idOrName)
    } catch (thrown) {
      const known = asHoldfastError(thrown).code === 'unreachable' ? this.#known(idOrName) : undefined
      if (known === undefined) throw thrown
      return known
    }
  }

  async #shown(idOrName: string): Promise<VolumeFacts> {
    // ids are names too, as far as their letters go
    if (!isName(idOrName)) throw noSuchVolume(idOrName)
    const path = `/v1/volumes/${encodeURIComponent(idOrName)}`
    const shown = await this.#rest.rest<ShownVolume>('GET', path, undefined, DOOR_HEADER)
    const leaving = shown.purgeAt !== undefined || shown.state === 'trash' || shown.state === 'deleting'
    if (!leaving && this.#roles.includes(shown.role)) return shown
    throw noSuchVolume(idOrName)
  }

  /** While the controller is away: a volume that this door has here already. */
  #known(idOrName: string): VolumeFacts | undefined {
    const entry = this.#table.find(idOrName)?.entry
    if (entry?.users.some((user) => user.door === 'csi') !== true) return undefined
    const { id, name, fs, sizeMiB } = entry.volume
    return { id, name, fs, sizeMiB, access: undefined }
  }
}

function noSuchVolume(idOrName: string): HoldfastError {
  return new HoldfastError('not_found', `no such volume ${quote(idOrName)}`)
}
