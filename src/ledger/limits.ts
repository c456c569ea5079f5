import { poolLimitMiB } from '../model/pool.ts'
import { parseAccount } from './accounts.ts'
import type { LedgerState } from './state.ts'

/** The limit of an account; undefined: none. A pool without IOPS counts none, so it has no limit of IOPS. */
export function limitOf(state: LedgerState, account: string): number | undefined {
  const name = parseAccount(account)
  if (name === undefined) return undefined
  switch (name.kind) {
    case 'pool': {
      const pool = state.get('pool', name.id)
      if (pool === undefined) return undefined
      if (name.resource === 'mib') return poolLimitMiB(pool)
      return pool.iops === 0 ? undefined : pool.iops
    }
    case 'node': {
      const node = state.get('node', name.id)
      return name.resource === 'attachments' ? node?.attachmentLimit : node?.bandwidth
    }
    case 'role': {
      const quota = state.get('role', name.id)?.quota
      return name.resource === 'mib' ? quota?.sizeMiB : quota?.iops
    }
  }
}

/** What is still free of an account; Infinity where nothing limits it, never below 0. */
export function freeOf(state: LedgerState, account: string): number {
  const limit = limitOf(state, account)
  return limit === undefined ? Number.POSITIVE_INFINITY : Math.max(0, limit - state.sum(account))
}
