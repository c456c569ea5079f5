import { HoldfastError } from '../model/errors.ts'
import { nearest } from '../model/near.ts'
import { quote } from '../model/units.ts'
import type { Client } from './client.ts'

/** Where the names of a kind are listed. */
export const LISTS: Readonly<Record<string, string>> = {
  pool: '/v1/pools',
  node: '/v1/nodes',
  volume: '/v1/volumes',
  snapshot: '/v1/snapshots',
  role: '/v1/roles',
  hold: '/v1/holds',
  group: '/v1/groups',
  attachment: '/v1/attachments',
  operation: '/v1/operations',
  token: '/v1/tokens',
}

const LOOK_MS = 2000

/** Adds the nearest name that there is to the message that there is no such thing. */
export async function withSuggestion(client: Client, thrown: unknown): Promise<unknown> {
  if (!(thrown instanceof HoldfastError) || thrown.code !== 'not_found') return thrown
  const { kind, id } = thrown.data
  const list = typeof kind === 'string' ? LISTS[kind] : undefined
  if (list === undefined || typeof id !== 'string') return thrown
  try {
    const near = nearest(id, await namesIn(client, list, LOOK_MS))
    return near === undefined || near === id
      ? thrown
      : new HoldfastError('not_found', `${thrown.message}; did you mean ${quote(near)}?`)
  } catch {
    return thrown
  }
}

/** Names (ids of what has none) in a list of the API. */
export async function namesIn(client: Client, list: string, timeoutMs: number): Promise<string[]> {
  const page = await client.get<{ items: { name?: string; role?: string; id: string }[] }>(
    list,
    { limit: 1000 },
    timeoutMs,
  )
  return page.items.map((item) => item.name ?? (list === LISTS.role ? item.role : undefined) ?? item.id)
}
