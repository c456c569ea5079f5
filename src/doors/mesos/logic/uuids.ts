import { createHash } from 'node:crypto'

/** `6f1c…-…` of the base64 that Mesos writes. Anything else becomes a UUID of its digest, so that it can be a key. */
export function uuidText(base64: string): string {
  const bytes = Buffer.from(base64, 'base64')
  return bytes.length === 16 ? dashed(bytes.toString('hex')) : derivedUuid(base64, 0)
}

/** Mesos takes only UUIDs of RFC 4122 (`id::UUID::fromBytes`). */
export function uuidBase64(text: string): string {
  return Buffer.from(text.replaceAll('-', ''), 'hex').toString('base64')
}

/** The same UUID each time for a part of an operation. */
export function derivedUuid(text: string, part: number): string {
  const hash = createHash('sha256').update(`${text}/${part}`).digest()
  hash[6] = ((hash[6] as number) & 0x0f) | 0x40
  hash[8] = ((hash[8] as number) & 0x3f) | 0x80
  return dashed(hash.toString('hex').slice(0, 32))
}

function dashed(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
