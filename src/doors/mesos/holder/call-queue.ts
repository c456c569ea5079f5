import type { ClientRequest } from 'node:http'
import type { ProviderCall } from '../../../mesos/provider-protocol.ts'
import type { AgentHttp } from './agent-http.ts'
import type { CallResult } from './protocol.ts'

export interface CallQueueParts {
  readonly http: AgentHttp
  readonly streamId: string
  /** How long one call may take in all, ms. */
  readonly deadlineMs: number
  /** A call had no answer for that long: none may follow it, since it may still be heard. */
  readonly onSilent: () => void
}

interface Waiting {
  readonly body: string
  readonly resolve: (result: CallResult) => void
}

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 2000

/**
 * The calls on one stream: one in flight, in order. A call whose answer is lost, or that is answered with a 5xx, is
 * made again: an agent takes each of them twice without harm.
 */
export class CallQueue {
  readonly #parts: CallQueueParts
  readonly #waiting: Waiting[] = []
  #current: Waiting | undefined
  #request: ClientRequest | undefined
  #pause: NodeJS.Timeout | undefined
  #deadline: NodeJS.Timeout | undefined
  #closed = false

  constructor(parts: CallQueueParts) {
    this.#parts = parts
  }

  call(body: ProviderCall): Promise<CallResult> {
    const { promise, resolve } = Promise.withResolvers<CallResult>()
    if (this.#closed) resolve({ closed: true })
    else {
      this.#waiting.push({ body: JSON.stringify(body), resolve })
      if (this.#current === undefined) this.#next()
    }
    return promise
  }

  /** The stream has ended: calls that were not answered never will be. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#pause)
    clearTimeout(this.#deadline)
    this.#request?.destroy()
    this.#current?.resolve({ closed: true })
    for (const { resolve } of this.#waiting.splice(0)) resolve({ closed: true })
  }

  #next(): void {
    this.#current = this.#waiting.shift()
    if (this.#current === undefined) return
    this.#deadline = setTimeout(() => this.#parts.onSilent(), this.#parts.deadlineMs)
    this.#attempt(this.#current, FIRST_PAUSE_MS)
  }

  #attempt(call: Waiting, pauseMs: number): void {
    const { http, streamId } = this.#parts
    const again = () => {
      if (this.#closed || this.#current !== call) return
      const next = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)
      this.#pause = setTimeout(() => this.#attempt(call, next), pauseMs)
    }
    this.#request = http.exchange({ body: call.body, streamId }, (answer) => {
      if (answer === undefined || answer.status >= 500) return again()
      if (this.#closed || this.#current !== call) return
      clearTimeout(this.#deadline)
      this.#request = undefined
      call.resolve(answer)
      this.#next()
    })
  }
}
