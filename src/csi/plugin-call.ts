/** One call to a CSI plugin: repeated where that may help, and its failure told in our words. */
import { setTimeout as delay } from 'node:timers/promises'
import { type ErrorCode, HoldfastError } from '../model/errors.ts'
import type { CallOptions } from './client.ts'
import { GrpcError } from './grpc-error.ts'

export interface PluginTimes {
  /** For a call that makes or moves something, with its repeats, ms. */
  readonly longMs: number
  /** For a question, ms. */
  readonly shortMs: number
  /** How long a plugin that does not listen is waited for: one that is being restarted is back by then, ms. */
  readonly awayMs: number
}

export interface PluginCall {
  /** What is asked, for messages: `CreateVolume hf-…`. */
  readonly what: string
  readonly deadlineMs: number
  readonly awayMs: number
  readonly signal: AbortSignal
  /** A text without secrets. */
  readonly hide: (text: string) => string
}

const FIRST_PAUSE_MS = 50
const LAST_PAUSE_MS = 2000

/**
 * What a status means here (CSI spec.md, "Error Scheme"). Every call of CSI may be repeated, so that all that is unknown
 * after one of these is settled by the next.
 */
const CODES: Partial<Record<GrpcError['code'], ErrorCode>> = {
  DEADLINE_EXCEEDED: 'storage_timeout',
  NOT_FOUND: 'object_missing',
  ALREADY_EXISTS: 'object_exists',
  RESOURCE_EXHAUSTED: 'storage_full',
  OUT_OF_RANGE: 'invalid_size',
  FAILED_PRECONDITION: 'in_use',
  UNIMPLEMENTED: 'unsupported',
}

/**
 * ABORTED says that an earlier call for the same object is still at work, UNAVAILABLE that the plugin is away for a
 * moment: both are tried again.
 * @throws HoldfastError of the storage section
 */
export async function pluginCall<T>(call: PluginCall, work: (options: CallOptions) => Promise<T>): Promise<T> {
  const { signal, awayMs, deadlineMs } = call
  const begun = performance.now()
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LAST_PAUSE_MS)) {
    const leftMs = begun + deadlineMs - performance.now()
    try {
      return await work({ deadlineMs: Math.max(1, leftMs), signal })
    } catch (thrown) {
      if (!(thrown instanceof GrpcError)) throw thrown
      const patience = thrown.code === 'ABORTED' ? deadlineMs : thrown.code === 'UNAVAILABLE' ? awayMs : 0
      if (signal.aborted || performance.now() + pause - begun >= patience) throw failure(call, thrown)
    }
    await delay(pause, undefined, { signal }).catch(() => undefined)
  }
}

function failure({ what, signal, hide }: PluginCall, { code, message }: GrpcError): HoldfastError {
  // a cause would be logged with all that the plugin said
  const said = hide(message).slice(0, 1024)
  if (signal.aborted) return new HoldfastError('cancelled', `${what} was cancelled`)
  const text = `the CSI plugin refused ${what}: ${said} (${code})`
  return new HoldfastError(CODES[code] ?? 'storage_failed', text, { status: code })
}

/** Gives undefined where a plugin says that there is no such thing. */
export async function orAbsent<T>(answer: Promise<T>): Promise<T | undefined> {
  return await answer.catch((thrown: unknown) => {
    if (thrown instanceof HoldfastError && thrown.code === 'object_missing') return undefined
    throw thrown
  })
}
