import type { Attachment, User } from '../model/attachment.ts'
import type { Operation } from '../model/operation.ts'
import type { Transaction } from './transaction.ts'

/** The five proofs of invariant I4, in the design's order. */
export type Proof = 'detached' | 'fenced' | 'rebooted' | 'lease-ended' | 'forced'

/**
 * An epoch is proven gone: the only way in which an attachment's record goes. Work that was writing under it did not
 * finish, so its operation starts anew, with a new epoch, wherever it fits. A fence that was asked for has no object
 * any more and ends.
 */
export function removeAttachment(tx: Transaction, attachment: Attachment, _proof: Proof): void {
  tx.remove('attachment', attachment.id)
  restartUsers(tx, attachment)
  for (const id of [...tx.state.operationsBySubject.get(attachment.id)]) {
    const { deadlineAt: _, ...kept } = tx.need('operation', id)
    tx.put('operation', { ...kept, state: 'cancelled', overdue: false, finishedAt: tx.now })
  }
}

/** The work that used an attachment died with it, or with an earlier boot of its node. */
export function restartUsers(tx: Transaction, attachment: Attachment): void {
  for (const user of attachment.users) {
    const operation = user.door === 'operation' ? tx.get('operation', user.id) : undefined
    if (operation?.state === 'running') restart(tx, operation)
  }
}

/** Steps whose interrupted attempt may leave a half-made object. */
const LEAVES_HALVES: ReadonlySet<Operation['step']> = new Set(['format', 'copy', 'snapshot'])

/** Back to pending, and no user of anything; what a half-done attempt may have left is made again. */
export function restart(tx: Transaction, operation: Operation): Operation {
  leaveAll(tx, operation)
  const { nodeId: _, deadlineAt: __, ...kept } = operation
  return tx.put('operation', {
    ...kept,
    state: 'pending',
    overdue: false,
    unknownOutcome: false,
    recreate: operation.recreate || LEAVES_HALVES.has(operation.step),
    notBefore: tx.now,
  })
}

/** What it used besides stays attached until that is proven gone too. */
function leaveAll(tx: Transaction, operation: Operation): void {
  for (const attachment of usedBy(tx, operation)) dropUser(tx, attachment, { door: 'operation', id: operation.id })
}

/** The attachments of which an operation is a user. */
export function usedBy(tx: Transaction, operation: Operation): Attachment[] {
  const self = { door: 'operation', id: operation.id }
  const volumeIds = [operation.subject.id, ...(operation.source === undefined ? [] : [operation.source.id])]
  return volumeIds
    .flatMap((volumeId) => [...tx.state.attachmentsByVolume.get(volumeId)])
    .map((id) => tx.need('attachment', id))
    .filter((attachment) => attachment.users.some((user) => sameUser(user, self)))
}

/** Takes a user off an attachment; the last one leaves it to its node to unmount and detach. */
export function dropUser(tx: Transaction, attachment: Attachment, user: { door: string; id: string }): Attachment {
  const users = attachment.users.filter((other) => !sameUser(other, user))
  if (users.length === attachment.users.length) return attachment
  const leaves = users.length === 0 && attachment.state !== 'fencing' && attachment.state !== 'stuck'
  return tx.put('attachment', { ...attachment, users, state: leaves ? 'unmounting' : attachment.state })
}

export function sameUser(user: User, other: { door: string; id: string }): boolean {
  return user.door === other.door && user.id === other.id
}
