import type { VolumeCapability, VolumeContentSource } from '../../csi/generated/csi/v1/csi_pb.js'
import type { Profile } from '../../model/profile.ts'
import type { Access, Source, VolumeFs } from '../../model/volume.ts'
import { type Needs, readNeeds, unmet } from './controller-capabilities.ts'
import type { ControllerSettings } from './controller-config.ts'
import type { Ledger, ShownSnapshot, ShownVolume } from './controller-ledger.ts'
import { type Parameters, volumeParameters } from './controller-parameters.ts'
import { badField, requiredText } from './fields.ts'

type Map = Readonly<Record<string, string>>

/** What a request for a volume says of the kind of volume, whatever its size and place. */
export interface Kind {
  readonly volumeCapabilities: readonly VolumeCapability[]
  readonly parameters: Map
  readonly mutableParameters: Map
}

/** A kind of volume in the words of the REST interface. */
export interface Plan {
  readonly needs: Needs
  readonly profile: Profile | undefined
  /** Fields of a request for a volume: all but its name, size and places. */
  readonly body: Parameters & { readonly role: string; readonly fs?: VolumeFs; readonly access: Access }
}

/** What a new volume is to be a copy of. */
export type Origin = Source & { readonly shown: ShownSnapshot | ShownVolume }

export class Planner {
  readonly #ledger: Ledger
  readonly #settings: ControllerSettings

  constructor(ledger: Ledger, settings: ControllerSettings) {
    this.#ledger = ledger
    this.#settings = settings
  }

  /** @throws INVALID_ARGUMENT */
  async plan(kind: Kind, origin?: Origin): Promise<Plan> {
    const needs = readNeeds(kind.volumeCapabilities)
    const asked = volumeParameters(kind.parameters, kind.mutableParameters)
    const role = this.#role(asked.role, origin)
    const profile = asked.profile === undefined ? undefined : await this.#profile(asked.profile)
    const access = asked.access ?? profile?.access ?? needs.access
    const fs = this.#fs(needs, asked, origin?.shown.fs ?? profile?.fs, access)
    const why = unmet(needs.wishes, { name: 'asked for', fs, access })
    if (why !== undefined) throw badField('volume_capabilities', `${why}: parameters and capabilities disagree`)
    const pool = asked.pool ?? (origin === undefined ? this.#settings.pool : undefined)
    return { needs, profile, body: { ...asked, role, fs, access, ...(pool === undefined ? {} : { pool }) } }
  }

  #role(asked: string | undefined, origin: Origin | undefined): string {
    const { roles, defaultRole } = this.#settings
    const role = asked ?? origin?.shown.role ?? defaultRole
    if (roles.includes(role)) return role
    throw badField('parameters.role', `this door acts for ${roles.join(', ')}, not for ${role}`)
  }

  async #profile(name: string): Promise<Profile> {
    const found = await this.#ledger.find<Profile>(`/v1/profiles/${encodeURIComponent(name)}`)
    if (found === undefined) throw badField('parameters.profile', `there is no profile ${name}`)
    return found
  }

  #fs({ kind, fsType }: Needs, asked: Parameters, known: VolumeFs | undefined, access: Access): VolumeFs {
    const given = asked.fs ?? known
    if (kind === 'block') return given ?? 'raw'
    if (given !== undefined) return given
    if (fsType !== '') return fsType as VolumeFs
    return access === 'many-writers' ? 'directory' : this.#settings.fs
  }

  /** @throws not_found, INVALID_ARGUMENT */
  async origin(source: VolumeContentSource | undefined): Promise<Origin | undefined> {
    if (source === undefined) return undefined
    const field = 'volume_content_source'
    const { type } = source
    if (type.case === 'snapshot') {
      const id = requiredText(`${field}.snapshot.snapshot_id`, type.value.snapshotId)
      return { kind: 'snapshot', id, shown: await this.#ledger.needSnapshot(id) }
    }
    if (type.case === 'volume') {
      const id = requiredText(`${field}.volume.volume_id`, type.value.volumeId)
      return { kind: 'volume', id, shown: await this.#ledger.needVolume(id) }
    }
    throw badField(field, 'neither a snapshot nor a volume')
  }
}
