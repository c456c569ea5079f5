import { quote } from '../../model/units.ts'
import { type Endpoint, locate, nearDriver, type PluginDirectories } from './discovery.ts'
import { failed, oneLine } from './failure.ts'
import type { Answer } from './http-answer.ts'
import { Connection, Unanswered } from './wire.ts'

const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 1000

export type Method = 'Create' | 'Remove' | 'Mount' | 'Unmount' | 'Path' | 'Get' | 'List'
export type Reply = Readonly<Record<string, unknown>>

/** The driver has answered, with an error. Its message is what the driver said. */
export class Refused extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'Refused'
    this.status = status
  }
}

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
    let since: number | undefined
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        waitingFor(`${path.slice(1)} of driver ${driver}`)
        return replyOf(path, await this.#attempt(path, body, !repeatable))
      } catch (thrown) {
        if (!(thrown instanceof Unanswered)) throw thrown
        if (thrown.sent && !repeatable) throw brokenOff(path, thrown)
        const now = performance.now()
        // a plugin that has just been there has all of the time to come back
        since = thrown.sent ? now : (since ?? now)
        const left = since + waitMs - now
        if (left <= 0) throw failed(`${thrown.message} (waited ${waitMs / 1000} s)`)
        waitingFor(`driver ${driver} to be there`)
        await sleep(Math.min(pause, left))
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

function brokenOff(path: string, { message }: Unanswered): Error {
  return failed(`${message} in the middle of ${path.slice(1)}; whether that was done is not known`)
}

function sleep(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms))
}

/**
 * A refusal has a status other than 200, an `Err`, or both (docker/cli docs/extend/plugins_volume.md). REX-Ray up to
 * 0.10 says `Error`, without escaping quotes in it; others answer with plain text.
 * @throws Refused
 */
function replyOf(path: string, { status, text }: Answer): Reply {
  const reply = parsed(text)
  const error = reply === undefined ? undefined : [reply.Err, reply.Error].find((each) => isText(each))
  if (error !== undefined) throw new Refused(status, oneLine(String(error)))
  if (status !== 200) throw new Refused(status, oneLine(unwrapped(text)) || `status ${status} without a reason`)
  if (reply === undefined) {
    throw failed(`the answer to ${path.slice(1)} is not a JSON object: ${quote(oneLine(text))}`)
  }
  return reply
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function parsed(text: string): Reply | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Reply) : undefined
  } catch {
    return undefined
  }
}

/** `{"Error":"it said "no""}` is not JSON, though it was meant to be. */
function unwrapped(text: string): string {
  return /^\s*\{\s*"(?:Err|Error)"\s*:\s*"(.*)"\s*\}\s*$/s.exec(text)?.[1] ?? text
}
