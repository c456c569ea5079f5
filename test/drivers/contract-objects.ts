/** The contract of drivers: the marker, and making, finding, attaching and removing objects. */
import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { isDirectory, looksBlank, readDevice, readFrom, whileUnflushed, writeTo } from './content.ts'
import { canCopy, expectCode, inUnits, MIB, type Subject, signal } from './contract-subject.ts'

const nothing = (): void => undefined

export function markerTests(subject: () => Subject): void {
  test('there is no reach before the pool is marked', async () => {
    const { driver, pool } = subject()
    await expectCode(driver.probe(pool, signal), 'no_marker')
    await expectCode(driver.create(pool, 'a', 64 * 1024, signal), 'no_marker')
    await expectCode(driver.inventory(pool, signal), 'no_marker')
  })

  test('a marked pool is reached, and marking it again changes nothing', async () => {
    const { driver, mark } = subject()
    await mark()
    const { pool } = subject()
    const { capabilities, sizeMiB, freeMiB } = await driver.probe(pool, signal)
    expect(capabilities.maxObjectMiB).toBeGreaterThan(1024)
    if (sizeMiB !== undefined && freeMiB !== undefined) expect(freeMiB).toBeLessThanOrEqual(sizeMiB)
    await driver.create(pool, 'a', inUnits(capabilities, 8), signal)
    await mark()
    expect(await driver.inspect(pool, 'a', signal)).toMatchObject({ name: 'a' })
    if (capabilities.list !== false) expect(await driver.inventory(pool, signal)).toMatchObject([{ name: 'a' }])
  })

  test('every call for another pool is refused and changes nothing', async () => {
    const { driver, stranger, mark, fixture } = subject()
    await mark()
    const { pool } = subject()
    const refused = fixture.apart ? 'no_marker' : 'marker_conflict'
    const { capabilities } = await driver.probe(pool, signal)
    const [small, more] = [inUnits(capabilities, 8), inUnits(capabilities, 8) * 2]
    await driver.create(pool, 'a', small, signal)
    if (!fixture.apart) await expectCode(driver.mark(stranger, signal), refused)
    await expectCode(driver.probe(stranger, signal), refused)
    await expectCode(driver.create(stranger, 'b', small, signal), refused)
    if (canCopy(capabilities)) {
      await expectCode(driver.copy(stranger, 'a', 'c', 'volume', nothing, signal), refused)
    }
    if (capabilities.grow !== 'none') await expectCode(driver.grow(stranger, 'a', more, signal), refused)
    await expectCode(driver.delete(stranger, 'a', signal), refused)
    await expectCode(driver.attach(stranger, 'a', false, signal), refused)
    await expectCode(driver.probe({ ...pool, installation: randomUUID() }, signal), 'marker_conflict')
    expect(await driver.inspect(pool, 'a', signal)).toMatchObject({ sizeMiB: small })
    for (const absent of ['b', 'c']) expect(await driver.inspect(pool, absent, signal)).toBeUndefined()
  })

  test('of several that mark at once one pool wins and the others are told', async () => {
    const { driver, pool, stranger, fixture } = subject()
    const pools = [pool, stranger, { ...pool, uuid: randomUUID() }, { ...pool, uuid: randomUUID() }]
    const ends = await Promise.allSettled(pools.map((each) => driver.mark(each, signal)))
    expect(ends.filter((end) => end.status === 'fulfilled')).toHaveLength(fixture.apart ? pools.length : 1)
    for (const end of ends) {
      if (end.status === 'rejected') expect(end.reason).toMatchObject({ code: 'marker_conflict' })
    }
  })
}

export function objectTests(subject: () => Subject): void {
  test('a created object is blank, has its size, and is found', async () => {
    const { attach, capabilities, driver, medium, pool, small, there } = subject()
    expect(await driver.create(pool, 'b', medium, signal)).toMatchObject({ name: 'b', sizeMiB: medium })
    await driver.create(pool, 'a', small, signal)
    expect(await driver.isBlank(pool, 'b', signal)).toBe(true)
    expect(await driver.inspect(pool, 'b', signal)).toMatchObject({ name: 'b', sizeMiB: medium })
    expect(await driver.inspect(pool, 'c', signal)).toBeUndefined()
    expect(await there('a', 'b', 'c')).toEqual(['a', 'b'])
    const device = await attach('b')
    expect(isDirectory(device)).toBe(capabilities.formats === 'backend')
    expect(looksBlank(device)).toBe(true)
    if (!isDirectory(device)) expect(readDevice(device, medium * MIB - 512, 1024)).toHaveLength(512)
  })

  test('create may be repeated while the object is blank, and never replaces one', async () => {
    const { attach, driver, medium, pool, small } = subject()
    await driver.create(pool, 'a', small, signal)
    expect(await driver.create(pool, 'a', small, signal)).toMatchObject({ name: 'a', sizeMiB: small })
    await expectCode(driver.create(pool, 'a', medium, signal), 'object_exists')
    writeTo(await attach('a'), 4096, Buffer.from('precious'))
    await expectCode(driver.create(pool, 'a', small, signal), 'object_exists')
    await driver.detach(pool, 'a', signal)
    await expectCode(driver.create(pool, 'a', small, signal), 'object_exists')
    expect(readFrom(await attach('a'), 4096, 8).toString()).toBe('precious')
  })

  test('five creates of one object at once make one', async () => {
    const { driver, pool, small, there } = subject()
    const all = await Promise.all([1, 2, 3, 4, 5].map(() => driver.create(pool, 'a', small, signal)))
    expect(new Set(all.map((info) => info.sizeMiB))).toEqual(new Set([small]))
    expect(await there('a')).toEqual(['a'])
  })

  test('an object whose making was answered to nobody is found by its name', async () => {
    const { driver, pool, small, there } = subject()
    await driver.create(pool, 'a', small, signal)
    const forgetful = { ...pool, handleOf: () => undefined }
    expect(await driver.inspect(forgetful, 'a', signal)).toMatchObject({ name: 'a' })
    expect(await driver.create(forgetful, 'a', small, signal)).toMatchObject({ name: 'a', sizeMiB: small })
    expect(await there('a')).toEqual(['a'])
    await driver.delete(forgetful, 'a', signal)
    expect(await there('a')).toEqual([])
  })

  test('names and sizes that cannot be are refused before anything is touched', async () => {
    const { capabilities, driver, fixture, pool, small, there } = subject()
    for (const bad of ['', '.', '../a', 'a/b', '-a', '.a', 'a b', 'a\0', 'ä', 'x'.repeat(129)]) {
      await expectCode(driver.create(pool, bad, small, signal), 'invalid_name')
      await expectCode(driver.attach(pool, bad, false, signal), 'invalid_name')
      await expectCode(driver.delete(pool, bad, signal), 'invalid_name')
      await expectCode(driver.inspect(pool, bad, signal), 'invalid_name')
    }
    for (const bad of [0, -1, 1.5, Number.NaN]) await expectCode(driver.create(pool, 'a', bad, signal), 'invalid_size')
    const tooLarge = capabilities.maxObjectMiB + (capabilities.unitMiB ?? 1)
    await expectCode(driver.create(pool, 'a', tooLarge, signal), 'object_too_large')
    expect(await there('a')).toEqual([])
    const long = 'x'.repeat(fixture.longestName ?? 128)
    expect(await driver.create(pool, long, small, signal)).toMatchObject({ name: long, sizeMiB: small })
  })

  test('isBlank sees what was written, flushed or not', async () => {
    const { attach, driver, pool, small } = subject()
    await expectCode(driver.isBlank(pool, 'a', signal), 'object_missing')
    await driver.create(pool, 'a', small, signal)
    const device = await attach('a')
    const blank = () => driver.isBlank(pool, 'a', signal)
    expect(await whileUnflushed(device, Buffer.from('not flushed'), blank)).toBe(false)
  })

  test('delete removes an object once, and not while it is attached', async () => {
    const { attach, driver, pool, small, there } = subject()
    await driver.create(pool, 'a', small, signal)
    await attach('a')
    await expectCode(driver.delete(pool, 'a', signal), 'in_use')
    await driver.detach(pool, 'a', signal)
    await driver.delete(pool, 'a', signal)
    await driver.delete(pool, 'a', signal)
    expect(await there('a')).toEqual([])
  })

  test('attaching again gives the same device, in the same mode only', async () => {
    const { capabilities, driver, pool, small } = subject()
    await expectCode(driver.attach(pool, 'a', false, signal), 'object_missing')
    await driver.create(pool, 'a', small, signal)
    const first = await driver.attach(pool, 'a', false, signal)
    expect(first).toMatchObject({ object: 'a', readOnly: false })
    expect(await driver.attach(pool, 'a', false, signal)).toEqual(first)
    expect(await driver.attached(pool, signal)).toEqual([first])
    expect(await driver.attached(pool, signal, 'a')).toContainEqual(first)
    // of directories the mode may be a matter of their mounts alone
    const other = driver.attach(pool, 'a', true, signal)
    if (capabilities.formats === 'holdfast') await expectCode(other, 'in_use')
    else await other.catch(nothing)
    await driver.detach(pool, 'a', signal)
    const second = await driver.attach(pool, 'a', true, signal)
    expect(second.readOnly || capabilities.formats === 'backend').toBe(true)
    if (!second.readOnly) return
    await expectCode(driver.attach(pool, 'a', false, signal), 'in_use')
    expect(() => writeTo(second.device, 0, Buffer.from('x'))).toThrow()
  })

  test('ten objects attached at once get ten devices', async () => {
    const { attach, driver, pool, small } = subject()
    const names = Array.from({ length: 10 }, (_, index) => `v${index}`)
    for (const object of names) await driver.create(pool, object, small, signal)
    const devices = await Promise.all(names.map((object) => attach(object)))
    expect(new Set(devices).size).toBe(10)
    const attached = await driver.attached(pool, signal)
    expect(attached.map((entry) => entry.object).sort()).toEqual(names)
    for (const [index, device] of devices.entries()) writeTo(device, 0, Buffer.from(`object v${index}`))
    await Promise.all(names.map((object) => driver.detach(pool, object, signal)))
    expect(await driver.attached(pool, signal)).toEqual([])
    expect(readFrom(await attach('v7'), 0, 9).toString()).toBe('object v7')
  })

  test('five attaches of one object at once give one device', async () => {
    const { attach, driver, pool, small } = subject()
    await driver.create(pool, 'a', small, signal)
    const devices = await Promise.all([1, 2, 3, 4, 5].map(() => attach('a')))
    expect(new Set(devices).size).toBe(1)
    expect(await driver.attached(pool, signal)).toHaveLength(1)
  })

  test('detach returns when nothing is left, and says who holds what cannot be detached', async () => {
    const { attach, capabilities, driver, filesystems, pool, put } = subject()
    await driver.detach(pool, 'absent', signal)
    await driver.create(pool, 'a', inUnits(capabilities, 128), signal)
    const target = await put(await attach('a'))
    await expectCode(driver.detach(pool, 'a', signal), 'still_mounted')
    expect(await driver.attached(pool, signal)).toHaveLength(1)
    await filesystems.unmount(target, signal)
    await driver.detach(pool, 'a', signal)
    await driver.detach(pool, 'a', signal)
    expect(await driver.attached(pool, signal)).toEqual([])
  })

  test('what is cancelled is not begun', async () => {
    const { driver, pool, small, there } = subject()
    const cancelled = AbortSignal.abort()
    await expectCode(driver.create(pool, 'a', small, cancelled), 'cancelled')
    await expectCode(driver.probe(pool, cancelled), 'cancelled')
    expect(await there('a')).toEqual([])
  })

  test('fencing takes a lost node of this machine its access, and of another machine only if the driver can', async () => {
    const { attach, capabilities, driver, filesystems, fixture, pool, put } = subject()
    const { fence } = capabilities
    await driver.create(pool, 'a', inUnits(capabilities, 128), signal)
    const target = await put(await attach('a'))
    if (fence !== 'any') {
      await expectCode(driver.fence(pool, 'a', { id: 'node-2', bootId: randomUUID() }, signal), 'unsupported')
      expect(await driver.attached(pool, signal)).toHaveLength(1)
    }
    if (fence === 'none') return await filesystems.unmount(target, signal)
    await driver.fence(pool, 'a', { id: pool.node.id, bootId: fixture.bootId }, signal)
    expect(await driver.attached(pool, signal)).toEqual([])
    expect((await filesystems.mounts()).filter((entry) => entry.target === target)).toEqual([])
    await driver.fence(pool, 'a', { id: pool.node.id, bootId: fixture.bootId }, signal)
  })
}
