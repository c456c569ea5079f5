import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CAPABILITIES } from '../../support/node-client.ts'
import { asking, block, ControllerWorld, type Door, MIB, mounted, refused } from './support/controller-world.ts'

const MANY = 10_000
const GIB = 1024n * MIB

let world: ControllerWorld
let door: Door

const start = async () => {
  world = await ControllerWorld.start(['node-1'])
  return world.rest.pool('loop~a~one', world.node(1), { capacityMiB: 100_000, iops: 10_000 })
}

describe('ListVolumes', () => {
  afterAll(() => world?.close())
  beforeAll(async () => {
    const { id: poolId } = await start()
    door = await world.door({ roles: ['many', 'few', 'none'] })
    world.work = () => undefined
    const { engine } = world.rest.controller
    const volume = (name: string, role: string) => ({
      ...{ name, role, poolId, sizeMiB: 1, iops: 0, fs: 'ext4' as const, access: 'single-writer' as const },
      ...{ source: undefined, holdId: undefined, protected: false, labels: {}, bandwidth: 0, fingerprint: undefined },
    })
    const create = (name: string, role: string) =>
      engine.submit({ actor: 'test', key: undefined, command: { kind: 'volume.create', volume: volume(name, role) } })
    // so many at once would be refused
    const half = Array.from({ length: MANY / 2 }, (_, index) => index)
    for (const part of ['v', 'w']) await Promise.all(half.map((index) => create(`${part}${index}`, 'many')))
    await Promise.all([...Array.from({ length: 3 }, (_, index) => create(`f${index}`, 'few')), create('foreign', 'db')])
  })

  const walk = async (maxEntries: number) => {
    const ids: string[] = []
    const pages: number[] = []
    let startingToken = ''
    do {
      const page = await door.controller.listVolumes({ maxEntries, startingToken })
      ids.push(...page.entries.map(({ volume }) => volume?.volumeId ?? ''))
      pages.push(page.entries.length)
      startingToken = page.nextToken
      expect(Buffer.byteLength(startingToken)).toBeLessThanOrEqual(128)
    } while (startingToken !== '')
    return { ids, pages }
  }

  test('shows every volume of its roles once, page by page', async () => {
    const { ids, pages } = await walk(999)
    expect(new Set(ids).size).toBe(MANY + 3)
    expect(ids).toHaveLength(MANY + 3)
    expect(pages.slice(0, -1).every((each) => each === 999)).toBe(true)
    const unlimited = await door.controller.listVolumes({})
    expect(unlimited.entries.map(({ volume }) => volume?.volumeId)).toEqual(ids.slice(0, 1000))
  })

  test('crosses from one role to the next within a page', async () => {
    const few = await world.door({ roles: ['few', 'none', 'db'] })
    const first = await few.controller.listVolumes({ maxEntries: 4 })
    expect([first.entries.length, first.nextToken]).toEqual([4, ''])
    const two = await few.controller.listVolumes({ maxEntries: 2 })
    const rest = await few.controller.listVolumes({ maxEntries: 5, startingToken: two.nextToken })
    expect([two.entries.length, rest.entries.length]).toEqual([2, 2])
  })

  test('refuses tokens that it did not give', async () => {
    const { nextToken } = await door.controller.listVolumes({ maxEntries: 1 })
    for (const startingToken of ['nonsense', '9.', `1${nextToken.slice(1)}`, `${nextToken}x`, 'ü'.repeat(60)]) {
      await refused(door.controller.listVolumes({ startingToken }), 'ABORTED', 'starting_token')
    }
    await refused(door.controller.listVolumes({ maxEntries: -1 }), 'INVALID_ARGUMENT', 'negative')
  })
})

describe('ListSnapshots', () => {
  beforeAll(start)
  afterAll(() => world?.close())
  test('shows what is cut, by volume and by id, page by page', async () => {
    const snaps = await world.door({ roles: ['default'] })
    const [one, two] = await Promise.all(
      ['one', 'two'].map(async (name) => (await snaps.controller.createVolume(asking(name))).volume?.volumeId ?? ''),
    )
    const make = async (sourceVolumeId = '', name = '') =>
      (await snaps.controller.createSnapshot({ sourceVolumeId, name })).snapshot?.snapshotId ?? ''
    const ids = [await make(one, 's1'), await make(one, 's2'), await make(two, 's3')]
    const list = async (request: object) => {
      const { entries, nextToken } = await snaps.controller.listSnapshots(request)
      return { ids: entries.map(({ snapshot }) => snapshot?.snapshotId), nextToken }
    }
    expect(await list({})).toEqual({ ids, nextToken: '' })
    expect((await list({ sourceVolumeId: one })).ids).toEqual(ids.slice(0, 2))
    expect((await list({ sourceVolumeId: 'one' })).ids).toEqual([])
    expect((await list({ snapshotId: ids[2] })).ids).toEqual(ids.slice(2))
    expect((await list({ snapshotId: ids[2], sourceVolumeId: one })).ids).toEqual([])
    expect((await list({ snapshotId: 'snap-none' })).ids).toEqual([])
    const first = await list({ maxEntries: 2 })
    expect(first.ids).toEqual(ids.slice(0, 2))
    const token = { startingToken: first.nextToken }
    expect(await list(token)).toEqual({ ids: ids.slice(2), nextToken: '' })
    await refused(list({ ...token, sourceVolumeId: one }), 'ABORTED', 'starting_token')
    await refused(list({ startingToken: 'x' }), 'ABORTED', 'starting_token')
    expect((await (await world.door({ roles: ['few'] })).controller.listSnapshots({})).entries).toEqual([])
  })
})

describe('GetCapacity', () => {
  afterAll(() => world?.close())
  beforeAll(async () => {
    await start()
    const node = await world.rest.node('node-gib', {
      capabilities: { ...CAPABILITIES, filesystems: ['xfs'], unitMiB: 1024, maxObjectMiB: 4096 },
    })
    await world.rest.pool('loop~a~gib', node, { capacityMiB: 10_000, labels: { kind: 'slow' } })
    await world.rest.ask('PUT', '/v1/profiles/gold', { iopsPerGiB: 1000 })
    await world.rest.ask('PUT', '/v1/roles/capped', { quota: { sizeMiB: 2000 } })
    await world.rest.ask('PUT', '/v1/roles/capped%2Fchild', { quota: {} })
  })

  const capacity = async (parameters: Record<string, string> = {}, more: object = {}) => {
    const all = await world.door({ roles: ['default', 'capped', 'capped/child'] })
    const told = await all.controller.getCapacity({ parameters, ...more })
    const mib = (bytes: bigint | undefined) => Number((bytes ?? -1n) / MIB)
    return [told.availableCapacity, told.maximumVolumeSize, told.minimumVolumeSize].map(mib)
  }
  const free = async (pool: string) => (await world.get(`/v1/pools/${pool}`)).usage.freeMiB

  test('tells what can still be made: in all, of one volume, and the least', async () => {
    const one = await free('loop~a~one')
    expect(await capacity()).toEqual([one, one, 1])
    expect(await capacity({ fs: 'xfs' })).toEqual([one + 10_000, one, 300])
    expect(await capacity({ fs: 'btrfs' })).toEqual([0, 0, 109])
    expect(await capacity({}, { volumeCapabilities: [block()] })).toEqual([one + 10_000, one, 1])
    expect(await capacity({}, { volumeCapabilities: [mounted('MULTI_NODE_MULTI_WRITER')] })).toEqual([0, 0, 1])
  })

  test('heeds pools, labels, units, topologies, profiles and quotas', async () => {
    const slow = { fs: 'xfs', poolLabels: 'kind=slow' }
    expect(await capacity(slow)).toEqual([10_000, 4096, 1024])
    expect(await capacity({ fs: 'xfs', pool: 'loop~a~gib' })).toEqual([10_000, 4096, 1024])
    const topology = { accessibleTopology: { segments: { 'topology.holdfast.io/node': 'node-gib' } } }
    expect(await capacity({ fs: 'xfs' }, topology)).toEqual([10_000, 4096, 1024])
    expect(await capacity({}, topology)).toEqual([0, 0, 1])
    expect((await capacity({ profile: 'gold' }))[1]).toBe(10 * 1024)
    expect(await capacity({ role: 'capped/child' })).toEqual([2000, 2000, 1])
    await refused(capacity({ nonsense: '1' }), 'INVALID_ARGUMENT', 'there is no')
  })

  test('is what CreateVolume then takes', async () => {
    const all = await world.door()
    const slow = { parameters: { fs: 'xfs', poolLabels: 'kind=slow' } }
    const { maximumVolumeSize = 0n } = await all.controller.getCapacity(slow)
    const request = { ...asking('largest', 1, slow), capacityRange: { requiredBytes: maximumVolumeSize + GIB } }
    await refused(all.controller.createVolume(request), 'RESOURCE_EXHAUSTED')
    const largest = { ...request, capacityRange: { requiredBytes: maximumVolumeSize } }
    expect((await all.controller.createVolume(largest)).volume?.capacityBytes).toBe(maximumVolumeSize)
  })
})
