/** Restarts, hangs and cuts on either side of an iSCSI disk. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { readFrom, writeTo } from './content.ts'
import { expectCode } from './contract.ts'
import { ISCSI_PROGRAMS } from './iscsi-fixture.ts'
import { useIscsi } from './iscsi-stage.ts'

const signal = AbortSignal.timeout(1_000_000_000)

needs('root', 'loop-devices', 'mkfs.xfs', 'mkfs.ext4', ...ISCSI_PROGRAMS).describe('a disk of the driver iscsi', () => {
  const stage = useIscsi()

  test('is found, used and taken down by the next life of the node daemon', async () => {
    const { driver, fixture, pool } = stage()
    const object = await stage().create()
    const first = await driver.attach(pool, object, false, signal)
    const { pid, file } = stage().daemonOf(object)
    // a session of its own, and no mark by which the daemon would end it
    expect(Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[4])).not.toBe(process.pid)
    expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).not.toContain('HOLDFAST')
    const next = fixture.another(pool.node, 'node-1')
    expect(await next.driver.attached(next.pool, signal, object)).toEqual([first])
    expect(await next.driver.attach(next.pool, object, false, signal)).toEqual(first)
    await next.driver.detach(next.pool, object, signal)
    expect(await driver.attached(pool, signal, object)).toEqual([])
    expect(existsSync(file)).toBe(false)
    expect(() => stage().daemonOf(object)).toThrow(/no storage daemon/)
    expect(stage().targets()).not.toContain(stage().targetOf(object))
  })

  test('whose attach was cut off: what it left on the server is removed when the pool is looked at', async () => {
    const { driver, pool, server } = stage()
    const object = await stage().create()
    const target = ['--mode', 'target', '--tid', '78']
    server.admin('--op', 'new', ...target, '--targetname', stage().targetOf(object))
    const initiator = `iqn.2026-11.holdfast:${pool.node.id}.${pool.node.bootId}`
    server.admin('--op', 'bind', ...target, '--initiator-name', initiator)
    const isGone = async () => {
      await driver.probe(pool, signal)
      return !stage().targets().includes(object)
    }
    await until(isGone, { what: 'the target to be removed' })
  })

  test('goes on after a restart of the target daemon in the middle of writes', async () => {
    const { driver, server } = stage()
    const pool = { ...stage().pool, settings: { ...stage().pool.settings, patience: '0' } }
    const object = await stage().create()
    const writer = await stage().write(await stage().attach(object))
    await server.kill()
    await expectCode(driver.probe(pool, signal), 'storage_failed')
    const before = writer.count()
    await server.start()
    const goesOn = until(() => writer.count() > before + 3, { what: 'the writes to go on', deadlineMs: 20_000 })
    await stage().looking(goesOn, { driver, pool })
    await writer.stop()
    await stage().unmount(writer.target)
    await stage().detach(object)
  })

  test('whose target daemon stays away fails after a while, can be taken down, and comes up again later', async () => {
    const { driver, fixture, pool, server } = stage()
    const object = await stage().create()
    const writer = await stage().write(await stage().attach(object))
    await server.kill()
    // it waits in the kernel, where nobody but the driver can help it
    expect(await stage().looking(writer.ended)).toEqual([0, null])
    await stage().unmount(writer.target)
    await stage().detach(object)
    expect(await driver.attached(pool, signal)).toEqual([])
    expect(readdirSync(join(fixture.scratch, 'node-1', pool.uuid))).toEqual([])
    await expectCode(stage().attach(object), 'storage_failed')
    await server.start()
    await stage().mount(await stage().attach(object), writer.target, 'ext4')
    expect(readFileSync(join(writer.target, 'before'), 'utf8')).toBe('kept')
    await stage().unmount(writer.target)
    await stage().detach(object)
  })

  test('is not given up while it is only slow', async () => {
    const object = await stage().create()
    // two requests a second: there is always one that waits, and one that is answered within the patience of a second
    const device = await stage().attach(object, 2)
    await stage().looking(writeSlowly(device, 6))
    expect(stage().daemonOf(object).file).toContain(object)
    await stage().detach(object)
  })

  test('holds up nobody else while the target daemon hangs', async () => {
    const { driver, pool, server } = stage()
    const object = await stage().create()
    server.signal('SIGSTOP')
    const hung = expectCode(driver.attach(pool, object, false, AbortSignal.timeout(1000)), 'cancelled')
    expect(await driver.inspect(pool, object, signal)).toMatchObject({ sizeMiB: 32 })
    expect(await driver.attached(pool, signal)).toEqual([])
    await driver.create(pool, `${object}-more`, 8, signal)
    await hung
    server.signal('SIGCONT')
    await stage().attach(object)
    await stage().detach(object)
  })

  test('whose process was killed fails, is counted, is taken down, and comes back', async () => {
    const { driver, pool } = stage()
    const object = await stage().create()
    const device = await stage().attach(object)
    process.kill(stage().daemonOf(object).pid, 'SIGKILL')
    expect(() => writeTo(device, 0, Buffer.alloc(4096))).toThrow(/EIO/)
    expect(await driver.attached(pool, signal, object)).toHaveLength(1)
    const again = await stage().attach(object)
    writeTo(again, 0, Buffer.from('again'))
    expect(readFrom(again, 0, 5).toString()).toBe('again')
    await stage().detach(object)
    expect(await driver.attached(pool, signal, object)).toEqual([])
  })
})

async function writeSlowly(device: string, times: number): Promise<void> {
  const words = ['if=/dev/zero', `of=${device}`, 'bs=4k', `count=${times}`, 'oflag=direct']
  const [code] = await once(spawn('dd', words, { stdio: 'ignore' }), 'exit')
  expect(code).toBe(0)
}
