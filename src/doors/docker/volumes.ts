import { asHoldfastError, HoldfastError } from '../../model/errors.ts'
import { isName } from '../../model/names.ts'
import { quote } from '../../model/units.ts'
import type { Access, Fault, Format, VolumeFs, VolumeState } from '../../model/volume.ts'
import type { RestClient } from '../../node/http-link.ts'

/** What this door reads of a volume at the REST interface. */
export interface ShownVolume {
  readonly id: string
  readonly name: string
  readonly pool: string
  readonly poolId: string
  readonly role: string
  readonly sizeMiB: number
  readonly iops: number
  readonly fs: VolumeFs
  readonly access: Access
  readonly state: VolumeState
  readonly format: Format
  readonly epoch: number
  readonly protected: boolean
  readonly fingerprint?: string
  readonly fault?: Fault
  readonly createdAt: string
  /** In the trash, or deleted from there: it has given its name up. */
  readonly purgeAt?: string
  readonly attachments: readonly {
    readonly id: string
    readonly node: string
    readonly users: readonly { readonly door: string; readonly id: string }[]
  }[]
}

/** A snapshot or volume that can be copied. */
export interface ShownSource {
  readonly id: string
  readonly name: string
  readonly poolId: string
  readonly role: string
  readonly sizeMiB: number
  readonly fs: VolumeFs
}

/** Says at the REST interface which door speaks: for the history, and because only doors give fingerprints. */
const DOOR = { 'holdfast-door': 'docker' }
/** Seconds that one request waits for slow work; it is repeated. */
const WAIT_S = 20

/** The ledger's volumes, as far as they concern this door. */
export class Volumes {
  readonly #rest: RestClient
  readonly #roles: readonly string[]

  constructor(rest: RestClient, roles: readonly string[]) {
    this.#rest = rest
    this.#roles = roles
  }

  /** The volume that has this name now, whoever owns it. Docker knows names only, so ids find nothing. */
  async named(name: string): Promise<ShownVolume | undefined> {
    if (!isName(name)) return undefined
    const found = await this.#found<ShownVolume>(`/v1/volumes/${encodeURIComponent(name)}`)
    if (found === undefined || (found.name === name && found.purgeAt === undefined)) return found
    // the name is the id of another one, which comes first there
    const volumes = await this.#pages(`name=${encodeURIComponent(name)}`)
    return volumes.find((volume) => volume.name === name && volume.purgeAt === undefined)
  }

  /** @throws not_found also for one that belongs to another role: that one is not Docker's business */
  async need(name: string): Promise<ShownVolume> {
    const volume = await this.named(name)
    if (volume === undefined || !isShown(volume) || !this.#roles.includes(volume.role)) throw noSuchVolume(name)
    return volume
  }

  /** All volumes of this door's roles, without those that are being deleted or in the trash. */
  async all(): Promise<ShownVolume[]> {
    const pages = await Promise.all(this.#roles.map((role) => this.#pages(`role=${encodeURIComponent(role)}`)))
    const volumes = pages.flat().filter(isShown)
    return volumes.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async #pages(query: string): Promise<ShownVolume[]> {
    const found: ShownVolume[] = []
    let cursor = ''
    do {
      const page = await this.#get<{ items: ShownVolume[]; next?: string }>(`/v1/volumes?limit=1000&${query}${cursor}`)
      found.push(...page.items)
      cursor = page.next === undefined ? '' : `&cursor=${encodeURIComponent(page.next)}`
    } while (cursor !== '')
    return found
  }

  #get<T>(path: string): Promise<T> {
    return this.#rest.rest<T>('GET', path, undefined, DOOR)
  }

  /** What a new volume is to be a copy of; undefined also for what belongs to another role. */
  async source(kind: 'snapshot' | 'volume', name: string): Promise<ShownSource | undefined> {
    const snapshot = () => this.#found<ShownSource>(`/v1/snapshots/${encodeURIComponent(name)}`)
    const found = kind === 'volume' ? await this.named(name) : await snapshot()
    return found !== undefined && this.#roles.includes(found.role) ? found : undefined
  }

  async #found<T>(path: string): Promise<T | undefined> {
    try {
      return await this.#get<T>(path)
    } catch (thrown) {
      if (asHoldfastError(thrown).code === 'not_found') return undefined
      throw thrown
    }
  }

  /**
   * Asks for a volume and waits for it a while, at most for the time that is left. The same body again gives the same
   * volume.
   * @throws what was in the way; with the volume in its data when making it failed for good
   */
  async create(body: object, leftMs: number): Promise<ShownVolume> {
    const path = `/v1/volumes?wait=${Math.min(WAIT_S, Math.floor(leftMs / 1000))}`
    return (await this.#rest.rest<{ volume: ShownVolume }>('POST', path, body, DOOR)).volume
  }

  /** @throws in_use, protected, not_found, … */
  async delete(id: string, trashSeconds: number): Promise<void> {
    await this.#rest.rest('DELETE', `/v1/volumes/${encodeURIComponent(id)}?trash=${trashSeconds}`, undefined, DOOR)
  }
}

function isShown(volume: ShownVolume): boolean {
  return volume.purgeAt === undefined && volume.state !== 'deleting' && volume.state !== 'trash'
}

export function noSuchVolume(name: string): HoldfastError {
  return new HoldfastError('not_found', `no such volume ${quote(name)}`)
}
