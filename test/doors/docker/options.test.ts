import { expect, test } from 'vitest'
import { readOptions } from '../../../src/doors/docker/options.ts'

test.each([
  ['5', 5 * 1024],
  ['0.5', 512],
  ['5GiB', 5 * 1024],
  ['100MiB', 100],
  ['1T', 1024 * 1024],
  ['1', 1024],
  ['1b', 1],
  ['1GB', 954],
])('size %s is %i MiB: a bare number means GiB', (size, sizeMiB) => {
  expect(readOptions({ size })).toEqual({ sizeMiB })
})

test.each([
  '',
  '0',
  '-1',
  '1e3',
  'NaN',
  'Infinity',
  '5 apples',
  '1,5',
  '0x10',
  '99999999999999999999',
  '9EiB',
  '９',
  '1 G i B',
])('size %j is refused, and the sentence says how to write one', (size) => {
  expect(() => readOptions({ size })).toThrow(expect.objectContaining({ code: 'invalid_size' }))
})

test.each([
  [{ fs: 'xfs' }, { fs: 'xfs' }],
  [{ iops: '150' }, { iops: 150 }],
  [{ pool: 'loop~a~b' }, { pool: 'loop~a~b' }],
  [{ role: 'ads/web' }, { role: 'ads/web' }],
  [{ access: 'rw' }, { access: 'single-writer' }],
  [{ access: 'single-writer' }, { access: 'single-writer' }],
  [{ access: 'ro' }, { access: 'read-only' }],
  [{ access: 'many-readers' }, { access: 'many-readers' }],
  [{ protect: 'true' }, { protected: true }],
  [{ protect: 'false' }, { protected: false }],
  [{ from: 'snapshot:monday' }, { from: { kind: 'snapshot', name: 'monday' } }],
  [{ from: 'volume:data' }, { from: { kind: 'volume', name: 'data' } }],
  [{ from: 'data' }, { from: { kind: undefined, name: 'data' } }],
  [{ labels: 'team=web,note=a=b' }, { labels: { team: 'web', note: 'a=b' } }],
  [{}, {}],
])('%j is read as %j', (given, read) => {
  expect(readOptions(given as Record<string, string>)).toEqual(read)
})

test.each([
  ['siez', 'did you mean size?'],
  ['Size', 'did you mean size?'],
  ['sizes', 'did you mean size?'],
  ['iop', 'did you mean iops?'],
  ['fstype', 'did you mean fs?'],
  ['acess', 'did you mean access?'],
  ['protected', 'did you mean protect?'],
  ['volumetype', 'known are size, pool, fs'],
  ['__proto__', 'known are'],
  ['constructor', 'known are'],
  ['', 'known are'],
])('the unknown option %j is named, with what was probably meant', (name, hint) => {
  const options = Object.fromEntries([[name, 'x']])
  expect(() => readOptions(options)).toThrow(hint)
  expect(() => readOptions(options)).toThrow(JSON.stringify(name))
})

test.each([
  { fs: 'ntfs' },
  { fs: 'raw' },
  { fs: '' },
  { access: 'rwx' },
  { access: 'toString' },
  { iops: '-1' },
  { iops: '1.5' },
  { iops: 'many' },
  { protect: 'yes' },
  { from: '' },
  { from: 'snapshot:' },
  { from: 'disk:data' },
  { from: '../../etc/passwd' },
  { labels: 'team' },
  { labels: '=web' },
  { pool: '' },
  { role: '' },
])('the bad value %j is refused', (options) => {
  const [[name]] = Object.entries(options) as [[string, string]]
  expect(() => readOptions(options as unknown as Record<string, string>)).toThrow(
    expect.objectContaining({ code: 'invalid_option', message: expect.stringContaining(name) }),
  )
})
