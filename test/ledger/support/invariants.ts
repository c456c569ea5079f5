import assert from 'node:assert/strict'
import type { LedgerState } from '../../../src/ledger/state.ts'
import type { Attachment } from '../../../src/model/attachment.ts'
import { drawnFrom, expiring, indexes, limits, openOperations, type Records, recordsOf, totals } from './recompute.ts'
import { same } from './same.ts'

/** All that must be true of any state, from its records alone. */
export function checkState(state: LedgerState): void {
  const records = recordsOf(state)
  checkLimits(records)
  checkHolds(records)
  checkAttachments(records)
  checkOperations(state, records)
  checkOperationUsers(state, records)
  same(new Map(state.sums()), totals(records), 'sums are what the records say')
  checkIndexes(state, records)
}

/** I1–I3: nothing is above its limit without a deficit that says so, and no deficit is there without a cause. */
function checkLimits(records: Records): void {
  const used = totals(records)
  const expected = new Map<string, { used: number; limit: number }>()
  for (const [account, limit] of limits(records)) {
    const sum = used.get(account) ?? 0
    if (sum > limit) expected.set(account, { used: sum, limit })
  }
  const recorded = new Map(records.deficit.map(({ id, used: sum, limit }) => [id, { used: sum, limit }]))
  same(recorded, expected, 'deficits are what the records say')
}

function checkHolds(records: Records): void {
  for (const hold of records.hold) {
    const drawn = drawnFrom(records, hold.id)
    same({ mib: hold.drawnMiB, iops: hold.drawnIops }, drawn, `${hold.id} has drawn what volumes say`)
    assert.ok(drawn.mib >= 0 && drawn.mib <= hold.sizeMiB, `${hold.id} is not overdrawn in MiB`)
    assert.ok(drawn.iops >= 0 && drawn.iops <= hold.iops, `${hold.id} is not overdrawn in IOPS`)
  }
  for (const { id, draws = [], poolId, role, sizeMiB, iops } of records.volume) {
    const sum = (of: 'sizeMiB' | 'iops') => draws.reduce((all, each) => all + each[of], 0)
    assert.ok(sum('sizeMiB') <= sizeMiB, `${id} is at least as large as its draws`)
    assert.ok(sum('iops') <= iops, `${id} has drawn no more IOPS than it has`)
    assert.equal(new Set(draws.map((each) => each.holdId)).size, draws.length, `${id} draws once on each hold`)
    for (const { holdId } of draws) {
      const hold = records.hold.find((each) => each.id === holdId)
      if (hold !== undefined) same([hold.poolId, hold.role], [poolId, role], `${id} draws on its own hold`)
    }
  }
}

/** I4, at one moment: a writer is alone; many only read, and only where the volume allows it. */
function checkAttachments(records: Records): void {
  const byVolume = Map.groupBy(records.attachment, (each) => each.volumeId)
  for (const [volumeId, all] of byVolume) {
    const volume = records.volume.find((each) => each.id === volumeId)
    assert.ok(volume !== undefined, `${volumeId} is attached, so it is there`)
    assert.equal(new Set(all.map((each) => each.nodeId)).size, all.length, `${volumeId} is attached once a node`)
    assert.ok(
      !['trash', 'requested'].includes(volume.state) || volume.source,
      `${volumeId} is ${volume.state}, not attached`,
    )
    const writers = all.filter((each) => each.mode === 'rw')
    const shared = volume.access === 'many-writers'
    assert.ok(!shared || volume.fs === 'directory', `${volumeId} is shared by many writers, so it is a directory`)
    if (writers.length > 0 && !shared) assert.equal(all.length, 1, `${volumeId} may be written, so nobody else has it`)
    if (all.length > 1) assert.notEqual(volume.access, 'single-writer', `${volumeId} has one node`)
    for (const each of all) checkAttachment(each, volume)
  }
}

function checkAttachment(attachment: Attachment, volume: Records['volume'][number]): void {
  assert.ok(attachment.epoch <= volume.epoch, `${attachment.id} has an epoch that its volume gave`)
  const users = attachment.users.filter((user) => user.door !== 'operation')
  if (volume.access === 'read-only' && attachment.mode === 'rw') {
    assert.equal(users.length, 0, `${volume.id} is read-only: nobody but an operation may write`)
  }
  const distinct = new Set(attachment.users.map((user) => `${user.door} ${user.id}`))
  assert.equal(distinct.size, attachment.users.length, `${attachment.id} has each user once`)
}

/** Every open operation has what it is about; work that is running has its node. */
function checkOperations(state: LedgerState, records: Records): void {
  for (const operation of records.operation) {
    if (operation.finishedAt !== undefined) continue
    const { subject, source, id } = operation
    assert.ok(state.get(subject.kind, subject.id), `${id} (${operation.kind}) has its ${subject.kind} ${subject.id}`)
    assert.ok(state.get('pool', operation.poolId), `${id} has its pool`)
    if (source !== undefined) assert.ok(state.get(source.kind, source.id), `${id} has its source`)
    if (operation.state === 'running') assert.ok(state.get('node', operation.nodeId ?? ''), `${id} runs on a node`)
  }
  for (const volume of records.volume) {
    const busy = [...state.operationsBySubject.get(volume.id)].some(
      (id) => state.get('operation', id)?.subject.id === volume.id,
    )
    const slow = ['requested', 'creating', 'formatting', 'importing', 'deleting'].includes(volume.state)
    if (slow) assert.ok(busy, `${volume.id} is ${volume.state}, so somebody works on it`)
  }
  for (const snapshot of records.snapshot) {
    const busy = state.operationsBySubject.get(snapshot.id).size > 0
    const slow = ['requested', 'creating', 'deleting'].includes(snapshot.state)
    if (slow) assert.ok(busy, `${snapshot.id} is ${snapshot.state}, so somebody works on it`)
  }
}

/** Work on a volume's content is a user of it, on its node, for as long as it runs; nothing else is. */
function checkOperationUsers(state: LedgerState, records: Records): void {
  const used = new Map<string, Attachment[]>()
  for (const attachment of records.attachment) {
    for (const user of attachment.users) {
      if (user.door !== 'operation') continue
      const operation = state.get('operation', user.id)
      assert.equal(operation?.state, 'running', `${attachment.id} is used by ${user.id}, which runs`)
      assert.equal(operation.nodeId, attachment.nodeId, `${user.id} uses ${attachment.id} on its own node`)
      used.set(user.id, [...(used.get(user.id) ?? []), attachment])
    }
  }
  for (const operation of records.operation) {
    // a stuck step has ended but for what its node could not let go of: that alone it still holds
    const stuck = operation.overdue && operation.fault !== undefined && used.has(operation.id)
    if (operation.state !== 'running' || stuck) continue
    const has = (volumeId: string) => used.get(operation.id)?.find((each) => each.volumeId === volumeId)
    const writes = ['format', 'copy', 'grow'].includes(operation.step)
    if (writes) assert.equal(has(operation.subject.id)?.mode, 'rw', `${operation.id} (${operation.step}) may write`)
    if (operation.step === 'import') assert.ok(has(operation.subject.id), `${operation.id} holds what it reads`)
    if (operation.source?.kind === 'volume') assert.ok(has(operation.source.id), `${operation.id} holds its source`)
    if (operation.step === 'delete') {
      assert.equal(state.attachmentsByVolume.get(operation.subject.id).size, 0, `${operation.id} deletes what is idle`)
    }
  }
}

function checkIndexes(state: LedgerState, records: Records): void {
  const { maps, sets } = indexes(records)
  const actual = state as unknown as Record<string, Map<string, string> & { get(key: string): ReadonlySet<string> }>
  for (const [name, map] of Object.entries(maps)) {
    same(actual[name], map, name)
  }
  const keys = [records.pool, records.node, records.volume, records.snapshot, records.attachment].flatMap((all) =>
    all.map((each) => each.id),
  )
  for (const [name, expected] of Object.entries(sets)) {
    for (const key of new Set([...keys, ...expected.keys()])) {
      same(actual[name]?.get(key), expected.get(key) ?? new Set(), `${name} of ${key}`)
    }
  }
  same(state.openOperations, openOperations(records), 'openOperations')
  same(state.expiring, expiring(records), 'expiring')
  const named = records.volume.filter((each) => each.purgeAt === undefined)
  assert.equal(new Set(named.map((each) => each.name)).size, named.length, 'names of volumes are unique')
}
