import { Type } from 'typebox'
import { ID_PATTERN } from './ids.ts'
import { NAME_PATTERN, POOL_NAME_PATTERN, ROLE_PATTERN } from './names.ts'
import { MAX_MIB, MAX_RATE } from './units.ts'

/** Field schemas that several records share; the unit is in the key that uses them. */
export const Id = Type.String({ pattern: ID_PATTERN })
export const Name = Type.String({ pattern: NAME_PATTERN, maxLength: 63 })
export const PoolName = Type.String({ pattern: POOL_NAME_PATTERN, maxLength: 191 })
export const Role = Type.String({ pattern: ROLE_PATTERN, maxLength: 255 })
/** A size that must be there: at least 1 MiB. */
export const SizeMiB = Type.Integer({ minimum: 1, maximum: MAX_MIB })
/** An amount of MiB that may be nothing. */
export const AmountMiB = Type.Integer({ minimum: 0, maximum: MAX_MIB })
/** IOPS or bandwidth; 0 counts none. */
export const Rate = Type.Integer({ minimum: 0, maximum: MAX_RATE })
/** Milliseconds since 1970 inside; RFC 3339 UTC at the REST door. */
export const Millis = Type.Integer({ minimum: 0 })
export const Uuid = Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' })
export const Labels = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$' }),
  Type.String({ maxLength: 255 }),
  {
    maxProperties: 64,
  },
)
/**
 * What a driver needs to find an object again where its name is not enough: the storage's own id of it on the first line,
 * whatever else after that.
 */
export const Handle = Type.String({ minLength: 1, maxLength: 8192 })
/** The storage's own id. */
export function handleId(handle: string): string {
  return handle.split('\n', 1)[0] ?? ''
}
export const Reason = Type.String({ minLength: 1, maxLength: 1000 })
