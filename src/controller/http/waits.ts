import { Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'
import { HoldfastError, isErrorCode } from '../../model/errors.ts'
import { isFinished, type Operation } from '../../model/operation.ts'
import type { Fault } from '../../model/volume.ts'
import { withTimes } from './rest-schema.ts'
import type { Call, Reply } from './route.ts'

export const MAX_WAIT_S = 120

/** Query field of what starts slow work. */
export const WAIT_QUERY = {
  wait: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: MAX_WAIT_S,
      description: 'Seconds to wait for the end of the work; 0 if not given.',
    }),
  ),
}

/**
 * Looks at every durable state until the probe gives something, or the time is over, the caller has gone or the door
 * closes: then undefined.
 */
export async function waitUntil<T>(
  call: Call<unknown, unknown, unknown>,
  seconds: number,
  probe: (state: LedgerState) => T | undefined,
): Promise<T | undefined> {
  const { engine } = call.api.controller
  const first = await engine.read(probe)
  if (first !== undefined || seconds === 0) return first
  const { promise, resolve, reject } = Promise.withResolvers<T | undefined>()
  const look = () => {
    engine.read(probe).then((found) => {
      if (found !== undefined) resolve(found)
    }, reject)
  }
  const giveUp = () => resolve(undefined)
  const timer = setTimeout(giveUp, seconds * 1000)
  const ends = [engine.onCommitted(look), engine.onDown(giveUp)]
  call.request.raw.socket.once('close', giveUp)
  call.api.closing.addEventListener('abort', giveUp)
  try {
    // what was committed since the first look has told nobody
    look()
    return await promise
  } finally {
    clearTimeout(timer)
    for (const end of ends) end()
    call.request.raw.socket.off('close', giveUp)
    call.api.closing.removeEventListener('abort', giveUp)
  }
}

/** The unfinished operation that is about something. */
export function openOperation(state: LedgerState, subjectId: string): Operation | undefined {
  for (const id of state.operationsBySubject.get(subjectId)) {
    const operation = state.get('operation', id)
    if (operation?.subject.id === subjectId) return operation
  }
  return undefined
}

export interface SlowWork<T> {
  /** What the work is about, as decided. */
  readonly record: T & { readonly id: string }
  /** Seconds to wait. */
  readonly wait: number | undefined
  /** Status when it was waited for and is done. */
  readonly done: 200 | 201
  readonly noun: 'volume' | 'snapshot' | 'pool'
  readonly show: (state: LedgerState, record: T) => unknown
  /** As the ledger has it now; undefined when it is no more. */
  readonly now: (state: LedgerState) => T | undefined
}

/**
 * Answers what slow work was started for: 202 with its operation, or, when the caller waits and it ends in that time,
 * its end. @throws the fault of work that failed, with what it was about
 */
export async function answerSlowWork<T>(call: Call<unknown, unknown, unknown>, work: SlowWork<T>): Promise<Reply> {
  const { record, wait = 0, done, noun, show, now } = work
  const started = await call.read((state) => ({
    operation: openOperation(state, record.id)?.id,
    body: show(state, record),
  }))
  if (wait === 0) {
    return {
      status: 202,
      body: { [noun]: started.body, ...(started.operation === undefined ? {} : { operation: started.operation }) },
    }
  }
  const ended = await waitUntil(call, wait, (state) => {
    const open = openOperation(state, record.id)
    if (open !== undefined) return undefined
    const operation = started.operation === undefined ? undefined : state.get('operation', started.operation)
    const current = now(state)
    return { operation, fault: (current as { fault?: Fault } | undefined)?.fault, body: show(state, current ?? record) }
  })
  if (ended === undefined) {
    const body = await call.read((state) => show(state, now(state) ?? record)).catch(() => started.body)
    return {
      status: 202,
      body: { [noun]: body, ...(started.operation === undefined ? {} : { operation: started.operation }) },
    }
  }
  throwIfFailed(ended.operation, ended.fault, { [noun]: ended.body })
  return { status: done, body: { [noun]: ended.body } }
}

/** @throws the fault of work that failed */
export function throwIfFailed(
  operation: Operation | undefined,
  standing: Fault | undefined,
  data: Record<string, unknown>,
): void {
  const failed = operation !== undefined && isFinished(operation) && operation.state !== 'succeeded'
  if (!failed && standing === undefined) return
  if (operation?.state === 'cancelled')
    throw new HoldfastError('cancelled', `operation ${operation.id} was cancelled`, data)
  const fault = operation?.fault ?? standing
  const code = isErrorCode(fault?.code) ? fault.code : 'storage_failed'
  // a node's trouble is not this program's own: `internal` would hide the message
  const told = code === 'internal' ? 'storage_failed' : code
  throw new HoldfastError(told, fault?.message ?? 'the work failed', {
    ...data,
    fault: withTimes(fault),
    next: fault?.next,
  })
}
