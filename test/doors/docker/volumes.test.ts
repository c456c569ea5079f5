import { afterAll, beforeAll, expect, test } from 'vitest'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import type { PluginClient } from './support/plugin-client.ts'
import { World } from './support/world.ts'

const SMALL = { size: '32MiB' }

needs('root', 'loop-devices').describe('volumes of the Docker door', () => {
  let world: World
  let client: PluginClient

  beforeAll(async () => {
    world = await World.start()
    client = (await world.door()).client
  })
  afterAll(() => world?.dispose())

  test('a volume is there, formatted, when Create is answered', async () => {
    await client.create('ready', { size: '0.0625', fs: 'ext4', iops: '7', labels: 'team=web' })
    expect(await world.volume('ready')).toMatchObject({
      ...{ state: 'available', sizeMiB: 64, fs: 'ext4', iops: 7, role: 'default', access: 'single-writer' },
      labels: { team: 'web' },
      createdBy: 'node node-1 via docker',
    })
  })

  test('Get tells what is known of it, and no mount point while it is not mounted', async () => {
    await client.create('told', { ...SMALL, access: 'ro', protect: 'true' })
    const volume = await client.get('told')
    expect(volume).toMatchObject({
      Name: 'told',
      Mountpoint: '',
      Status: {
        ...{ state: 'available', size: '32MiB', sizeMiB: 32, pool: 'loop~dev~pool', role: 'default' },
        ...{ fs: 'ext4', iops: 0, access: 'read-only', nodes: [], protected: true },
        id: expect.stringMatching(/^vol-/),
        epoch: expect.any(Number),
        createdAt: volume.CreatedAt,
      },
    })
    expect(volume.CreatedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)
    expect(volume.Status).not.toHaveProperty('mountpoint')
  })

  test('Create again, with the same options or none, changes nothing and succeeds', async () => {
    await client.create('again', SMALL)
    const before = await world.volume('again')
    await client.create('again', SMALL)
    await client.create('again')
    await client.ok('Create', { Name: 'again', Opts: null })
    expect(await world.volume('again')).toEqual(before)
  })

  test('Create again with other options is a conflict that says what is there', async () => {
    await client.create('conflict', SMALL)
    await expect(client.create('conflict', { size: '33MiB' })).rejects.toThrow(
      /exists already with other options \(32MiB, ext4, loop~dev~pool\).*name_taken/,
    )
    await expect(client.create('conflict', { ...SMALL, iops: '5' })).rejects.toThrow('name_taken')
  })

  test('many that ask for one new volume at once get one volume', async () => {
    const other = (await world.door({}, 2)).client
    const asked = Array.from({ length: 6 }, (_, index) => (index % 2 === 0 ? client : other).create('race', SMALL))
    await Promise.all(asked)
    const { items } = await world.rest.rest<{ items: unknown[] }>('GET', '/v1/volumes?name=race')
    expect(items).toHaveLength(1)
  })

  test('a volume made elsewhere is used when nothing is asked of it', async () => {
    await world.rest.rest('POST', '/v1/volumes?wait=20', { name: 'made-by-rest', sizeMiB: 32 })
    await client.create('made-by-rest')
    await expect(client.create('made-by-rest', SMALL)).rejects.toThrow('name_taken')
  })

  test('what names no size gets the configured one', async () => {
    const { client: small } = await world.door({ defaultSizeMiB: 48, pool: 'loop~dev~pool', fs: 'ext4' })
    await small.create('by-default')
    expect(await world.volume('by-default')).toMatchObject({ sizeMiB: 48 })
    // 16 GiB is more than the pool of this test has
    await expect(client.create('sixteen')).rejects.toThrow(/16,384 asked.*does_not_fit/)
  })

  test('what does not fit says the numbers, and leaves the name free', async () => {
    await expect(client.create('too-large', { size: '1TiB' })).rejects.toThrow(/1,048,576 asked.*does_not_fit/)
    await expect(client.get('too-large')).rejects.toThrow('not_found')
    await client.create('too-large', SMALL)
  })

  test('what can not be made gives the reason, and leaves the name free', async () => {
    // mkfs.xfs makes nothing below 300 MB
    await expect(client.create('no-xfs', { size: '32MiB', fs: 'xfs' })).rejects.toThrow(/could not be made/)
    await client.create('no-xfs', SMALL)
    expect(await world.volume('no-xfs')).toMatchObject({ fs: 'ext4', state: 'available' })
  })

  test.each([
    '.',
    '..',
    '-x',
    '_x',
    'a/b',
    '../../etc',
    'a b',
    'a\nb',
    'a\u0000b',
    'ä',
    '$(id)',
    ';reboot',
    'a'.repeat(64),
    'a'.repeat(100_000),
  ])('the name %j is refused', async (name) => {
    await expect(client.create(name, SMALL)).rejects.toThrow(/invalid_name/)
    await expect(client.get(name)).rejects.toThrow(/not_found/)
  })

  test('a volume without a name of its own is refused with what to do', async () => {
    await expect(client.create('0123456789abcdef'.repeat(4))).rejects.toThrow(/needs a name/)
  })

  test('an id is no name: Docker would know one volume under two', async () => {
    await client.create('has-id', SMALL)
    const { id } = await world.volume('has-id')
    await expect(client.get(id)).rejects.toThrow('not_found')
    await client.create(id, SMALL)
    expect((await client.get(id)).Status.id).not.toBe(id)
  })

  test('Remove puts a volume into the trash: its name is free at once, its data can be had back', async () => {
    await client.create('trashed', SMALL)
    const { id } = await world.volume('trashed')
    await client.ok('Remove', { Name: 'trashed' })
    await expect(client.get('trashed')).rejects.toThrow('not_found')
    expect(await client.names()).not.toContain('trashed')
    const kept = await world.rest.rest<{ state: string; trashSecondsLeft: number }>('GET', `/v1/volumes/${id}`)
    expect(kept.state).toBe('trash')
    expect(kept.trashSecondsLeft).toBeGreaterThan(23.9 * 3600)
    await client.create('trashed', { size: '40MiB' })
    await client.ok('Remove', { Name: 'trashed' })
    await world.rest.rest('POST', `/v1/volumes/${id}/undelete`)
    expect((await client.get('trashed')).Status.id).toBe(id)
  })

  test('without a trash Remove deletes at once, and Create of the name waits for that', async () => {
    const { client: hasty } = await world.door({ trashHours: 0 })
    await hasty.create('hasty', SMALL)
    const { id } = await world.volume('hasty')
    await hasty.ok('Remove', { Name: 'hasty' })
    await hasty.create('hasty', { size: '40MiB' })
    expect((await world.volume('hasty')).id).not.toBe(id)
    await until(
      () =>
        world.rest.rest('GET', `/v1/volumes/${id}`).then(
          () => false,
          () => true,
        ),
      { what: 'the end of the old one' },
    )
  })

  test('Remove of what is not there is a success, of what is protected an error', async () => {
    await client.ok('Remove', { Name: 'never-was' })
    await client.create('guarded', { ...SMALL, protect: 'true' })
    await expect(client.ok('Remove', { Name: 'guarded' })).rejects.toThrow(/protected/)
    expect(await client.names()).toContain('guarded')
  })

  test('a copy of a volume or snapshot is what its source is', async () => {
    await client.create('origin', { ...SMALL, iops: '3' })
    await world.rest.rest('POST', '/v1/snapshots?wait=20', { volume: 'origin', name: 'monday' })
    const origin = await world.volume('origin')
    const snapshot = await world.rest.rest<{ id: string }>('GET', '/v1/snapshots/monday')
    await client.create('copy-1', { from: 'volume:origin' })
    expect(await world.volume('copy-1')).toMatchObject({
      sizeMiB: 32,
      fs: 'ext4',
      source: { kind: 'volume', id: origin.id },
    })
    await client.create('copy-2', { from: 'snapshot:monday', size: '64MiB' })
    expect(await world.volume('copy-2')).toMatchObject({ sizeMiB: 64, source: { kind: 'snapshot', id: snapshot.id } })
    // a snapshot comes before a volume of the same name
    await client.create('monday', SMALL)
    await client.create('copy-3', { from: 'monday' })
    expect(await world.volume('copy-3')).toMatchObject({ source: { kind: 'snapshot', id: snapshot.id } })
    await client.create('copy-4', { from: 'origin' })
    expect(await world.volume('copy-4')).toMatchObject({ source: { kind: 'volume' } })
    await expect(client.create('copy-5', { from: 'nowhere' })).rejects.toThrow(
      /no snapshot or volume "nowhere".*not_found/,
    )
    await expect(client.create('copy-6', { from: 'origin', size: '16MiB' })).rejects.toThrow('invalid_size')
    await expect(client.create('copy-7', { from: 'origin', fs: 'xfs' })).rejects.toThrow('invalid_option')
  })

  test('what belongs to other roles is not seen, not mounted, not copied and not removed', async () => {
    const { client: ads } = await world.door({ roles: ['ads', 'ads/web'], defaultRole: 'ads/web' })
    await ads.create('of-ads', SMALL)
    await ads.create('of-ads-too', { ...SMALL, role: 'ads' })
    expect(await world.volume('of-ads')).toMatchObject({ role: 'ads/web' })
    expect(await ads.names()).toEqual(['of-ads', 'of-ads-too'])
    expect(await client.names()).not.toContain('of-ads')
    await expect(client.get('of-ads')).rejects.toThrow('not_found')
    await expect(client.ok('Path', { Name: 'of-ads' })).rejects.toThrow('not_found')
    await expect(client.mount('of-ads', 'a')).rejects.toThrow('not_found')
    await expect(client.ok('Remove', { Name: 'of-ads' })).rejects.toThrow('role_not_allowed')
    await expect(client.create('of-ads')).rejects.toThrow('name_taken')
    await expect(client.create('stolen', { from: 'volume:of-ads' })).rejects.toThrow('not_found')
    await expect(client.create('foreign', { ...SMALL, role: 'ads' })).rejects.toThrow('role_not_allowed')
  })

  test('List tells all of several pages', async () => {
    const { client: many, link } = await world.door({ roles: ['many'] })
    const names = Array.from({ length: 12 }, (_, index) => `many-${String(index).padStart(2, '0')}`)
    await Promise.all(names.map((name) => many.create(name, { size: '16MiB' })))
    expect(await many.names()).toEqual(names)
    const page = await link.rest<{ items: unknown[]; next?: string }>('GET', '/v1/volumes?limit=5&role=many')
    expect(page.next).toBeTypeOf('string')
  })
})
