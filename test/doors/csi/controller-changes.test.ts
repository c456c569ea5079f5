import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { CAPABILITIES } from '../../support/node-client.ts'
import { until } from '../../support/until.ts'
import { asking, block, ControllerWorld, type Door, MIB, mounted, refused } from './support/controller-world.ts'

let world: ControllerWorld
let door: Door

beforeAll(async () => {
  world = await ControllerWorld.start(['node-1', 'node-2'])
  await world.rest.pool('loop~a~one', world.node(1), { capacityMiB: 10_000 })
  door = await world.door({ roles: ['default', 'ads'] })
})
afterAll(() => world?.close())
afterEach(() => {
  world.work = () => 'ok'
})

const make = async (name: string, more: object = {}): Promise<string> => {
  const { volume } = await door.controller.createVolume(asking(name, 8, more))
  return volume?.volumeId ?? ''
}

describe('ControllerExpandVolume', () => {
  const expand = (volumeId: string, requiredMiB: number, limitMiB = 0, more: object = {}) =>
    door.controller.controllerExpandVolume({
      volumeId,
      capacityRange: { requiredBytes: BigInt(requiredMiB) * MIB, limitBytes: BigInt(limitMiB) * MIB },
      ...more,
    })

  test('answers when the volume has grown, and leaves the node nothing to do', async () => {
    const id = await make('growing')
    const grown = { capacityBytes: 20n * MIB, nodeExpansionRequired: false }
    expect(await expand(id, 20)).toMatchObject(grown)
    expect(await expand(id, 20)).toMatchObject(grown)
    expect(await expand(id, 10)).toMatchObject(grown)
    expect(await expand(id, 0, 20)).toMatchObject(grown)
    expect((await world.get(`/v1/volumes/${id}`)).sizeMiB).toBe(20)
  })

  test('tells the caller to come again while it grows', async () => {
    const id = await make('slowly')
    world.work = ({ step }) => (step === 'grow' ? undefined : 'ok')
    const short = await world.door({ answerMs: 300 })
    const request = { volumeId: id, capacityRange: { requiredBytes: 30n * MIB } }
    await refused(short.controller.controllerExpandVolume(request), 'ABORTED', 'goes on waiting')
    await refused(short.controller.controllerExpandVolume(request), 'ABORTED', 'goes on waiting')
  })

  test('refuses what the storage cannot grow', async () => {
    const node = await world.rest.node('node-fixed', { capabilities: { ...CAPABILITIES, grow: 'none' } })
    const { id: pool } = await world.rest.pool('loop~a~fixed', node)
    await refused(expand(await make('never', { parameters: { pool } }), 20), 'OUT_OF_RANGE', 'cannot grow')
  })

  test('refuses what cannot be', async () => {
    const id = await make('fixed')
    await refused(expand(id, 1, 7), 'OUT_OF_RANGE', 'cannot shrink')
    await refused(expand(id, 9, 8), 'OUT_OF_RANGE', 'limit')
    await refused(expand(id, 2 ** 42), 'OUT_OF_RANGE', 'at most')
    await refused(expand(id, 20_000), 'RESOURCE_EXHAUSTED')
    await refused(expand(id, 20, 0, { volumeCapability: block() }), 'INVALID_ARGUMENT', 'filesystem')
    await refused(expand(id, 0), 'INVALID_ARGUMENT', 'says nothing')
    await refused(expand('vol-none', 20), 'NOT_FOUND')
  })
})

describe('ControllerModifyVolume', () => {
  const modify = (volumeId: string, mutableParameters: Record<string, string>) =>
    door.controller.controllerModifyVolume({ volumeId, mutableParameters })

  test('changes what is named, and nothing else', async () => {
    const id = await make('changing', { parameters: { labels: 'a=1,b=2', iops: '5' } })
    await modify(id, { labels: 'b=3', bandwidth: '7', protected: 'true', access: 'many-readers', iops: '5' })
    const after = { labels: { a: '1', b: '3' }, bandwidth: 7, protected: true, access: 'many-readers', iops: 5 }
    expect(await world.get(`/v1/volumes/${id}`)).toMatchObject(after)
    await modify(id, { protected: 'false' })
    expect(await world.get(`/v1/volumes/${id}`)).toMatchObject({ ...after, protected: false })
  })

  test('refuses what is fixed or unknown, and writers that the filesystem does not bear', async () => {
    const id = await make('unchanging')
    await refused(modify(id, { iops: '9' }), 'INVALID_ARGUMENT', 'fixed when it is created')
    await refused(modify(id, { pool: 'x' }), 'INVALID_ARGUMENT', 'there is no "pool" here')
    await refused(modify(id, { access: 'many-writers' }), 'INVALID_ARGUMENT', 'one writer at a time')
    await refused(modify('vol-none', { iops: '9' }), 'NOT_FOUND')
  })
})

describe('ValidateVolumeCapabilities', () => {
  test('confirms what the volume can, and says why not', async () => {
    const id = await make('valid', { parameters: { fs: 'xfs', labels: 'a=1' } })
    const ask = (more: object) =>
      door.controller.validateVolumeCapabilities({ volumeId: id, volumeCapabilities: [mounted()], ...more })
    const { confirmed, message } = await ask({
      volumeContext: { name: 'valid' },
      parameters: { fs: 'xfs', pool: 'loop~a~one' },
      mutableParameters: { labels: 'a=1' },
    })
    expect(message).toBe('')
    expect(confirmed).toMatchObject({ volumeContext: { name: 'valid' }, parameters: { fs: 'xfs' } })
    expect(confirmed?.volumeCapabilities).toHaveLength(1)
    for (const [more, why] of [
      [{ volumeCapabilities: [block()] }, 'filesystem'],
      [{ volumeCapabilities: [mounted(), block()] }, 'not both'],
      [{ volumeCapabilities: [mounted('MULTI_NODE_MULTI_WRITER')] }, 'single-writer'],
      [{ volumeCapabilities: [mounted('SINGLE_NODE_WRITER', 'ext4')] }, 'not ext4'],
      [{ volumeContext: { pool: 'x' } }, 'its pool'],
      [{ parameters: { fs: 'ext4' } }, 'its fs is xfs'],
      [{ parameters: { pool: 'x' } }, 'it is in pool'],
      [{ parameters: { nonsense: 'x' } }, 'there is no'],
      [{ parameters: { labels: 'a=2' } }, 'its label a is 1'],
    ] as const) {
      const answer = await ask(more)
      expect(answer.confirmed).toBeUndefined()
      expect(answer.message).toContain(why)
    }
    await refused(ask({ volumeId: 'vol-none' }), 'NOT_FOUND')
  })
})

describe('ControllerGetVolume', () => {
  test('tells where it is published and how it is', async () => {
    const id = await make('shown')
    await door.controller.controllerPublishVolume({ volumeId: id, nodeId: 'node-1', volumeCapability: mounted() })
    const { volume, status } = await door.controller.controllerGetVolume({ volumeId: id })
    expect(volume?.capacityBytes).toBe(8n * MIB)
    expect(status).toMatchObject({ publishedNodeIds: ['node-1'], volumeCondition: { abnormal: false } })
    const [{ id: attachmentId, epoch, claims }] = (await world.get(`/v1/volumes/${id}`)).attachments
    const stuck = { attachmentId, epoch, claims, state: 'stuck', reason: 'the disk hangs' }
    await world.node(1).call('attachments', { reports: [stuck] })
    const after = await door.controller.controllerGetVolume({ volumeId: id })
    expect(after.status?.volumeCondition).toMatchObject({
      abnormal: true,
      message: expect.stringContaining('the disk hangs'),
    })
    await refused(door.controller.controllerGetVolume({ volumeId: 'vol-none' }), 'NOT_FOUND')
  })
})

describe('snapshots', () => {
  const snap = (sourceVolumeId: string, name: string, more: object = {}) =>
    door.controller.createSnapshot({ sourceVolumeId, name, ...more })
  const gone = async (name: string) => (await world.rest.ask('GET', `/v1/snapshots/${name}`)).status === 404

  test('are cut once, and can be used when that is answered', async () => {
    const id = await make('source')
    const { snapshot } = await snap(id, 'cut', { parameters: { labels: 'a=1' } })
    expect(snapshot).toMatchObject({ sourceVolumeId: id, sizeBytes: 8n * MIB, readyToUse: true, groupSnapshotId: '' })
    expect(Math.abs(Number(snapshot?.creationTime?.seconds ?? 0n) - Date.now() / 1000)).toBeLessThan(60)
    expect((await world.get('/v1/snapshots/cut')).labels).toEqual({ a: '1' })
    const again = await Promise.all([snap(id, 'cut'), snap(id, 'cut')])
    expect(new Set(again.map((each) => each.snapshot?.snapshotId))).toEqual(new Set([snapshot?.snapshotId]))
    await refused(snap(await make('source-2'), 'cut'), 'ALREADY_EXISTS', 'another one')
    expect((await snap(id, 'x/'.repeat(60))).snapshot?.readyToUse).toBe(true)
    await refused(snap('vol-none', 'lost'), 'NOT_FOUND')
    await refused(snap(id, 'wrong', { parameters: { lables: 'x' } }), 'INVALID_ARGUMENT', 'did you mean labels?')
  })

  test('are told apart when they come to no end', async () => {
    const id = await make('source-3')
    world.work = ({ step }) => (step === 'snapshot' ? undefined : 'ok')
    const short = await world.door({ answerMs: 300 })
    const request = { sourceVolumeId: id, name: 'slow' }
    await refused(short.controller.createSnapshot(request), 'ABORTED', 'goes on waiting')
    await refused(short.controller.createSnapshot(request), 'ABORTED', 'goes on waiting')
    const { id: snapshotId } = await world.get('/v1/snapshots/slow')
    expect((await door.controller.listSnapshots({ snapshotId })).entries).toEqual([])
    expect((await door.controller.getSnapshot({ snapshotId })).snapshot?.readyToUse).toBe(false)
    world.work = ({ step }) => (step === 'snapshot' ? { code: 'foreign_content', message: 'not ours' } : 'ok')
    const other = await make('source-4')
    await refused(snap(other, 'failing'), 'FAILED_PRECONDITION', 'not ours')
    world.work = () => 'ok'
    expect((await snap(other, 'failing')).snapshot?.readyToUse).toBe(true)
  })

  test('are deleted, also twice, unless they are in use', async () => {
    const id = await make('source-5')
    const { snapshot } = await snap(id, 'used')
    const snapshotId = snapshot?.snapshotId ?? ''
    world.work = ({ step }) => (step === 'copy' ? undefined : 'ok')
    const body = { name: 'copying', sizeMiB: 8, from: { snapshot: snapshotId } }
    const { body: copying } = await world.rest.ask('POST', '/v1/volumes', body)
    await refused(door.controller.deleteSnapshot({ snapshotId }), 'FAILED_PRECONDITION', 'busy')
    await world.rest.ask('POST', `/v1/operations/${copying.operation}/cancel`)
    const { snapshot: free } = await snap(id, 'free')
    await door.controller.deleteSnapshot({ snapshotId: free?.snapshotId ?? '' })
    expect(await gone('free')).toBe(true)
    await door.controller.deleteSnapshot({ snapshotId: free?.snapshotId ?? '' })
    await door.controller.deleteSnapshot({ snapshotId: 'reallyfakesnapshotid' })
    await world.rest.ask('POST', '/v1/volumes?wait=10', { name: 'of-db', sizeMiB: 8, role: 'db' })
    const { body: foreign } = await world.rest.ask('POST', '/v1/snapshots?wait=10', { volume: 'of-db', name: 'of-db' })
    await refused(door.controller.deleteSnapshot({ snapshotId: foreign.snapshot.id }), 'PERMISSION_DENIED')
    await refused(door.controller.getSnapshot({ snapshotId: foreign.snapshot.id }), 'NOT_FOUND')
  })

  test('outlive their volume', async () => {
    const id = await make('source-6')
    const { snapshot } = await snap(id, 'outliving')
    await door.controller.deleteVolume({ volumeId: id })
    expect((await door.controller.listSnapshots({ sourceVolumeId: id })).entries).toHaveLength(1)
    expect((await snap(id, 'outliving')).snapshot?.snapshotId).toBe(snapshot?.snapshotId)
  })
})

describe('group snapshots', () => {
  test('are cut of all volumes at one moment, once, and go together', async () => {
    const sourceVolumeIds = [await make('g1'), await make('g2')]
    const group = () => door.groups.createVolumeGroupSnapshot({ name: 'both', sourceVolumeIds })
    const { groupSnapshot } = await group()
    const groupSnapshotId = groupSnapshot?.groupSnapshotId ?? ''
    expect(groupSnapshot?.readyToUse).toBe(true)
    expect(groupSnapshot?.snapshots.map((each) => each.sourceVolumeId)).toEqual(sourceVolumeIds)
    expect(groupSnapshot?.snapshots.map((each) => each.groupSnapshotId)).toEqual([groupSnapshotId, groupSnapshotId])
    expect((await group()).groupSnapshot?.groupSnapshotId).toBe(groupSnapshotId)
    const snapshotIds = groupSnapshot?.snapshots.map((each) => each.snapshotId) ?? []
    const request = { groupSnapshotId, snapshotIds }
    const shown = await door.groups.getVolumeGroupSnapshot({ ...request, snapshotIds: [...snapshotIds].reverse() })
    expect(shown.groupSnapshot).toEqual(groupSnapshot)
    const single = { snapshotId: snapshotIds[0] ?? '' }
    expect((await door.controller.getSnapshot(single)).snapshot?.groupSnapshotId).toBe(groupSnapshotId)
    await refused(door.controller.deleteSnapshot(single), 'INVALID_ARGUMENT', groupSnapshotId)
    const some = { ...request, snapshotIds: snapshotIds.slice(1) }
    await refused(door.groups.getVolumeGroupSnapshot(some), 'INVALID_ARGUMENT', 'not those of group')
    await refused(door.groups.deleteVolumeGroupSnapshot(some), 'INVALID_ARGUMENT', 'not those of group')
    await door.groups.deleteVolumeGroupSnapshot(request)
    await door.groups.deleteVolumeGroupSnapshot(request)
    await refused(door.groups.getVolumeGroupSnapshot(request), 'NOT_FOUND')
    expect((await world.get('/v1/snapshots')).items.some((each: { group?: object }) => each.group)).toBe(false)
  })

  test('are refused where they cannot be of one moment, or the name is another one’s', async () => {
    const [a, b] = [await make('h1'), await make('h2')]
    const group = (sourceVolumeIds: string[], name = 'taken') =>
      door.groups.createVolumeGroupSnapshot({ name, sourceVolumeIds })
    await group([a])
    await refused(group([a, b]), 'ALREADY_EXISTS', 'other volumes')
    await refused(group([a, 'vol-none'], 'n'), 'NOT_FOUND', 'no such volume')
    await refused(group([a, a], 'n'), 'INVALID_ARGUMENT', 'twice')
    await refused(
      group(
        Array.from({ length: 17 }, () => a),
        'n',
      ),
      'INVALID_ARGUMENT',
      'at most 16',
    )
    const { id } = await world.get('/v1/pools/loop~a~one')
    await until(() => world.node(2).find(id), { what: 'node-2 to reach it' })
    await until(async () => (await world.get('/v1/pools/loop~a~one')).nodes === 2, { what: 'two nodes' })
    const publish = (volumeId: string, nodeId: string) =>
      door.controller.controllerPublishVolume({ volumeId, nodeId, volumeCapability: mounted() })
    await publish(a, 'node-1')
    await publish(b, 'node-2')
    await refused(group([a, b], 'apart'), 'FAILED_PRECONDITION', 'on one node')
  })

  test('leave nothing when one of them fails', async () => {
    const sourceVolumeIds = [await make('i1'), await make('i2')]
    let failing = true
    world.work = ({ step, object }) => {
      const ruined = failing && step.startsWith('snapshot')
      return ruined ? { code: 'foreign_content', message: `${object} is not ours` } : 'ok'
    }
    const group = () => door.groups.createVolumeGroupSnapshot({ name: 'failing', sourceVolumeIds })
    await refused(group(), 'FAILED_PRECONDITION', 'not ours')
    failing = false
    expect((await group()).groupSnapshot?.readyToUse).toBe(true)
  })
})
