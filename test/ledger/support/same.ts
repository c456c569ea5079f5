import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'

/** Like deepEqual, but what it says of large values stays small. */
export function same(actual: unknown, expected: unknown, what: string): void {
  if (isDeepStrictEqual(actual, expected)) return
  assert.fail(`${what}: ${differences(actual, expected, '').slice(0, 5).join('; ') || 'they differ'}`)
}

/** The first paths at which two values differ. */
function differences(actual: unknown, expected: unknown, path: string): string[] {
  if (isDeepStrictEqual(actual, expected)) return []
  const [left, right] = [entries(actual), entries(expected)]
  if (left === undefined || right === undefined) return [`${path}: ${text(actual)}, expected ${text(expected)}`]
  const keys = new Set([...left.keys(), ...right.keys()])
  return [...keys].flatMap((key) => differences(left.get(key), right.get(key), `${path}/${String(key)}`))
}

function entries(value: unknown): ReadonlyMap<unknown, unknown> | undefined {
  if (value instanceof Map) return value
  if (value instanceof Set) return new Map([...value].map((each) => [each, true]))
  return typeof value === 'object' && value !== null ? new Map(Object.entries(value)) : undefined
}

function text(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 300)
}
