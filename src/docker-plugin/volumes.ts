/** A Docker volume plugin as a caller sees it that takes nothing for granted. */
import { HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'
import { saysAbsent, saysNotMounted } from './absent.ts'
import { BadSpecification, type Endpoint, locate, nearDriver, type PluginDirectories } from './discovery.ts'
import { exchange, Unanswered } from './exchange.ts'
import { refusal } from './refusal.ts'
import { Garbage, isObject, isSentence, NoSuchCall, Refused, type Reply, replyOf } from './reply.ts'

type Method = 'Create' | 'Remove' | 'Mount' | 'Unmount' | 'Path' | 'Get' | 'List' | 'Capabilities'

/** Milliseconds. */
export interface PluginTimes {
  /** Create and Mount, which may take long; Docker gives them 2 minutes. */
  readonly longMs: number
  /** All other calls; Docker gives them 1 minute. */
  readonly shortMs: number
  /** How long a plugin that is not there is waited for. */
  readonly waitMs: number
}

export interface PluginVolume {
  readonly name: string
  /** Where it is mounted, as the plugin has it: on this machine, or on another one. */
  readonly mountpoint: string | undefined
}

export interface PluginAddress {
  /** Its name, or the path of its socket. */
  readonly plugin?: string | undefined
  readonly socket?: string | undefined
}

export class PluginVolumes {
  readonly #address: PluginAddress
  readonly #directories: PluginDirectories
  readonly #times: PluginTimes

  constructor(address: PluginAddress, directories: PluginDirectories, times: PluginTimes) {
    this.#address = address
    this.#directories = directories
    this.#times = times
  }

  /** Whom messages speak of. */
  get label(): string {
    const { plugin, socket = '' } = this.#address
    return `plugin ${plugin ?? socket}`
  }

  /** Makes sure that it is there and keeps volumes. @throws storage_failed, storage_timeout */
  async activate(signal: AbortSignal): Promise<void> {
    const { Implements: kinds } = await this.#call('/Plugin.Activate', '', signal).catch((thrown) => {
      throw this.#coded(thrown, 'Plugin.Activate')
    })
    if (Array.isArray(kinds) && kinds.includes('VolumeDriver')) return
    throw new HoldfastError('storage_failed', `${this.label} is no volume driver`)
  }

  /** `local`: each machine has volumes of its own. A plugin that does not say has no opinion. */
  async scope(signal: AbortSignal): Promise<'local' | 'global' | undefined> {
    const { Capabilities: capabilities } = await this.#ask('Capabilities', {}, signal).catch(unlessRefused)
    const scope = isObject(capabilities) ? String(capabilities.Scope).toLowerCase() : undefined
    return scope === 'local' || scope === 'global' ? scope : undefined
  }

  /** All volumes; undefined when the plugin cannot list. */
  async list(signal: AbortSignal): Promise<PluginVolume[] | undefined> {
    const reply = await this.#ask('List', {}, signal).catch((thrown) => {
      if (thrown instanceof NoSuchCall) return undefined
      throw this.#coded(thrown, 'List')
    })
    if (reply === undefined) return undefined
    const { Volumes: volumes } = reply
    if (volumes === null || volumes === undefined) return []
    if (!Array.isArray(volumes)) throw this.#strange('List', 'Volumes is no list')
    return volumes.flatMap((each) => volumeIn(each) ?? [])
  }

  /** One volume, or undefined. Where Get does not tell, List and Path are asked. @throws storage_failed when none tells */
  async get(name: string, signal: AbortSignal): Promise<PluginVolume | undefined> {
    const reply = await this.#ask('Get', { Name: name }, signal).catch((thrown) => this.#absent(thrown, name))
    if (reply === 'absent') return undefined
    if (reply !== 'unclear') {
      if (reply.Volume === null) return undefined
      const volume = volumeIn(reply.Volume)
      if (volume?.name === name) return volume
      if (volume !== undefined) throw this.#strange('Get', `it was asked for ${name} and told of ${quote(volume.name)}`)
    }
    const volumes = await this.list(signal)
    if (volumes !== undefined) return volumes.find((each) => each.name === name)
    const path = await this.#ask('Path', { Name: name }, signal).catch((thrown) => this.#absent(thrown, name))
    if (path === 'absent') return undefined
    if (path === 'unclear') {
      throw new HoldfastError('storage_failed', `${this.label} does not tell whether it has the volume ${name}`)
    }
    return { name, mountpoint: isSentence(path.Mountpoint) ? path.Mountpoint : undefined }
  }

  /** @throws what the plugin says, coded; storage_timeout when it is not known whether it was made */
  async create(name: string, options: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
    await this.#change('Create', { Name: name, Opts: options }, signal)
  }

  /** One that is not there is a success. */
  async remove(name: string, signal: AbortSignal): Promise<void> {
    await this.#change('Remove', { Name: name }, signal, (said) => saysAbsent(said, name, []))
  }

  /** @param id the user; the same one again is no other user @returns where it is, as the plugin says */
  async mount(name: string, id: string, signal: AbortSignal): Promise<string> {
    const { Mountpoint: mountpoint } = (await this.#change('Mount', { Name: name, ID: id }, signal)) ?? {}
    if (isSentence(mountpoint)) return mountpoint
    throw this.#strange('Mount', 'it has no Mountpoint')
  }

  /** A volume that is not there, or not mounted, is a success. */
  async unmount(name: string, id: string, signal: AbortSignal): Promise<void> {
    const done = (said: string) => saysNotMounted(said) || saysAbsent(said, name, [])
    await this.#change('Unmount', { Name: name, ID: id }, signal, done)
  }

  async #change(
    method: 'Create' | 'Remove' | 'Mount' | 'Unmount',
    body: Reply,
    signal: AbortSignal,
    done: (said: string) => boolean = () => false,
  ): Promise<Reply | undefined> {
    try {
      return await this.#ask(method, body, signal)
    } catch (thrown) {
      if (thrown instanceof Refused && done(thrown.message)) return undefined
      throw this.#coded(thrown, `${method} of ${String(body.Name)}`)
    }
  }

  #ask(method: Method, body: Reply, signal: AbortSignal): Promise<Reply> {
    return this.#call(`/VolumeDriver.${method}`, JSON.stringify(body), signal)
  }

  /** @throws Refused, NoSuchCall; everything else is coded already */
  async #call(path: string, body: string, signal: AbortSignal): Promise<Reply> {
    if (signal.aborted) throw new HoldfastError('cancelled', `${path.slice(1)} of ${this.label} was cancelled`)
    const slow = /Create|Mount/.test(path)
    const deadlineMs = slow ? this.#times.longMs : this.#times.shortMs
    const late = AbortSignal.timeout(deadlineMs)
    const options = { waitMs: this.#times.waitMs, repeatable: !/Create|Remove|Mount/.test(path) }
    try {
      const both = AbortSignal.any([signal, late])
      return replyOf(path.slice(1), await exchange(() => this.#locate(), path, body, { ...options, signal: both }))
    } catch (thrown) {
      if (thrown instanceof Refused || thrown instanceof NoSuchCall) throw thrown
      if (signal.aborted) throw new HoldfastError('cancelled', `${path.slice(1)} of ${this.label} was cancelled`)
      if (late.aborted) {
        const text = `${this.label} did not answer ${path.slice(1)} within ${deadlineMs / 1000} s`
        throw new HoldfastError('storage_timeout', text)
      }
      throw this.#coded(thrown, path.slice(1))
    }
  }

  #locate(): Endpoint | undefined {
    const { plugin, socket } = this.#address
    if (socket !== undefined) return { kind: 'unix', path: socket }
    try {
      return locate(plugin ?? '', this.#directories)
    } catch (thrown) {
      if (thrown instanceof BadSpecification) throw new HoldfastError('storage_failed', thrown.message)
      throw thrown
    }
  }

  /** An error that leaves open whether the volume is there is not taken for its absence. */
  #absent(thrown: unknown, name: string): 'absent' | 'unclear' {
    if (thrown instanceof NoSuchCall) return 'unclear'
    if (!(thrown instanceof Refused)) throw thrown
    return saysAbsent(thrown.message, name, []) ? 'absent' : 'unclear'
  }

  #coded(thrown: unknown, what: string): HoldfastError {
    if (thrown instanceof HoldfastError) return thrown
    if (thrown instanceof Refused) return refusal(this.label, what, thrown.message)
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    if (thrown instanceof NoSuchCall) return new HoldfastError('unsupported', `${this.label}: ${message}`)
    // it may have done what was asked
    if (thrown instanceof Garbage) return new HoldfastError('storage_timeout', `${this.label}: ${message}`)
    if (!(thrown instanceof Unanswered)) return new HoldfastError('storage_failed', `${this.label}: ${message}`)
    if (thrown.sent) {
      return new HoldfastError('storage_timeout', `${this.label} broke off in the middle of ${what}: ${message}`)
    }
    return new HoldfastError('storage_failed', `${this.label} does not answer ${what}: ${message}${this.#hint()}`)
  }

  #hint(): string {
    const { plugin } = this.#address
    const near = plugin === undefined ? undefined : nearDriver(plugin, this.#directories)
    return near === undefined ? '' : `; there is a plugin ${quote(near)}`
  }

  #strange(method: Method, what: string): HoldfastError {
    return new HoldfastError('storage_failed', `${this.label}: the answer to ${method} makes no sense: ${what}`)
  }
}

function volumeIn(value: unknown): PluginVolume | undefined {
  if (!isObject(value) || !isSentence(value.Name)) return undefined
  return { name: value.Name, mountpoint: isSentence(value.Mountpoint) ? value.Mountpoint : undefined }
}

/** Docker takes an error of this call for no answer (moby volume/drivers/adapter.go). */
function unlessRefused(thrown: unknown): Reply {
  if (thrown instanceof NoSuchCall || thrown instanceof Refused) return {}
  throw thrown
}
