/** An app as Marathon's `POST /v2/apps` takes it, as far as it concerns volumes (rest-api types of Marathon 1.11). */
export interface MarathonApp {
  /** An absolute path, e.g. `/db`. */
  readonly id: string
  readonly cmd: string
  /** 1 if not given. */
  readonly instances?: number
  readonly cpus?: number
  /** MiB. */
  readonly mem?: number
  readonly container?: AppContainer
  readonly upgradeStrategy?: { readonly minimumHealthCapacity?: number; readonly maximumOverCapacity?: number }
  readonly unreachableStrategy?: 'disabled' | object
}

export interface AppContainer {
  readonly type: 'MESOS' | 'DOCKER'
  readonly docker?: { readonly image: string }
  readonly volumes?: readonly AppVolume[]
}

export interface AppVolume {
  readonly containerPath: string
  readonly mode?: 'RW' | 'RO'
  readonly external?: ExternalVolume
  readonly persistent?: PersistentVolume
}

export interface ExternalVolume {
  readonly provider: string
  readonly name: string
  /** GiB; `dvdi` only. */
  readonly size?: number
  readonly shared?: boolean
  readonly options?: Readonly<Record<string, unknown>>
}

export interface PersistentVolume {
  readonly type?: 'root' | 'path' | 'mount'
  /** MiB. */
  readonly size: number
  readonly maxSize?: number
  readonly profileName?: string
}

/** What the `options` of a `csi` volume must be. */
export interface CsiOptions {
  readonly pluginName: string
  readonly capability: {
    readonly accessType: 'mount' | 'block'
    readonly accessMode: string
    readonly fsType?: string
    readonly mountFlags?: readonly string[]
  }
  readonly nodeStageSecret?: Readonly<Record<string, string>>
  readonly nodePublishSecret?: Readonly<Record<string, string>>
  readonly volumeContext?: Readonly<Record<string, string>>
}

/** @returns the options of a csi volume, or undefined when they are not such */
export function csiOptions(volume: ExternalVolume): CsiOptions | undefined {
  const options = volume.options as Partial<CsiOptions> | undefined
  if (typeof options?.pluginName !== 'string' || typeof options.capability !== 'object') return undefined
  const { accessMode, accessType } = options.capability
  return typeof accessMode === 'string' && typeof accessType === 'string' ? (options as CsiOptions) : undefined
}

export function volumesOf(app: MarathonApp): readonly AppVolume[] {
  return app.container?.volumes ?? []
}

export function persistentVolumes(app: MarathonApp): readonly (AppVolume & { persistent: PersistentVolume })[] {
  return volumesOf(app).filter((volume) => volume.persistent !== undefined) as never
}
