/** The contract of drivers: copies, growing, and what filesystems on objects keep. */
import { randomBytes, randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { FilesystemType } from '../../src/node/filesystems.ts'
import { isDirectory, readDevice, readFrom, writeTo } from './content.ts'
import { canCopy, expectCode, inUnits, MIB, type Subject, signal } from './contract-subject.ts'

export function contentTests(subject: () => Subject): void {
  test('a copy has the content of its source and goes its own way', async () => {
    const { attach, capabilities, copy, driver, medium, pool } = subject()
    await driver.create(pool, 'a', medium, signal)
    if (!canCopy(capabilities)) return await expectCode(copy('a', 'b'), 'unsupported')
    const bytes = randomBytes(3 * MIB)
    writeTo(await attach('a'), 3 * MIB, bytes)
    await driver.detach(pool, 'a', signal)
    const seen = await copy('a', 'b')
    expect(seen.at(-1)).toBe(1)
    expect(seen.every((done) => done >= 0 && done <= 1)).toBe(true)
    const info = await driver.inspect(pool, 'b', signal)
    expect(info?.sizeMiB).toBe(medium)
    if (info?.usedMiB !== undefined) expect(info.usedMiB).toBeLessThan(8)
    writeTo(await attach('a'), 3 * MIB, Buffer.from('changed'))
    expect(readFrom(await attach('b'), 3 * MIB, bytes.length).equals(bytes)).toBe(true)
  })

  test('a copy needs a source and a free name', async () => {
    const { attach, capabilities, copy, driver, pool, small } = subject()
    const able = canCopy(capabilities)
    await driver.create(pool, 'a', small, signal)
    await driver.create(pool, 'b', small, signal)
    writeTo(await attach('b'), 0, Buffer.from('stays'))
    await expectCode(copy('absent', 'c'), able ? 'object_missing' : 'unsupported')
    await expectCode(copy('a', 'b'), able ? 'object_exists' : 'unsupported')
    expect(readFrom(await attach('b'), 0, 5).toString()).toBe('stays')
    expect(await driver.inspect(pool, 'c', signal)).toBeUndefined()
  })

  test('a snapshot keeps what was there, and volumes are made from it', async () => {
    const { attach, capabilities, copy, driver, pool, small } = subject()
    await driver.create(pool, 'a', small, signal)
    if (capabilities.snapshot === 'none') return await expectCode(copy('a', 's', 'snapshot'), 'unsupported')
    writeTo(await attach('a'), 0, Buffer.from('before'))
    await driver.detach(pool, 'a', signal)
    await copy('a', 's', 'snapshot')
    expect(await driver.inspect(pool, 's', signal)).toMatchObject({ name: 's', sizeMiB: small })
    writeTo(await attach('a'), 0, Buffer.from('after!'))
    if (canCopy(capabilities)) {
      await copy('s', 'b')
      expect(readFrom(await attach('b'), 0, 6).toString()).toBe('before')
    }
    await driver.delete(pool, 's', signal)
    await driver.delete(pool, 's', signal)
    expect(await driver.inspect(pool, 's', signal)).toBeUndefined()
    expect(readFrom(await attach('a'), 0, 6).toString()).toBe('after!')
  })

  test('an object grows with its device, and never shrinks', async () => {
    const { attach, capabilities, driver, medium, pool, small } = subject()
    await driver.create(pool, 'a', small, signal)
    if (capabilities.grow === 'none') {
      await expectCode(driver.grow(pool, 'a', medium, signal), 'unsupported')
      return expect(await driver.inspect(pool, 'a', signal)).toMatchObject({ sizeMiB: small })
    }
    await expectCode(driver.grow(pool, 'absent', medium, signal), 'object_missing')
    const before = capabilities.grow === 'online' ? await attach('a') : undefined
    expect(await driver.grow(pool, 'a', medium, signal)).toMatchObject({ sizeMiB: medium })
    const device = before ?? (await attach('a'))
    if (!isDirectory(device)) expect(readDevice(device, medium * MIB - 512, 1024)).toHaveLength(512)
    if (before === undefined) await driver.detach(pool, 'a', signal)
    expect(await driver.grow(pool, 'a', medium, signal)).toMatchObject({ sizeMiB: medium })
    expect(await driver.grow(pool, 'a', small, signal)).toMatchObject({ sizeMiB: medium })
  })

  test('a filesystem of each kind keeps its data through detach, grow and copy', async () => {
    const { capabilities } = subject()
    expect(capabilities.filesystems.length).toBeGreaterThan(0)
    for (const type of capabilities.filesystems) await keepsData(subject(), type as FilesystemType)
  })
}

async function keepsData(subject: Subject, type: FilesystemType): Promise<void> {
  const { attach, capabilities, driver, filesystems, large, mount, pool } = subject
  const uuid = randomUUID()
  await driver.create(pool, type, large, signal, type === 'directory' ? 'directory' : 'device')
  const blank = await attach(type)
  await filesystems.make(blank, type, uuid, signal)
  const target = await mount(blank, type)
  await writeFile(join(target, 'file'), 'kept')
  await filesystems.unmount(target, signal)
  await driver.detach(pool, type, signal)
  const growing = capabilities.grow !== 'none'
  if (growing) await driver.grow(pool, type, large + inUnits(capabilities, 128), signal)
  const device = await attach(type)
  if (growing) await filesystems.grow(device, type, undefined, signal)
  expect(await filesystems.probe(device, signal)).toEqual({ type, uuid })

  const first = canCopy(capabilities) ? await copied(subject, type, device, uuid) : await mount(device, type)
  expect(await readFile(join(first, 'file'), 'utf8')).toBe(canCopy(capabilities) ? 'later' : 'kept')
  await filesystems.unmount(first, signal)
  await driver.detach(pool, type, signal)
  await driver.delete(pool, type, signal)
}

/** Copies a volume, while it is mounted if the driver can do that. Returns where the volume is mounted then. */
async function copied(subject: Subject, type: FilesystemType, device: string, uuid: string): Promise<string> {
  const { attach, capabilities, driver, filesystems, mount, pool } = subject
  const object = `${type}-copy`
  const live = capabilities.snapshot === 'reflink' ? await mount(device, type) : undefined
  await copyFrozen(subject, type, object, live)
  const second = await attach(object)
  const other = randomUUID()
  await filesystems.changeUuid(second, type, other, signal)
  const first = live ?? (await mount(device, type))
  const clone = await mount(second, type)
  expect(await filesystems.probe(second, signal)).toEqual({ type, uuid: other })
  expect(await filesystems.probe(device, signal)).toEqual({ type, uuid })
  if (capabilities.grow !== 'none' && type !== 'directory') {
    expect((await filesystems.usage(clone, signal)).sizeMiB).toBeGreaterThan(400)
  }
  await writeFile(join(first, 'file'), 'later')
  expect(await readFile(join(clone, 'file'), 'utf8')).toBe('kept')
  await filesystems.unmount(clone, signal)
  await driver.detach(pool, object, signal)
  await driver.delete(pool, object, signal)
  return first
}

async function copyFrozen(
  { filesystems, copy }: Subject,
  source: string,
  object: string,
  target: string | undefined,
): Promise<void> {
  if (target !== undefined) await filesystems.freeze(target, signal)
  await copy(source, object)
  if (target !== undefined) await filesystems.thaw(target, signal)
}

export function limitTests(subject: () => Subject): void {
  test('read-only storage is read and not written', async (context) => {
    const { capabilities, copy, driver, fixture, medium, pool, small, there } = subject()
    if (fixture.makeReadOnly === undefined) return context.skip('this storage cannot be made read-only')
    await driver.create(pool, 'a', small, signal)
    await fixture.makeReadOnly()
    expect(await there('a')).toEqual(['a'])
    await driver.probe(pool, signal)
    await driver.mark(pool, signal)
    expect((await driver.attach(pool, 'a', true, signal)).readOnly).toBe(true)
    await expectCode(driver.create(pool, 'b', small, signal), 'storage_read_only')
    if (canCopy(capabilities)) await expectCode(copy('a', 'c'), 'storage_read_only')
    if (capabilities.grow !== 'none') await expectCode(driver.grow(pool, 'a', medium, signal), 'storage_read_only')
    await driver.detach(pool, 'a', signal)
    await expectCode(driver.delete(pool, 'a', signal), 'storage_read_only')
  })

  test('full storage says so and keeps no half of anything', async (context) => {
    const { attach, capabilities, copy, driver, fixture, medium, pool, there } = subject()
    if (fixture.fill === undefined) return context.skip('this storage cannot be filled')
    await driver.create(pool, 'a', medium, signal)
    writeTo(await attach('a'), 0, randomBytes(32 * MIB))
    await driver.detach(pool, 'a', signal)
    await fixture.fill()
    if (capabilities.snapshot === 'copy') {
      await expectCode(copy('a', 'b'), 'storage_full')
      expect(await driver.inspect(pool, 'b', signal)).toBeUndefined()
    }
    expect(await there('a')).toEqual(['a'])
    await driver.probe(pool, signal)
    await driver.delete(pool, 'a', signal)
  })
}
