import { spawn } from 'node:child_process'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'
import type { FilesystemType } from '../../src/node/filesystems.ts'
import { createFilesystemTools } from '../../src/programs/filesystem-tools.ts'
import { createPrograms } from '../../src/programs/run.ts'
import { expectCode } from '../drivers/contract.ts'
import { makeDisk, releaseAll, tool } from '../drivers/disk.ts'
import { needs } from '../support/missing.ts'
import { testDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { childrenWith } from './children.ts'

const signal = new AbortController().signal
const TYPES: readonly FilesystemType[] = ['ext4', 'xfs', 'btrfs']
const MIB = 1024 * 1024
/** ext4 refuses to grow while mounted without it (bit 24 of the effective capabilities). */
const mayResizeExt4 =
  ((BigInt(`0x${/^CapEff:\s+(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]}`) >> 24n) & 1n) === 1n

interface Bench {
  readonly directory: string
  readonly tools: ReturnType<typeof createFilesystemTools>
  image(name: string, sizeMiB: number): string
  attach(path: string, ...options: string[]): string
}

function makeBench(): Bench {
  const directory = testDir()
  onTestFinished(() => releaseAll(directory))
  return {
    directory,
    tools: createFilesystemTools({ programs: createPrograms(), scratchDirectory: directory }),
    image(name, sizeMiB) {
      const path = join(directory, name)
      writeFileSync(path, '')
      truncateSync(path, sizeMiB * MIB)
      return path
    },
    attach: (path, ...options) => tool('losetup', '--find', '--show', ...options, path).trim(),
  }
}

const rw = (type: FilesystemType, ...flags: string[]) => ({ type, readOnly: false, flags })
const ro = (type: FilesystemType) => ({ type, readOnly: true, flags: [] })
const hash = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')

/** An LVM2 physical volume label in sector 1, with the checksum that the format asks for. */
function lvmLabel(): Buffer {
  const sector = Buffer.alloc(512)
  sector.write('LABELONE', 0, 'latin1')
  sector.writeBigUInt64LE(1n, 8)
  sector.writeUInt32LE(32, 20)
  sector.write('LVM2 001', 24, 'latin1')
  sector.write('0123456789abcdefghijklmnopqrstuv', 32, 'latin1')
  // LVM starts its CRC with 0xf597a6cf and does not invert; zlib inverts before and after.
  sector.writeUInt32LE(~crc32(sector.subarray(20), ~0xf597a6cf >>> 0) >>> 0, 16)
  return sector
}

const machine = needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs', 'xfs_io')

machine.describe('filesystem tools', () => {
  test.for(TYPES)('%s is made with the UUID that was chosen, once', async (type) => {
    const { tools, image, attach } = makeBench()
    const device = attach(image('a', 400))
    expect(await tools.probe(device, signal)).toEqual({ type: undefined, uuid: undefined })
    const uuid = randomUUID()
    await tools.make(device, type, uuid, signal)
    expect(await tools.probe(device, signal)).toEqual({ type, uuid })
    for (const other of TYPES) await expectCode(tools.make(device, other, randomUUID(), signal), 'not_blank')
    expect(await tools.probe(device, signal)).toEqual({ type, uuid })
  })

  test('a new ext4 is empty, so that images of databases take it', async () => {
    const { directory, tools, image, attach } = makeBench()
    const device = attach(image('a', 64))
    await tools.make(device, 'ext4', randomUUID(), signal)
    const target = join(directory, 'target')
    await tools.mount(device, target, rw('ext4'), signal)
    expect(readdirSync(target)).toEqual([])
    await tools.unmount(target, signal)
    tool('e2fsck', '-f', '-n', device)
  })

  test.for(TYPES)('mkfs of %s leaves foreign content as it is', async (type) => {
    const { tools, image, attach } = makeBench()
    const lvm = lvmLabel()
    const broken = Buffer.from(lvm).fill(0, 16, 20)
    const contents: [string, number, Buffer, string | undefined][] = [
      ['lvm', 512, lvm, 'LVM2_member'],
      ['broken-lvm', 512, broken, undefined],
      ['random', 0, randomBytes(MIB), undefined],
      ['one-byte', 700_000, Buffer.from([1]), undefined],
      ['swap', 4086, Buffer.from('SWAPSPACE2'), undefined],
    ]
    for (const [name, at, bytes, signature] of contents) {
      const path = image(name, 0)
      writeFileSync(path, Buffer.concat([Buffer.alloc(at), bytes]))
      truncateSync(path, 128 * MIB)
      const before = hash(path)
      const device = attach(path)
      if (signature !== undefined) expect((await tools.probe(device, signal)).type).toBe(signature)
      await expectCode(tools.make(device, type, randomUUID(), signal), 'not_blank')
      tool('losetup', '--detach', device)
      expect(hash(path), name).toBe(before)
    }
  })

  test('a device that is too small, absent or unreadable is an error and never blank', async () => {
    const { tools, image, attach, directory } = makeBench()
    const device = attach(image('a', 16))
    await expectCode(tools.make(device, 'xfs', randomUUID(), signal), 'invalid_size')
    await expectCode(tools.make(device, 'btrfs', randomUUID(), signal), 'invalid_size')
    await expectCode(tools.probe(join(directory, 'absent'), signal), 'storage_failed')
    await expectCode(tools.probe('/dev/loop4095', signal), 'storage_failed')
    await expectCode(tools.make('/dev/loop4095', 'ext4', randomUUID(), signal), 'storage_failed')
    await expectCode(tools.make(device, 'ext4', 'no-uuid', signal), 'invalid_option')
  })

  test('mkfs killed in the middle is reported and leaves no filesystem of that UUID', async () => {
    const disk = makeDisk('xfs', 2048)
    onTestFinished(() => disk.dispose())
    const { tools, attach } = makeBench()
    onTestFinished(() => releaseAll(disk.directory))
    const path = join(disk.directory, 'big')
    writeFileSync(path, '')
    truncateSync(path, 8 * MIB * MIB)
    const device = attach(path)
    const uuid = randomUUID()
    const make = tools.make(device, 'ext4', uuid, signal)
    make.catch(() => undefined)
    const [pid = 0] = await until(() => childrenWith('mkfs.ext4').length === 1 && childrenWith('mkfs.ext4'), {
      what: 'mkfs to run',
      everyMs: 1,
    })
    process.kill(pid, 'SIGKILL')
    await expect(make).rejects.toMatchObject({ code: 'storage_failed', data: { signal: 'SIGKILL' } })
    expect((await tools.probe(device, signal)).uuid).not.toBe(uuid)
  })

  test('750,000,000 MiB of xfs are made on a sparse file, quickly', async () => {
    const disk = makeDisk('xfs', 8192)
    onTestFinished(() => disk.dispose())
    const { tools, attach } = makeBench()
    onTestFinished(() => releaseAll(disk.directory))
    const path = join(disk.directory, 'huge')
    writeFileSync(path, '')
    truncateSync(path, 750_000_000 * MIB)
    const device = attach(path)
    const start = performance.now()
    await tools.make(device, 'xfs', randomUUID(), signal)
    expect(performance.now() - start).toBeLessThan(30_000)
    const target = join(disk.directory, 'mnt')
    await tools.mount(device, target, rw('xfs'), signal)
    const usage = await tools.usage(target, signal)
    expect(usage.sizeMiB).toBeGreaterThan(749_000_000)
    expect(Math.abs(usage.sizeMiB - usage.freeMiB - usage.usedMiB)).toBeLessThanOrEqual(1)
    await tools.unmount(target, signal)
  })

  test.for(TYPES)('%s: mounting and unmounting are repeatable, and the target goes if we made it', async (type) => {
    const { tools, image, attach, directory } = makeBench()
    const device = attach(image('a', 400))
    await tools.make(device, type, randomUUID(), signal)
    const target = join(directory, 'odd \t\\ name é', 'target')
    await tools.mount(device, target, rw(type, 'nosuid', 'noatime'), signal)
    await tools.mount(device, target, rw(type), signal)
    const mine = (await tools.mounts()).filter((entry) => entry.device === device)
    expect(mine).toMatchObject([{ device, target, type, readOnly: false, root: '/' }])
    await tools.unmount(target, signal)
    await tools.unmount(target, signal)
    expect(existsSync(target)).toBe(false)
    expect((await tools.mounts()).filter((entry) => entry.device === device)).toEqual([])

    const kept = join(directory, 'kept')
    mkdirSync(kept, { mode: 0o750 })
    await tools.mount(device, kept, rw(type), signal)
    await tools.unmount(kept, signal)
    expect(statSync(kept).mode & 0o777).toBe(0o750)
    await expectCode(tools.mount(device, target, rw(type, 'suid'), signal), 'invalid_option')
    expect(existsSync(target)).toBe(false)
    for (const bad of ['relative', '/', '/a/../b', '/a/']) {
      await expectCode(tools.mount(device, bad, rw(type), signal), 'invalid_option')
    }
  })

  test('a mount that fails leaves no directory, and a wrong type is an error', async () => {
    const { tools, image, attach, directory } = makeBench()
    const device = attach(image('a', 64))
    const target = join(directory, 'target')
    await expectCode(tools.mount(device, target, rw('ext4'), signal), 'storage_failed')
    expect(existsSync(target)).toBe(false)
  })

  test('targets below an own root are removed by a later process too', async () => {
    const { tools, image, attach, directory } = makeBench()
    const device = attach(image('a', 64))
    await tools.make(device, 'ext4', randomUUID(), signal)
    const target = join(directory, 'mnt', 'vol', 'target')
    await tools.mount(device, target, rw('ext4'), signal)
    const later = createFilesystemTools({ programs: createPrograms(), ownRoots: [join(directory, 'mnt')] })
    await later.unmount(target, signal)
    expect(existsSync(target)).toBe(false)
  })

  test('a busy mount stays and names who uses it', async () => {
    const { tools, image, attach, directory } = makeBench()
    const device = attach(image('a', 64))
    await tools.make(device, 'ext4', randomUUID(), signal)
    const target = join(directory, 'target')
    await tools.mount(device, target, rw('ext4'), signal)
    const user = spawn('sleep', ['600'], { cwd: target, stdio: 'ignore' })
    onTestFinished(() => void user.kill('SIGKILL'))
    await until(() => readFileSync(`/proc/${user.pid}/comm`, 'utf8') === 'sleep\n', { what: 'the user to run' })
    await expect(tools.unmount(target, signal)).rejects.toMatchObject({
      code: 'still_mounted',
      message: expect.stringContaining(`sleep (${user.pid})`),
    })
    expect((await tools.mounts()).some((entry) => entry.device === device)).toBe(true)
    user.kill('SIGKILL')
    await until(() => tools.unmount(target, signal).then(() => true), { what: 'the user to be gone' })
  })

  test.for(TYPES)('%s: a read-only mount of a filesystem that was not unmounted writes nothing', async (type) => {
    const { tools, image, attach, directory } = makeBench()
    const copy = await unclean(tools, type, image('a', 320), attach, directory)
    const before = hash(copy)
    const device = attach(copy)
    const target = join(directory, 'copy-mnt')
    await tools.mount(device, target, ro(type), signal)
    expect(() => writeFileSync(join(target, 'new'), '')).toThrow(/EROFS/)
    await tools.unmount(target, signal)
    tool('losetup', '--detach', device)
    expect(hash(copy)).toBe(before)
  })

  test.for(TYPES)('%s: a write-protected device is not mounted read-only behind the caller’s back', async (type) => {
    const { tools, image, attach, directory } = makeBench()
    const path = image('a', 400)
    const writable = attach(path)
    await tools.make(writable, type, randomUUID(), signal)
    tool('losetup', '--detach', writable)
    const device = attach(path, '--read-only')
    const target = join(directory, 'target')
    await expect(tools.mount(device, target, rw(type), signal)).rejects.toThrow()
    expect((await tools.mounts()).filter((entry) => entry.device === device)).toEqual([])
    await tools.mount(device, target, ro(type), signal)
    await tools.unmount(target, signal)
  })

  test.for(TYPES)('%s: an unclean copy gets its own UUID while the original is mounted', async (type) => {
    const { tools, image, attach, directory } = makeBench()
    const copy = await unclean(tools, type, image('a', 320), attach, directory)
    const device = attach(copy)
    const uuid = randomUUID()
    await tools.changeUuid(device, type, uuid, signal)
    await tools.changeUuid(device, type, uuid, signal)
    expect(await tools.probe(device, signal)).toEqual({ type, uuid })
    const target = join(directory, 'copy-mnt')
    await tools.mount(device, target, rw(type), signal)
    expect(readFileSync(join(target, 'file'), 'utf8')).toBe('synced')
    await expectCode(tools.changeUuid(device, type, randomUUID(), signal), 'still_mounted')
    await tools.unmount(target, signal)
    const other = type === 'ext4' ? 'xfs' : 'ext4'
    await expectCode(tools.changeUuid(device, other, randomUUID(), signal), 'foreign_content')
    expect(readdirSync(directory).filter((name) => name.startsWith('holdfast-'))).toEqual([])
  })

  test('an ext4 that others made, without a checksum seed, gets a new UUID too', async () => {
    const { tools, image, attach, directory } = makeBench()
    const device = attach(image('a', 64))
    tool('mkfs.ext4', '-q', '-O', '^metadata_csum_seed', device)
    const target = join(directory, 'target')
    await tools.mount(device, target, rw('ext4'), signal)
    writeFileSync(join(target, 'file'), 'kept')
    await tools.unmount(target, signal)
    const uuid = randomUUID()
    await tools.changeUuid(device, 'ext4', uuid, signal)
    expect((await tools.probe(device, signal)).uuid).toBe(uuid)
    tool('e2fsck', '-f', '-n', device)
  })

  test.for(TYPES)('%s grows idle and, where the kernel lets us, mounted', async (type) => {
    const { tools, image, attach, directory } = makeBench()
    const path = image('a', 400)
    const device = attach(path)
    const target = join(directory, 'target')
    const enlarge = (sizeMiB: number) => {
      truncateSync(path, sizeMiB * MIB)
      tool('losetup', '--set-capacity', device)
    }
    await tools.make(device, type, randomUUID(), signal)
    enlarge(500)
    await tools.grow(device, type, undefined, signal)
    await tools.grow(device, type, undefined, signal)
    expect((await tools.mounts()).filter((entry) => entry.device === device)).toEqual([])
    await tools.mount(device, target, rw(type), signal)
    expect((await tools.usage(target, signal)).sizeMiB).toBeGreaterThan(420)
    enlarge(600)
    if (type === 'ext4' && !mayResizeExt4) {
      await expectCode(tools.grow(device, type, target, signal), 'unsupported')
    } else {
      await tools.grow(device, type, target, signal)
      expect((await tools.usage(target, signal)).sizeMiB).toBeGreaterThan(520)
    }
    await tools.unmount(target, signal)
  })

  test('freeze holds writers back, is not taken twice, and thaw may be repeated', async () => {
    const { tools, image, attach, directory } = makeBench()
    const device = attach(image('a', 64))
    await tools.make(device, 'ext4', randomUUID(), signal)
    const target = join(directory, 'target')
    await tools.mount(device, target, rw('ext4'), signal)
    await tools.freeze(target, signal)
    onTestFinished(() => tools.thaw(target, signal).catch(() => undefined))
    await expectCode(tools.freeze(target, signal), 'in_use')
    const writer = spawn('touch', [join(target, 'file')], { stdio: 'ignore' })
    await until(() => /^State:\s+D/m.test(readFileSync(`/proc/${writer.pid}/status`, 'utf8')), {
      what: 'the writer to wait',
    })
    await tools.thaw(target, signal)
    await tools.thaw(target, signal)
    await until(() => existsSync(join(target, 'file')), { what: 'the writer to go on' })
    await until(() => tools.unmount(target, signal).then(() => true), { what: 'the writer to be gone' })
  })

  test.for(TYPES)('%s: an emergency stop lets no write through, where there is one', async (type) => {
    const { tools, image, attach, directory } = makeBench()
    const device = attach(image('a', 400))
    await tools.make(device, type, randomUUID(), signal)
    const target = join(directory, 'target')
    await expectCode(tools.shutdown(target, signal), 'storage_failed')
    await tools.mount(device, target, rw(type), signal)
    if (type === 'btrfs') {
      await expectCode(tools.shutdown(target, signal), 'unsupported')
    } else {
      await tools.shutdown(target, signal)
      expect(() => writeFileSync(join(target, 'file'), 'x')).toThrow(/EIO/)
    }
    await tools.unmount(target, signal)
  })
})

/** A copy of a filesystem's image as a crash would leave it; the original stays mounted. */
async function unclean(
  tools: Bench['tools'],
  type: FilesystemType,
  path: string,
  attach: Bench['attach'],
  directory: string,
): Promise<string> {
  const device = attach(path)
  const target = join(directory, 'original-mnt')
  await tools.make(device, type, randomUUID(), signal)
  await tools.mount(device, target, rw(type), signal)
  writeFileSync(join(target, 'file'), 'synced')
  tool('sync', join(target, 'file'))
  const copy = join(directory, 'copy')
  copyFileSync(path, copy)
  return copy
}
