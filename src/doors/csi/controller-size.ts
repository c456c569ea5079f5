import type { CapacityRange } from '../../csi/generated/csi/v1/csi_pb.js'
import { GrpcError } from '../../csi/grpc-error.ts'
import { formatMiB, MAX_MIB } from '../../model/units.ts'
import { badField } from './fields.ts'

const MIB = 1024n * 1024n

/** What is asked of a volume's size, in whole MiB. */
export interface SizeRange {
  /** Rounded up; undefined: not given. */
  readonly least: number | undefined
  /** Rounded down; undefined: not given. */
  readonly most: number | undefined
}

/** @throws INVALID_ARGUMENT, OUT_OF_RANGE */
export function sizeRange(range: CapacityRange | undefined): SizeRange {
  const { requiredBytes = 0n, limitBytes = 0n } = range ?? {}
  if (requiredBytes < 0n) throw badField('capacity_range.required_bytes', 'it is negative')
  if (limitBytes < 0n) throw badField('capacity_range.limit_bytes', 'it is negative')
  if (limitBytes > 0n && limitBytes < requiredBytes) throw outOfRange('the limit is less than what is required')
  const least = requiredBytes === 0n ? undefined : Number((requiredBytes + MIB - 1n) / MIB)
  const most = limitBytes === 0n ? undefined : Number(limitBytes / MIB)
  if (most !== undefined && most < (least ?? 1))
    throw outOfRange('sizes are whole MiB, and there is none in this range')
  return { least, most }
}

/**
 * The size to ask for: what is required, and not less than what is copied.
 * @param otherwise where nothing is required, MiB @throws OUT_OF_RANGE
 */
export function sizeToAsk({ least, most }: SizeRange, copiedMiB: number | undefined, otherwise: number): number {
  const wanted = least ?? Math.min(copiedMiB ?? otherwise, most ?? MAX_MIB)
  const size = Math.max(wanted, copiedMiB ?? 0)
  if (size <= (most ?? MAX_MIB)) return size
  throw outOfRange(`what is copied has ${formatMiB(size)}, which is more than the limit`)
}

export function isWithin({ least, most }: SizeRange, sizeMiB: number): boolean {
  return sizeMiB >= (least ?? 0) && sizeMiB <= (most ?? MAX_MIB)
}

export function bytesOf(sizeMiB: number): bigint {
  return BigInt(sizeMiB) * MIB
}

export function outOfRange(why: string): GrpcError {
  return new GrpcError('OUT_OF_RANGE', `capacity_range: ${why}`)
}
