import type { RecordKind, RecordTypes } from '../model/records.ts'

/** What an accepted command gives: the answer to the caller, and what the history says of it. */
export interface Outcome<A = unknown> {
  readonly answer: A
  /** Goes into the history even when no record changed. */
  readonly always?: boolean
  readonly event: {
    /** `subject.verb`, past tense. */
    readonly type: string
    readonly subject: { readonly kind: RecordKind; readonly id: string; readonly name?: string }
    readonly data: Readonly<Record<string, unknown>>
  }
}

/** An outcome whose answer is the record that the command is about. */
export function about<K extends RecordKind>(
  kind: K,
  record: RecordTypes[K],
  type: string,
  data: Record<string, unknown> = {},
): Outcome<RecordTypes[K]> {
  const name = (record as { name?: string }).name
  const subject = name === undefined ? { kind, id: record.id } : { kind, id: record.id, name }
  return { answer: record, event: { type, subject, data } }
}
