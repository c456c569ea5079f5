import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/model/errors.ts'
import { BoundedOutput } from '../../src/programs/bounded-output.ts'
import { mountOptions } from '../../src/programs/mount-options.ts'
import { parseMountInfo } from '../../src/programs/mount-table.ts'
import { usefulLine } from '../../src/programs/program-failure.ts'

test('mountinfo is read with optional fields, escapes and both places that say read-only', () => {
  const text = [
    '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue',
    String.raw`37 35 7:0 / /a\040b\011c\134d rw - xfs /dev/loop0 ro,attr2`,
    '38 35 7:1 / /ro ro,relatime - btrfs /dev/loop1 rw',
    'garbage',
    '',
  ].join('\n')
  expect(parseMountInfo(text)).toEqual([
    { device: '/dev/root', target: '/mnt2', type: 'ext3', readOnly: false, root: '/mnt1', filesystem: '98:0' },
    { device: '/dev/loop0', target: '/a b\tc\\d', type: 'xfs', readOnly: true, root: '/', filesystem: '7:0' },
    { device: '/dev/loop1', target: '/ro', type: 'btrfs', readOnly: true, root: '/', filesystem: '7:1' },
  ])
})

test('mount options come from a list, and read-only replays nothing', () => {
  expect(mountOptions('ext4', false, ['noatime', 'commit=30'])).toBe('rw,noatime,commit=30')
  expect(mountOptions('ext4', true, [])).toBe('ro,noload')
  expect(mountOptions('xfs', true, ['nosuid'])).toBe('ro,norecovery,nouuid,nosuid')
  expect(mountOptions('btrfs', true, [])).toBe('ro,rescue=nologreplay')
  for (const bad of [
    'rw',
    'ro',
    'loop',
    'bind',
    'suid,noexec',
    'commit=1,exec',
    'subvol=/x',
    'noatime\n',
    'defaults',
    '',
  ]) {
    expect(() => mountOptions('ext4', false, [bad]), bad).toThrow(HoldfastError)
  }
  expect(() => mountOptions('xfs', false, ['compress=zstd'])).toThrow(HoldfastError)
  expect(mountOptions('btrfs', false, ['compress=zstd:3'])).toBe('rw,compress=zstd:3')
})

test('bounded output keeps the end', () => {
  const output = new BoundedOutput(8)
  for (const part of ['one ', 'two ', 'three ', 'four']) output.push(Buffer.from(part))
  expect(output.text()).toBe('ree four')
  expect(output.total).toBe(18)
})

test('the useful line of a tool is neither its banner nor its name', () => {
  expect(usefulLine('mkfs.ext4', 'mke2fs 1.47.0 (5-Feb-2023)\nmkfs.ext4: Device size reported to be zero\n')).toBe(
    'Device size reported to be zero',
  )
  expect(usefulLine('mkfs.btrfs', 'NOTE: several defaults changed\n  - this\nERROR: it is too small\n')).toBe(
    'it is too small',
  )
  expect(usefulLine('true', '\n')).toBeUndefined()
})
