import { asHoldfastError, HoldfastError } from '../../model/errors.ts'
import { checkName } from '../../model/names.ts'
import { formatSize, quote } from '../../model/units.ts'
import { fingerprint } from '../../runtime/secrets.ts'
import type { DoorSettings } from './config.ts'
import { type CreateOptions, readOptions } from './options.ts'
import { patiently } from './patience.ts'
import { MAKING, resolvesIn } from './resolves.ts'
import type { ShownSource, ShownVolume, Volumes } from './volumes.ts'

interface Request {
  readonly name: string
  readonly options: CreateOptions
  /** Docker sends none for a volume that `docker run` names. */
  readonly bare: boolean
  /** Tells a repeat from a request for something else: the name is this door's idempotency key. */
  readonly fingerprint: string
}

/** VolumeDriver.Create: returns when the volume can be used. */
export class Creator {
  readonly #volumes: Volumes
  readonly #settings: DoorSettings

  constructor(volumes: Volumes, settings: DoorSettings) {
    this.#volumes = volumes
    this.#settings = settings
  }

  /**
   * Idempotent: an existing volume is a success when nothing was asked of it, or the same as when it was made.
   * @throws name_taken when it was asked for with other options; invalid_option, invalid_size, invalid_name;
   *   does_not_fit and whatever else kept it from being made, and then its name is free again
   */
  async create(name: string, options: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
    checkVolumeName(name)
    const request: Request = {
      name,
      options: readOptions(options),
      bare: Object.keys(options).length === 0,
      fingerprint: fingerprint({ name, options }),
    }
    this.#checkRole(request.options.role)
    await patiently({ forMs: this.#settings.answerMs, signal, resolvesIn }, (leftMs) => this.#attempt(request, leftMs))
  }

  #checkRole(role: string | undefined): void {
    const { roles } = this.#settings
    if (role === undefined || roles.includes(role)) return
    throw new HoldfastError('role_not_allowed', `role ${quote(role)}: this Docker acts for ${roles.join(', ')}`)
  }

  async #attempt(request: Request, leftMs: number): Promise<void> {
    const existing = await this.#volumes.named(request.name)
    if (existing !== undefined) {
      this.#checkSame(request, existing)
      if (existing.state === 'available') return
      if (existing.state === 'error') await this.#clear(request, existing)
      // somebody else asked for it: all there is to do is wait
      if (existing.fingerprint !== request.fingerprint) throw stillMaking(existing)
    }
    const body = await this.#body(request)
    let volume: ShownVolume
    try {
      volume = await this.#volumes.create(body, leftMs)
    } catch (thrown) {
      throw await this.#failed(request, asHoldfastError(thrown))
    }
    if (volume.state !== 'available') throw stillMaking(volume)
  }

  /** @throws name_taken, or wrong_state while the volume that had the name is being deleted */
  #checkSame(request: Request, existing: ShownVolume): void {
    const { name, role, sizeMiB, fs, pool, state } = existing
    if (!this.#settings.roles.includes(role)) {
      throw new HoldfastError('name_taken', `the name ${name} is taken by a volume of another role`)
    }
    if (state === 'deleting') throw new HoldfastError('wrong_state', `volume ${name} is being deleted`, { state })
    if (request.bare || request.fingerprint === existing.fingerprint) return
    const what = `${formatSize(sizeMiB)}, ${fs}, ${pool}`
    throw new HoldfastError('name_taken', `volume ${name} exists already with other options (${what})`)
  }

  /** A volume that could not be made has never been used: it goes, and is made again. Any other error stays. */
  async #clear(request: Request, existing: ShownVolume): Promise<never> {
    if (!isUnmade(existing) || existing.fingerprint !== request.fingerprint) {
      const why = existing.fault?.message ?? 'its making was cancelled'
      throw new HoldfastError('wrong_state', `volume ${existing.name} is in error: ${why}`)
    }
    await this.#volumes.delete(existing.id, 0)
    throw new HoldfastError('wrong_state', `volume ${existing.name} is being made again`, { state: 'deleting' })
  }

  /** What could not be made must not keep its name. */
  async #failed(request: Request, error: HoldfastError): Promise<HoldfastError> {
    const volume = error.data.volume as ShownVolume | undefined
    if (typeof volume !== 'object' || volume.state !== 'error') return error
    if (!isUnmade(volume) || volume.fingerprint !== request.fingerprint) return error
    // if this fails too, the next Create of the name does it
    await this.#volumes.delete(volume.id, 0).catch(() => undefined)
    return new HoldfastError(error.code, `volume ${volume.name} could not be made: ${error.message}`, { final: true })
  }

  async #body({ name, options, fingerprint: mark }: Request): Promise<object> {
    const source = options.from === undefined ? undefined : await this.#source(options.from)
    const { settings } = this.#defaults(source)
    const { from: _, sizeMiB, pool, fs, role, ...rest } = options
    return {
      name,
      fingerprint: mark,
      sizeMiB: sizeMiB ?? settings.sizeMiB,
      role: role ?? settings.role,
      ...defined('pool', pool ?? settings.pool),
      ...defined('fs', fs ?? settings.fs),
      ...defined('from', source?.from),
      ...rest,
    }
  }

  /** A copy is by default what its source is. */
  #defaults(source: Source | undefined) {
    const { defaultSizeMiB, defaultRole, pool, fs } = this.#settings
    if (source === undefined) return { settings: { sizeMiB: defaultSizeMiB, role: defaultRole, pool, fs } }
    const { sizeMiB, role, poolId } = source.shown
    return { settings: { sizeMiB, role, pool: poolId, fs: source.shown.fs } }
  }

  /** @throws not_found */
  async #source(from: NonNullable<CreateOptions['from']>): Promise<Source> {
    const kinds = from.kind === undefined ? (['snapshot', 'volume'] as const) : [from.kind]
    for (const kind of kinds) {
      const shown = await this.#volumes.source(kind, from.name)
      if (shown !== undefined) return { shown, from: { [kind]: shown.id } }
    }
    throw new HoldfastError('not_found', `from: there is no ${kinds.join(' or ')} ${quote(from.name)}`)
  }
}

interface Source {
  readonly shown: ShownSource
  readonly from: { readonly [kind: string]: string }
}

function defined<T>(key: string, value: T | undefined): Record<string, T> {
  return value === undefined ? {} : { [key]: value }
}

function checkVolumeName(name: string): void {
  if (/^[0-9a-f]{64}$/.test(name)) {
    throw new HoldfastError('invalid_name', 'a volume needs a name here; Docker asked for one without (-v /path)')
  }
  checkName('volume', name)
}

/** No filesystem was ever finished on it, so nobody can have data there. */
function isUnmade(volume: ShownVolume): boolean {
  return volume.format.state === 'blank' || volume.format.state === 'formatting'
}

function stillMaking(volume: ShownVolume): HoldfastError {
  const { name, state } = volume
  const message = MAKING.has(state)
    ? `volume ${name} is still being made (${state}); the same command again goes on waiting`
    : `volume ${name} is ${state}`
  return new HoldfastError('wrong_state', message, { state })
}
