/** Gets volumes from a plugin and gives them back, so that nothing is forgotten whatever ends the daemon in between. */
import { asHoldfastError, type ErrorCode, HoldfastError } from '../model/errors.ts'
import { FileWorker } from './file-worker.ts'
import { PluginPlaces, type Traces } from './plugin-places.ts'
import type { Programs } from './run.ts'

const LOOK_MS = 10_000
/** For taking back what a call that failed has left. */
const CLEAN_UP_MS = 60_000
/** A plugin that counts calls, and not users, wants as many Unmounts as it got Mounts, the repeated ones too. */
const MOST_UNMOUNTS = 8
/** After these a plugin may still do what it was asked. */
const UNKNOWN_OUTCOME: ReadonlySet<ErrorCode> = new Set(['storage_timeout', 'cancelled'])

/** What is asked of a plugin here. */
export interface MountingPlugin {
  readonly label: string
  get(name: string, signal: AbortSignal): Promise<{ readonly mountpoint: string | undefined } | undefined>
  mount(name: string, user: string, signal: AbortSignal): Promise<string>
  unmount(name: string, user: string, signal: AbortSignal): Promise<void>
}

/** A plugin's volume, for one pool. */
export interface PluginObject {
  readonly plugin: MountingPlugin
  /** The pool's UUID. */
  readonly pool: string
  readonly object: string
  /** This node, as plugins know it: always the same, so that a repeated Mount is no second user. */
  readonly user: string
  /** Whether it must be something mounted that the plugin gives. */
  readonly requireMount: boolean
  /** Whether others may have it at the same time. */
  readonly shared: boolean
}

export class PluginAttacher {
  readonly #places: PluginPlaces
  readonly #programs: Programs

  constructor(root: string, programs: Programs) {
    this.#places = new PluginPlaces(root, programs)
    this.#programs = programs
  }

  /** The objects of a pool that plugins were asked for and did not take back. */
  objects(pool: string): Promise<string[]> {
    return this.#places.objects(pool)
  }

  /** Where an object is attached, or may be. */
  async deviceOf(pool: string, object: string): Promise<string | undefined> {
    const traces = await this.#places.traces(pool, object)
    if (!isAttached(traces)) return undefined
    return traces.asked ? traces.directory : traces.elsewhere[0]?.target
  }

  /** @returns the directory */
  async attach(wish: PluginObject, signal: AbortSignal): Promise<string> {
    const { pool, object, plugin, user } = wish
    const before = await this.#places.traces(pool, object)
    if (before.bound) return before.directory
    await this.#places.begin(pool, object)
    try {
      const said = await plugin.mount(object, user, signal)
      return await this.#places.bind(pool, object, said, wish.requireMount, signal)
    } catch (thrown) {
      const { code, data } = asHoldfastError(thrown)
      // what the plugin may still be doing stays on record, and is taken back by the next detach
      if (UNKNOWN_OUTCOME.has(code)) throw thrown
      if ('refusal' in data && !isAttached(before)) await this.#places.end(pool, object)
      else await this.detach(wish, AbortSignal.timeout(CLEAN_UP_MS)).catch(() => undefined)
      throw thrown
    }
  }

  /** Returns when nothing is left. @throws still_mounted */
  async detach(wish: PluginObject, signal: AbortSignal): Promise<void> {
    const { pool, object } = wish
    const before = await this.#places.traces(pool, object)
    if (!isAttached(before)) return
    const [user] = before.users
    if (user !== undefined) {
      throw new HoldfastError('still_mounted', `${object} is still mounted at ${user}`, { target: user })
    }
    await this.#places.unbind(pool, object, signal)
    await this.#giveBack(wish, signal)
    await this.#places.end(pool, object)
  }

  /** Whether nothing is in it. What is not attached is attached for a look. */
  async isBlank(wish: PluginObject, signal: AbortSignal): Promise<boolean> {
    const { bound, directory } = await this.#places.traces(wish.pool, wish.object)
    if (bound) return await this.#isEmpty(directory)
    try {
      return await this.#isEmpty(await this.attach(wish, signal))
    } finally {
      await this.detach(wish, AbortSignal.timeout(CLEAN_UP_MS))
    }
  }

  /** Until the kernel has it no more, however often the plugin wants to be told. */
  async #giveBack({ pool, object, plugin, user, shared }: PluginObject, signal: AbortSignal): Promise<void> {
    for (let round = 1; ; round += 1) {
      await plugin.unmount(object, user, signal).catch(async (thrown: unknown) => {
        // one that was restarted may know nothing of this user, each in its own words
        const refused = 'refusal' in asHoldfastError(thrown).data
        if (!refused || (await plugin.get(object, signal))?.mountpoint !== undefined) throw thrown
      })
      const [left] = (await this.#places.traces(pool, object)).elsewhere
      if (left === undefined || shared) return
      if (round < MOST_UNMOUNTS) continue
      const text = `${plugin.label} was told ${round} times that ${object} is not used any more, and has it mounted at`
      throw new HoldfastError('still_mounted', `${text} ${left.target} still`, { target: left.target })
    }
  }

  /** In a process of its own, which may hang. */
  async #isEmpty(directory: string): Promise<boolean> {
    const worker = new FileWorker(directory, undefined, this.#programs.environment)
    try {
      return (await worker.call('lookAtVolume', LOOK_MS, directory)).empty
    } finally {
      await worker.close()
    }
  }
}

function isAttached({ asked, elsewhere }: Traces): boolean {
  return asked || elsewhere.length > 0
}
