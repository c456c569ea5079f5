import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkDisk, checkDiskSize } from '../../src/mesos/check-disk.ts'
import type { DiskSource, Resource } from '../../src/mesos/resource.ts'
import {
  add,
  contains,
  equal,
  equalIgnoringAllocation,
  subtract,
  withoutAllocation,
} from '../../src/mesos/resources.ts'

const scalar = (name: string, value: number, more: Partial<Resource> = {}): Resource => ({
  name,
  type: 'SCALAR',
  scalar: { value },
  ...more,
})
const disk = (value: number, source: Partial<DiskSource>, more: Partial<Resource> = {}): Resource =>
  scalar('disk', value, {
    provider_id: { value: 'p1' },
    reservations: [{ type: 'DYNAMIC', role: 'ads', principal: 'holdfast' }],
    disk: { source: { type: 'RAW', vendor: 'loop', ...source } },
    ...more,
  })
const raw = (value: number, source: Partial<DiskSource> = {}) => disk(value, source)
const mount = (value: number, id: string) => disk(value, { type: 'MOUNT', id, mount: { root: '/mnt' } })
const ports = (...range: [begin: number, end: number][]): Resource => ({
  name: 'ports',
  type: 'RANGES',
  ranges: { range: range.map(([begin, end]) => ({ begin, end })) },
})

describe('addition', () => {
  test('merges RAW without an id when all else is equal', () => {
    expect(add([raw(100)], [raw(50)])).toEqual([raw(150)])
  })

  test.each([
    ['vendor', { vendor: 'ebs' }],
    ['profile', { profile: 'gold' }],
    ['metadata', { metadata: { labels: [{ key: 'pool', value: 'a' }] } }],
  ])('keeps RAW of another %s apart', (_what, source) => {
    expect(add([raw(100)], [raw(50, source)])).toEqual([raw(100), raw(50, source)])
  })

  test('keeps another role, principal, provider and allocation apart', () => {
    const others: Partial<Resource>[] = [
      { reservations: [{ type: 'DYNAMIC', role: 'web', principal: 'holdfast' }] },
      { reservations: [{ type: 'DYNAMIC', role: 'ads', principal: 'else' }] },
      { reservations: [] },
      { provider_id: { value: 'p2' } },
      { allocation_info: { role: 'ads' } },
    ]
    for (const other of others) expect(add([raw(1)], [disk(1, {}, other)])).toHaveLength(2)
  })

  test.each([
    ['MOUNT disks', mount(10, 'v1')],
    ['BLOCK disks', disk(10, { type: 'BLOCK', id: 'b1' })],
    ['RAW disks with an id', raw(10, { id: 'r1' })],
    ['persistent volumes', scalar('disk', 10, { disk: { persistence: { id: 'pv' } } })],
  ])('never merges %s', (_what, resource) => {
    expect(add([resource], [resource])).toEqual([resource, resource])
  })

  test('leaves nothing out but nothing', () => {
    expect(add([scalar('cpus', 0), scalar('mem', 1), ports()])).toEqual([scalar('mem', 1)])
  })

  test('counts in thousandths', () => {
    expect(add([scalar('cpus', 0.1)], [scalar('cpus', 0.2)])).toEqual([scalar('cpus', 0.3)])
    expect(subtract([scalar('cpus', 0.3)], [scalar('cpus', 0.1), scalar('cpus', 0.2)])).toEqual([])
  })

  test('joins ranges and sets', () => {
    expect(add([ports([1, 5])], [ports([8, 9]), ports([6, 6])])).toEqual([ports([1, 6], [8, 9])])
    const set = (...item: string[]): Resource => ({ name: 's', type: 'SET', set: { item } })
    expect(add([set('a')], [set('b', 'a')])).toEqual([set('a', 'b')])
    expect(subtract([set('a', 'b')], [set('a')])).toEqual([set('b')])
    expect(contains([set('a')], [set('b')])).toBe(false)
  })
})

describe('containing and taking away', () => {
  test('a part of divisible RAW, even in pieces', () => {
    expect(subtract([raw(60), raw(40)], [raw(30), raw(70)])).toEqual([])
    expect(subtract([raw(100)], [raw(30)])).toEqual([raw(70)])
    expect(subtract([raw(100)], [raw(60), raw(41)])).toBeUndefined()
  })

  test('never a part of a MOUNT disk', () => {
    expect(contains([mount(100, 'v1')], [mount(50, 'v1')])).toBe(false)
    expect(contains([mount(100, 'v1')], [mount(100, 'v2')])).toBe(false)
    expect(subtract([mount(100, 'v1'), raw(5)], [mount(100, 'v1')])).toEqual([raw(5)])
  })

  test('of a disk, whatever it is used for, whoever made it persistent', () => {
    const volume = (container_path: string, principal: string): Resource => ({
      ...mount(10, 'v1'),
      disk: {
        persistence: { id: 'v1', principal },
        volume: { mode: 'RW', container_path },
        source: { type: 'MOUNT', id: 'v1' },
      },
    })
    expect(contains([volume('data', 'holdfast')], [volume('elsewhere', 'other')])).toBe(true)
    expect(equal(volume('data', 'holdfast'), volume('elsewhere', 'holdfast'))).toBe(false)
    expect(contains([volume('data', 'holdfast')], [mount(10, 'v1')])).toBe(false)
  })

  test('a shared resource once for each copy', () => {
    const shared = { ...scalar('disk', 10, { disk: { persistence: { id: 'pv' } } }), shared: {} }
    expect(contains([shared, shared], [shared])).toBe(true)
    expect(contains([shared], [shared, shared])).toBe(false)
    expect(contains([shared], [{ ...shared, shared: undefined } as never])).toBe(false)
  })

  test('ranges with holes', () => {
    expect(subtract([ports([1, 10])], [ports([3, 4], [10, 10])])).toEqual([ports([1, 2], [5, 9])])
    expect(contains([ports([1, 10])], [ports([5, 11])])).toBe(false)
  })

  test('whatever the order of keys and labels, and with absent lists for empty ones', () => {
    const a = raw(10, { metadata: { labels: [{ key: 'x', value: '1' }, { key: 'y' }] } })
    const b: Resource = {
      disk: { source: { metadata: { labels: [{ key: 'y' }, { value: '1', key: 'x' }] }, vendor: 'loop', type: 'RAW' } },
      scalar: { value: 10 },
      reservations: [{ principal: 'holdfast', role: 'ads', type: 'DYNAMIC' }],
      type: 'SCALAR',
      name: 'disk',
      provider_id: { value: 'p1' },
    }
    expect(equal(a, b)).toBe(true)
    expect(contains([a], [b])).toBe(true)
    expect(equal(scalar('mem', 1, { reservations: [] }), scalar('mem', 1))).toBe(true)
  })

  test('the order in a stack of reservations matters', () => {
    const one = { type: 'DYNAMIC', role: 'ads' } as const
    const two = { type: 'DYNAMIC', role: 'ads/web' } as const
    expect(equal(scalar('mem', 1, { reservations: [one, two] }), scalar('mem', 1, { reservations: [two, one] }))).toBe(
      false,
    )
  })

  test('reservations written in the old way are the same', () => {
    const old = scalar('disk', 1, { role: 'ads', reservation: { principal: 'holdfast' } })
    const modern = scalar('disk', 1, { reservations: [{ type: 'DYNAMIC', role: 'ads', principal: 'holdfast' }] })
    expect(equal(old, modern)).toBe(true)
    expect(equal({ ...modern, ...old }, modern)).toBe(true)
    expect(equal(scalar('mem', 1, { role: '*' }), scalar('mem', 1))).toBe(true)
    const fixed = scalar('disk', 1, { reservations: [{ type: 'STATIC', role: 'ads' }] })
    expect(equal(scalar('disk', 1, { role: 'ads' }), fixed)).toBe(true)
  })

  test('an allocation counts unless it is left aside', () => {
    const allocated = { ...raw(10), allocation_info: { role: 'ads' } }
    expect(contains([raw(10)], [allocated])).toBe(false)
    expect(equalIgnoringAllocation(raw(10), allocated)).toBe(true)
    expect(withoutAllocation(allocated)).toEqual(raw(10))
  })
})

describe('laws', () => {
  const resource = fc.oneof(
    fc.tuple(fc.constantFrom('cpus', 'mem'), fc.integer({ min: 0, max: 5000 })).map(([n, v]) => scalar(n, v / 1000)),
    fc
      .tuple(fc.integer({ min: 0, max: 500 }), fc.constantFrom(undefined, 'gold'))
      .map(([value, profile]) => raw(value, profile === undefined ? {} : { profile })),
    fc.constantFrom('v1', 'v2', 'v3').map((id) => mount(100, id)),
    fc
      .array(
        fc.tuple(fc.nat(30), fc.nat(5)).map(([from, more]): [number, number] => [from, from + more]),
        { maxLength: 3 },
      )
      .map((ranges) => ports(...ranges)),
  )
  const list = fc.array(resource, { maxLength: 8 })
  const scalarsOnly = (resources: Resource[]) => resources.filter((each) => each.type === 'SCALAR')

  test('a sum contains its parts, and without one of them it is the other', () => {
    fc.assert(
      fc.property(list, list, (left, right) => {
        const total = add(left, right)
        expect(contains(total, left)).toBe(true)
        const rest = subtract(add(scalarsOnly(left), scalarsOnly(right)), scalarsOnly(right))
        expect(rest).toBeDefined()
        const same = add(scalarsOnly(left))
        expect(contains(rest ?? [], same) && contains(same, rest ?? [])).toBe(true)
      }),
    )
  })

  test('what is left and what was taken are the whole', () => {
    fc.assert(
      fc.property(list, list, (total, part) => {
        const left = subtract(total, part)
        expect(contains(total, part)).toBe(left !== undefined)
        if (left === undefined) return
        const whole = add(left, part)
        expect(contains(whole, add(total)) && contains(add(total), whole)).toBe(true)
      }),
    )
  })

  test('containing is reflexive and transitive, and nothing is changed in place', () => {
    fc.assert(
      fc.property(list, list, list, (a, b, c) => {
        const before = structuredClone([a, b, c])
        expect(contains(a, a)).toBe(true)
        if (contains(a, b) && contains(b, c)) expect(contains(a, c)).toBe(true)
        expect([a, b, c]).toEqual(before)
      }),
    )
  })
})

describe('amounts that cannot be counted', () => {
  test.each([-1, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY])('%s', (value) => {
    expect(() => add([scalar('mem', value)])).toThrow(expect.objectContaining({ code: 'mesos_protocol' }))
  })

  test('a scalar without a value', () => {
    expect(() => add([{ name: 'mem', type: 'SCALAR' }])).toThrow('the amount of mem should be a number')
  })
})

describe('a disk of a provider', () => {
  const what = 'source of CREATE_DISK'

  test('is read', () => {
    const source = { type: 'RAW', vendor: 'loop' }
    expect(checkDisk(raw(100), what, 'RAW')).toEqual({ providerId: 'p1', sizeMiB: 100, source, role: 'ads' })
    expect(checkDisk(disk(1, {}, { reservations: [] }), what).role).toBeUndefined()
  })

  test.each([
    [100.5, 'its size of 100.5 MiB is not whole; take 100 or 101 MiB'],
    [0.001, 'not whole; take 1 MiB'],
    [0, 'its size is 0 MiB; it has to be at least 1 MiB'],
    [-5, 'its size is -5 MiB'],
    [2 ** 53, 'is above the largest one, 8,796,093,022,208 MiB'],
    [Number.NaN, 'its size is missing'],
  ])('of %s MiB is refused', (value, says) => {
    expect(() => checkDiskSize(raw(value), what)).toThrow(expect.objectContaining({ code: 'invalid_size' }))
    expect(() => checkDiskSize(raw(value), what)).toThrow(says)
  })

  test.each<[string, Resource, string]>([
    ['without a size', { ...raw(1), scalar: undefined } as never, 'its size is missing'],
    ['of another type', { ...raw(1), type: 'RANGES' }, 'its size is missing'],
    ['that is memory', scalar('mem', 1), 'it should be a disk, not "mem"'],
    ['of no provider', { ...raw(1), provider_id: undefined } as never, 'it has no provider_id'],
    ['without a source', { ...raw(1), disk: {} }, 'it has no disk.source'],
    ['that is not RAW', mount(1, 'v1'), 'it should be a RAW disk, not "MOUNT"'],
  ])('%s is refused', (_what, resource, says) => {
    expect(() => checkDisk(resource, what, 'RAW')).toThrow(says)
  })

  test('of a type that nobody knows is refused', () => {
    expect(() => checkDisk(disk(1, { type: 'UNKNOWN' }), what)).toThrow('the unknown type "UNKNOWN"')
  })
})
