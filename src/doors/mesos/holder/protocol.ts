import type { ProviderCall, ProviderEvent, ProviderInfo } from '../../../mesos/provider-protocol.ts'

/**
 * The messages between the holder, which owns the streams, and the logic, which may end at any moment. A holder may
 * be older than its logic: what is added here must be optional.
 */
export const HOLDER_PROTOCOL = 1

/** Names one subscription; chosen by the logic. */
export type StreamKey = string

export interface SubscribeRequest {
  readonly kind: 'subscribe'
  readonly key: StreamKey
  /** URL of the agent, e.g. `http://127.0.0.1:5051`. */
  readonly agent: string
  readonly info: ProviderInfo
}

/** How a stream came to its end. */
export type CloseReason =
  /** The agent ended it, or the connection broke. */
  | 'ended'
  /** 200 and the end, without SUBSCRIBED: the agent does not know the id. */
  | 'unknown-id'
  /** Another status than 200, or no connection. */
  | 'refused'
  /** What came is not the protocol. */
  | 'garbage'
  /** No answer in time. */
  | 'silent'
  /** The logic asked for it. */
  | 'asked'

export type StreamEvent =
  | {
      readonly kind: 'event'
      readonly seq: number
      readonly key: StreamKey
      /** How long ago it came, ms. */
      readonly ageMs: number
      readonly event: ProviderEvent
    }
  | {
      readonly kind: 'closed'
      readonly seq: number
      readonly key: StreamKey
      readonly ageMs: number
      readonly reason: CloseReason
      readonly status?: number
      readonly text?: string
    }

export interface StreamView {
  readonly key: StreamKey
  /** `opening`: SUBSCRIBED has not come yet. */
  readonly state: 'opening' | 'open'
  readonly providerId?: string
  /** The agent has accepted the last UPDATE_STATE. */
  readonly updated?: boolean
}

/** An entry of the journal; null removes. */
export type JournalWrite = readonly [id: string, value: unknown]

export type CallResult =
  | { readonly status: number; readonly text: string }
  /** The stream is not there any more; whether the call was heard is unknown. */
  | { readonly closed: true }

export type HolderMessage =
  | {
      readonly kind: 'hello'
      readonly protocol: number
      readonly settings: unknown
      /** The holder has just started: no stream is left of an earlier one. */
      readonly fresh: boolean
      readonly streams: readonly StreamView[]
      readonly journal: readonly JournalWrite[]
      /** What no earlier logic has consumed. */
      readonly events: readonly StreamEvent[]
    }
  | StreamEvent
  /** What came with that `ready` is on the disk. */
  | { readonly kind: 'written'; readonly id: number }
  /** Its calls have ended. */
  | { readonly kind: 'done'; readonly id: number; readonly results: readonly CallResult[] }
  /** Withdraw everything in good order within that time, then say `stopped`. */
  | { readonly kind: 'stop'; readonly limitMs: number }

export type LogicMessage =
  /** Written first, durably; then the events are forgotten, `written` is said, the calls are made in order; then `done`. */
  | {
      readonly kind: 'ready'
      readonly id: number
      readonly writes: readonly JournalWrite[]
      readonly consumed: readonly number[]
      readonly calls: readonly { readonly key: StreamKey; readonly body: ProviderCall }[]
    }
  | SubscribeRequest
  | { readonly kind: 'close'; readonly key: StreamKey }
  /** What is left that no acknowledgement came for, in sentences. */
  | { readonly kind: 'stopped'; readonly unacknowledged: readonly string[] }

export type Hello = Extract<HolderMessage, { kind: 'hello' }>
