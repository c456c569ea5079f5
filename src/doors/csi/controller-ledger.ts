import { asHoldfastError, HoldfastError } from '../../model/errors.ts'
import { isName } from '../../model/names.ts'
import { quote } from '../../model/units.ts'
import type { Access, Fault, Format, Snapshot, Source, VolumeFs, VolumeState } from '../../model/volume.ts'
import type { RestClient } from '../../node/http-link.ts'
import { DOOR_HEADER } from './words.ts'

/** What this service reads of a volume at the REST interface. */
export interface ShownVolume {
  readonly id: string
  readonly name: string
  readonly pool: string
  readonly poolId: string
  readonly role: string
  readonly sizeMiB: number
  readonly iops: number
  readonly bandwidth: number
  readonly fs: VolumeFs
  readonly access: Access
  readonly state: VolumeState
  readonly format: Format
  readonly imported: boolean
  readonly protected: boolean
  readonly labels: Readonly<Record<string, string>>
  readonly source?: Source
  readonly fingerprint?: string
  readonly fault?: Fault
  /** In the trash, or deleted from there: it has given its name up. */
  readonly purgeAt?: string
  readonly attachments: readonly ShownAttachment[]
}

export interface ShownAttachment {
  readonly id: string
  readonly nodeId: string
  /** Name of the node. */
  readonly node: string
  readonly mode: 'rw' | 'ro'
  readonly state: string
  readonly reason?: string
  readonly users: readonly { readonly door: string; readonly id: string }[]
}

export type ShownSnapshot = Pick<Snapshot, 'id' | 'name' | 'volumeId' | 'poolId' | 'role' | 'sizeMiB' | 'fs'> &
  Pick<Snapshot, 'state' | 'group' | 'fault'> & { readonly createdAt: string }

export interface Page<T> {
  readonly items: readonly T[]
  readonly next?: string
}

/** Ids as they are written everywhere; what looks otherwise can be nobody's. */
const isId = (text: string) => /^[a-z0-9-]{1,40}$/.test(text)

/** The longest that the REST interface lets anybody wait, s. */
const MAX_WAIT_S = 120

/** The ledger, as far as it concerns the roles of this door. */
export class Ledger {
  readonly roles: readonly string[]
  readonly #rest: RestClient

  constructor(rest: RestClient, roles: readonly string[]) {
    this.#rest = rest
    this.roles = roles
  }

  get<T>(path: string): Promise<T> {
    return this.#rest.rest<T>('GET', path, undefined, DOOR_HEADER)
  }

  /** @param waitMs how long the answer may wait for slow work, ms */
  send<T>(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: object, waitMs?: number): Promise<T> {
    const wait =
      waitMs === undefined
        ? ''
        : `${path.includes('?') ? '&' : '?'}wait=${Math.min(MAX_WAIT_S, Math.floor(waitMs / 1000))}`
    return this.#rest.rest<T>(method, `${path}${wait}`, body, DOOR_HEADER)
  }

  /** Undefined for what is not there. */
  async find<T>(path: string): Promise<T | undefined> {
    try {
      return await this.get<T>(path)
    } catch (thrown) {
      if (asHoldfastError(thrown).code === 'not_found') return undefined
      throw thrown
    }
  }

  /** A volume by its id, whoever owns it; also one that is on its way out. A name finds nothing. */
  async volume(id: string): Promise<ShownVolume | undefined> {
    const found = isId(id) ? await this.find<ShownVolume>(`/v1/volumes/${id}`) : undefined
    return found?.id === id ? found : undefined
  }

  /** @throws not_found also for one that belongs to another role or is on its way out: it is not this door's business */
  async needVolume(id: string): Promise<ShownVolume> {
    const found = await this.volume(id)
    if (found !== undefined && this.roles.includes(found.role) && !isLeaving(found)) return found
    throw noSuch('volume', id)
  }

  /** Whoever has this name now. */
  async volumeNamed(name: string): Promise<ShownVolume | undefined> {
    if (!isName(name)) return undefined
    const { items } = await this.get<Page<ShownVolume>>(`/v1/volumes?limit=1000&name=${encodeURIComponent(name)}`)
    return items.find((each) => each.purgeAt === undefined)
  }

  async snapshot(id: string): Promise<ShownSnapshot | undefined> {
    const found = isId(id) ? await this.find<ShownSnapshot>(`/v1/snapshots/${id}`) : undefined
    return found?.id === id ? found : undefined
  }

  /** @throws not_found */
  async needSnapshot(id: string): Promise<ShownSnapshot> {
    const found = await this.snapshot(id)
    if (found !== undefined && this.roles.includes(found.role) && found.state !== 'deleting') return found
    throw noSuch('snapshot', id)
  }
}

export function isLeaving({ purgeAt, state }: ShownVolume): boolean {
  return purgeAt !== undefined || state === 'trash' || state === 'deleting'
}

export function noSuch(kind: string, id: string): HoldfastError {
  return new HoldfastError('not_found', `no such ${kind} ${quote(id)}`, { kind })
}
