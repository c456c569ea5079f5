import { afterEach, expect, onTestFinished, test } from 'vitest'
import { lvmHeader } from '../e2e/support/node-content.ts'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { writeTo } from './content.ts'
import { expectCode } from './contract.ts'
import { tool } from './disk.ts'
import { makeRexrayFixture, type RexrayFixture, type RexrayFixtureOptions } from './rexray-fixture.ts'

const signal = AbortSignal.timeout(1_000_000_000)
const GIB = 1024
const open: RexrayFixture[] = []

afterEach(async () => {
  for (const fixture of open.splice(0)) await fixture.dispose()
})

/** A marked pool whose set-up is not among the calls. */
async function marked(options: RexrayFixtureOptions = {}): Promise<RexrayFixture> {
  const fixture = makeRexrayFixture({ within: true, ...options })
  open.push(fixture)
  await fixture.driver.mark(fixture.pool, signal)
  fixture.double.forgetCalls()
  return fixture
}

const JSON_END = '--format json'

needs('root', 'loop-devices', 'mkfs.ext4').describe('a rexray that fails', () => {
  test('a usage text with exit code 0 is a failure that names the setting', async () => {
    const { driver, pool, double } = await marked()
    const mistaken = { ...pool, settings: { ...pool.settings, grammar: '0.3' } }
    await expect(driver.create(mistaken, 'a', GIB, signal)).rejects.toMatchObject({
      code: 'storage_failed',
      message: expect.stringMatching(/unknown flag: --volumename.*grammar/),
    })
    expect(double.volumes).toHaveLength(1)
  })

  test.each([
    ['nothing at all', '', /answered nothing/],
    ['half an answer', '[{"attachmentState":3,"na', /where a list in JSON/],
    ['text', 'Oops, an error occured!', /"Oops/],
    ['an object', '{}', /where a list in JSON/],
    ['an id that is a flag', '[{"id":"--all","name":"a"}]', /cannot be passed back/],
  ])('%s instead of a list is told as it is', async (_, text, message) => {
    const { driver, pool, double } = await marked()
    double.fault({ match: '^volume ls', what: 'print', text })
    await expect(driver.inspect(pool, 'a', signal)).rejects.toMatchObject({
      code: 'storage_failed',
      message: expect.stringMatching(message),
    })
    expect(await driver.inspect(pool, 'a', signal)).toBeUndefined()
  })

  test('an empty list is no reach, and nothing is missing for that', async () => {
    const { driver, pool, double } = await marked()
    double.fault({ match: '^volume ls', what: 'print', text: 'null', times: 2 })
    await expectCode(driver.inventory(pool, signal), 'no_marker')
    await expectCode(driver.create(pool, 'a', GIB, signal), 'no_marker')
    expect(double.changes()).toEqual([])
  })

  test('an attach that acted on nothing, or on something else, is an error', async () => {
    const { driver, pool, double } = await marked()
    await driver.create(pool, 'a', GIB, signal)
    double.fault({ match: '^volume attach', what: 'print', text: 'null' })
    await expect(driver.attach(pool, 'a', false, signal)).rejects.toMatchObject({
      message: expect.stringMatching(/acted on no volume/),
    })
    const text = '[{"attachmentState":2,"name":"b","size":1,"id":"vfs-999","type":""}]'
    double.fault({ match: '^volume attach', what: 'print', text })
    await expect(driver.attach(pool, 'a', false, signal)).rejects.toMatchObject({
      message: expect.stringMatching(/acted on vfs-999/),
    })
  })

  test('the words of the storage are told, and those of a full one have their own code', async () => {
    const { driver, pool, double } = await marked({ double: { capacity: 3 } })
    await expect(driver.create(pool, 'a', 4 * GIB, signal)).rejects.toMatchObject({
      code: 'storage_full',
      message: 'rexray volume create failed (exit 1): error creating volume: insufficient capacity in storage pool',
    })
    await driver.create(pool, 'a', GIB, signal)
    const stderr =
      'time="2026-11-22T15:19:36Z" level=fatal msg="error attaching volume" error="no \\"slot\\"" volume=vfs-003 \n'
    double.fault({ match: '^volume attach', what: 'fail', text: stderr })
    await expect(driver.attach(pool, 'a', false, signal)).rejects.toMatchObject({
      code: 'storage_failed',
      message: 'rexray volume attach failed (exit 1): error attaching volume: no "slot"',
    })
  })

  test('a create and an attach that were done and not answered are found done', async () => {
    const { driver, pool, double } = await marked()
    double.fault({ match: '^volume create', what: 'fail', text: 'connection reset', after: true })
    await expectCode(driver.create(pool, 'a', GIB, signal), 'storage_failed')
    expect(await driver.create(pool, 'a', GIB, signal)).toMatchObject({ name: 'a', sizeMiB: GIB })
    expect(double.volumes.filter(({ name }) => name === 'a')).toHaveLength(1)
    double.fault({ match: '^volume attach', what: 'fail', text: 'connection reset', after: true })
    const { device } = await driver.attach(pool, 'a', false, signal)
    expect(double.volume('a').attachments).toEqual([{ instance: 'vm', device }])
    double.fault({ match: '^volume detach', what: 'fail', text: 'connection reset', after: true })
    await driver.detach(pool, 'a', signal)
    expect(await driver.attached(pool, signal)).toEqual([])
  })

  test('a call that hangs is ended at its time, and others go on meanwhile', async () => {
    const { driver, pool, double } = await marked({ settings: { timeoutSeconds: '2' }, within: false })
    await driver.create(pool, 'a', GIB, signal)
    double.fault({ match: '^volume attach', what: 'hang' })
    const hanging = expect(driver.attach(pool, 'a', false, signal)).rejects.toMatchObject({ code: 'storage_timeout' })
    await until(() => double.changes().some((call) => call.startsWith('volume attach')), { what: 'the attach to hang' })
    expect(await driver.inspect(pool, 'a', signal)).toMatchObject({ name: 'a' })
    expect(await driver.inventory(pool, signal)).toHaveLength(1)
    await hanging
    expect((await driver.attach(pool, 'a', false, signal)).device).toMatch(/^\/dev\/loop/)
  })

  test("who gives up waiting is free at once, and a list that hangs is nobody else's", async () => {
    const { driver, pool, double } = await marked({ settings: { timeoutSeconds: '2' }, within: false })
    double.fault({ match: '^volume ls', what: 'hang' })
    const abort = new AbortController()
    const inspect = driver.inspect(pool, 'a', abort.signal)
    await until(() => double.calls().length > 0, { what: 'the list to hang' })
    abort.abort()
    await expectCode(inspect, 'cancelled')
    expect(await driver.inspect(pool, 'a', signal)).toBeUndefined()
    await driver.close()
    await expectCode(driver.inspect(pool, 'a', signal), 'cancelled')
  })
})

needs('root', 'loop-devices', 'mkfs.ext4').describe('devices', () => {
  test('a device that is not there is told with what would help, and the volume is not kept attached', async () => {
    const { driver, pool, double } = await marked({ double: { deviceName: '/dev/xvdq' } })
    await driver.create(pool, 'a', GIB, signal)
    await expect(driver.attach(pool, 'a', false, signal)).rejects.toMatchObject({
      code: 'storage_failed',
      message: expect.stringMatching(/is \/dev\/xvdq, which is no block device here within 0.6 s: .*nvme1n1.*udev/),
    })
    expect(double.volume('a').attachments).toEqual([])
  })

  test('a device of another size is another disk: nothing is read from it or written to it', async () => {
    const { driver, pool, double, scratch } = await marked()
    await driver.create(pool, 'a', GIB, signal)
    tool('truncate', '--size', '64M', `${scratch}/other`)
    const other = tool('losetup', '--find', '--show', `${scratch}/other`).trim()
    onTestFinished(() => void tool('losetup', '--detach', other))
    double.set({ deviceName: other })
    await expect(driver.attach(pool, 'a', false, signal)).rejects.toMatchObject({
      code: 'storage_failed',
      message: expect.stringMatching(/1 GiB\) is \/dev\/loop\d+, which has 0.06 GiB: it is another disk/),
    })
    double.set({ deviceName: '' })
  })

  test('storage that cuts names off and tells no device before it is asked for paths serves as well', async () => {
    const cut = { nameLength: 31, uniqueNames: true, tells: 'paths' as const }
    const { driver, pool, double } = await marked({ settings: { nameLength: '31' }, double: cut })
    const object = 'hf-12345678-vol-01jabcdef0123456789ab'
    const { handle } = await driver.create(pool, object, GIB, signal)
    expect(double.volume(object.slice(0, 31)).id).toBe(handle)
    expect(await driver.create(pool, object, GIB, signal)).toMatchObject({ name: object, handle })
    const attached = await driver.attach(pool, object, false, signal)
    expect(attached).toMatchObject({ object, device: double.volumes[1]?.attachments[0]?.device })
    expect(await driver.attached(pool, signal, object)).toEqual([attached])
    expect(double.calls()).toContain(`volume ls --path ${handle} ${JSON_END}`)
    await driver.detach(pool, object, signal)
    await driver.delete(pool, object, signal)
    expect(double.volumes).toHaveLength(1)
  })

  test('a driver that was started anew knows what is attached and takes it away', async () => {
    const { driver, pool, double, elsewhere } = await marked()
    await driver.create(pool, 'a', GIB, signal)
    const attached = await driver.attach(pool, 'a', true, signal)
    double.change((volumes) => {
      for (const volume of volumes)
        volume.attachments = volume.attachments.map((each) => ({ ...each, instance: 'other' }))
    })
    const anew = elsewhere()
    expect(await anew.driver.attached(anew.pool, signal)).toEqual([attached])
    await expectCode(anew.driver.attach(anew.pool, 'a', false, signal), 'in_use')
    await anew.driver.detach(anew.pool, 'a', signal)
    expect(double.leftovers()).toEqual([])
  })
})

needs('root', 'loop-devices', 'mkfs.ext4').describe('directories', () => {
  const settings = { volumes: 'directory' }

  test('rexray mounts by id, makes the filesystem that was asked for, and unmounts what it mounted', async () => {
    const { driver, pool, double } = await marked({ settings: { ...settings, fsType: 'ext4' } })
    await driver.create(pool, 'a', GIB, signal)
    const { id } = double.volume('a')
    const { device } = await driver.attach(pool, 'a', false, signal)
    expect(device).toBe(`${double.directory}/mounts/vm/a/data`)
    await driver.detach(pool, 'a', signal)
    expect(double.changes().slice(1)).toEqual([
      `volume attach ${id} ${JSON_END}`,
      `volume mount ${id} --fsType ext4 ${JSON_END}`,
      `volume unmount ${id} ${JSON_END}`,
    ])
    expect(double.leftovers()).toEqual([])
  })

  test('rexray never gets to mount what it would format: other content, or a volume that has lost its own', async () => {
    const { driver, pool, double, elsewhere } = await marked({ settings })
    await driver.create(pool, 'a', GIB, signal)
    const other = elsewhere()
    const image = `${double.directory}/images/${double.volume('a').id}.img`
    const refused = async (by: typeof driver, holds: RegExp) => {
      double.forgetCalls()
      const message = expect.stringMatching(holds)
      await expect(by.attach(pool, 'a', false, signal)).rejects.toMatchObject({ code: 'foreign_content', message })
      expect(double.changes().filter((call) => call.startsWith('volume mount'))).toEqual([])
      expect(double.volume('a').attachments).toEqual([])
    }
    // blank, but who says that it should be?
    await refused(other.driver, /no filesystem that is known/)
    writeTo(image, 1024 * 1024, Buffer.from('a database of its own kind'))
    await refused(driver, /no filesystem that is known/)
    writeTo(image, 512, lvmHeader())
    await refused(driver, /LVM2_member/)
    expect(await driver.isBlank(pool, 'a', signal)).toBe(false)
  })
})
