import { randomUUID } from 'node:crypto'

/** Sixteen bytes of a version 4 UUID, as the v1 JSON has `bytes` fields. */
export function uuidBytes(): string {
  return Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64')
}

/** Whether Mesos takes these bytes for a UUID (RFC 4122, version 1 to 5). */
export function isUuid(base64: unknown): boolean {
  if (typeof base64 !== 'string') return false
  const bytes = Buffer.from(base64, 'base64')
  if (bytes.length !== 16) return false
  const version = (bytes[6] ?? 0) >> 4
  return version >= 1 && version <= 5 && (bytes[8] ?? 0) >> 6 === 2
}
