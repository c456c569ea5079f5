import type { LedgerState } from '../../../src/ledger/state.ts'
import type { RecordKind, RecordTypes } from '../../../src/model/records.ts'

/** The records alone, as a store would give them back. */
export type Records = { readonly [K in RecordKind]: readonly RecordTypes[K][] }

export function recordsOf(state: LedgerState): Records {
  const list = <K extends RecordKind>(kind: K) => [...state.all(kind).values()]
  return {
    pool: list('pool'),
    node: list('node'),
    role: list('role'),
    hold: list('hold'),
    volume: list('volume'),
    snapshot: list('snapshot'),
    group: list('group'),
    attachment: list('attachment'),
    operation: list('operation'),
    token: list('token'),
    key: list('key'),
    deficit: list('deficit'),
    clock: list('clock'),
    profile: list('profile'),
    provider: list('provider'),
    guard: list('guard'),
  }
}

/** What is used of everything that has a name in the ledger's accounts; recomputed from records, in other words. */
export function totals(records: Records): Map<string, number> {
  const sums = new Map<string, number>()
  const add = (account: string, amount: number) => {
    if (amount !== 0) sums.set(account, (sums.get(account) ?? 0) + amount)
  }
  const storage = (each: { poolId: string; role: string }, mib: number, iops: number) => {
    add(`pool/${each.poolId}/mib`, mib)
    add(`pool/${each.poolId}/iops`, iops)
    const parts = each.role.split('/')
    parts.forEach((_, index) => {
      const role = parts.slice(0, index + 1).join('/')
      add(`role/${role}/mib`, mib)
      add(`role/${role}/iops`, iops)
    })
  }
  for (const volume of records.volume) storage(volume, volume.sizeMiB, volume.iops)
  for (const snapshot of records.snapshot) storage(snapshot, snapshot.sizeMiB, 0)
  for (const hold of records.hold) {
    const drawn = drawnFrom(records, hold.id)
    const mib = hold.sizeMiB - drawn.mib
    const iops = hold.iops - drawn.iops
    storage(hold, mib, iops)
    add(`held/${hold.poolId}/mib`, mib)
    add(`held/${hold.poolId}/iops`, iops)
    add(`held-by/${hold.role}/mib`, mib)
    add(`held-by/${hold.role}/iops`, iops)
  }
  for (const attachment of records.attachment) {
    add(`node/${attachment.nodeId}/attachments`, 1)
    add(`node/${attachment.nodeId}/bandwidth`, attachment.bandwidth)
  }
  for (const provider of records.provider) add(`node/${provider.nodeId}/bandwidth`, provider.bandwidth)
  return new Map([...sums].filter(([, sum]) => sum !== 0))
}

/** What volumes have drawn from a hold, by the volumes' own words. */
export function drawnFrom(records: Records, holdId: string): { mib: number; iops: number } {
  let mib = 0
  let iops = 0
  for (const draw of records.volume.flatMap((each) => each.draws ?? [])) {
    if (draw.holdId !== holdId) continue
    mib += draw.sizeMiB
    iops += draw.iops
  }
  return { mib, iops }
}

/** Every limit that there is, by account. */
export function limits(records: Records): Map<string, number> {
  const all = new Map<string, number>()
  for (const pool of records.pool) {
    const promised = (BigInt(pool.capacityMiB) * BigInt(pool.overcommitThousandths)) / 1000n
    all.set(`pool/${pool.id}/mib`, Number(promised - BigInt(pool.reserveMiB)))
    if (pool.iops > 0) all.set(`pool/${pool.id}/iops`, pool.iops)
  }
  for (const node of records.node) {
    all.set(`node/${node.id}/attachments`, node.attachmentLimit)
    if (node.bandwidth !== undefined) all.set(`node/${node.id}/bandwidth`, node.bandwidth)
  }
  for (const role of records.role) {
    if (role.quota.sizeMiB !== undefined) all.set(`role/${role.id}/mib`, role.quota.sizeMiB)
    if (role.quota.iops !== undefined) all.set(`role/${role.id}/iops`, role.quota.iops)
  }
  return all
}

type Sets = Map<string, Set<string>>

/** The indexes as the records would have them. */
export function indexes(records: Records): { maps: Record<string, Map<string, string>>; sets: Record<string, Sets> } {
  const open = records.operation.filter((each) => each.state === 'pending' || each.state === 'running')
  const snapshotsBy = (key: 'volumeId' | 'poolId') => group(records.snapshot, (each) => [each[key]])
  return {
    maps: {
      volumeByName: names(records.volume.filter((each) => each.state !== 'trash' && each.purgeAt === undefined)),
      poolByName: names(records.pool),
      nodeByName: names(records.node),
      snapshotByName: names(records.snapshot),
      tokenByHash: new Map(records.token.map((each) => [each.hash, each.id])),
      ownerOfObject: new Map(
        [...records.volume, ...records.snapshot].map((each) => [`${each.poolId}/${each.object}`, each.id]),
      ),
    },
    sets: {
      attachmentsByVolume: group(records.attachment, (each) => [each.volumeId]),
      attachmentsByNode: group(records.attachment, (each) => [each.nodeId]),
      nodesByPool: group(records.node, (each) => each.reach),
      volumesByPool: group(records.volume, (each) => [each.poolId]),
      snapshotsByVolume: snapshotsBy('volumeId'),
      snapshotsByPool: snapshotsBy('poolId'),
      holdsByPool: group(records.hold, (each) => [each.poolId]),
      operationsBySubject: group(open, (each) => [each.subject.id, ...(each.source ? [each.source.id] : [])]),
      operationsByNode: group(
        open.filter((each) => each.state === 'running'),
        (each) => [each.nodeId ?? ''],
      ),
    },
  }
}

/** What ends at a time of its own. */
export function expiring(records: Records): Set<string> {
  return new Set([
    ...records.hold.filter((each) => each.expiresAt !== undefined).map((each) => each.id),
    ...records.token.filter((each) => each.expiresAt !== undefined).map((each) => each.id),
    ...records.volume.filter((each) => each.state === 'trash').map((each) => each.id),
  ])
}

export function openOperations(records: Records): Set<string> {
  return new Set(records.operation.filter((each) => each.finishedAt === undefined).map((each) => each.id))
}

function names(records: readonly { id: string; name: string }[]): Map<string, string> {
  return new Map(records.map((each) => [each.name, each.id]))
}

function group<T extends { id: string }>(records: readonly T[], keysOf: (record: T) => readonly string[]): Sets {
  const sets: Sets = new Map()
  for (const record of records) {
    for (const key of keysOf(record)) {
      const set = sets.get(key) ?? new Set()
      sets.set(key, set.add(record.id))
    }
  }
  return sets
}
