import { Agent, request } from 'undici'
import type { ProjectionLine } from '../../../mesos/projection.ts'
import type { Clock } from '../../../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../../../model/errors.ts'
import { linesOf } from '../../../node/lines.ts'

/** The controller sends at least an empty line every five seconds. */
const SILENCE_MS = 20_000
const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 5000

export interface ControllerStreamParts {
  /** URL of the controller. */
  readonly api: string
  /** Read anew for each attempt: the node may join later. @throws when there is none */
  readonly token: () => string
  readonly ca?: string | undefined
  readonly clock: Pick<Clock, 'after'>
  readonly onOpen: () => void
  readonly onLine: (line: ProjectionLine) => void
  readonly onHeartbeat: () => void
  /** Told once for each time it goes away, not for each attempt. */
  readonly onAway: (error: HoldfastError) => void
}

/** What this node's agent should show, as the controller tells it. Connects again and again. */
export class ControllerStream {
  readonly #parts: ControllerStreamParts
  readonly #agent: Agent
  readonly #closing = new AbortController()
  #failures = 0
  #away = ''

  constructor(parts: ControllerStreamParts) {
    this.#parts = parts
    const connect = parts.ca === undefined ? { timeout: 5000 } : { timeout: 5000, ca: parts.ca }
    this.#agent = new Agent({ connect, headersTimeout: 10_000, bodyTimeout: SILENCE_MS })
  }

  start(): void {
    void this.#follow()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#agent.destroy()
  }

  async #follow(): Promise<void> {
    let ended: unknown
    try {
      await this.#once()
      ended = new HoldfastError('unreachable', 'the stream has ended')
    } catch (thrown) {
      ended = thrown
    }
    if (this.#closing.signal.aborted) return
    const error = asHoldfastError(ended)
    if (error.message !== this.#away) this.#parts.onAway(error)
    this.#away = error.message
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#failures, 10))
    this.#failures += 1
    this.#parts.clock.after(pause, () => void this.#follow())
  }

  async #once(): Promise<void> {
    const { api, token, onOpen, onLine, onHeartbeat } = this.#parts
    const answer = await request(`${api}/v1/mesos/stream`, {
      dispatcher: this.#agent,
      signal: this.#closing.signal,
      headers: { authorization: `Bearer ${token()}`, 'holdfast-door': 'mesos' },
    })
    if (answer.statusCode !== 200) {
      const text = await answer.body.text()
      throw new HoldfastError('unreachable', `HTTP ${answer.statusCode}: ${text.slice(0, 300)}`)
    }
    this.#failures = 0
    this.#away = ''
    onOpen()
    for await (const line of linesOf(answer.body)) {
      if (line === '') onHeartbeat()
      else onLine(JSON.parse(line) as ProjectionLine)
    }
  }
}
