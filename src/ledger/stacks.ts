import { type Provider, providerRecordId, type Reservation, stackKey } from '../model/mesos.ts'
import type { Volume } from '../model/volume.ts'
import type { Transaction } from './transaction.ts'

type Stacks = Provider['reserved']

/**
 * Where frameworks reserve for themselves, an agent's capacity stands in stacks of reservations, and that is Mesos'
 * bookkeeping, not ours: it has happened when we hear of it. A stack never falls below nothing.
 */
export function moved(stacks: Stacks, reservations: readonly Reservation[], byMiB: number): Stacks {
  // what is not reserved stands in no stack: it is what is left
  if (reservations.length === 0) return stacks
  const key = stackKey(reservations)
  const before = stacks.find((stack) => stackKey(stack.reservations) === key)
  const sizeMiB = Math.max(0, (before?.sizeMiB ?? 0) + byMiB)
  const others = stacks.filter((stack) => stack !== before)
  if (sizeMiB === 0) return others
  const stack = { reservations: before?.reservations ?? [...reservations], sizeMiB }
  return before === undefined ? [...others, stack] : stacks.map((each) => (each === before ? stack : each))
}

/** A disk is made of capacity that a framework had reserved. */
export function takeFromStack(tx: Transaction, volume: Volume): void {
  moveStack(tx, volume, -volume.sizeMiB)
}

/** A disk that is gone, or could not be made, leaves its capacity reserved. */
export function giveToStack(tx: Transaction, volume: Volume): void {
  moveStack(tx, volume, volume.sizeMiB)
}

function moveStack(tx: Transaction, { mesos, poolId }: Volume, byMiB: number): void {
  if (mesos?.givesBack !== true || mesos.home === undefined) return
  const provider = tx.get('provider', providerRecordId(mesos.home, poolId))
  if (provider === undefined) return
  tx.put('provider', { ...provider, reserved: moved(provider.reserved, mesos.reservations, byMiB) })
}
