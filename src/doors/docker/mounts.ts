import type { Clock } from '../../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../../model/errors.ts'
import { quote } from '../../model/units.ts'
import type { NodeDaemon } from '../../node/daemon.ts'
import type { LocalVolumes } from './local.ts'
import { patiently } from './patience.ts'
import { resolvesIn } from './resolves.ts'
import { Turns } from './turns.ts'
import type { ShownVolume, Volumes } from './volumes.ts'

/** The user that stands for all callers without a mount ID (dvdcli): they mount many times and unmount once. */
export const SET_USER = 'set'

export interface MountsParts {
  readonly node: Pick<NodeDaemon, 'mount' | 'unmount'>
  readonly local: LocalVolumes
  readonly volumes: Volumes
  readonly roles: readonly string[]
  /** How long a Mount takes at most, ms. */
  readonly answerMs: number
  readonly clock: Clock
  readonly log: (event: string, data: Record<string, unknown>) => void
  /** Aborts when the door closes. */
  readonly closing: AbortSignal
}

/** A Mount that is under way, and those who wait for it. */
interface Running {
  readonly result: Promise<string>
  readonly abandon: AbortController
  waiting: number
}

/** VolumeDriver.Mount and Unmount: one user of the volume per mount ID. */
export class Mounts {
  readonly #parts: MountsParts
  readonly #turns = new Turns()
  readonly #running = new Map<string, Running>()
  readonly #asked = new Map<string, number>()
  readonly #since: number
  /** Grows with every Mount that begins. */
  begun = 0

  constructor(parts: MountsParts) {
    this.#parts = parts
    this.#since = parts.clock.boottime()
  }

  /** Whether a Mount is under way. */
  get busy(): boolean {
    return this.#running.size > 0
  }

  /** How long ago a user was last asked for by Mount, as far as this process knows, ms. */
  ageOf(name: string, id: string): number {
    return this.#parts.clock.boottime() - (this.#asked.get(keyOf(name, id)) ?? this.#since)
  }

  /**
   * Mounts for one user; the same again gets the same answer. What resolves by itself is waited for.
   * @param gone the caller has hung up: a mount that nobody was told of is taken back
   */
  async mount(name: string, id: string, gone: AbortSignal): Promise<string> {
    const key = keyOf(name, id)
    this.#asked.set(key, this.#parts.clock.boottime())
    const running = this.#running.get(key) ?? this.#begin(key, name, id)
    running.waiting += 1
    try {
      return await this.#inTime(running, name, gone)
    } finally {
      running.waiting -= 1
      if (running.waiting === 0) running.abandon.abort()
    }
  }

  #begin(key: string, name: string, id: string): Running {
    const { closing, local } = this.#parts
    const abandon = new AbortController()
    const signal = AbortSignal.any([abandon.signal, closing])
    const known = local.hasUser(name, id)
    this.begun += 1
    const result = this.#turns.run(key, () => this.#patiently(name, id, signal))
    const running: Running = { result, abandon, waiting: 0 }
    this.#running.set(key, running)
    result
      .then(() => {
        if (running.waiting === 0 && !known && !closing.aborted) this.#takeBack(name, id)
      })
      .catch(() => undefined)
      .finally(() => {
        if (this.#running.get(key) === running) this.#running.delete(key)
      })
    return running
  }

  #takeBack(name: string, id: string): void {
    this.#parts.log('docker.mount.abandoned', { volume: name, user: id })
    this.unmount(name, id).catch((thrown) =>
      this.#parts.log('docker.unmount.failed', { volume: name, message: asHoldfastError(thrown).message }),
    )
  }

  async #inTime(running: Running, name: string, gone: AbortSignal): Promise<string> {
    const { promise, reject } = Promise.withResolvers<never>()
    const late = new HoldfastError('storage_timeout', `volume ${name} is still being mounted; try again`)
    // a little later than the last attempt, which knows the reason
    const timer = setTimeout(() => reject(late), this.#parts.answerMs + 500)
    const hungUp = () => reject(new HoldfastError('cancelled', 'the caller has gone'))
    gone.addEventListener('abort', hungUp)
    try {
      return await Promise.race([running.result, promise])
    } finally {
      clearTimeout(timer)
      gone.removeEventListener('abort', hungUp)
    }
  }

  #patiently(name: string, id: string, signal: AbortSignal): Promise<string> {
    const patience = {
      forMs: this.#parts.answerMs,
      signal,
      resolvesIn: (error: HoldfastError) =>
        error.code === 'held_elsewhere' ? this.#heldFor(name, error) : resolvesIn(error),
    }
    return patiently(patience, () => this.#attempt(name, id))
  }

  async #attempt(name: string, id: string): Promise<string> {
    const { node, roles } = this.#parts
    const mode = this.#modeFor(name, id) ?? (await this.#modeOf(name))
    return node.mount({ volume: name, user: { door: 'docker', id }, mode, roles })
  }

  /** Of a user who has it: the same again gets the same answer, without asking the controller. */
  #modeFor(name: string, id: string): 'rw' | 'ro' | undefined {
    const { local } = this.#parts
    return local.hasUser(name, id) ? local.mountedForDocker(name)?.mode : undefined
  }

  /** Read-only volumes are mounted so: Docker does not say what it wants. @throws wrong_state for a raw volume */
  async #modeOf(name: string): Promise<'rw' | 'ro'> {
    const { volumes, local } = this.#parts
    let volume: ShownVolume
    try {
      volume = await volumes.need(name)
    } catch (thrown) {
      // while the controller is away, what is mounted for Docker already may have one more user
      const here = asHoldfastError(thrown).code === 'unreachable' ? local.mountedForDocker(name) : undefined
      if (here === undefined) throw thrown
      return here.mode
    }
    if (volume.fs === 'raw') {
      throw new HoldfastError('unsupported', `volume ${name} is raw; Docker can only mount volumes with a filesystem`)
    }
    return volume.access === 'read-only' ? 'ro' : 'rw'
  }

  /** Operations and users that are on their way out let go by themselves; a user who works there does not. */
  async #heldFor(name: string, error: HoldfastError): Promise<number> {
    const volume = await this.#parts.volumes.named(name).catch(() => undefined)
    const holder = volume?.attachments.find((each) => each.id === error.data.attachment)
    const users = holder?.users.filter((user) => user.door !== 'operation') ?? []
    return users.length === 0 ? Number.POSITIVE_INFINITY : 0
  }

  /** A user goes. Not being one is a success, because Docker repeats what it is not sure of. */
  async unmount(name: string, id: string): Promise<void> {
    const key = keyOf(name, id)
    this.#running.get(key)?.abandon.abort()
    this.#running.delete(key)
    await this.#turns.run(key, () => this.#parts.node.unmount(name, { door: 'docker', id }))
    this.#asked.delete(key)
  }
}

/** @throws invalid_request */
export function userOf(id: string): string {
  if (id === '') return SET_USER
  if (/^[\x21-\x7e]{1,256}$/.test(id)) return id
  throw new HoldfastError('invalid_request', `mount ID ${quote(id)}: at most 256 printable characters`)
}

function keyOf(name: string, id: string): string {
  return `${name}/${id}`
}
