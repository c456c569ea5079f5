/**
 * What every driver must do, as tests. A driver's own test file calls `driverContract` with a way to make storage for
 * it; whatever the driver cannot do by its own capabilities is tested to be refused with the right code.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Capabilities, Driver, ObjectInfo, PoolTarget } from '../../src/drivers/driver.ts'
import type { ErrorCode } from '../../src/model/errors.ts'
import type { Filesystems, FilesystemType } from '../../src/node/filesystems.ts'

/** Storage made for one test. */
export interface DriverFixture {
  readonly driver: Driver
  readonly filesystems: Filesystems
  /** An empty directory on this machine for mount points. */
  readonly scratch: string
  /** Storage that is empty and not yet marked, with room for 2 GiB of objects (thin is enough). */
  readonly pool: PoolTarget
  /** The boot id of this machine. */
  readonly bootId: string
  /** Makes the storage read-only, where that can be done to it. */
  readonly makeReadOnly?: () => Promise<void>
  /** Takes all room of the storage, where that can be done to it. */
  readonly fill?: () => Promise<void>
  /** Removes everything, also after a failed test: mounts, devices, files, processes. */
  dispose(): Promise<void>
}

const signal = AbortSignal.timeout(1_000_000_000)
const MIB = 1024 * 1024

export async function expectCode(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  await expect(promise).rejects.toMatchObject({ name: 'HoldfastError', code })
}

export function writeDevice(device: string, at: number, bytes: Uint8Array): void {
  const fd = openSync(device, 'r+')
  try {
    writeSync(fd, bytes, 0, bytes.length, at)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

export function readDevice(device: string, at: number, length: number): Buffer {
  const fd = openSync(device, 'r')
  try {
    const buffer = Buffer.alloc(length)
    return buffer.subarray(0, readSync(fd, buffer, 0, length, at))
  } finally {
    closeSync(fd)
  }
}

export function driverContract(name: string, makeFixture: () => Promise<DriverFixture>): void {
  describe(`the driver contract: ${name}`, () => {
    let fixture: DriverFixture
    let driver: Driver
    let filesystems: Filesystems
    let pool: PoolTarget
    let stranger: PoolTarget

    beforeEach(async () => {
      fixture = await makeFixture()
      ;({ filesystems } = fixture)
      const handles = new Map<string, string>()
      driver = remembering(fixture.driver, handles)
      pool = { ...fixture.pool, handleOf: (object) => handles.get(object) }
      stranger = { ...pool, id: 'stranger', name: 'loop~x~stranger', uuid: randomUUID() }
    })
    afterEach(async () => {
      await fixture?.dispose()
    })

    const attach = async (object: string, readOnly = false): Promise<string> =>
      (await driver.attach(pool, object, readOnly, signal)).device
    const copy = async (from: string, to: string): Promise<number[]> => {
      const seen: number[] = []
      await driver.copy(pool, from, to, 'volume', (done) => seen.push(done), signal)
      return seen
    }
    const mount = async (device: string, type: FilesystemType, readOnly = false): Promise<string> => {
      const target = join(fixture.scratch, randomUUID())
      await filesystems.mount(device, target, { type, readOnly, flags: [] }, signal)
      return target
    }

    describe('the marker', () => {
      test('there is no reach before the pool is marked', async () => {
        await expectCode(driver.probe(pool, signal), 'no_marker')
        await expectCode(driver.create(pool, 'a', 8, signal), 'no_marker')
        await expectCode(driver.inventory(pool, signal), 'no_marker')
      })

      test('a marked pool is reached, and marking it again changes nothing', async () => {
        await driver.mark(pool, signal)
        await driver.create(pool, 'a', 8, signal)
        await driver.mark(pool, signal)
        const { capabilities, sizeMiB, freeMiB } = await driver.probe(pool, signal)
        expect(capabilities.maxObjectMiB).toBeGreaterThan(1024)
        if (sizeMiB !== undefined && freeMiB !== undefined) expect(freeMiB).toBeLessThanOrEqual(sizeMiB)
        expect((await driver.inventory(pool, signal)).map((info) => info.name)).toEqual(['a'])
      })

      test('every call for another pool is refused and changes nothing', async () => {
        await driver.mark(pool, signal)
        await driver.create(pool, 'a', 8, signal)
        const none = (): void => undefined
        await expectCode(driver.mark(stranger, signal), 'marker_conflict')
        await expectCode(driver.probe(stranger, signal), 'marker_conflict')
        await expectCode(driver.create(stranger, 'b', 8, signal), 'marker_conflict')
        await expectCode(driver.copy(stranger, 'a', 'c', none, signal), 'marker_conflict')
        await expectCode(driver.grow(stranger, 'a', 16, signal), 'marker_conflict')
        await expectCode(driver.delete(stranger, 'a', signal), 'marker_conflict')
        await expectCode(driver.attach(stranger, 'a', false, signal), 'marker_conflict')
        await expectCode(driver.probe({ ...pool, installation: randomUUID() }, signal), 'marker_conflict')
        expect(await driver.inventory(pool, signal)).toMatchObject([{ name: 'a', sizeMiB: 8 }])
      })

      test('of several that mark at once one pool wins and the others are told', async () => {
        const pools = [pool, stranger, { ...pool, uuid: randomUUID() }, { ...pool, uuid: randomUUID() }]
        const ends = await Promise.allSettled(pools.map((each) => driver.mark(each, signal)))
        expect(ends.filter((end) => end.status === 'fulfilled')).toHaveLength(1)
        for (const end of ends) {
          if (end.status === 'rejected') expect(end.reason).toMatchObject({ code: 'marker_conflict' })
        }
      })
    })

    describe('with a marked pool', () => {
      beforeEach(async () => {
        await driver.mark(pool, signal)
      })

      test('a created object is blank, has its size, and is found', async () => {
        expect(await driver.create(pool, 'b', 64, signal)).toMatchObject({ name: 'b', sizeMiB: 64 })
        await driver.create(pool, 'a', 8, signal)
        expect(await driver.isBlank(pool, 'b', signal)).toBe(true)
        expect(await driver.inspect(pool, 'b', signal)).toMatchObject({ name: 'b', sizeMiB: 64 })
        expect(await driver.inspect(pool, 'c', signal)).toBeUndefined()
        expect((await driver.inventory(pool, signal)).map((info) => info.name)).toEqual(['a', 'b'])
        const device = await attach('b')
        expect(readDevice(device, 0, MIB).equals(Buffer.alloc(MIB))).toBe(true)
        expect(readDevice(device, 64 * MIB - 512, 1024)).toHaveLength(512)
      })

      test('create may be repeated while the object is blank, and never replaces one', async () => {
        await driver.create(pool, 'a', 8, signal)
        expect(await driver.create(pool, 'a', 8, signal)).toMatchObject({ name: 'a', sizeMiB: 8 })
        await expectCode(driver.create(pool, 'a', 16, signal), 'object_exists')
        writeDevice(await attach('a'), 4096, Buffer.from('precious'))
        await expectCode(driver.create(pool, 'a', 8, signal), 'object_exists')
        await driver.detach(pool, 'a', signal)
        await expectCode(driver.create(pool, 'a', 8, signal), 'object_exists')
        expect(readDevice(await attach('a'), 4096, 8).toString()).toBe('precious')
      })

      test('five creates of one object at once make one', async () => {
        const all = await Promise.all([1, 2, 3, 4, 5].map(() => driver.create(pool, 'a', 8, signal)))
        expect(new Set(all.map((info) => info.sizeMiB))).toEqual(new Set([8]))
        expect(await driver.inventory(pool, signal)).toHaveLength(1)
      })

      test('names and sizes that cannot be are refused before anything is touched', async () => {
        for (const bad of ['', '.', '../a', 'a/b', '-a', '.a', 'a b', 'a\0', 'ä', 'x'.repeat(129)]) {
          await expectCode(driver.create(pool, bad, 8, signal), 'invalid_name')
          await expectCode(driver.attach(pool, bad, false, signal), 'invalid_name')
          await expectCode(driver.delete(pool, bad, signal), 'invalid_name')
          await expectCode(driver.inspect(pool, bad, signal), 'invalid_name')
        }
        for (const bad of [0, -1, 1.5, Number.NaN])
          await expectCode(driver.create(pool, 'a', bad, signal), 'invalid_size')
        const { maxObjectMiB } = (await driver.probe(pool, signal)).capabilities
        await expectCode(driver.create(pool, 'a', maxObjectMiB + 1, signal), 'object_too_large')
        expect(await driver.inventory(pool, signal)).toEqual([])
        expect(await driver.create(pool, 'x'.repeat(128), 8, signal)).toMatchObject({ sizeMiB: 8 })
      })

      test('isBlank sees what was written, flushed or not', async () => {
        await expectCode(driver.isBlank(pool, 'a', signal), 'object_missing')
        await driver.create(pool, 'a', 8, signal)
        const fd = openSync(await attach('a'), 'r+')
        try {
          writeSync(fd, Buffer.from('not flushed'), 0, 11, MIB)
          expect(await driver.isBlank(pool, 'a', signal)).toBe(false)
        } finally {
          closeSync(fd)
        }
      })

      test('delete removes an object once, and not while it is attached', async () => {
        await driver.create(pool, 'a', 8, signal)
        await attach('a')
        await expectCode(driver.delete(pool, 'a', signal), 'in_use')
        await driver.detach(pool, 'a', signal)
        await driver.delete(pool, 'a', signal)
        await driver.delete(pool, 'a', signal)
        expect(await driver.inventory(pool, signal)).toEqual([])
      })

      test('attaching again gives the same device, in the same mode only', async () => {
        await expectCode(driver.attach(pool, 'a', false, signal), 'object_missing')
        await driver.create(pool, 'a', 8, signal)
        const first = await driver.attach(pool, 'a', false, signal)
        expect(await driver.attach(pool, 'a', false, signal)).toEqual(first)
        await expectCode(driver.attach(pool, 'a', true, signal), 'in_use')
        expect(await driver.attached(pool, signal)).toEqual([first])
        await driver.detach(pool, 'a', signal)
        const second = await driver.attach(pool, 'a', true, signal)
        expect(second.readOnly).toBe(true)
        await expectCode(driver.attach(pool, 'a', false, signal), 'in_use')
        expect(() => writeDevice(second.device, 0, Buffer.from('x'))).toThrow()
      })

      test('ten objects attached at once get ten devices', async () => {
        const names = Array.from({ length: 10 }, (_, index) => `v${index}`)
        for (const object of names) await driver.create(pool, object, 8, signal)
        const devices = await Promise.all(names.map((object) => attach(object)))
        expect(new Set(devices).size).toBe(10)
        const attached = await driver.attached(pool, signal)
        expect(attached.map((entry) => entry.object).sort()).toEqual(names)
        for (const [index, device] of devices.entries()) writeDevice(device, 0, Buffer.from(`object v${index}`))
        await Promise.all(names.map((object) => driver.detach(pool, object, signal)))
        expect(await driver.attached(pool, signal)).toEqual([])
        expect(readDevice(await attach('v7'), 0, 9).toString()).toBe('object v7')
      })

      test('five attaches of one object at once give one device', async () => {
        await driver.create(pool, 'a', 8, signal)
        const devices = await Promise.all([1, 2, 3, 4, 5].map(() => attach('a')))
        expect(new Set(devices).size).toBe(1)
        expect(await driver.attached(pool, signal)).toHaveLength(1)
      })

      test('detach returns when nothing is left, and says who holds what cannot be detached', async () => {
        await driver.detach(pool, 'absent', signal)
        await driver.create(pool, 'a', 128, signal)
        const device = await attach('a')
        await filesystems.make(device, 'ext4', randomUUID(), signal)
        const target = await mount(device, 'ext4')
        await expectCode(driver.detach(pool, 'a', signal), 'still_mounted')
        expect(await driver.attached(pool, signal)).toHaveLength(1)
        await filesystems.unmount(target, signal)
        await driver.detach(pool, 'a', signal)
        await driver.detach(pool, 'a', signal)
        expect(await driver.attached(pool, signal)).toEqual([])
      })

      test('a copy has the content of its source and goes its own way', async () => {
        await driver.create(pool, 'a', 64, signal)
        const bytes = randomBytes(3 * MIB)
        writeDevice(await attach('a'), 17 * MIB, bytes)
        await driver.detach(pool, 'a', signal)
        const seen = await copy('a', 'b')
        expect(seen.at(-1)).toBe(1)
        expect(seen.every((done) => done >= 0 && done <= 1)).toBe(true)
        const info = await driver.inspect(pool, 'b', signal)
        expect(info?.sizeMiB).toBe(64)
        if (info?.usedMiB !== undefined) expect(info.usedMiB).toBeLessThan(8)
        writeDevice(await attach('a'), 17 * MIB, Buffer.from('changed'))
        expect(readDevice(await attach('b'), 17 * MIB, bytes.length).equals(bytes)).toBe(true)
      })

      test('a copy needs a source and a free name', async () => {
        await driver.create(pool, 'a', 8, signal)
        await driver.create(pool, 'b', 8, signal)
        writeDevice(await attach('b'), 0, Buffer.from('stays'))
        await expectCode(copy('absent', 'c'), 'object_missing')
        await expectCode(copy('a', 'b'), 'object_exists')
        expect(readDevice(await attach('b'), 0, 5).toString()).toBe('stays')
        expect(await driver.inspect(pool, 'c', signal)).toBeUndefined()
      })

      test('an object grows with its device, and never shrinks', async () => {
        await expectCode(driver.grow(pool, 'absent', 16, signal), 'object_missing')
        await driver.create(pool, 'a', 8, signal)
        const device = await attach('a')
        expect(await driver.grow(pool, 'a', 32, signal)).toMatchObject({ sizeMiB: 32 })
        expect(readDevice(device, 32 * MIB - 512, 1024)).toHaveLength(512)
        expect(await driver.grow(pool, 'a', 32, signal)).toMatchObject({ sizeMiB: 32 })
        expect(await driver.grow(pool, 'a', 8, signal)).toMatchObject({ sizeMiB: 32 })
      })

      test('what is cancelled is not begun', async () => {
        const cancelled = AbortSignal.abort()
        await expectCode(driver.create(pool, 'a', 8, cancelled), 'cancelled')
        await expectCode(driver.probe(pool, cancelled), 'cancelled')
        expect(await driver.inventory(pool, signal)).toEqual([])
      })

      test('fencing takes a lost node of this machine its access, and of another machine only if the driver can', async () => {
        const { fence } = (await driver.probe(pool, signal)).capabilities
        await driver.create(pool, 'a', 128, signal)
        const device = await attach('a')
        await filesystems.make(device, 'ext4', randomUUID(), signal)
        await mount(device, 'ext4')
        if (fence !== 'any') {
          await expectCode(driver.fence(pool, 'a', { id: 'node-2', bootId: randomUUID() }, signal), 'unsupported')
          expect(await driver.attached(pool, signal)).toHaveLength(1)
        }
        if (fence === 'none') return
        await driver.fence(pool, 'a', { id: pool.node.id, bootId: fixture.bootId }, signal)
        expect(await driver.attached(pool, signal)).toEqual([])
        expect((await filesystems.mounts()).filter((entry) => entry.device === device)).toEqual([])
        await driver.fence(pool, 'a', { id: pool.node.id, bootId: fixture.bootId }, signal)
      })

      test('a filesystem of each kind keeps its data through detach, grow and copy', async () => {
        const { capabilities } = await driver.probe(pool, signal)
        expect(capabilities.filesystems.length).toBeGreaterThan(0)
        for (const type of capabilities.filesystems) await keepsData(type as FilesystemType, capabilities.snapshot)
      })

      async function keepsData(type: FilesystemType, snapshot: Capabilities['snapshot']): Promise<void> {
        const [uuid, other] = [randomUUID(), randomUUID()]
        const copied = `${type}-copy`
        await driver.create(pool, type, 384, signal)
        let device = await attach(type)
        await filesystems.make(device, type, uuid, signal)
        const target = await mount(device, type)
        await writeFile(join(target, 'file'), 'kept')
        await filesystems.unmount(target, signal)
        await driver.detach(pool, type, signal)
        await driver.grow(pool, type, 512, signal)
        device = await attach(type)
        await filesystems.grow(device, type, undefined, signal)

        const live = snapshot === 'reflink' ? await mount(device, type) : undefined
        await copyFrozen(type, copied, live)
        const second = await attach(copied)
        await filesystems.changeUuid(second, type, other, signal)
        const first = live ?? (await mount(device, type))
        const clone = await mount(second, type)
        expect(await filesystems.probe(second, signal)).toEqual({ type, uuid: other })
        expect(await filesystems.probe(device, signal)).toEqual({ type, uuid })
        expect((await filesystems.usage(clone, signal)).sizeMiB).toBeGreaterThan(400)
        await writeFile(join(first, 'file'), 'later')
        expect(await readFile(join(clone, 'file'), 'utf8')).toBe('kept')
        for (const each of [first, clone]) await filesystems.unmount(each, signal)
        for (const each of [type, copied]) {
          await driver.detach(pool, each, signal)
          await driver.delete(pool, each, signal)
        }
      }

      async function copyFrozen(source: string, object: string, target: string | undefined): Promise<void> {
        if (target !== undefined) await filesystems.freeze(target, signal)
        await copy(source, object)
        if (target !== undefined) await filesystems.thaw(target, signal)
      }

      test('read-only storage is read and not written', async (context) => {
        if (fixture.makeReadOnly === undefined) return context.skip('this storage cannot be made read-only')
        await driver.create(pool, 'a', 8, signal)
        await fixture.makeReadOnly()
        expect(await driver.inventory(pool, signal)).toHaveLength(1)
        await driver.probe(pool, signal)
        await driver.mark(pool, signal)
        expect((await driver.attach(pool, 'a', true, signal)).readOnly).toBe(true)
        await expectCode(driver.create(pool, 'b', 8, signal), 'storage_read_only')
        await expectCode(copy('a', 'c'), 'storage_read_only')
        await expectCode(driver.grow(pool, 'a', 16, signal), 'storage_read_only')
        await driver.detach(pool, 'a', signal)
        await expectCode(driver.delete(pool, 'a', signal), 'storage_read_only')
      })

      test('full storage says so and keeps no half of anything', async (context) => {
        if (fixture.fill === undefined) return context.skip('this storage cannot be filled')
        const { capabilities } = await driver.probe(pool, signal)
        await driver.create(pool, 'a', 64, signal)
        writeDevice(await attach('a'), 0, randomBytes(32 * MIB))
        await driver.detach(pool, 'a', signal)
        await fixture.fill()
        if (capabilities.snapshot === 'copy') {
          await expectCode(copy('a', 'b'), 'storage_full')
          expect(await driver.inspect(pool, 'b', signal)).toBeUndefined()
        }
        expect((await driver.inventory(pool, signal)).map((info) => info.name)).toEqual(['a'])
        await driver.probe(pool, signal)
        await driver.delete(pool, 'a', signal)
      })
    })
  })
}

/** As the ledger does: what the storage calls an object is kept, and given back with the pool. */
function remembering(driver: Driver, handles: Map<string, string>): Driver {
  const learn = (info: ObjectInfo) => {
    if (info.handle !== undefined) handles.set(info.name, info.handle)
    return info
  }
  return Object.assign(Object.create(driver) as Driver, {
    create: async (...args: Parameters<Driver['create']>) => learn(await driver.create(...args)),
    copy: async (...args: Parameters<Driver['copy']>) => learn(await driver.copy(...args)),
  })
}
