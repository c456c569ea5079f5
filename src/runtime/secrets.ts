import { createHash, randomBytes } from 'node:crypto'

/** A secret for a token: 192 random bits with a prefix that tells what it is when it turns up somewhere. */
export function newSecret(): string {
  return `hft_${randomBytes(24).toString('base64url')}`
}

/** Hex SHA-256. Secrets have full entropy, so they need no slow hash. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Digest of a value as JSON, the same whatever the order of its keys. */
export function fingerprint(value: unknown): string {
  return digest(canonical(value))
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  const entries = Object.entries(value).filter(([, each]) => each !== undefined)
  entries.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${canonical(each)}`).join(',')}}`
}
