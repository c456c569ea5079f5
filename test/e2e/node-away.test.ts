import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { startCluster, tidy } from './support/node-cluster.ts'
import { hasData, putData } from './support/node-content.ts'
import type { NodeProcess } from './support/node-daemon.ts'

const ONE = { door: 'test', id: 'one' }
const TWO = { door: 'test', id: 'two' }
const LEASE_MS = 2500

needs('root', 'loop-devices', 'mkfs.ext4').describe('a controller that is away', () => {
  test.concurrent('leaves mounted volumes as they are: users come and go, and it is told later', async ({
    onTestFinished,
  }) => {
    const cluster = await startCluster({ leaseMs: LEASE_MS }, onTestFinished)
    const [node] = cluster.nodes as [NodeProcess]
    await cluster.addPool({ name: 'loop~test~driver' })
    await cluster.addPool({ name: 'loop~test~manual', fence: 'manual' })
    for (const [name, pool] of [
      ['d', 'driver'],
      ['m', 'manual'],
      ['gone', 'driver'],
      ['other', 'driver'],
    ] as const) {
      await cluster.addVolume(name, { pool: `loop~test~${pool}` })
    }
    const paths = { d: await node.mount('d', ONE), m: await node.mount('m', ONE) }
    await node.mount('gone', ONE)

    await cluster.stopController()
    const awaySince = performance.now()
    await until(async () => !(await node.status()).connected, { what: 'the node to notice', deadlineMs: 15_000 })
    expect(await node.mount('d', TWO)).toBe(paths.d)
    expect(await node.mount('d', ONE)).toBe(paths.d)
    await expect(node.mount('other', ONE)).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringMatching(/controller/),
    })
    await node.unmount('gone', ONE)
    expect(cluster.leftovers()).toMatchObject({ mounts: 2, devices: 2 })

    // the next life of the daemon knows all of it, too
    await node.kill()
    await cluster.startNode(node)
    expect(await node.mount('d', TWO)).toBe(paths.d)
    await node.unmount('m', ONE)
    // longer than any lease
    await until(() => performance.now() - awaySince > 3 * LEASE_MS, {
      what: 'the lease to be over',
      deadlineMs: 20_000,
    })
    putData(paths.d)
    expect(hasData(paths.d)).toBe(true)

    await cluster.startController()
    await cluster.nodesUp()
    await cluster.volumeFree('gone')
    await cluster.volumeFree('m')
    await until(async () => (await cluster.volume('d')).attachments[0]?.users.length === 2, { what: 'the second user' })
    expect((await cluster.volume('d')).attachments[0]).toMatchObject({ state: 'mounted', epoch: 2 })
    await node.unmount('d', ONE)
    expect(hasData(paths.d)).toBe(true)
    await node.unmount('d', TWO)
    expect((await cluster.volume('d')).inUse).toBe(false)
    expect(cluster.leftovers()).toEqual(tidy(0))
  })

  test.concurrent('and comes back while a task writes: the task does not notice', async ({ onTestFinished }) => {
    const cluster = await startCluster({}, onTestFinished)
    const [node] = cluster.nodes as [NodeProcess]
    await cluster.addPool()
    await cluster.addVolume('v')
    const path = await node.mount('v', ONE)
    let writes = 0
    let stop = false
    const writing = (async () => {
      for (; !stop; writes += 1) {
        putData(path, `write ${writes}`)
        expect(hasData(path, `write ${writes}`)).toBe(true)
        await delay(20)
      }
    })()
    await cluster.stopController()
    const before = writes
    await until(() => writes > before + 5, { what: 'more writes' })
    await cluster.startController()
    await cluster.nodesUp()
    await until(async () => (await node.status()).connected, { what: 'the node to be back' })
    expect((await cluster.volume('v')).attachments[0]).toMatchObject({ state: 'mounted', epoch: 2, users: [ONE] })
    stop = true
    await writing
    await node.unmount('v', ONE)
    expect(cluster.leftovers()).toEqual(tidy(0))
  })

  test.concurrent('and a node that slept through its lease go on where they were', async ({ onTestFinished }) => {
    const cluster = await startCluster({ leaseMs: LEASE_MS }, onTestFinished)
    const [node] = cluster.nodes as [NodeProcess]
    await cluster.addPool({ fence: 'manual' })
    await cluster.addVolume('v')
    const path = await node.mount('v', ONE)
    putData(path)
    node.signal('SIGSTOP')
    await until(async () => (await cluster.status()).nodes.lost === 1, { what: 'the node to be lost' })
    expect((await cluster.status()).stuck).toMatchObject([
      { kind: 'attachment', name: 'v', node: 'a', reason: expect.stringContaining('is lost') },
    ])
    node.signal('SIGCONT')
    await cluster.nodesUp()
    expect((await cluster.volume('v')).attachments[0]).toMatchObject({ state: 'mounted', epoch: 2, users: [ONE] })
    expect(hasData(path)).toBe(true)
    await node.unmount('v', ONE)
    expect(cluster.leftovers()).toEqual(tidy(0))
  })
})
