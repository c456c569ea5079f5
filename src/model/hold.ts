import { type Static, Type } from 'typebox'
import { AmountMiB, Id, Labels, Millis, Rate, Role, SizeMiB } from './fields.ts'

/** Capacity and IOPS set aside for a role in a pool. Creates draw on it by naming it. */
export const Hold = Type.Object({
  id: Id,
  poolId: Id,
  role: Role,
  sizeMiB: SizeMiB,
  iops: Rate,
  /** What volumes have drawn and not given back. */
  drawnMiB: AmountMiB,
  drawnIops: Rate,
  /** Only when the hold was given a time. */
  expiresAt: Type.Optional(Millis),
  labels: Labels,
  createdAt: Millis,
})
export type Hold = Static<typeof Hold>

/** What is still free to draw. */
export function holdRemainder(hold: Hold): { sizeMiB: number; iops: number } {
  return { sizeMiB: hold.sizeMiB - hold.drawnMiB, iops: hold.iops - hold.drawnIops }
}
