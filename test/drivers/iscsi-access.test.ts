/** Who is let in to a disk, and how a node is shut out. */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readBootId } from '../../src/node/identity.ts'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { readFrom, writeTo } from './content.ts'
import { expectCode } from './contract.ts'
import { tool } from './disk.ts'
import { ISCSI_PROGRAMS } from './iscsi-fixture.ts'
import { useIscsi } from './iscsi-stage.ts'

const signal = AbortSignal.timeout(1_000_000_000)

needs('root', 'loop-devices', 'mkfs.xfs', ...ISCSI_PROGRAMS).describe('the driver iscsi', () => {
  const stage = useIscsi()

  describe('lets in one writer', () => {
    test('another node is refused while a node has it, and let in when that one has let go', async () => {
      const { other } = stage()
      const object = await stage().create()
      writeTo(await stage().attach(object), 0, Buffer.from('first'))
      await expectCode(stage().attachOther(object), 'in_use')
      await expectCode(stage().attachOther(object, true), 'in_use')
      await expectCode(other.driver.delete(other.pool, object, signal), 'in_use')
      await stage().detach(object)
      expect(readFrom(await stage().attachOther(object), 0, 5).toString()).toBe('first')
      expect(await stage().driver.attached(stage().pool, signal, object)).toEqual([])
      await stage().detachOther(object)
      expect(stage().targets()).not.toContain(stage().targetOf(object))
    })

    test('readers come together, and no writer beside them', async () => {
      const object = await stage().create()
      await stage().driver.attach(stage().pool, object, true, signal)
      expect(readFrom(await stage().attachOther(object, true), 0, 8)).toHaveLength(8)
      await stage().detach(object)
      await expectCode(stage().attach(object), 'in_use')
      await stage().detachOther(object)
      await stage().attach(object)
      await stage().detach(object)
    })

    test('an initiator of another name finds no target', async () => {
      const object = await stage().create()
      await stage().attach(object)
      const { portal, target, lun } = stage().daemonOf(object)
      const disk = { driver: 'iscsi', 'node-name': 'x', transport: 'tcp', portal, target, lun }
      const initiator = `iqn.2026-11.holdfast:node-9.${randomUUID()}`
      const login = JSON.stringify({ ...disk, 'initiator-name': initiator })
      expect(() => tool('qemu-storage-daemon', '--daemonize', '--blockdev', login)).toThrow(/Target not found\(515\)/)
      await stage().detach(object)
    })

    test('a node that was started anew is let in, though its session of before is still there', async () => {
      const object = await stage().create()
      const before = stage().fixture.another({ id: 'node-3', bootId: randomUUID() }, 'node-3-before')
      await before.driver.inspect(before.pool, object, signal)
      await before.driver.attach(before.pool, object, false, signal)
      const { pid } = stage().daemonOf(object)
      // a machine that went away does not close its connections
      process.kill(pid, 'SIGSTOP')
      const after = stage().fixture.another({ id: 'node-3', bootId: readBootId() }, 'node-3-after')
      await after.driver.inspect(after.pool, object, signal)
      await after.driver.attach(after.pool, object, false, signal)
      process.kill(pid, 'SIGKILL')
      await until(() => stage().targets().includes(`Initiator: iqn.2026-11.holdfast:node-3.${readBootId()}`), {
        what: 'the new boot to be logged in',
      })
      await after.driver.detach(after.pool, object, signal)
      await before.driver.detach(before.pool, object, signal)
    })
  })

  describe('fences a node', () => {
    test('of this machine: nothing of it is left here', async () => {
      const object = await stage().create()
      writeTo(await stage().attach(object), 0, Buffer.from('before'))
      const { driver, fixture, pool } = stage()
      const neighbour = fixture.another({ id: 'node-4', bootId: readBootId() })
      await neighbour.driver.fence(neighbour.pool, object, pool.node, signal)
      expect(stage().targets()).not.toContain(stage().targetOf(object))
      expect(await driver.attached(pool, signal, object)).toEqual([])
      const device = await stage().attachOther(object)
      expect(readFrom(device, 0, 6).toString()).toBe('before')
      await driver.inspect(pool, object, signal)
      await expectCode(stage().attach(object), 'in_use')
      await neighbour.driver.fence(neighbour.pool, object, pool.node, signal)
      writeTo(device, 0, Buffer.from('after!'))
      await stage().detachOther(object)
      await driver.inspect(pool, object, signal)
      expect(readFrom(await stage().attach(object), 0, 6).toString()).toBe('after!')
      await stage().detach(object)
    })

    test('of another machine: what it writes then does not arrive, and it gives its disk up', async () => {
      const object = await stage().create()
      const device = await stage().attachOther(object)
      const { driver, fixture, other, pool } = stage()
      await driver.fence(pool, object, other.pool.node, signal)
      expect(stage().targets()).not.toContain(stage().targetOf(object))
      const ended = once(spawn('dd', ['if=/dev/urandom', `of=${device}`, 'bs=4k', 'count=1', 'oflag=direct']), 'exit')
      expect(await stage().looking(ended, other)).toEqual([1, null])
      expect(fixture.log.map(({ event, data }) => `${event} ${data.object}`)).toContain(`iscsi.disk-given-up ${object}`)
      await stage().detachOther(object)
      expect(await driver.isBlank(pool, object, signal)).toBe(true)
    })

    test('what it began before comes to nothing, and what it asks anew does', async () => {
      const object = await stage().create()
      const { driver, other, pool } = stage()
      await driver.fence(pool, object, other.pool.node, signal)
      await expectCode(stage().attachOther(object), 'storage_failed')
      expect(stage().targets()).not.toContain(stage().targetOf(object))
      await other.driver.inspect(other.pool, object, signal)
      await stage().attachOther(object)
      await stage().detachOther(object)
    })

    test('whose permit was used already: its link is gone, so that the server opens nothing for it', async () => {
      const object = await stage().create()
      const { driver, fixture, other, pool, server } = stage()
      const link = join(fixture.directory, '.holdfast-access', `${object}@node-2.${other.pool.node.bootId}`)
      renameSync(`${link}.permit`, link)
      const [disk, tid] = [
        ['--mode', 'logicalunit', '--lun', '1'],
        ['--tid', '79'],
      ]
      server.admin('--op', 'new', '--mode', 'target', ...tid, '--targetname', stage().targetOf(object))
      server.admin('--op', 'new', ...disk, ...tid, '--backing-store', link)
      await driver.fence(pool, object, other.pool.node, signal)
      expect(stage().targets()).not.toContain(stage().targetOf(object))
      server.admin('--op', 'new', '--mode', 'target', ...tid, '--targetname', stage().targetOf(object))
      expect(() => server.admin('--op', 'new', ...disk, ...tid, '--backing-store', link)).toThrow(/invalid request/)
      server.admin('--op', 'delete', '--force', '--mode', 'target', ...tid)
    })

    test('that has only begun: the name it took keeps nobody out', async () => {
      const object = await stage().create()
      const begin = () =>
        stage().server.admin('--op', 'new', '--mode', 'target', '--tid', '77', '--targetname', stage().targetOf(object))
      begin()
      await stage().attach(object)
      await stage().detach(object)
      begin()
      await stage().driver.fence(stage().pool, object, stage().other.pool.node, signal)
      expect(stage().targets()).not.toContain(stage().targetOf(object))
    })
  })
})
