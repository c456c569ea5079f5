import { copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tool } from '../drivers/disk.ts'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { signal, stateOf } from './support/node-children.ts'
import { type Cluster, launchCluster, tidy } from './support/node-cluster.ts'
import { hasData, lvmHeader, putData, sha256 } from './support/node-content.ts'
import type { NodeProcess } from './support/node-daemon.ts'

const ONE = { door: 'test', id: 'one' }
const EXT4 = 'loop~test~ext4'
const XFS = 'loop~test~xfs'
const MIB = 1024 * 1024

let cluster: Cluster
let node: NodeProcess

beforeAll(async () => {
  cluster = await launchCluster({ gated: true })
  node = cluster.nodes[0] as NodeProcess
  await cluster.addPool({ name: EXT4 })
  await cluster.addPool({ name: XFS, on: { type: 'xfs', sizeMiB: 4096 } })
}, 60_000)
afterAll(() => cluster?.dispose(), 60_000)

/** Writes at an offset without changing anything else. */
function patch(file: string, bytes: Buffer, at = 0): void {
  const path = join(cluster.dir, 'patch')
  writeFileSync(path, bytes)
  tool('dd', `if=${path}`, `of=${file}`, 'bs=512', `seek=${at / 512}`, 'conv=notrunc', 'status=none')
}

const FOREIGN: [what: string, change: (file: string, other: string) => void, why: RegExp][] = [
  [
    'another filesystem of the same type',
    (file) => {
      writeFileSync(file, '')
      truncateSync(file, 32 * MIB)
      tool('mkfs.ext4', '-q', file)
    },
    /its ext4 has UUID .* the record says/,
  ],
  [
    'another type of filesystem',
    (file) => {
      writeFileSync(file, '')
      truncateSync(file, 300 * MIB)
      tool('mkfs.xfs', '-q', file)
    },
    /it is xfs, the record says ext4/,
  ],
  [
    'a volume group of LVM',
    (file) => {
      patch(file, Buffer.alloc(64 * 1024))
      patch(file, lvmHeader(), 512)
    },
    /it is LVM2_member, the record says ext4/,
  ],
  ['random bytes', (file) => patch(file, readFileSync('/proc/self/exe').subarray(0, MIB)), /no known signature/],
  ['nothing but zeros', (file) => patch(file, Buffer.alloc(MIB)), /no known signature/],
  ['half of what it was', (file) => truncateSync(file, 16 * MIB), /it has 16 MiB, the record says 32/],
  ['some bytes too few', (file) => truncateSync(file, 32 * MIB - 100), /the record says/],
  ['another volume of ours', (file, other) => copyFileSync(other, file), /its ext4 has UUID .* the record says/],
]

needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs').describe('an object that holds', () => {
  beforeAll(() => cluster.addVolume('other', { pool: EXT4 }))

  for (const [index, [what, change, why]] of FOREIGN.entries()) {
    test(`${what} is not mounted, and left byte for byte as it is`, async () => {
      const name = `f${index}`
      const volume = await cluster.addVolume(name, { pool: EXT4 })
      // it was all right before: what is checked once is checked again
      putData(await node.mount(name, ONE))
      await node.unmount(name, ONE)
      const file = cluster.file(volume)
      change(file, cluster.file(await cluster.volume('other')))
      const before = sha256(file)
      await expect(node.mount(name, ONE)).rejects.toMatchObject({
        code: 'foreign_content',
        message: expect.stringMatching(why),
      })
      await cluster.volumeFree(name)
      expect(sha256(file)).toBe(before)
      expect(cluster.leftovers()).toEqual(tidy(0))
    })
  }

  test('something by the time it is formatted is not formatted', async () => {
    const made = cluster.addVolume('nb', { pool: EXT4 }).then(
      () => undefined,
      (error) => error,
    )
    const attaching = await cluster.gate?.catch('losetup', '--find', () => made)
    await until(() => stateOf(attaching ?? 0) === 'T', { what: 'the attaching to stand still' })
    const file = cluster.file(await cluster.volume('nb'))
    tool('mkfs.btrfs', '-q', '-f', '--mixed', file)
    const before = sha256(file)
    signal(attaching ?? 0, 'SIGCONT')
    expect(await made).toMatchObject({ code: 'not_blank' })
    expect(await cluster.volume('nb')).toMatchObject({
      state: 'error',
      fault: { code: 'not_blank', message: expect.stringContaining('btrfs'), next: expect.any(String) },
    })
    expect(sha256(file)).toBe(before)
    expect(cluster.leftovers()).toEqual(tidy(0))
  })

  /** What a program that stands still at the gate is about to work on. */
  const deviceOf = (pid: number) => /\/dev\/loop\d+/.exec(readFileSync(`/proc/${pid}/cmdline`, 'latin1'))?.[0] ?? ''

  test('nothing, but whose device became the one of something else, is made again, and the other is left as it is', async () => {
    const other = join(cluster.dir, 'other.img')
    writeFileSync(other, '')
    truncateSync(other, 32 * MIB)
    tool('mkfs.ext4', '-q', other)
    const before = sha256(other)
    const made = cluster.addVolume('reused', { pool: EXT4 })
    const looking = await cluster.gate?.catch('blkid', '/dev/loop', () => made)
    const device = deviceOf(looking ?? 0)
    tool('losetup', '--detach', device)
    tool('losetup', device, other)
    try {
      signal(looking ?? 0, 'SIGCONT')
      expect(await made).toMatchObject({ state: 'available' })
      putData(await node.mount('reused', ONE))
      await node.unmount('reused', ONE)
    } finally {
      tool('losetup', '--detach', device)
    }
    expect(sha256(other)).toBe(before)
    expect(cluster.leftovers()).toEqual(tidy(0))
  })

  test('nothing, and is detached under mkfs, is made again', async () => {
    const made = cluster.addVolume('detached', { pool: EXT4 })
    const making = await cluster.gate?.catch('mkfs.ext4', '/dev/loop', () => made)
    tool('losetup', '--detach', deviceOf(making ?? 0))
    signal(making ?? 0, 'SIGCONT')
    expect(await made).toMatchObject({ state: 'available' })
    putData(await node.mount('detached', ONE))
    await node.unmount('detached', ONE)
    expect(cluster.leftovers()).toEqual(tidy(0))
  })
})

needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs').describe('copies', () => {
  for (const [fs, sizeMiB] of [
    ['ext4', 32],
    ['xfs', 300],
    ['btrfs', 128],
  ] as const) {
    test(`a clone of a mounted ${fs} has a UUID of its own and is mounted beside it`, async () => {
      const [source, clone] = [`s-${fs}`, `c-${fs}`]
      await cluster.addVolume(source, { pool: XFS, fs, sizeMiB })
      const path = await node.mount(source, ONE)
      putData(path)
      await cluster.addVolume(clone, { pool: XFS, fs, sizeMiB, from: { volume: source } })
      const beside = await node.mount(clone, ONE)
      expect(hasData(beside)).toBe(true)
      putData(beside, 'clone')
      expect(hasData(path)).toBe(true)
      const uuids = [source, clone].map(async (name) => (await cluster.volume(name)).format.uuid)
      expect(new Set(await Promise.all(uuids)).size).toBe(2)
      await node.unmount(clone, ONE)
      await node.unmount(source, ONE)
      expect(cluster.leftovers()).toEqual(tidy(0))
    })
  }

  test('a snapshot of a volume that is being written holds all that was durable before it, and no torn record', async () => {
    await cluster.addVolume('w', { pool: XFS, fs: 'xfs', sizeMiB: 300 })
    const path = await node.mount('w', ONE)
    let written = 0
    let stop = false
    const writing = (async () => {
      for (; !stop; written += 1) {
        writeFileSync(join(path, `record-${written}`), `${written}\n`.repeat(2000), { flush: true })
        await delay(1)
      }
    })()
    await until(() => written > 50, { what: 'some records' })
    const durable = written
    await cluster.post('/v1/snapshots?wait=30', { volume: 'w', name: 'w-1' })
    await until(async () => (await cluster.get<{ state: string }>('/v1/snapshots/w-1')).state === 'available', {
      what: 'the snapshot',
    })
    stop = true
    await writing
    await cluster.addVolume('w-copy', { pool: XFS, fs: 'xfs', sizeMiB: 300, from: { snapshot: 'w-1' } })
    const copy = await node.mount('w-copy', ONE)
    for (let record = 0; record < durable; record++) {
      expect(readFileSync(join(copy, `record-${record}`), 'utf8')).toBe(`${record}\n`.repeat(2000))
    }
    await node.unmount('w-copy', ONE)
    await node.unmount('w', ONE)
  })

  test('where there is no reflink, a volume in use is not copied; an idle one is', async () => {
    await cluster.addVolume('idle', { pool: EXT4 })
    putData(await node.mount('idle', ONE))
    await expect(cluster.post('/v1/snapshots', { volume: 'idle', name: 'i-1' })).rejects.toMatchObject({
      code: 'snapshot_needs_idle',
    })
    await node.unmount('idle', ONE)
    await cluster.post('/v1/snapshots', { volume: 'idle', name: 'i-1' })
    await cluster.operationsDone()
    await cluster.addVolume('idle-copy', { pool: EXT4, from: { snapshot: 'i-1' } })
    expect(hasData(await node.mount('idle-copy', ONE))).toBe(true)
    await node.unmount('idle-copy', ONE)
    expect(cluster.leftovers()).toEqual(tidy(0))
  })
})
