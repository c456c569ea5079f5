import { expect } from 'vitest'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { startCluster, tidy } from './support/node-cluster.ts'
import { hasData, putData } from './support/node-content.ts'
import type { NodeProcess } from './support/node-daemon.ts'

/** Instead of a minute: the creation hangs for as long as the test lets it. */
const OVERDUE_MS = 8000
const ONE = { door: 'test', id: 'one' }

needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs').test(
  'a pool that hangs is seen to, holds nobody else up, and goes on when it answers again',
  async () => {
    const cluster = await startCluster({ overdueMs: OVERDUE_MS })
    const [node] = cluster.nodes as [NodeProcess]
    const hung = await cluster.addPool({ name: 'loop~test~hung', on: { type: 'xfs', sizeMiB: 1024 } })
    await cluster.addPool({ name: 'loop~test~fine' })
    await cluster.addVolume('mounted', { pool: hung.name })
    const path = await node.mount('mounted', ONE)
    putData(path)

    hung.disk?.freeze()
    await cluster.post('/v1/volumes', { name: 'h', sizeMiB: 32, pool: hung.name })
    await until(async () => (await cluster.volume('h')).state === 'creating', { what: 'the creation to begin' })
    const others = performance.now()
    for (const name of ['f1', 'f2', 'f3']) {
      await cluster.addVolume(name, { pool: 'loop~test~fine' })
      putData(await node.mount(name, ONE))
      await node.unmount(name, ONE)
    }
    expect(performance.now() - others).toBeLessThan(20_000)

    const stuck = await until(async () => (await cluster.status()).stuck.find((each) => each.kind === 'operation'), {
      what: 'the operation to be overdue',
      deadlineMs: 40_000,
      everyMs: 500,
    })
    expect(stuck.reason).toMatch(/takes longer than it should|hangs in the kernel|did not finish/)
    expect(stuck.sinceSeconds).toBeGreaterThanOrEqual(OVERDUE_MS / 1000 - 1)
    await cluster.addVolume('f4', { pool: 'loop~test~fine' })

    hung.disk?.thaw()
    await cluster.volumeIs('h', 'available', 60_000)
    expect(hasData(path)).toBe(true)
    await node.unmount('mounted', ONE)
    await cluster.operationsDone()
    expect((await cluster.status()).stuck).toEqual([])
    expect(cluster.leftovers()).toEqual(tidy(0))
  },
  120_000,
)
