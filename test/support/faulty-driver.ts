/** A driver whose calls fail in the ways that storage does: an error, no answer, a late one, a wrong one, a crash. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { Driver } from '../../src/drivers/driver.ts'
import { HoldfastError } from '../../src/model/errors.ts'

/**
 * - `error`: fails, and nothing was done; `error-after`: it was done all the same.
 * - `hang`: never answers, unless it is told to give up; `hang-after`: as that, but done.
 * - `slow`: a second late.
 * - `garbage`: an answer of the wrong shape.
 * - `kill`, `kill-after`: the whole daemon dies, before or after it was done.
 */
export const FAULTS = ['error', 'error-after', 'hang', 'hang-after', 'slow', 'garbage', 'kill', 'kill-after'] as const
export type Fault = (typeof FAULTS)[number]

export const FAULTY_CALLS = [
  'probe',
  'mark',
  'create',
  'isBlank',
  'delete',
  'copy',
  'grow',
  'inspect',
  'inventory',
  'attach',
  'detach',
  'attached',
] as const
export type FaultyCall = (typeof FAULTY_CALLS)[number]

/** What is to fail, as a file: the node daemon is another process, which may die of it. */
export interface FaultPlan {
  readonly fault: Fault
  /** Each fails the first time that it is called. */
  readonly calls: readonly FaultyCall[]
}

/** Where faults are planned, and where it is written down which have happened, one call a line. */
export interface FaultFiles {
  readonly plan: string
  readonly happened: string
}

export function happenedIn({ happened }: FaultFiles): string[] {
  return existsSync(happened) ? readFileSync(happened, 'utf8').split('\n').filter(Boolean) : []
}

/** Every call of the driver looks into the plan first. */
export function faultyDriver(driver: Driver, files: FaultFiles): Driver {
  const faulty: Record<string, unknown> = {}
  for (const call of FAULTY_CALLS) {
    const really = (driver[call] as (...args: unknown[]) => Promise<unknown>).bind(driver)
    faulty[call] = (...args: unknown[]) => {
      const fault = faultFor(call, files)
      if (fault === undefined) return really(...args)
      // written down before: a daemon that dies of it must not die of it again
      appendFileSync(files.happened, `${call}\n`)
      return suffer(fault, call, () => really(...args), signalAmong(args))
    }
  }
  return Object.assign(Object.create(driver) as Driver, faulty)
}

function faultFor(call: FaultyCall, files: FaultFiles): Fault | undefined {
  if (!existsSync(files.plan)) return undefined
  const { fault, calls } = JSON.parse(readFileSync(files.plan, 'utf8')) as FaultPlan
  return calls.includes(call) && !happenedIn(files).includes(call) ? fault : undefined
}

function signalAmong(args: readonly unknown[]): AbortSignal {
  return args.find((each) => each instanceof AbortSignal) ?? new AbortController().signal
}

async function suffer(
  fault: Fault,
  call: string,
  really: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<unknown> {
  const failed = new HoldfastError('storage_failed', `the storage failed at ${call}, as it was told to`)
  switch (fault) {
    case 'error':
      throw failed
    case 'error-after':
      await really()
      throw failed
    case 'hang':
      return untilGivenUp(call, signal)
    case 'hang-after':
      await really()
      return untilGivenUp(call, signal)
    case 'slow':
      await delay(1000)
      return really()
    case 'garbage':
      await really()
      return garbage(call)
    case 'kill':
      process.kill(process.pid, 'SIGKILL')
      return untilGivenUp(call, signal)
    case 'kill-after':
      await really()
      process.kill(process.pid, 'SIGKILL')
      return untilGivenUp(call, signal)
  }
}

function untilGivenUp(call: string, signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const giveUp = () => reject(new HoldfastError('storage_timeout', `the storage did not answer ${call}`))
    if (signal.aborted) giveUp()
    else signal.addEventListener('abort', giveUp, { once: true })
  })
}

/** Half an answer: what a plugin of another version, or one that was cut off, may send. */
function garbage(call: string): unknown {
  if (call === 'inventory' || call === 'attached') return [{}]
  if (call === 'isBlank') return undefined
  return {}
}
