import type { Operation } from '../model/operation.ts'
import type { Transaction } from './transaction.ts'

type Required = Pick<Operation, 'kind' | 'step' | 'subject' | 'poolId'>
type Chosen = Partial<Pick<Operation, 'pinnedTo' | 'source' | 'detail' | 'recreate'>>

/** Records an operation before anything is done for it. */
export function startOperation(tx: Transaction, wanted: Required & Chosen): Operation {
  return tx.put('operation', {
    id: tx.newId('operation'),
    state: 'pending',
    attempt: 0,
    failures: 0,
    notBefore: tx.now,
    overdue: false,
    unknownOutcome: false,
    recreate: false,
    cancelRequested: false,
    detail: {},
    createdAt: tx.now,
    ...wanted,
  })
}
