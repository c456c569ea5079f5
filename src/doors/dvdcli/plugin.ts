import { type Endpoint, nearDriver, type PluginDirectories } from '../../docker-plugin/discovery.ts'
import { quote } from '../../model/units.ts'
import { locate } from './discovery.ts'
import { failed } from './failure.ts'
import type { Answer } from './http-answer.ts'
import { Patience } from './patience.ts'
import { type Reply, replyOf } from './reply.ts'
import { Connection, Unanswered } from './wire.ts'

export type Method = 'Create' | 'Remove' | 'Mount' | 'Unmount' | 'Path' | 'Get' | 'List'

export interface PluginParts {
  readonly driver: string
  readonly directories: PluginDirectories
  /** How long a plugin that is not there is waited for, ms. */
  readonly waitMs: number
  /** Is told what is waited for, for whoever loses patience. */
  readonly waitingFor: (what: string) => void
}

/** A Docker volume plugin, as a caller without mount IDs sees it (Docker before 1.12). */
export class Plugin {
  readonly #parts: PluginParts
  #endpoint: Endpoint | undefined
  #connection: Connection | undefined

  constructor(parts: PluginParts) {
    this.#parts = parts
  }

  /** Makes sure that it is there and keeps volumes. @throws Failure, Refused */
  async activate(): Promise<void> {
    const { Implements: kinds } = await this.#call('/Plugin.Activate', '', true)
    if (Array.isArray(kinds) && kinds.includes('VolumeDriver')) return
    throw failed(`plugin ${quote(this.#parts.driver)} is no volume driver`)
  }

  /**
   * All calls but Create and Remove may be repeated when the connection broke in the middle: who mounts without an ID
   * may do it many times and unmounts once.
   * @throws Failure, Refused
   */
  ask(method: Method, body: object): Promise<Reply> {
    return this.#call(`/VolumeDriver.${method}`, JSON.stringify(body), method !== 'Create' && method !== 'Remove')
  }

  async #call(path: string, body: string, repeatable: boolean): Promise<Reply> {
    const { driver, waitMs, waitingFor } = this.#parts
    const patience = new Patience(waitMs, repeatable)
    for (;;) {
      try {
        waitingFor(`${path.slice(1)} of driver ${driver}`)
        return replyOf(path, await this.#attempt(path, body, !repeatable))
      } catch (thrown) {
        if (!(thrown instanceof Unanswered)) throw thrown
        const pause = patience.after(thrown, path)
        waitingFor(`driver ${driver} to be there`)
        await sleep(pause)
      }
    }
  }

  async #attempt(path: string, body: string, fresh: boolean): Promise<Answer> {
    const { driver, directories } = this.#parts
    if (fresh) this.#connection?.close()
    if (this.#connection?.open === false) this.#connection = undefined
    const endpoint = this.#connection === undefined ? locate(driver, directories) : this.#endpoint
    if (endpoint === undefined) throw new Unanswered(false, this.#notFound())
    this.#endpoint = endpoint
    try {
      this.#connection ??= await Connection.to(endpoint)
      return await this.#connection.call(path, body)
    } catch (thrown) {
      if (!(thrown instanceof Unanswered)) throw thrown
      throw new Unanswered(
        thrown.sent,
        `driver ${quote(driver)} does not answer at ${place(endpoint)}: ${thrown.message}`,
      )
    }
  }

  #notFound(): string {
    const { driver, directories } = this.#parts
    const near = nearDriver(driver, directories)
    const hint = near === undefined ? '' : `; did you mean ${quote(near)}?`
    const { sockets, specs } = directories
    return `there is no driver ${quote(driver)}: no socket in ${sockets}, nothing in ${specs.join(' and ')}${hint}`
  }
}

function place(endpoint: Endpoint): string {
  return endpoint.kind === 'unix' ? endpoint.path : `${endpoint.host}:${endpoint.port}`
}

function sleep(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms))
}
