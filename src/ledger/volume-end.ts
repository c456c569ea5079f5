import type { Volume } from '../model/volume.ts'
import { returnDraws } from './holds.ts'
import { giveToStack } from './stacks.ts'
import type { Transaction } from './transaction.ts'

/** The end of a volume's record: what it had drawn goes back to the holds, and the rest is free. */
export function removeVolume(tx: Transaction, volume: Volume): void {
  returnDraws(tx, volume.draws ?? [])
  giveToStack(tx, volume)
  tx.remove('volume', volume.id)
}

/** What the history says of a volume that comes or goes. */
export function volumeFigures(tx: Transaction, volume: Volume): Record<string, unknown> {
  return {
    pool: tx.get('pool', volume.poolId)?.name,
    role: volume.role,
    sizeMiB: volume.sizeMiB,
    iops: volume.iops,
  }
}
