/** What is on iSCSI disks, how fast they are, and how they grow. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { readFrom, writeTo } from './content.ts'
import { expectCode } from './contract.ts'
import { tool } from './disk.ts'
import { ISCSI_PROGRAMS, makeIscsiFixture } from './iscsi-fixture.ts'
import { useIscsi } from './iscsi-stage.ts'

const signal = AbortSignal.timeout(1_000_000_000)
const MIB = 1024 * 1024

needs('root', 'loop-devices', 'mkfs.xfs', 'mkfs.ext4', 'fio', ...ISCSI_PROGRAMS).describe('an iSCSI disk', () => {
  const stage = useIscsi()
  const fio = (...words: string[]) =>
    execFileSync('fio', ['--ioengine=libaio', '--direct=1', '--output-format=json', ...words], {
      encoding: 'utf8',
      cwd: stage().fixture.scratch,
    })

  test('keeps writes that are under way at the same time apart', async () => {
    const object = await stage().create(64)
    const device = await stage().attach(object)
    const jobs = [0, 1, 2, 3].flatMap((index) => [
      ...[`--name=job${index}`, `--filename=${device}`, `--offset=${index * 16}m`, '--size=16m', '--rw=randwrite'],
      ...['--bsrange=4k-512k', '--iodepth=16', '--verify=crc32c', '--verify_fatal=1'],
    ])
    fio(...jobs)
    // the file itself: what is read by way of the device may come from memory
    tool('blockdev', '--flushbufs', device)
    tool('cmp', device, join(stage().fixture.directory, `${object}.img`))
    await stage().detach(object)
  })

  test('is held to its IOPS, and to others when it is asked for with others', async () => {
    const object = await stage().create(64)
    const device = await stage().attach(object, 200)
    const measure = (): number => {
      const out = fio(
        ...['--name=iops', `--filename=${device}`, '--rw=randwrite', '--bs=4k', '--iodepth=8'],
        ...['--time_based', '--ramp_time=1', '--runtime=2'],
      )
      return (JSON.parse(out) as { jobs: { write: { iops: number } }[] }).jobs[0]?.write.iops ?? 0
    }
    expect(Math.abs(measure() - 200)).toBeLessThanOrEqual(20)
    expect(await stage().attach(object, 100)).toBe(device)
    // to grow it, say
    expect(await stage().attach(object)).toBe(device)
    expect(Math.abs(measure() - 100)).toBeLessThanOrEqual(10)
    await stage().detach(object)
  })

  test('grows while it is mounted and written to', async () => {
    const { driver, fixture, pool } = stage()
    const object = await stage().create(320)
    const device = await stage().attach(object)
    const writer = await stage().write(device, 'xfs')
    const bytes = randomBytes(8 * MIB)
    writeFileSync(join(writer.target, 'random'), bytes)
    for (const sizeMiB of [384, 448, 512]) {
      await driver.grow(pool, object, sizeMiB, signal)
      await fixture.filesystems.grow(device, 'xfs', writer.target, signal)
    }
    const before = writer.count()
    await until(() => writer.count() > before, { what: 'the writes to go on' })
    await writer.stop()
    expect((await fixture.filesystems.usage(writer.target, signal)).sizeMiB).toBeGreaterThan(430)
    await stage().unmount(writer.target)
    await stage().detach(object)
    const again = await stage().attach(object)
    tool('xfs_repair', '-n', again)
    await stage().mount(again, writer.target, 'xfs', true)
    expect(readFileSync(join(writer.target, 'random')).equals(bytes)).toBe(true)
    await stage().unmount(writer.target)
    await stage().detach(object)
  })

  test('follows its file when a grow was cut off halfway', async () => {
    const object = await stage().create(32)
    const device = await stage().attach(object)
    tool('truncate', '--size=48M', join(stage().fixture.directory, `${object}.img`))
    expect(await stage().attach(object)).toBe(device)
    expect(readFrom(device, 48 * MIB - 512, 512)).toHaveLength(512)
    await stage().detach(object)
  })

  test('gives back to the storage what is discarded', async () => {
    const { driver, pool } = stage()
    const object = await stage().create(64)
    const device = await stage().attach(object)
    writeTo(device, 0, randomBytes(16 * MIB))
    expect((await driver.inspect(pool, object, signal))?.usedMiB).toBeGreaterThanOrEqual(16)
    tool('blkdiscard', '--force', device)
    await stage().detach(object)
    expect((await driver.inspect(pool, object, signal))?.usedMiB).toBe(0)
  })

  test('is not made of a file that cannot be one', async () => {
    const { driver, fixture, pool } = stage()
    writeFileSync(join(fixture.directory, 'odd.img'), Buffer.alloc(1000))
    await driver.inspect(pool, 'odd', signal)
    await expectCode(driver.attach(pool, 'odd', false, signal), 'foreign_content')
    expect(stage().targets()).not.toContain('odd')
  })

  test('is not reached without its portal', async () => {
    const { driver, pool } = stage()
    const away = { ...pool, settings: { ...pool.settings, portal: '127.0.0.1:1' } }
    await expect(driver.probe(away, signal)).rejects.toThrow(/The portal 127\.0\.0\.1:1 is not reached/)
    expect((await driver.probe(pool, signal)).capabilities).toMatchObject({
      ...{ snapshot: 'reflink', grow: 'online', iops: 'enforced', fence: 'any', readOnlyMany: true, block: true },
    })
  })

  test('is copied byte by byte, and only idle, where the files have no reflinks', async () => {
    const plain = await makeIscsiFixture(stage().server, 'ext4')
    try {
      const { driver, pool } = plain
      await driver.mark(pool, signal)
      expect((await driver.probe(pool, signal)).capabilities.snapshot).toBe('copy')
      await driver.create(pool, 'a', 32, signal)
      writeTo((await driver.attach(pool, 'a', false, signal)).device, 0, Buffer.from('copied'))
      await driver.detach(pool, 'a', signal)
      await driver.copy(pool, 'a', 'b', 'snapshot', () => undefined, signal)
      const { device } = await driver.attach(pool, 'b', true, signal)
      expect(readFrom(device, 0, 6).toString()).toBe('copied')
      await driver.detach(pool, 'b', signal)
    } finally {
      await plain.dispose()
    }
  })
})
