import { expect } from 'vitest'
import { needs } from '../support/missing.ts'
import { startCluster, tidy } from './support/node-cluster.ts'
import { hasData, putData } from './support/node-content.ts'
import type { NodeProcess } from './support/node-daemon.ts'

const ONE = { door: 'test', id: 'one' }
const COUNT = 20

needs('root', 'loop-devices', 'mkfs.ext4').test(
  `${COUNT} volumes are mounted on two nodes at once, and all move at once`,
  async () => {
    const cluster = await startCluster({ nodes: ['a', 'b'] })
    const [a, b] = cluster.nodes as [NodeProcess, NodeProcess]
    await cluster.addPool()
    const names = Array.from({ length: COUNT }, (_, index) => `v${index}`)
    await Promise.all(names.map((name) => cluster.addVolume(name)))
    const home = (index: number) => (index % 2 === 0 ? a : b)
    const away = (index: number) => (index % 2 === 0 ? b : a)

    const paths = await Promise.all(names.map((name, index) => home(index).mount(name, ONE)))
    for (const [index, path] of paths.entries()) putData(path, names[index])
    expect(cluster.leftovers()).toEqual(tidy(COUNT))
    const moved = await Promise.all(
      names.map(async (name, index) => {
        await home(index).unmount(name, ONE)
        return away(index).mount(name, ONE)
      }),
    )
    for (const [index, path] of moved.entries()) expect(hasData(path, names[index])).toBe(true)
    await Promise.all(names.map((name, index) => away(index).unmount(name, ONE)))
    expect(cluster.leftovers()).toEqual(tidy(0))
  },
  120_000,
)

needs('root', 'loop-devices', 'mkfs.ext4').test('a node takes no more attachments than its limit', async () => {
  const cluster = await startCluster()
  const [node] = cluster.nodes as [NodeProcess]
  await cluster.addPool()
  await cluster.addVolume('first')
  await cluster.addVolume('second')
  await cluster.rest('PATCH', '/v1/nodes/a', { attachmentLimit: 1 })
  await node.mount('first', ONE)
  await node.mount('first', { door: 'test', id: 'two' })
  await expect(node.mount('second', ONE)).rejects.toMatchObject({ code: 'node_full' })
  await node.unmount('first', { door: 'test', id: 'two' })
  await node.unmount('first', ONE)
  await node.mount('second', ONE)
  await node.unmount('second', ONE)
  expect(cluster.leftovers()).toEqual(tidy(0))
})
