import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, type TestContext, test } from 'vitest'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { mountsUnder } from './support/node-cleanup.ts'
import { type Cluster, startCluster, tidy } from './support/node-cluster.ts'
import { hasData, putData } from './support/node-content.ts'
import type { NodeProcess } from './support/node-daemon.ts'

const A = { door: 'test', id: 'on-a' }
const B = { door: 'test', id: 'on-b' }

interface Scene {
  cluster: Cluster
  a: NodeProcess
  b: NodeProcess
  path: string
}

/** A volume with data, mounted on a, which dies and is lost. */
async function loseNode(
  fence: 'driver' | 'manual',
  whenFinished: TestContext['onTestFinished'],
  whileMounted: (path: string) => void = () => undefined,
): Promise<Scene> {
  const cluster = await startCluster({ nodes: ['a', 'b'], leaseMs: 3000 }, whenFinished)
  const [a, b] = cluster.nodes as [NodeProcess, NodeProcess]
  await cluster.addPool({ fence })
  await cluster.addVolume('v')
  const path = await a.mount('v', A)
  putData(path)
  await expect(b.mount('v', B)).rejects.toMatchObject({
    code: 'held_elsewhere',
    message: expect.stringContaining('in use on node a (test on-a)'),
  })
  whileMounted(path)
  await a.kill()
  await until(async () => (await cluster.status()).nodes.lost === 1, { what: 'a to be lost' })
  return { cluster, a, b, path }
}

/** Asks again and again, as a scheduler does; gives the path and the codes of the refusals before it. */
async function mountAtLast(node: NodeProcess, deadlineMs = 30_000): Promise<{ path: string; codes: Set<string> }> {
  const codes = new Set<string>()
  const path = await until(
    () =>
      node.mount('v', B).catch((error: { code: string }) => {
        codes.add(error.code)
        throw error
      }),
    { what: 'the volume to move', deadlineMs, everyMs: 50 },
  )
  return { path, codes }
}

needs('root', 'loop-devices', 'mkfs.ext4').describe('a node that is lost with a volume', () => {
  test.concurrent('is fenced by the driver; the volume moves, and the node gives up what it still knows of it', async ({
    onTestFinished,
  }) => {
    const { cluster, a, b } = await loseNode('driver', onTestFinished)
    const { path, codes } = await mountAtLast(b)
    expect([...codes].filter((code) => code !== 'awaiting_proof')).toEqual([])
    expect(hasData(path)).toBe(true)
    const [attachment] = (await cluster.volume('v')).attachments
    expect(attachment).toMatchObject({ node: 'b', epoch: 3, state: 'mounted' })
    expect(mountsUnder(a.options.mountRoot)).toEqual([])

    await cluster.startNode(a)
    await until(() => a.journal('slot').length === 0, { what: 'a to drop the volume' })
    await expect(a.mount('v', A)).rejects.toMatchObject({ code: 'held_elsewhere' })
    expect(hasData(path)).toBe(true)
    await b.unmount('v', B)
    const back = await a.mount('v', A)
    expect(hasData(back)).toBe(true)
    await a.unmount('v', A)
    expect(cluster.leftovers()).toEqual(tidy(0))
  })

  test.concurrent('is not fenced while something there still uses the mount: that is said, with its age', async ({
    onTestFinished,
  }) => {
    let holder: ReturnType<typeof spawn> | undefined
    const { cluster, b, path } = await loseNode('driver', onTestFinished, (cwd) => {
      holder = spawn('sleep', ['300'], { cwd, stdio: 'ignore' })
    })
    onTestFinished(() => void holder?.kill())
    const stuck = await until(
      async () => (await cluster.status()).stuck.find((each) => /sleep \(\d+\)/.test(each.reason)),
      { what: 'the reason to be said', deadlineMs: 20_000 },
    )
    expect(stuck.sinceSeconds).toBeGreaterThanOrEqual(0)
    await expect(b.mount('v', B)).rejects.toMatchObject({ code: 'awaiting_proof' })
    expect(hasData(path)).toBe(true)
    holder?.kill('SIGKILL')
    if (holder !== undefined) await once(holder, 'exit')
    const moved = await mountAtLast(b)
    expect([...moved.codes]).toEqual(['awaiting_proof'])
    expect(hasData(moved.path)).toBe(true)
    await b.unmount('v', B)
  })

  test.concurrent('keeps it under fence: manual until it returns, or an operator says why it does not', async ({
    onTestFinished,
  }) => {
    const { cluster, a, b, path } = await loseNode('manual', onTestFinished)
    await expect(b.mount('v', B)).rejects.toMatchObject({ code: 'awaiting_proof' })
    expect((await cluster.status()).stuck).toMatchObject([{ kind: 'attachment', name: 'v', node: 'a' }])
    await cluster.startNode(a)
    await cluster.nodesUp()
    const [again] = (await cluster.volume('v')).attachments
    expect(again).toMatchObject({ node: 'a', epoch: 2, state: 'mounted', users: [A] })
    expect(await a.mount('v', A)).toBe(path)
    expect(hasData(path)).toBe(true)

    const force = `/v1/attachments/${again?.id}/force`
    await expect(cluster.post(force, { reason: 'it is up' })).rejects.toMatchObject({ code: 'wrong_state' })
    await a.kill()
    await until(async () => (await cluster.status()).nodes.lost === 1, { what: 'a to be lost' })
    await expect(cluster.post(force, {})).rejects.toMatchObject({ code: 'invalid_request' })
    await cluster.post(force, { reason: 'the machine was scrapped' })
    const { path: moved } = await mountAtLast(b)
    expect(hasData(moved)).toBe(true)
    await cluster.startNode(a)
    await until(() => mountsUnder(a.options.mountRoot).length === 0, { what: 'a to unmount' })
    await until(() => a.journal('slot').length === 0, { what: 'a to forget it' })
    expect(hasData(moved)).toBe(true)
    await b.unmount('v', B)
    await until(() => cluster.leftovers().devices === 0, { what: 'the device to go' })
    expect(cluster.leftovers()).toEqual(tidy(0))
  })
})
