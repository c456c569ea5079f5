import type { ProviderCall } from '../../../mesos/provider-protocol.ts'
import type { HoldfastError } from '../../../model/errors.ts'
import type { CallResult, JournalWrite, StreamKey, SubscribeRequest } from '../holder/protocol.ts'

/** Something slow that the shell does for the logic. */
export type Request =
  | {
      readonly kind: 'rest'
      readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
      readonly path: string
      readonly body?: object
    }
  | { readonly kind: 'mount'; readonly volumeId: string; readonly user: string }
  | { readonly kind: 'unmount'; readonly volumeId: string; readonly user: string }
  /** The node daemon's status. */
  | { readonly kind: 'node' }
  /** The agent's id. */
  | { readonly kind: 'agent' }
  /** What runs on the agent. */
  | { readonly kind: 'look' }

export type Reply =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: HoldfastError }

/** What a step of the logic asks for. The writes are durable before any of the calls is made. */
export interface Effects {
  readonly writes: readonly JournalWrite[]
  readonly consumed: readonly number[]
  readonly calls: readonly { readonly key: StreamKey; readonly body: ProviderCall }[]
  readonly subscribes: readonly SubscribeRequest[]
  readonly closes: readonly StreamKey[]
  readonly requests: readonly { readonly id: string; readonly request: Request }[]
  readonly logs: readonly (readonly [event: string, data: Record<string, unknown>])[]
  /** When to step again if nothing happens before. */
  readonly wakeAt: number | undefined
  /** The planned stop is over; what nobody has acknowledged. */
  readonly stopped?: readonly string[]
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] }

/** Where the parts of the logic lay what they want done, and what they want to be told. No I/O, no clock of its own. */
export class Desk {
  /** Whole ms of a clock that never jumps, set by each step. */
  now = 0
  /** A random UUID, base64 of its 16 bytes. */
  readonly newUuid: () => string
  #out = nothing()
  #stopped: readonly string[] | undefined
  #onResult: ((result: CallResult) => void)[] = []
  readonly #asked = new Map<string, (reply: Reply) => void>()
  readonly #timers = new Map<string, { readonly at: number; readonly call: () => void }>()

  constructor(newUuid: () => string) {
    this.newUuid = newUuid
  }

  /** Null removes. */
  write(id: string, value: object | null): void {
    this.#out.writes.push([id, value === null ? null : structuredClone(value)])
  }

  consume(seq: number): void {
    this.#out.consumed.push(seq)
  }

  call(key: StreamKey, body: ProviderCall, onResult: (result: CallResult) => void = () => undefined): void {
    this.#out.calls.push({ key, body })
    this.#onResult.push(onResult)
  }

  subscribe(request: SubscribeRequest): void {
    this.#out.subscribes.push(request)
  }

  close(key: StreamKey): void {
    this.#out.closes.push(key)
  }

  log(event: string, data: Record<string, unknown> = {}): void {
    this.#out.logs.push([event, data])
  }

  stop(unacknowledged: readonly string[]): void {
    this.#stopped = unacknowledged
  }

  isAsked(id: string): boolean {
    return this.#asked.has(id)
  }

  /** One at a time under an id: nothing happens while an earlier one is under way. */
  ask(id: string, request: Request, onReply: (reply: Reply) => void): void {
    if (this.#asked.has(id)) return
    this.#asked.set(id, onReply)
    this.#out.requests.push({ id, request })
  }

  /** Replaces what was to happen under that name. */
  after(ms: number, name: string, call: () => void): void {
    this.#timers.set(name, { at: this.now + Math.max(0, Math.round(ms)), call })
  }

  isDue(name: string): boolean {
    return this.#timers.has(name)
  }

  cancel(name: string): void {
    this.#timers.delete(name)
  }

  // what the step does

  reply(id: string, reply: Reply): void {
    const onReply = this.#asked.get(id)
    this.#asked.delete(id)
    onReply?.(reply)
  }

  runTimers(): void {
    for (const [name, { at, call }] of [...this.#timers]) {
      if (at > this.now || this.#timers.get(name)?.call !== call) continue
      this.#timers.delete(name)
      call()
    }
  }

  /** Everything that was laid down since the last time, and who is told of the results of its calls, in order. */
  take(): { readonly effects: Effects; readonly onResult: readonly ((result: CallResult) => void)[] } {
    const stopped = this.#stopped
    const wakes = [...this.#timers.values()].map(({ at }) => at)
    const effects = {
      ...this.#out,
      wakeAt: wakes.length === 0 ? undefined : Math.min(...wakes),
      ...(stopped === undefined ? {} : { stopped }),
    }
    const onResult = this.#onResult
    this.#out = nothing()
    this.#onResult = []
    this.#stopped = undefined
    return { effects, onResult }
  }
}

function nothing(): Mutable<Omit<Effects, 'wakeAt' | 'stopped'>> {
  return { writes: [], consumed: [], calls: [], subscribes: [], closes: [], requests: [], logs: [] }
}

/** Whether a failure says nothing about the request: it may have been done, or will be when it is repeated. */
export function isPassing({ code }: HoldfastError): boolean {
  return PASSING.has(code)
}

const PASSING: ReadonlySet<string> = new Set([
  'unreachable',
  'node_unreachable',
  'unknown_outcome',
  'not_ready',
  'overloaded',
  'fenced',
  'internal',
  'stale_session',
  'stale_epoch',
  'interrupted',
  'unauthenticated',
])
