import type { Attachment } from '../model/attachment.ts'
import { type Hold, holdRemainder } from '../model/hold.ts'
import type { Provider } from '../model/mesos.ts'
import { roleAndAncestors } from '../model/names.ts'
import type { RecordKind } from '../model/records.ts'

/**
 * Accounts are what invariants I1–I3 are about. Every record has a *footprint*, the amounts it takes of accounts; an
 * account may have a *limit*, which other records set. The invariants say: no sum above its limit, unless a deficit is
 * recorded. Nothing else in the ledger counts anything.
 */
export const poolMiB = (poolId: string) => named(POOLS, poolId, 'pool', 'held').mib
export const poolIops = (poolId: string) => named(POOLS, poolId, 'pool', 'held').iops
export const nodeAttachments = (nodeId: string) => `node/${nodeId}/attachments`
export const nodeBandwidth = (nodeId: string) => `node/${nodeId}/bandwidth`
export const roleMiB = (role: string) => named(ROLES, role, 'role', 'held-by').mib
export const roleIops = (role: string) => named(ROLES, role, 'role', 'held-by').iops

/** Taken by holds alone, a part of the pool's account; shown beside it, without a limit of its own. */
export const poolHeldMiB = (poolId: string) => named(POOLS, poolId, 'pool', 'held').heldMib
export const poolHeldIops = (poolId: string) => named(POOLS, poolId, 'pool', 'held').heldIops
export const roleHeldMiB = (role: string) => named(ROLES, role, 'role', 'held-by').heldMib
export const roleHeldIops = (role: string) => named(ROLES, role, 'role', 'held-by').heldIops

interface Names {
  readonly mib: string
  readonly iops: string
  readonly heldMib: string
  readonly heldIops: string
}

/** Names that were made once: making and hashing them anew was a fifth of the time that a decision takes. */
const POOLS = new Map<string, Names>()
const ROLES = new Map<string, Names>()

function named(known: Map<string, Names>, id: string, kind: string, held: string): Names {
  let names = known.get(id)
  if (names === undefined) {
    const prefix = `${kind}/${id}`
    const heldPrefix = `${held}/${id}`
    names = {
      mib: `${prefix}/mib`,
      iops: `${prefix}/iops`,
      heldMib: `${heldPrefix}/mib`,
      heldIops: `${heldPrefix}/iops`,
    }
    known.set(id, names)
  }
  return names
}

export type Entry = readonly [account: string, amount: number]

/** What a record takes of which accounts. */
export function footprint(kind: RecordKind, record: unknown): Entry[] {
  switch (kind) {
    case 'volume':
    case 'snapshot': {
      const {
        poolId,
        role,
        sizeMiB,
        iops = 0,
      } = record as { poolId: string; role: string; sizeMiB: number; iops?: number }
      return storage(poolId, role, sizeMiB, iops)
    }
    case 'hold': {
      const hold = record as Hold
      const rest = holdRemainder(hold)
      return [
        ...storage(hold.poolId, hold.role, rest.sizeMiB, rest.iops),
        [poolHeldMiB(hold.poolId), rest.sizeMiB],
        [poolHeldIops(hold.poolId), rest.iops],
        [roleHeldMiB(hold.role), rest.sizeMiB],
        [roleHeldIops(hold.role), rest.iops],
      ]
    }
    case 'attachment': {
      const { nodeId, bandwidth } = record as Attachment
      return [
        [nodeAttachments(nodeId), 1],
        [nodeBandwidth(nodeId), bandwidth],
      ]
    }
    case 'provider': {
      // tasks of an agent take bandwidth of its node beside what attachments take
      const { nodeId, bandwidth } = record as Provider
      return [[nodeBandwidth(nodeId), bandwidth]]
    }
    default:
      return []
  }
}

function storage(poolId: string, role: string, sizeMiB: number, iops: number): Entry[] {
  const entries: Entry[] = [
    [poolMiB(poolId), sizeMiB],
    [poolIops(poolId), iops],
  ]
  for (const charged of roleAndAncestors(role)) {
    entries.push([roleMiB(charged), sizeMiB], [roleIops(charged), iops])
  }
  return entries
}

/** The accounts whose limits a record sets. */
export function limitedAccounts(kind: RecordKind, id: string): string[] {
  switch (kind) {
    case 'pool':
      return [poolMiB(id), poolIops(id)]
    case 'node':
      return [nodeAttachments(id), nodeBandwidth(id)]
    case 'role':
      return [roleMiB(id), roleIops(id)]
    default:
      return []
  }
}

export interface AccountName {
  readonly kind: 'pool' | 'node' | 'role'
  readonly id: string
  readonly resource: 'mib' | 'iops' | 'attachments' | 'bandwidth'
}

/** Reads an account's name; undefined for those that never have a limit. */
export function parseAccount(account: string): AccountName | undefined {
  if (account.startsWith('held')) return undefined
  const first = account.indexOf('/')
  const last = account.lastIndexOf('/')
  const kind = account.slice(0, first)
  if (kind !== 'pool' && kind !== 'node' && kind !== 'role') return undefined
  return { kind, id: account.slice(first + 1, last), resource: account.slice(last + 1) as AccountName['resource'] }
}
