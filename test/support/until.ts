import { setTimeout as delay } from 'node:timers/promises'

export interface UntilOptions {
  /** How long to wait at most, ms; 10,000 if not given. */
  readonly deadlineMs?: number
  /** What is waited for, for the message: `the mount to be gone`. */
  readonly what: string
  /** Time between two looks, ms; 10 if not given. */
  readonly everyMs?: number
}

/**
 * Waits until the condition gives something that is neither false, null nor undefined, and returns that. A condition that throws counts
 * as not yet true; its last error is the cause of the one thrown here at the deadline.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  options: UntilOptions,
): Promise<Exclude<T, false | null | undefined>> {
  const deadlineMs = options.deadlineMs ?? 10_000
  const end = performance.now() + deadlineMs
  let cause: unknown
  for (;;) {
    try {
      const value = await condition()
      if (isSomething(value)) return value
      cause = undefined
    } catch (thrown) {
      cause = thrown
    }
    if (performance.now() >= end) {
      throw new Error(`waited ${deadlineMs} ms for ${options.what}`, cause === undefined ? {} : { cause })
    }
    await delay(options.everyMs ?? 10)
  }
}

function isSomething<T>(value: T): value is Exclude<T, false | null | undefined> {
  return value !== false && value !== null && value !== undefined
}
