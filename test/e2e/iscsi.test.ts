/** Volumes on iSCSI disks through real node daemons: what is different from storage that a kernel has by itself. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ISCSI_PROGRAMS, type IscsiBackend, makeIscsiBackend } from '../drivers/iscsi-fixture.ts'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { type Cluster, launchCluster, tidy } from './support/node-cluster.ts'
import { hasData, putData } from './support/node-content.ts'
import type { NodeProcess } from './support/node-daemon.ts'

const USER = { door: 'test', id: 'one' }

needs('root', 'loop-devices', 'mkfs.xfs', 'mkfs.ext4', ...ISCSI_PROGRAMS).describe('a volume on an iSCSI disk', () => {
  let backend: IscsiBackend
  let cluster: Cluster
  let a: NodeProcess
  let b: NodeProcess

  beforeAll(async () => {
    backend = await makeIscsiBackend({ patience: '2' })
    cluster = await launchCluster({ nodes: ['a', 'b'], leaseMs: 6000, node: { probeEveryMs: 250 } })
    ;[a, b] = cluster.nodes as [NodeProcess, NodeProcess]
    await cluster.addPool({ name: 'iscsi~test~pool', backend })
  }, 60_000)
  afterAll(async () => {
    try {
      await cluster?.dispose()
    } finally {
      await backend?.dispose()
    }
  }, 60_000)

  /** A program that writes to a mount, one block after the other, until that fails. */
  const writeTo = (path: string) => {
    const script = 'while dd if=/dev/zero of="$0" bs=4k count=1 oflag=direct 2>/dev/null; do echo; done; echo failed'
    const child = spawn('sh', ['-c', script, join(path, 'busy')], {
      // it keeps the mount busy
      ...{ cwd: path, stdio: ['ignore', 'pipe', 'ignore'] },
    })
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk
    })
    const ended = once(child, 'exit')
    return { said: () => said, ended, kill: () => child.kill('SIGKILL') }
  }

  test('is written to while its node daemon is killed and started again', async () => {
    await cluster.addVolume('killed', { pool: 'iscsi~test~pool' })
    const path = await a.mount('killed', USER)
    putData(path)
    const writer = writeTo(path)
    try {
      await cluster.restartNode(a)
      const before = writer.said().length
      await until(() => writer.said().length > before + 3, { what: 'the writes to go on' })
      expect(writer.said()).not.toContain('failed')
    } finally {
      writer.kill()
    }
    await writer.ended
    await a.unmount('killed', USER)
    expect(cluster.leftovers()).toEqual(tidy(0))
    expect(hasData(await b.mount('killed', USER))).toBe(true)
    await b.unmount('killed', USER)
  })

  test('fails when the server is gone for long, and comes up again when that is back, without a reboot', async () => {
    await cluster.addVolume('cut', { pool: 'iscsi~test~pool' })
    const path = await a.mount('cut', USER)
    putData(path)
    const writer = writeTo(path)
    await until(() => writer.said() !== '', { what: 'the first write' })
    await backend.server.kill()
    await writer.ended
    expect(writer.said()).toContain('failed')
    await a.unmount('cut', USER)
    expect(cluster.leftovers()).toMatchObject({ mounts: 0, devices: 0 })
    await backend.server.start()
    const again = await until(() => a.mount('cut', USER), { what: 'the volume to be mounted', everyMs: 100 })
    expect(hasData(again)).toBe(true)
    await a.unmount('cut', USER)
    expect(cluster.leftovers()).toEqual(tidy(0))
  })

  test('is taken from a lost node, though something there still writes to it', async () => {
    await cluster.addVolume('lost', { pool: 'iscsi~test~pool' })
    const path = await a.mount('lost', USER)
    putData(path)
    const writer = writeTo(path)
    await until(() => writer.said() !== '', { what: 'the first write' })
    await a.kill()
    const here = await until(() => b.mount('lost', USER), {
      ...{ what: 'the volume to move', deadlineMs: 30_000, everyMs: 50 },
    })
    await writer.ended
    expect(writer.said()).toContain('failed')
    expect(hasData(here)).toBe(true)
    await cluster.startNode(a)
    await until(() => a.journal('slot').length === 0, { what: 'a to drop the volume', deadlineMs: 20_000 })
    putData(here, 'of b')
    await b.unmount('lost', USER)
    expect(hasData(await a.mount('lost', USER), 'of b')).toBe(true)
    await a.unmount('lost', USER)
    expect(cluster.leftovers()).toEqual(tidy(0))
  })
})
