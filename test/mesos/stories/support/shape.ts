/** What a message is made of: its keys and the kinds of its values, whatever these are. */
export function shape(value: unknown, without: readonly string[] = []): unknown {
  if (Array.isArray(value)) {
    const kinds = value.map((each) => JSON.stringify(shape(each, without)))
    return [...new Set(kinds)].sort().map((kind) => JSON.parse(kind))
  }
  if (typeof value !== 'object' || value === null) return typeof value
  const entries = Object.entries(value).filter(([key, each]) => each !== undefined && !without.includes(key))
  return Object.fromEntries(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, each]) => [key, shape(each, without)]),
  )
}
