import { Type } from 'typebox'
import type { LedgerState } from '../../ledger/state.ts'
import { Operation } from '../../model/operation.ts'
import { pickNode } from '../../placement/nodes.ts'
import type { ProgressBoard } from '../progress.ts'
import { formatTime, shownSchema, withTimes } from './rest-schema.ts'

export const ShownOperation = shownSchema(
  Type.Object({
    ...Operation.properties,
    /** Name of what it is about, where that has one. */
    subjectName: Type.Optional(Type.String()),
    /** Name of the pool. */
    pool: Type.String(),
    /** Name of the node where it runs, or last ran. */
    node: Type.Optional(Type.String()),
    /** 0…1, as the node says. */
    progress: Type.Optional(Type.Number()),
    /** What it waits for before a node takes it up. */
    waitingFor: Type.Optional(Type.String()),
  }),
)

export function showOperation(state: LedgerState, progress: ProgressBoard, operation: Operation, now: number): unknown {
  const subject = state.get(operation.subject.kind, operation.subject.id) as { name?: string } | undefined
  const node =
    operation.nodeId === undefined ? undefined : (state.get('node', operation.nodeId)?.name ?? operation.nodeId)
  const done = operation.state === 'running' ? progress.get(operation.id) : undefined
  return {
    ...(withTimes(operation) as object),
    ...(subject?.name === undefined ? {} : { subjectName: subject.name }),
    pool: state.get('pool', operation.poolId)?.name ?? operation.poolId,
    ...(node === undefined ? {} : { node }),
    ...(done === undefined ? {} : { progress: done }),
    ...(operation.state === 'pending' ? { waitingFor: waitingFor(state, operation, now) } : {}),
  }
}

/** Why an operation has not been given to a node yet. */
export function waitingFor(state: LedgerState, operation: Operation, now: number): string {
  if (operation.notBefore > now) {
    const why =
      operation.fault === undefined ? '' : ` after ${operation.failures} failures (${operation.fault.message})`
    return `its next try at ${formatTime(operation.notBefore)}${why}`
  }
  if (pickNode(state, operation) !== undefined) return 'a moment: a node is about to take it up'
  const pinned = operation.pinnedTo ?? (operation.unknownOutcome ? operation.nodeId : undefined)
  const bound = pinned === undefined ? undefined : state.get('node', pinned)
  if (bound !== undefined) {
    return bound.state === 'up'
      ? `node ${bound.name}, which must do it, to have room and reach the pool`
      : `node ${bound.name}, which must do it and is ${bound.state}`
  }
  const pool = state.get('pool', operation.poolId)
  for (const nodeId of state.nodesByPool.get(operation.poolId)) {
    if (state.get('node', nodeId)?.state === 'up') {
      return `a node that reaches pool ${pool?.name} to have room, or what uses the content to end`
    }
  }
  return pool?.marked === false ? `pool ${pool.name} to be marked` : `a node that reaches pool ${pool?.name} to be up`
}
