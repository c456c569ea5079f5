import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { named } from '../../../src/doors/csi/controller-names.ts'
import { poolSegment } from '../../../src/doors/csi/words.ts'
import { CAPABILITIES } from '../../support/node-client.ts'
import { until } from '../../support/until.ts'
import { asking, block, ControllerWorld, type Door, MIB, mounted, refused } from './support/controller-world.ts'

let world: ControllerWorld
let door: Door
const pools: { id: string; name: string }[] = []

beforeAll(async () => {
  world = await ControllerWorld.start()
  pools.push(await world.rest.pool('loop~a~one', world.node(1), { capacityMiB: 10_000, labels: { kind: 'fast' } }))
  pools.push(await world.rest.pool('loop~a~two', world.node(2), { capacityMiB: 20_000, iops: 1000 }))
  door = await world.door({ roles: ['default', 'ads'] })
})
afterAll(() => world?.close())
afterEach(() => {
  world.work = () => 'ok'
})

const create = async (request: Parameters<Door['controller']['createVolume']>[0]) => {
  const { volume } = await door.controller.createVolume(request)
  if (volume === undefined) throw new Error('no volume')
  return volume
}

describe('CreateVolume', () => {
  test('answers when the volume is available, with its id, its size in whole MiB and where it can be used', async () => {
    const volume = await create({ ...asking('plain'), capacityRange: { requiredBytes: 5n * MIB + 1n } })
    const shown = await world.get('/v1/volumes/plain')
    expect(shown).toMatchObject({
      state: 'available',
      sizeMiB: 6,
      fs: 'ext4',
      access: 'single-writer',
      role: 'default',
    })
    expect(shown.createdBy).toBe('node node-1 via csi')
    expect(volume).toMatchObject({
      volumeId: shown.id,
      capacityBytes: 6n * MIB,
      volumeContext: { name: 'plain', pool: shown.pool },
      accessibleTopology: [{ segments: { [poolSegment(shown.poolId)]: 'true' } }],
    })
    expect(volume.contentSource).toBeUndefined()
  })

  test('gives the same volume to the same request, also to eight at once', async () => {
    const request = asking('once', 8, { parameters: { iops: '5', pool: 'loop~a~two' } })
    const volumes = await Promise.all(Array.from({ length: 8 }, () => create(request)))
    expect(new Set(volumes.map(({ volumeId }) => volumeId)).size).toBe(1)
    expect((await create(request)).volumeId).toBe(volumes[0]?.volumeId)
    expect((await world.get('/v1/volumes?name=once')).items).toHaveLength(1)
  })

  test('takes what fits an existing volume for a repeat, and refuses what does not', async () => {
    const first = await create(asking('same', 8))
    const again = (more: object) => create({ ...asking('same', 8), ...more })
    const ranged = { capacityRange: { requiredBytes: 4n * MIB, limitBytes: 8n * MIB } }
    expect((await again(ranged)).volumeId).toBe(first.volumeId)
    expect((await again({ parameters: { 'csi.storage.k8s.io/pvc/name': 'x' } })).volumeId).toBe(first.volumeId)
    const conflict = (more: object, words: string) => refused(again(more), 'ALREADY_EXISTS', words)
    await conflict({ capacityRange: { requiredBytes: 9n * MIB } }, 'it has 8MiB')
    await conflict({ capacityRange: { limitBytes: 7n * MIB } }, 'it has 8MiB')
    await conflict({ parameters: { iops: '7' } }, 'other parameters')
    await conflict({ mutableParameters: { iops: '7' } }, 'other parameters')
    await conflict({ volumeCapabilities: [block()] }, 'has a filesystem')
    await conflict({ volumeCapabilities: [mounted('MULTI_NODE_READER_ONLY')] }, 'single-writer')
    const elsewhere = { requisite: [{ segments: { [poolSegment('pool-none')]: 'true' } }] }
    await conflict({ accessibilityRequirements: elsewhere }, 'it is in pool')
    const source = { type: { case: 'volume', value: { volumeId: first.volumeId } } }
    await conflict({ volumeContentSource: source }, 'another source')
  })

  test('refuses a name that another door or role has', async () => {
    await world.rest.ask('POST', '/v1/volumes?wait=10', { name: 'by-rest', sizeMiB: 8 })
    await world.rest.ask('POST', '/v1/volumes?wait=10', { name: 'of-db', sizeMiB: 8, role: 'db' })
    await refused(create(asking('by-rest')), 'ALREADY_EXISTS', 'other parameters')
    await refused(create(asking('of-db')), 'ALREADY_EXISTS', 'another role')
  })

  test('calls a volume as it was asked for where it can, else by a digest, with the name as a label', async () => {
    const odd = 'pvc with/ünusual — name'
    const volume = await create(asking(odd))
    const shown = await world.get(`/v1/volumes/${volume.volumeId}`)
    expect(shown.name).toMatch(/^csi-[0-9a-f]{56}$/)
    expect(shown.labels).toEqual({ 'csi.holdfast.io/name': odd })
    expect((await create(asking(odd))).volumeId).toBe(volume.volumeId)
    // a name that looks like that digest is another volume's
    const other = await create(asking(shown.name))
    expect(other.volumeId).not.toBe(volume.volumeId)
    const longest = 'ü'.repeat(64)
    expect((await create(asking(longest))).volumeId).not.toBe((await create(asking(`${longest.slice(1)}u`))).volumeId)
    expect(named(odd)).toEqual({ name: shown.name, labels: shown.labels })
  })

  test('chooses and refuses by the size that is asked for', async () => {
    const sized = (name: string, requiredBytes: bigint, limitBytes: bigint, more: object = {}) =>
      create({ ...asking(name), capacityRange: { requiredBytes, limitBytes }, ...more })
    expect((await sized('limited', 0n, 9n * MIB + 5n)).capacityBytes).toBe(9n * MIB)
    const small = await world.door({ defaultSizeMiB: 32 })
    const { volume } = await small.controller.createVolume({ ...asking('silent'), capacityRange: undefined })
    expect(volume?.capacityBytes).toBe(32n * MIB)
    await refused(sized('x', -1n, 0n), 'INVALID_ARGUMENT', 'negative')
    await refused(sized('x', 9n * MIB, 8n * MIB), 'OUT_OF_RANGE', 'limit')
    await refused(sized('x', 0n, 5n), 'OUT_OF_RANGE', 'whole MiB')
    await refused(sized('x', 5n * MIB + 1n, 5n * MIB + 2n), 'OUT_OF_RANGE', 'whole MiB')
    await refused(sized('x', 2n ** 63n - 1n, 0n), 'OUT_OF_RANGE', 'objects of up to')
  })

  test('says what there is no room for, and what would fit', async () => {
    await refused(
      create(asking('huge', 30_000)),
      'RESOURCE_EXHAUSTED',
      /MiB free, 30,000 asked.*ask for [\d,]+ MiB less/,
    )
    await refused(
      create(asking('fast', 8, { parameters: { pool: 'loop~a~two', iops: '5000' } })),
      'RESOURCE_EXHAUSTED',
      'IOPS free, 5,000 asked',
    )
    await world.rest.ask('PUT', '/v1/roles/ads', { quota: { sizeMiB: 10 } })
    await refused(create(asking('quota', 11, { parameters: { role: 'ads' } })), 'RESOURCE_EXHAUSTED', 'ads')
    expect((await world.rest.ask('GET', '/v1/volumes/huge')).status).toBe(404)
  })

  test('reads its parameters, and the mutable ones first', async () => {
    const parameters = {
      pool: 'loop~a~two',
      fs: 'xfs',
      iops: '3',
      access: 'many-readers',
      protected: 'true',
      role: 'ads',
      labels: 'team=web,tier=db',
      'csi.storage.k8s.io/pvc/namespace': 'shop',
    }
    await world.rest.ask('PUT', '/v1/roles/ads', { quota: {} })
    await create(asking('told', 8, { parameters, mutableParameters: { iops: '4', labels: 'tier=x', bandwidth: '2' } }))
    expect(await world.get('/v1/volumes/told')).toMatchObject({
      ...{ pool: 'loop~a~two', fs: 'xfs', iops: 4, access: 'many-readers', protected: true, role: 'ads', bandwidth: 2 },
      labels: { team: 'web', tier: 'x', 'csi.storage.k8s.io/pvc/namespace': 'shop' },
    })
    await create(asking('labelled', 8, { parameters: { poolLabels: 'kind=fast' } }))
    expect((await world.get('/v1/volumes/labelled')).pool).toBe('loop~a~one')
  })

  test.each([
    [{ sizee: '1' }, 'there is no \\"sizee\\"'],
    [{ protect: 'true' }, 'did you mean protected?'],
    [{ iops: 'many' }, 'parameters.iops'],
    [{ fs: 'ntfs' }, 'none of ext4'],
    [{ access: 'everybody' }, 'none of single-writer'],
    [{ labels: 'x' }, 'KEY=VALUE'],
    [{ protected: 'yes' }, 'neither true nor false'],
    [{ pool: '' }, 'empty'],
    [{ pool: 'loop~no~pool' }, 'no such pool'],
    [{ profile: 'nobody' }, 'no profile nobody'],
    [{ hold: 'hold-none' }, 'no such hold'],
    [{ role: 'db' }, 'acts for default, ads'],
    [{ fs: 'raw' }, 'raw'],
    [{ access: 'many-writers' }, 'shares directories'],
  ])('refuses the parameters %j', async (parameters, words) => {
    await refused(create(asking('wrong', 8, { parameters })), 'INVALID_ARGUMENT', words.replaceAll('\\"', '"'))
  })

  test('makes what all capabilities together need', async () => {
    const had = async (name: string, volumeCapabilities: object[], parameters = {}) => {
      await create(asking(name, 8, { volumeCapabilities, parameters }))
      const { fs, access } = await world.get(`/v1/volumes/${name}`)
      return { fs, access }
    }
    expect(await had('c1', [block()])).toEqual({ fs: 'raw', access: 'single-writer' })
    expect(await had('c2', [mounted('SINGLE_NODE_WRITER', 'xfs')])).toEqual({ fs: 'xfs', access: 'single-writer' })
    expect(await had('c3', [mounted(), mounted('MULTI_NODE_READER_ONLY')])).toEqual({
      fs: 'ext4',
      access: 'many-readers',
    })
    const refusedFor = (volumeCapabilities: object[], words: string, parameters = {}) =>
      refused(had('c4', volumeCapabilities, parameters), 'INVALID_ARGUMENT', words)
    await refusedFor([mounted(), block()], 'not both')
    await refusedFor([mounted('SINGLE_NODE_WRITER', 'xfs'), mounted('SINGLE_NODE_WRITER', 'ext4')], 'one filesystem')
    await refusedFor([mounted('SINGLE_NODE_WRITER', 'xfs')], 'not xfs', { fs: 'ext4' })
    await refusedFor([block()], 'filesystem', { fs: 'ext4' })
    await refusedFor([mounted('MULTI_NODE_READER_ONLY')], 'single-writer', { access: 'single-writer' })
    await refusedFor([mounted('MULTI_NODE_MULTI_WRITER')], 'shares directories')
    await refusedFor([block('MULTI_NODE_MULTI_WRITER')], 'many-writers')
    await refusedFor([], 'missing')
  })

  test('takes filesystem, access and IOPS from a profile, in its pools alone', async () => {
    const profile = { fs: 'xfs', access: 'many-readers', iopsPerGiB: 2, pools: ['loop~a~two'] }
    await world.rest.ask('PUT', '/v1/profiles/gold', profile)
    const parameters = { profile: 'gold' }
    await create(asking('golden', 2048, { parameters, volumeCapabilities: [mounted('MULTI_NODE_READER_ONLY')] }))
    expect(await world.get('/v1/volumes/golden')).toMatchObject({ fs: 'xfs', iops: 4, pool: 'loop~a~two' })
    await refused(create(asking('x', 8, { parameters, volumeCapabilities: [block()] })), 'INVALID_ARGUMENT', 'xfs')
  })
})

describe('CreateVolume of a copy', () => {
  const from = (kind: 'snapshot' | 'volume', id: string) => ({
    volumeContentSource: {
      type: kind === 'snapshot' ? { case: kind, value: { snapshotId: id } } : { case: kind, value: { volumeId: id } },
    },
  })

  test('says what it is a copy of, is as large as that at least, and outlives it', async () => {
    const source = await create(asking('origin', 16, { parameters: { fs: 'xfs', role: 'ads' } }))
    const { snapshot } = await door.controller.createSnapshot({ sourceVolumeId: source.volumeId, name: 'shot' })
    const id = snapshot?.snapshotId ?? ''
    const request = { ...asking('copy'), ...from('snapshot', id), capacityRange: { requiredBytes: MIB } }
    const copy = await create(request)
    expect(copy.capacityBytes).toBe(16n * MIB)
    expect(copy.contentSource?.type).toMatchObject({ case: 'snapshot', value: { snapshotId: id } })
    expect(await world.get('/v1/volumes/copy')).toMatchObject({ fs: 'xfs', role: 'ads' })
    const clone = await create({ ...asking('clone', 20), ...from('volume', source.volumeId) })
    expect(clone).toMatchObject({ capacityBytes: 20n * MIB, contentSource: { type: { case: 'volume' } } })
    await door.controller.deleteSnapshot({ snapshotId: id })
    expect((await create(request)).volumeId).toBe(copy.volumeId)
  })

  test('is refused for what is not there, cannot be had so, or is larger than may be', async () => {
    const source = await create(asking('origin-2', 16))
    const copy = (source: object, more: object = {}) => create({ ...asking('copy-2'), ...source, ...more })
    await refused(copy(from('snapshot', 'snap-none')), 'NOT_FOUND', 'no such snapshot')
    await refused(copy(from('volume', 'origin-2')), 'NOT_FOUND', 'no such volume')
    await refused(copy(from('volume', '')), 'INVALID_ARGUMENT', 'volume_id: missing')
    await refused(copy({ volumeContentSource: {} }), 'INVALID_ARGUMENT', 'neither')
    const here = from('volume', source.volumeId)
    await refused(copy(here, { volumeCapabilities: [block()] }), 'INVALID_ARGUMENT', 'filesystem')
    await refused(copy(here, { parameters: { pool: 'loop~a~two', fs: 'xfs' } }), 'INVALID_ARGUMENT')
    await refused(copy(here, { capacityRange: { limitBytes: 15n * MIB } }), 'OUT_OF_RANGE', 'more than the limit')
  })
})

describe('CreateVolume that does not come to its end', () => {
  const left = async (name: string) => (await world.get(`/v1/volumes?name=${name}`)).items

  test('tells the caller to come again, whichever door it comes to, and makes one volume', async () => {
    world.work = ({ step }) => (step === 'create' ? undefined : 'ok')
    const slow = await world.door({ answerMs: 700 })
    await refused(slow.controller.createVolume(asking('slow')), 'ABORTED', 'goes on waiting')
    // the door is killed in the middle of a call
    const cut = slow.controller.createVolume(asking('slow')).catch((thrown: { code: string }) => thrown.code)
    await until(async () => (await left('slow')).length === 1, { what: 'the request to be known' })
    await slow.close()
    expect(['UNAVAILABLE', 'CANCELLED', 'ABORTED']).toContain(await cut)
    const again = await world.door({ answerMs: 700 })
    expect(await left('slow')).toHaveLength(1)
    await refused(again.controller.createVolume(asking('slow', 8, { parameters: { iops: '1' } })), 'ALREADY_EXISTS')
    const [{ id }] = await left('slow')
    await refused(again.controller.createVolume(asking('slow')), 'ABORTED')
    await world.rest.ask('DELETE', `/v1/volumes/${id}`)
  })

  test('gives the name back when the volume cannot be made, and makes it when asked again', async () => {
    world.work = ({ step }) => (step === 'format' ? { code: 'foreign_content', message: 'not ours' } : 'ok')
    await refused(create(asking('broken')), 'FAILED_PRECONDITION', 'not ours')
    world.work = ({ step }) => (step === 'format' ? { code: 'invalid_size', message: 'too small for xfs' } : 'ok')
    await refused(create(asking('broken')), 'OUT_OF_RANGE', 'too small for xfs')
    world.work = () => 'ok'
    const volume = await create(asking('broken'))
    expect((await left('broken')).map(({ id }: { id: string }) => id)).toEqual([volume.volumeId])
  })

  test('waits for a volume of that name to be gone', async () => {
    const before = await create(asking('reborn'))
    let held = true
    world.work = ({ step }) => (step === 'delete' && held ? undefined : 'ok')
    await world.rest.ask('DELETE', `/v1/volumes/${before.volumeId}`)
    const short = await world.door({ answerMs: 300 })
    await refused(short.controller.createVolume(asking('reborn')), 'ABORTED', 'being deleted')
    held = false
  })
})

describe('CreateVolume with accessibility requirements', () => {
  const in_ = (...segments: Record<string, string>[]) => segments.map((each) => ({ segments: each }))
  const pool = (index: number) => ({ [poolSegment(pools[index]?.id ?? '')]: 'true' })
  const place = async (name: string, accessibilityRequirements: object, sizeMiB = 8) => {
    await create(asking(name, sizeMiB, { accessibilityRequirements }))
    return (await world.get(`/v1/volumes/${name}`)).pool
  }

  test('goes where it is preferred, else where it may be, and nowhere else', async () => {
    expect(await place('t1', { requisite: in_(pool(1)) })).toBe('loop~a~two')
    expect(await place('t2', { requisite: in_(pool(0), pool(1)), preferred: in_(pool(1), pool(0)) })).toBe('loop~a~two')
    expect(await place('t3', { requisite: in_(pool(0), pool(1)), preferred: in_(pool(0)) }, 12_000)).toBe('loop~a~two')
    expect(await place('t4', { preferred: in_(pool(0)) })).toBe('loop~a~one')
    expect(await place('t5', { preferred: in_({ [poolSegment('pool-gone')]: 'true' }) })).toMatch(/^loop~a~/)
    const small = { requisite: in_(pool(0)) }
    await refused(place('t6', small, 15_000), 'RESOURCE_EXHAUSTED', 'asked')
    await refused(place('t6', { requisite: in_({ [poolSegment('pool-gone')]: 'true' }) }), 'RESOURCE_EXHAUSTED')
    await refused(
      place('t6', { requisite: in_({ ...pool(1), [Object.keys(pool(1))[0] ?? '']: 'false' }) }),
      'RESOURCE_EXHAUSTED',
    )
  })

  test('knows what a node reaches', async () => {
    const node = (name: string) => ({ 'topology.holdfast.io/node': name })
    expect(await place('n1', { requisite: in_(node('node-2')) })).toBe('loop~a~two')
    expect(await place('n2', { requisite: in_({ ...node('node-1'), ...pool(0) }) })).toBe('loop~a~one')
    await refused(place('n3', { requisite: in_(node('nobody')) }), 'RESOURCE_EXHAUSTED')
  })

  test('refuses what is no topology of ours', async () => {
    await refused(place('x', {}), 'INVALID_ARGUMENT', 'neither requisite nor preferred')
    await refused(place('x', { requisite: in_({}) }), 'INVALID_ARGUMENT', 'without segments')
    await refused(place('x', { requisite: in_({ zone: 'a' }) }), 'INVALID_ARGUMENT', 'zone')
  })

  test('never exceeds the limit by the unit of a pool', async () => {
    const gib = await world.rest.node('node-gib', { capabilities: { ...CAPABILITIES, unitMiB: 1024 } })
    const unit = await world.rest.pool('loop~a~gib', gib)
    const request = (name: string, limitBytes: bigint) => ({
      ...asking(name, 8, { parameters: { pool: unit.id } }),
      capacityRange: { requiredBytes: 8n * MIB, limitBytes },
    })
    await refused(create(request('u1', 1023n * MIB)), 'RESOURCE_EXHAUSTED', 'not one of those asked for')
    expect((await create(request('u1', 1024n * MIB))).capacityBytes).toBe(1024n * MIB)
  })
})
