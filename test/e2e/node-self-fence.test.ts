import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { systemClock } from '../../src/runtime/system-clock.ts'
import { needs } from '../support/missing.ts'
import { tempDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { type Cluster, launchCluster, startCluster, tidy } from './support/node-cluster.ts'
import { hasData, putData } from './support/node-content.ts'
import type { NodeProcess } from './support/node-daemon.ts'

const ONE = { door: 'test', id: 'one' }
const LEASE_MS = 9000
const TIMEOUT_MS = 3000

/** Where the kernel would describe its watchdog, and a file in the place of the device: it grows when it is fed. */
function watchdogDouble() {
  const temp = tempDir()
  const device = join(temp.path, 'watchdog0')
  mkdirSync(join(temp.path, 'sysfs/watchdog0'), { recursive: true })
  writeFileSync(join(temp.path, 'sysfs/watchdog0/timeout'), `${TIMEOUT_MS / 1000}\n`)
  writeFileSync(device, '')
  return {
    node: { watchdog: device, watchdogSysfs: join(temp.path, 'sysfs') },
    /** How often it was fed, as far as the double can tell. */
    feedings: () => statSync(device).size,
    disarmed: () => readFileSync(device, 'utf8').endsWith('V'),
    [Symbol.dispose]: () => temp.remove(),
  }
}

/** Whether the volume that had data is there to be written, and not the empty directory below it. */
function writable(path: string): boolean {
  if (!existsSync(join(path, 'data'))) return false
  putData(path)
  return true
}

/** Waits until a write fails, and gives its code and when that was, in ms after the given boottime. */
async function firstFailure(path: string, since: number): Promise<{ code: string; afterMs: number }> {
  return await until(
    () => {
      try {
        putData(path)
        return undefined
      } catch (thrown) {
        return { code: (thrown as NodeJS.ErrnoException).code ?? '', afterMs: systemClock.boottime() - since }
      }
    },
    { what: `writes to ${path} to fail`, deadlineMs: 2 * LEASE_MS, everyMs: 50 },
  )
}

needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs', 'xfs_io').describe('a pool with fence: self', () => {
  test.concurrent('its volumes stop before the lease can end; others do not, and all go on after that', async ({
    onTestFinished,
  }) => {
    using watchdog = watchdogDouble()
    using rawWatchdog = watchdogDouble()
    const cluster = await startCluster({ leaseMs: LEASE_MS, node: watchdog.node }, onTestFinished)
    const withRaw = await launchCluster({ leaseMs: LEASE_MS, node: rawWatchdog.node })
    try {
      await stopsInTime(cluster, watchdog, withRaw, rawWatchdog)
    } finally {
      await withRaw.dispose()
    }
  })

  async function stopsInTime(
    cluster: Cluster,
    watchdog: ReturnType<typeof watchdogDouble>,
    withRaw: Cluster,
    rawWatchdog: ReturnType<typeof watchdogDouble>,
  ): Promise<void> {
    const [node] = cluster.nodes as [NodeProcess]
    await cluster.addPool({ name: 'loop~test~self', fence: 'self' })
    await cluster.addPool({ name: 'loop~test~other' })
    await cluster.addVolume('e', { pool: 'loop~test~self' })
    await cluster.addVolume('x', { pool: 'loop~test~self', fs: 'xfs', sizeMiB: 300 })
    await cluster.addVolume('o', { pool: 'loop~test~other' })
    const paths = { e: await node.mount('e', ONE), x: await node.mount('x', ONE), o: await node.mount('o', ONE) }
    for (const path of Object.values(paths)) putData(path)
    await withRaw.addPool({ fence: 'self' })
    await withRaw.addVolume('r', { fs: 'raw' })
    await withRaw.nodes[0]?.mount('r', ONE)

    const before = [watchdog.feedings(), rawWatchdog.feedings()] as [number, number]
    await until(() => watchdog.feedings() > before[0] && rawWatchdog.feedings() > before[1], { what: 'feedings' })
    await withRaw.stopController()
    await cluster.stopController()
    const since = systemClock.boottime()
    const failures = await Promise.all([firstFailure(paths.e, since), firstFailure(paths.x, since)])
    for (const { code, afterMs } of failures) {
      expect(code).toBe('EIO')
      // the last third of the lease is the watchdog's, the one before it for what takes longer than it should
      expect(afterMs).toBeLessThan((LEASE_MS * 2) / 3)
    }
    putData(paths.o, 'still writable')
    const fed = watchdog.feedings()
    await until(() => watchdog.feedings() > fed + 1, { what: 'feedings after the stop' })

    // a raw volume cannot be stopped: the machine must be reset, and so is not fed any more
    await until(() => systemClock.boottime() - since > LEASE_MS / 3 + 1000, { what: 'its lease to run out' })
    const later = watchdog.feedings()
    const rawFed = rawWatchdog.feedings()
    await until(() => watchdog.feedings() > later + 4, { what: 'two more seconds' })
    expect(rawWatchdog.feedings()).toBe(rawFed)
    expect(systemClock.boottime() - since).toBeLessThan(LEASE_MS)

    await cluster.startController()
    await cluster.nodesUp()
    await until(() => writable(paths.e) && writable(paths.x), {
      what: 'the volumes to be mounted anew',
      deadlineMs: 20_000,
    })
    expect(hasData(paths.o, 'still writable')).toBe(true)
    await node.stop()
    // the watchdog must not be disarmed while the machine has volumes that rely on it
    expect(watchdog.disarmed()).toBe(false)
    await cluster.startNode(node)
    for (const name of ['e', 'x', 'o']) await node.unmount(name, ONE)
    expect(cluster.leftovers()).toEqual(tidy(0))
    await node.stop()
    expect(watchdog.disarmed()).toBe(true)
  }

  test.concurrent('a node started while the controller is away stops what it found mounted', async ({
    onTestFinished,
  }) => {
    using watchdog = watchdogDouble()
    const cluster = await startCluster({ leaseMs: LEASE_MS, node: watchdog.node }, onTestFinished)
    const [node] = cluster.nodes as [NodeProcess]
    await cluster.addPool({ fence: 'self' })
    await cluster.addVolume('e')
    const path = await node.mount('e', ONE)
    putData(path)
    await cluster.stopController()
    await node.kill()
    await cluster.startNode(node)
    const { code, afterMs } = await firstFailure(path, systemClock.boottime())
    expect(code).toBe('EIO')
    expect(afterMs).toBeLessThan(LEASE_MS / 3)
    await expect(node.mount('e', { door: 'test', id: 'two' })).rejects.toMatchObject({ code: 'unreachable' })
    // what was shut down is mounted anew by whatever life of the daemon hears of the controller again
    await node.kill()
    await cluster.startNode(node)
    await cluster.startController()
    await until(() => writable(path), { what: 'the volume to be mounted anew', deadlineMs: 20_000 })
    await node.unmount('e', ONE)
    expect(cluster.leftovers()).toEqual(tidy(0))
  })

  test.concurrent('gives a lost node’s volume to another when the lease has ended', async ({ onTestFinished }) => {
    using watchdog = watchdogDouble()
    using other = watchdogDouble()
    const cluster = await startCluster({ nodes: ['a', 'b'], leaseMs: LEASE_MS }, onTestFinished)
    const [a, b] = cluster.nodes as [NodeProcess, NodeProcess]
    await a.stop()
    Object.assign(a.options, watchdog.node)
    Object.assign(b.options, other.node)
    await cluster.startNode(a)
    await cluster.addPool({ fence: 'self' })
    await cluster.addVolume('v')
    putData(await a.mount('v', ONE))
    a.signal('SIGSTOP')
    await until(async () => (await cluster.volume('v')).attachments.length === 0, {
      what: 'the lease to end',
      deadlineMs: 2 * LEASE_MS,
    })
    const path = await b.mount('v', ONE)
    expect(hasData(path)).toBe(true)
    expect((await cluster.volume('v')).attachments).toMatchObject([{ node: 'b', epoch: 3 }])
    await b.unmount('v', ONE).catch(() => undefined)
  })
})
