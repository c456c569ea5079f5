import { roleAndAncestors } from '../model/names.ts'
import { poolLimitMiB } from '../model/pool.ts'
import type { DurableBatch, DurableLedger } from './durable-ledger.ts'

/** Events of facts from outside, which may take an account over its limit. */
const FACTS = new Set([
  'pool.updated',
  'node.updated',
  'role.set',
  'role.deleted',
  'volume.importing',
  'operation.succeeded',
])

/**
 * Invariants I1–I3, counted anew from the durable records, in a way that has nothing in common with the ledger's own:
 * plain sums over all records.
 */
export class CountsWatch {
  readonly #ledger: DurableLedger
  readonly #fail: (message: string) => void
  #before = new Map<string, number>()

  constructor(ledger: DurableLedger, fail: (message: string) => void) {
    this.#ledger = ledger
    this.#fail = fail
    ledger.watch((batch) => this.#check(batch))
  }

  #check({ changes, events }: DurableBatch): void {
    if (!changes.some(({ kind }) => kind !== 'operation' && kind !== 'key' && kind !== 'token')) return
    const used = this.#count()
    const fact = events.some((event) => FACTS.has(event.type))
    for (const [account, limit] of this.#limits()) {
      const now = used.get(account) ?? 0
      const deficit = this.#ledger.get('deficit', account)
      if (now <= limit) {
        if (deficit !== undefined) this.#fail(`I1-I3: ${account} is in deficit with ${now} of ${limit}`)
        continue
      }
      if (deficit?.used !== now || deficit.limit !== limit) {
        this.#fail(`I1-I3: ${account} has ${now} of ${limit}, the deficit says ${JSON.stringify(deficit)}`)
      }
      if (now > (this.#before.get(account) ?? 0) && !fact) {
        this.#fail(`I1-I3: ${account} rose to ${now} of ${limit} by ${events.map((each) => each.type).join(', ')}`)
      }
    }
    this.#before = used
  }

  #count(): Map<string, number> {
    const used = new Map<string, number>()
    const add = (account: string, amount: number) => used.set(account, (used.get(account) ?? 0) + amount)
    const storage = (poolId: string, role: string, sizeMiB: number, iops: number) => {
      add(`pool/${poolId}/mib`, sizeMiB)
      add(`pool/${poolId}/iops`, iops)
      for (const each of roleAndAncestors(role)) {
        add(`role/${each}/mib`, sizeMiB)
        add(`role/${each}/iops`, iops)
      }
    }
    for (const { poolId, role, sizeMiB, iops } of this.#ledger.all('volume')) storage(poolId, role, sizeMiB, iops)
    for (const { poolId, role, sizeMiB } of this.#ledger.all('snapshot')) storage(poolId, role, sizeMiB, 0)
    for (const hold of this.#ledger.all('hold')) {
      const { drawnMiB, drawnIops } = this.#drawn(hold.id)
      if (drawnMiB !== hold.drawnMiB || drawnIops !== hold.drawnIops) {
        this.#fail(`I1: volumes drew ${drawnMiB} MiB of hold ${hold.id}, which says ${hold.drawnMiB}`)
      }
      storage(hold.poolId, hold.role, hold.sizeMiB - drawnMiB, hold.iops - drawnIops)
    }
    for (const { nodeId, bandwidth } of this.#ledger.all('attachment')) {
      add(`node/${nodeId}/attachments`, 1)
      add(`node/${nodeId}/bandwidth`, bandwidth)
    }
    for (const { nodeId, bandwidth } of this.#ledger.all('provider')) add(`node/${nodeId}/bandwidth`, bandwidth)
    return used
  }

  #drawn(holdId: string): { drawnMiB: number; drawnIops: number } {
    const sum = { drawnMiB: 0, drawnIops: 0 }
    for (const { draws = [] } of this.#ledger.all('volume')) {
      for (const draw of draws) {
        if (draw.holdId !== holdId) continue
        sum.drawnMiB += draw.sizeMiB
        sum.drawnIops += draw.iops
      }
    }
    return sum
  }

  *#limits(): Generator<[account: string, limit: number]> {
    for (const pool of this.#ledger.all('pool')) {
      yield [`pool/${pool.id}/mib`, poolLimitMiB(pool)]
      if (pool.iops > 0) yield [`pool/${pool.id}/iops`, pool.iops]
    }
    for (const node of this.#ledger.all('node')) {
      yield [`node/${node.id}/attachments`, node.attachmentLimit]
      if (node.bandwidth !== undefined) yield [`node/${node.id}/bandwidth`, node.bandwidth]
    }
    for (const { id, quota } of this.#ledger.all('role')) {
      if (quota.sizeMiB !== undefined) yield [`role/${id}/mib`, quota.sizeMiB]
      if (quota.iops !== undefined) yield [`role/${id}/iops`, quota.iops]
    }
  }
}
