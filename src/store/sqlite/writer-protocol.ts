import type { Batch, Head } from '../store.ts'
import type { Failure } from './failure.ts'

/**
 * What the main thread asks of the writer thread. Answers come in the order of the questions. Records and events
 * travel as flat arrays: copying 100 small objects to another thread costs 30 µs more than 300 strings.
 */
export type Request =
  | { readonly kind: 'open'; readonly file: string }
  | { readonly kind: 'campaign' }
  | FlatBatch
  | { readonly kind: 'trim'; readonly through: number; readonly limit: number }
  | { readonly kind: 'close' }

export interface FlatBatch {
  readonly kind: 'commit'
  readonly term: number
  readonly previousRevision: number
  readonly revision: number
  readonly at: number
  /** kind, id, json, kind, id, json, … */
  readonly changes: readonly (string | undefined)[]
  /** revision, json, revision, json, … */
  readonly events: readonly (number | string)[]
}

export type Answer =
  | { readonly kind: 'done' }
  | { readonly kind: 'head'; readonly head: Head }
  /** A part of the events was trimmed; `more` when some of those asked for are left. */
  | { readonly kind: 'trimmed'; readonly more: boolean }
  /** Refused: the head or the term is another. Nothing was written. */
  | { readonly kind: 'fenced'; readonly head: Head }
  | { readonly kind: 'failed'; readonly failure: Failure }

export function flatten(batch: Batch): FlatBatch {
  const changes: (string | undefined)[] = []
  for (const { kind, id, json } of batch.changes) changes.push(kind, id, json)
  const events: (number | string)[] = []
  for (const { revision, json } of batch.events) events.push(revision, json)
  const { term, previousRevision, revision, at } = batch
  return { kind: 'commit', term, previousRevision, revision, at, changes, events }
}
