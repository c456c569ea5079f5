/**
 * Ids: opaque, lower-case, time-ordered, `[a-z0-9-]{1,40}` with a kind prefix, never reused, the same everywhere
 * (store, storage objects, paths, other systems' handles).
 */
export const ID_PREFIX = {
  pool: 'pool',
  node: 'node',
  hold: 'hold',
  volume: 'vol',
  snapshot: 'snap',
  group: 'group',
  attachment: 'att',
  operation: 'op',
  token: 'tok',
} as const

export type IdKind = keyof typeof ID_PREFIX

/** Pattern of every id; also what an API path may contain. */
export const ID_PATTERN = '^[a-z0-9-]{1,40}$'

/** Makes the next id of a kind. Given by the caller: nothing pure makes ids of its own. */
export type NewId = (kind: IdKind) => string

/**
 * Writes an id from its parts.
 * @param timeMs ms since 1970, below 2^45; @param salt 12 characters of `[0-9a-v]` that make it unique
 */
export function formatId(kind: IdKind, timeMs: number, salt: string): string {
  return `${ID_PREFIX[kind]}-${timeMs.toString(32).padStart(9, '0')}${salt}`
}

/** Whether a text looks like an id of that kind (it may still be unknown). */
export function isIdOf(kind: IdKind, text: string): boolean {
  return text.startsWith(`${ID_PREFIX[kind]}-`) && /^[a-z0-9-]{1,40}$/.test(text)
}

/** The name of a volume's or snapshot's object on the storage system; never made from a user's text. */
export function objectName(installation: string, id: string): string {
  return `hf-${installation.slice(0, 8)}-${id}`
}

/** Whether an object on the storage was made by this installation. */
export function isOwnObject(installation: string, name: string): boolean {
  return name.startsWith(`hf-${installation.slice(0, 8)}-`)
}
