import { asHoldfastError } from '../../../model/errors.ts'
import type { HolderMessage, LogicMessage } from '../holder/protocol.ts'
import type { Effects, Reply, Request } from './desk.ts'
import type { Input, Logic } from './logic.ts'

export interface ShellParts {
  readonly logic: Pick<Logic, 'step'>
  readonly perform: (request: Request) => Promise<unknown>
  readonly send: (message: LogicMessage) => void
  readonly log: (event: string, data: Record<string, unknown>) => void
  /** ms of a clock that never jumps. */
  readonly now: () => number
}

interface Due {
  /** The last `ready` with writes before it. */
  readonly behind: number
  readonly requests: Effects['requests']
}

/** Does what the steps of the logic ask for: writes first, then calls to the agent and everything else. */
export class Shell {
  readonly #parts: ShellParts
  #timer: NodeJS.Timeout | undefined
  /** Requests that wait until what was written before them is on the disk. */
  readonly #due: Due[] = []
  #lastWrite = 0
  #written = 0

  constructor(parts: ShellParts) {
    this.#parts = parts
  }

  holderSaid(message: HolderMessage): void {
    if (message.kind !== 'written') {
      this.#step(message)
      return
    }
    this.#written = message.id
    while (this.#due[0] !== undefined && this.#due[0].behind <= this.#written) {
      for (const { id, request } of this.#due.shift()?.requests ?? []) void this.#perform(id, request)
    }
  }

  step(input: Input): void {
    this.#step(input)
  }

  #step(input: Input): void {
    const { logic, now } = this.#parts
    const { id, effects } = logic.step(Math.round(now()), input)
    this.#carryOut(id, effects)
  }

  #carryOut(id: number, effects: Effects): void {
    const { send, log } = this.#parts
    const { writes, consumed, calls, subscribes, closes, requests, logs, wakeAt, stopped } = effects
    if (writes.length + consumed.length + calls.length > 0) {
      this.#lastWrite = id
      send({ kind: 'ready', id, writes, consumed, calls })
    }
    for (const subscribe of subscribes) send(subscribe)
    for (const key of closes) send({ kind: 'close', key })
    if (stopped !== undefined) send({ kind: 'stopped', unacknowledged: stopped })
    for (const [event, data] of logs) log(event, data)
    if (requests.length > 0) this.#request(requests)
    this.#wakeAt(wakeAt)
  }

  #request(requests: Effects['requests']): void {
    if (this.#lastWrite > this.#written) {
      this.#due.push({ behind: this.#lastWrite, requests })
      return
    }
    for (const { id, request } of requests) void this.#perform(id, request)
  }

  async #perform(id: string, request: Request): Promise<void> {
    let reply: Reply
    try {
      reply = { ok: true, value: await this.#parts.perform(request) }
    } catch (thrown) {
      reply = { ok: false, error: asHoldfastError(thrown) }
    }
    this.#step({ kind: 'reply', id, reply })
  }

  #wakeAt(at: number | undefined): void {
    clearTimeout(this.#timer)
    if (at === undefined) return
    const wait = Math.max(0, at - Math.round(this.#parts.now()))
    this.#timer = setTimeout(() => this.#step({ kind: 'tick' }), wait)
  }
}
