import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  BANDWIDTH,
  type Place,
  readResource,
  sameAsShown,
  toResources,
} from '../../../../src/doors/mesos/advertise/disk-resources.ts'
import type { Shown } from '../../../../src/doors/mesos/advertise/shown.ts'
import type { Resource } from '../../../../src/mesos/resource.ts'
import { HoldfastError } from '../../../../src/model/errors.ts'
import { MAX_MIB } from '../../../../src/model/units.ts'
import { scaled } from '../../../support/scale.ts'
import { ADS, reserved, shownDisk, WEB } from './support/wanted.ts'

const PLACE: Place = { providerId: 'rp-1', mountRoot: '/var/lib/holdfast/mnt' }
const LABELS = {
  labels: [
    { key: 'instance', value: 'row8' },
    { key: 'pool', value: 'pool-hdd' },
  ],
}

const SHOWN: Shown = {
  version: 1,
  vendor: 'scaleio',
  metadata: LABELS,
  raw: [
    { reservations: WEB, amount: 300 },
    { reservations: ADS, amount: 1_000_000_000 },
  ],
  bandwidth: [{ reservations: [], amount: 500 }],
  disks: [
    shownDisk('vol-1'),
    shownDisk('vol-2', { target: 'BLOCK', sizeMiB: 7 }),
    shownDisk('vol-3', { shared: true, containerPath: 'cache' }),
  ],
}
const [RAW_ADS, RAW_WEB, MOUNT, , SHARED, SPEED] = toResources(SHOWN, PLACE) as [
  Resource,
  Resource,
  Resource,
  Resource,
  Resource,
  Resource,
]

function withSource(resource: Resource, source: object): Resource {
  return { ...resource, disk: { ...resource.disk, source: { ...resource.disk?.source, ...source } } } as Resource
}

function withValue(resource: Resource, value: number): Resource {
  return { ...resource, scalar: { value } }
}

function refusal(resource: unknown): string {
  try {
    readResource(resource as Resource, SHOWN, 'rp-1', 'source of CREATE_DISK')
  } catch (thrown) {
    if (thrown instanceof HoldfastError) return `${thrown.code}: ${thrown.message}`
    throw thrown
  }
  return 'none'
}

describe('the totals of an update', () => {
  it('have capacity by role, disks by id and bandwidth, as Mesos writes them', () => {
    const persistence = { id: 'vol-1', principal: 'holdfast' }
    const metadata = { labels: [{ key: 'filesystem', value: 'ext4' }] }
    const mount = { root: '/var/lib/holdfast/mnt' }
    expect(RAW_ADS).toEqual({
      provider_id: { value: 'rp-1' },
      name: 'disk',
      type: 'SCALAR',
      scalar: { value: 1_000_000_000 },
      reservations: [{ type: 'DYNAMIC', role: 'ads', principal: 'holdfast' }],
      disk: { source: { type: 'RAW', vendor: 'scaleio', metadata: LABELS } },
    })
    expect(RAW_WEB.reservations).toEqual(WEB)
    expect(MOUNT).toEqual({
      provider_id: { value: 'rp-1' },
      name: 'disk',
      type: 'SCALAR',
      scalar: { value: 100 },
      reservations: ADS,
      disk: {
        persistence,
        volume: { mode: 'RW', container_path: 'data' },
        source: { type: 'MOUNT', vendor: 'scaleio', id: 'vol-1', profile: 'fast', metadata, mount },
      },
    })
    expect(SHARED).toMatchObject({ disk: { volume: { container_path: 'cache' } }, shared: {} })
    const speed = { provider_id: { value: 'rp-1' }, name: BANDWIDTH, type: 'SCALAR', scalar: { value: 500 } }
    expect(SPEED).toEqual(speed)
  })

  it('of a plain MOUNT disk have neither persistence nor volume, those of a BLOCK disk no mount', () => {
    const { persistence: _, ...plain } = shownDisk('vol-1')
    const block = { ...plain, volumeId: 'vol-2', target: 'BLOCK' as const }
    const [first, second] = toResources({ ...SHOWN, raw: [], bandwidth: [], disks: [plain, block] }, PLACE)
    expect(Object.keys(first?.disk ?? {})).toEqual(['source'])
    expect(first?.disk?.source?.mount).toEqual({ root: '/var/lib/holdfast/mnt' })
    expect(second?.disk?.source).not.toHaveProperty('mount')
  })

  it('are in the same order however the stacks were listed', () => {
    const turned = { ...SHOWN, raw: SHOWN.raw.toReversed() }
    expect(toResources(turned, PLACE)).toEqual(toResources(SHOWN, PLACE))
  })
})

describe('reading a resource back', () => {
  it('gives what was shown, whatever it is, and finds it the same', () => {
    const stack = fc.record({
      reservations: fc.constantFrom([], ADS, WEB, [...ADS, ...reserved('ads/web')]),
      amount: fc.integer({ min: 1, max: MAX_MIB }),
    })
    const disk = fc.record({
      sizeMiB: fc.integer({ min: 1, max: MAX_MIB }),
      target: fc.constantFrom('MOUNT' as const, 'BLOCK' as const),
      reservations: fc.constantFrom([], ADS),
    })
    const property = fc.property(stack, disk, fc.integer({ min: 1, max: 2 ** 40 }), (raw, set, amount) => {
      const bandwidth = { reservations: [], amount }
      const shown = { ...SHOWN, raw: [raw], bandwidth: [bandwidth], disks: [shownDisk('vol-9', set)] }
      const resources = toResources(shown, PLACE)
      const read = resources.map((resource) => readResource(resource, shown, 'rp-1'))
      expect(read).toMatchObject([
        { kind: 'raw', reservations: raw.reservations, sizeMiB: raw.amount },
        { kind: 'disk', volumeId: 'vol-9', sizeMiB: set.sizeMiB, disk: shown.disks[0] },
        { kind: 'bandwidth', ...bandwidth },
      ])
      expect(resources.every((resource) => sameAsShown(resource, shown, PLACE))).toBe(true)
    })
    fc.assert(property, { numRuns: scaled(200) })
  })

  it.each<[unknown, string]>([
    [withValue(RAW_ADS, 0.5), 'invalid_size: source of CREATE_DISK: its size of 0.5 MiB is not whole; take 1 MiB'],
    [withValue(RAW_ADS, 2 ** 53), `invalid_size: source of CREATE_DISK: its size of ${2 ** 53} MiB is above the`],
    [withValue(RAW_ADS, -1), 'invalid_size: source of CREATE_DISK: its size is -1 MiB'],
    [{ ...RAW_ADS, scalar: undefined }, 'invalid_size: source of CREATE_DISK: its size is missing'],
    [{ ...RAW_ADS, disk: undefined }, 'invalid_request: source of CREATE_DISK: it has no disk.source'],
    [{ ...RAW_ADS, provider_id: undefined }, 'invalid_request: source of CREATE_DISK: it is of no provider'],
    [
      { ...RAW_ADS, provider_id: { value: 'rp-2' } },
      'invalid_request: source of CREATE_DISK: it is of provider "rp-2"',
    ],
    [{ ...RAW_ADS, name: 'cpus' }, 'invalid_request: source of CREATE_DISK: it should be a disk'],
    [withSource(RAW_ADS, { vendor: 'acme' }), 'invalid_request: source of CREATE_DISK: it has the vendor "acme"'],
    [withSource(RAW_ADS, { vendor: undefined }), 'invalid_request: source of CREATE_DISK: it has the vendor'],
    [withSource(MOUNT, { id: 'vol-9' }), 'invalid_request: source of CREATE_DISK: it has the id "vol-9", and no such'],
    [withSource(MOUNT, { id: 9 }), 'invalid_request: source of CREATE_DISK: it has the id "9", and no such'],
    [withSource(MOUNT, { id: undefined }), 'invalid_request: source of CREATE_DISK: it is a MOUNT disk without an id'],
    [withSource(MOUNT, { type: 'BLOCK' }), 'invalid_request: source of CREATE_DISK: it is a BLOCK disk, but "vol-1"'],
    [withValue(SPEED, 0.1), 'invalid_size: source of CREATE_DISK: the storage_bw 0.1 should be a whole number'],
    [withValue(SPEED, 2 ** 53), 'invalid_size: source of CREATE_DISK: the storage_bw'],
    [{ ...SPEED, disk: MOUNT.disk }, 'invalid_request: source of CREATE_DISK: it has a disk'],
  ])('refuses %#', (resource, why) => {
    expect(refusal(resource)).toContain(why)
    expect(sameAsShown(resource as Resource, SHOWN, PLACE)).toBe(false)
  })
})

describe('a published or consumed resource', () => {
  it('is the same in an allocation, as a part of capacity, and with another use of the volume', () => {
    const task = { ...MOUNT.disk, volume: { mode: 'RW' as const, container_path: 'elsewhere' } }
    const allocation_info = { role: 'ads' }
    for (const same of [
      { ...MOUNT, allocation_info, disk: task },
      { ...withValue(RAW_ADS, 100), allocation_info },
      { ...withValue(SPEED, 100), allocation_info },
      withSource(MOUNT, { metadata: { labels: [...(MOUNT.disk?.source?.metadata?.labels ?? [])].reverse() } }),
    ]) {
      expect(sameAsShown(same, SHOWN, PLACE)).toBe(true)
    }
  })

  it('is not the same when anything else differs from our own record', () => {
    const block = toResources(SHOWN, PLACE)[3] as Resource
    const foreign = { id: 'pv-1', principal: 'framework' }
    const { persistence: _, ...bare } = MOUNT.disk ?? {}
    for (const other of [
      withValue(MOUNT, 99),
      withValue(RAW_WEB, 301),
      withValue(SPEED, 501),
      { ...MOUNT, reservations: WEB },
      { ...MOUNT, reservations: [] },
      { ...MOUNT, disk: bare },
      { ...MOUNT, disk: { ...MOUNT.disk, persistence: foreign } },
      { ...RAW_ADS, disk: { ...RAW_ADS.disk, persistence: foreign } },
      { ...block, disk: { ...block.disk, persistence: foreign } },
      withSource(MOUNT, { mount: { root: '/elsewhere' } }),
      withSource(MOUNT, { profile: 'slow' }),
      { ...MOUNT, shared: {} },
    ]) {
      expect(sameAsShown(other as Resource, SHOWN, PLACE)).toBe(false)
    }
  })
})
