import { GrpcError } from '../../csi/grpc-error.ts'
import { MAX_MAP_BYTES, MAX_TEXT_BYTES } from './words.ts'

/** What is wrong with a request whatever it is about: the same call will never succeed. */
export function badField(field: string, what: string): GrpcError {
  return new GrpcError('INVALID_ARGUMENT', `${field}: ${what}`)
}

/** @throws INVALID_ARGUMENT when it is missing or longer than the specification lets a text be */
export function requiredText(field: string, value: string): string {
  if (value === '') throw badField(field, 'missing')
  checkText(field, value)
  return value
}

export function checkText(field: string, value: string): void {
  if (Buffer.byteLength(value) <= MAX_TEXT_BYTES) return
  throw badField(field, `longer than ${MAX_TEXT_BYTES} bytes, which the specification does not allow`)
}

export function checkMap(field: string, map: Readonly<Record<string, string>>): void {
  const bytes = Object.entries(map).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value),
    0,
  )
  if (bytes <= MAX_MAP_BYTES) return
  throw badField(field, `more than ${MAX_MAP_BYTES} bytes, which the specification does not allow`)
}
