import { Type } from 'typebox'
import { HoldfastError } from '../../model/errors.ts'
import { digest } from '../../runtime/secrets.ts'
import type { JsonSchema } from './describe-schema.ts'

/** Query fields of every list. */
export const PAGE_QUERY = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Items on a page; 100 if not given.' })),
  cursor: Type.Optional(Type.String({ maxLength: 512, description: '`next` of the page before.' })),
}

export interface PageQuery {
  readonly limit?: number | undefined
  readonly cursor?: string | undefined
}

export interface Page<T> {
  readonly items: T[]
  /** Cursor of the next page; absent on the last one. */
  readonly next: string | undefined
}

/**
 * One page of a list that is ordered by id. The records stand in no order that could be trusted, but nearly in the
 * order of their ids, so that picking the smallest ones after the cursor costs little more than looking at each once.
 * What is added while somebody pages has a later id as a rule; what stays is shown exactly once.
 * @throws invalid_cursor for a cursor that was not given for the same filters
 */
export function page<T extends { readonly id: string }>(
  records: Iterable<T>,
  query: PageQuery & object,
  wanted: (record: T) => boolean = () => true,
): Page<T> {
  const { limit = 100, cursor, ...filters } = query
  const stamp = digest(JSON.stringify(filters)).slice(0, 16)
  const after = cursor === undefined ? '' : readCursor(cursor, stamp)
  const picked = smallest(records, limit + 1, (record) => record.id > after && wanted(record))
  const items = picked.slice(0, limit)
  const last = items.at(-1)
  const more = picked.length > limit && last !== undefined
  return { items, next: more ? Buffer.from(`${stamp}.${last.id}`).toString('base64url') : undefined }
}

/** The `count` wanted records with the smallest ids, in order. */
function smallest<T extends { readonly id: string }>(
  records: Iterable<T>,
  count: number,
  wanted: (record: T) => boolean,
): T[] {
  let picked: T[] = []
  let bound: string | undefined
  for (const record of records) {
    if (bound !== undefined && record.id >= bound) continue
    if (!wanted(record)) continue
    picked.push(record)
    if (picked.length >= 2 * count) {
      picked = inOrder(picked).slice(0, count)
      bound = picked.at(-1)?.id
    }
  }
  return inOrder(picked).slice(0, count)
}

function inOrder<T extends { readonly id: string }>(records: T[]): T[] {
  return records.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
}

function readCursor(cursor: string, stamp: string): string {
  const text = Buffer.from(cursor, 'base64url').toString()
  const [given, ...rest] = text.split('.')
  const id = rest.join('.')
  if (!/^[0-9a-f]{16}$/.test(given ?? '') || id === '' || Buffer.from(text).toString('base64url') !== cursor) {
    throw new HoldfastError('invalid_cursor', 'cursor: not one of ours; give the "next" of the page before, or none')
  }
  if (given !== stamp) throw new HoldfastError('invalid_cursor', 'cursor: it belongs to a list with other filters')
  return id
}

/** A page as it is answered. */
export function shownPage<T>(found: Page<T>, show: (item: T) => unknown): { items: unknown[]; next?: string } {
  return { items: found.items.map(show), ...(found.next === undefined ? {} : { next: found.next }) }
}

export function pageSchema(items: JsonSchema): JsonSchema {
  return {
    type: 'object',
    required: ['items'],
    properties: { items: { type: 'array', items }, next: { type: 'string', description: 'Cursor of the next page.' } },
    additionalProperties: false,
  }
}
