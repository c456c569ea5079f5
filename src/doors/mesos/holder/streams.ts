import type { ProviderEvent } from '../../../mesos/provider-protocol.ts'
import { asHoldfastError } from '../../../model/errors.ts'
import type { AgentAccess } from '../agent-access.ts'
import { AgentStream, type Closed, type StreamLimits } from './agent-stream.ts'
import type { StreamKey, StreamView, SubscribeRequest } from './protocol.ts'

/** Between the end of a stream and the next one under its id: an agent that still has the old one aborts. */
const QUIET_MS = 1000

export interface StreamsParts {
  readonly limits: StreamLimits
  /** Asked before each stream. @throws when a file of it can't be read */
  readonly access: () => AgentAccess
  readonly onEvent: (key: StreamKey, event: ProviderEvent, bytes: number) => void
  readonly onClosed: (key: StreamKey, closed: Closed) => void
  readonly log: (event: string, data: Record<string, unknown>) => void
  /** ms of a clock that never jumps. */
  readonly now: () => number
}

interface Held {
  readonly request: SubscribeRequest
  /** Undefined while it waits for its turn. */
  stream: AgentStream | undefined
  timer: NodeJS.Timeout | undefined
}

/** All streams of this process: at most one for a key, and at most one for a provider id. */
export class Streams {
  readonly #parts: StreamsParts
  readonly #held = new Map<StreamKey, Held>()
  /** Until when nothing may be opened, by provider id. */
  readonly #quietUntil = new Map<string, number>()
  /** The process before this one had streams, too, which its end has closed. */
  readonly #quietAtStart: number
  #paused = false

  constructor(parts: StreamsParts) {
    this.#parts = parts
    this.#quietAtStart = parts.now() + QUIET_MS
  }

  get views(): StreamView[] {
    return [...this.#held].map(([key, { stream }]) => ({
      key,
      state: stream?.isOpen === true ? 'open' : 'opening',
      ...(stream?.providerId === undefined ? {} : { providerId: stream.providerId, updated: stream.updated }),
    }))
  }

  get(key: StreamKey): AgentStream | undefined {
    return this.#held.get(key)?.stream
  }

  subscribe(request: SubscribeRequest): void {
    if (this.#held.has(request.key)) return
    const held: Held = { request, stream: undefined, timer: undefined }
    this.#held.set(request.key, held)
    this.#openInTurn(held)
  }

  close(key: StreamKey): void {
    const held = this.#held.get(key)
    if (held === undefined) return
    if (held.stream === undefined) this.#closed(held, { reason: 'asked' })
    else held.stream.close()
  }

  closeAll(): void {
    for (const key of [...this.#held.keys()]) this.close(key)
  }

  pause(): void {
    this.#paused = true
    for (const { stream } of this.#held.values()) stream?.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    for (const { stream } of this.#held.values()) stream?.resume()
  }

  #openInTurn(held: Held): void {
    const { request } = held
    const id = request.info.id?.value
    const quiet = id === undefined ? 0 : Math.max(this.#quietAtStart, this.#quietUntil.get(id) ?? 0)
    const wait = quiet - this.#parts.now()
    if (wait > 0) held.timer = setTimeout(() => this.#openInTurn(held), wait)
    else if (id !== undefined && this.#isTaken(id, held)) {
      this.#closed(held, { reason: 'refused', text: `provider ${id} has a stream already` })
    } else this.#open(held)
  }

  /** Another one under that id has a stream, or was asked for before and waits for its turn. */
  #isTaken(id: string, held: Held): boolean {
    const all = [...this.#held.values()]
    return all.some((other, index) => {
      const isSame = other.stream?.providerId === id || other.request.info.id?.value === id
      return isSame && other !== held && (other.stream !== undefined || index < all.indexOf(held))
    })
  }

  #open(held: Held): void {
    const { key, agent, info } = held.request
    const { limits, onEvent, log } = this.#parts
    const access = this.#access(held)
    if (access === undefined) return
    held.stream = new AgentStream({
      agent,
      access,
      info,
      limits,
      onEvent: (event, bytes) => {
        if (event.type === 'SUBSCRIBED')
          log('stream.open', { stream: key, provider: event.subscribed.provider_id.value })
        if (this.#paused) held.stream?.pause()
        onEvent(key, event, bytes)
      },
      onClosed: (closed) => this.#closed(held, closed),
    })
    held.stream.open()
  }

  #access(held: Held): AgentAccess | undefined {
    try {
      return this.#parts.access()
    } catch (thrown) {
      this.#closed(held, { reason: 'refused', text: asHoldfastError(thrown).message })
      return undefined
    }
  }

  #closed(held: Held, closed: Closed): void {
    const { request, stream } = held
    clearTimeout(held.timer)
    this.#held.delete(request.key)
    const until = this.#parts.now() + QUIET_MS
    for (const id of [stream?.providerId, request.info.id?.value]) if (id !== undefined) this.#quietUntil.set(id, until)
    this.#parts.log('stream.closed', { stream: request.key, ...closed })
    this.#parts.onClosed(request.key, closed)
  }
}
