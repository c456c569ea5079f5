import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { tool } from '../drivers/disk.ts'
import { needs } from '../support/missing.ts'
import { mountsUnder } from './support/node-cleanup.ts'
import { startCluster, tidy } from './support/node-cluster.ts'
import { putData } from './support/node-content.ts'
import type { NodeProcess } from './support/node-daemon.ts'

const ONE = { door: 'test', id: 'one' }

needs('root', 'loop-devices', 'mkfs.ext4').test('mount points are made only under allowed roots', async () => {
  const cluster = await startCluster({ node: { mountRoots: ['/tmp/hf-none'] } })
  const [node] = cluster.nodes as [NodeProcess]
  await node.stop()
  const root = join(cluster.dir, 'allowed')
  const outside = join(cluster.dir, 'outside')
  for (const dir of [root, outside, join(root, 'taken')]) mkdirSync(dir, { recursive: true })
  symlinkSync(outside, join(root, 'link'))
  symlinkSync(join(outside, 'absent'), join(root, 'dangling'))
  Object.assign(node.options, { mountRoots: [root] })
  await cluster.startNode(node)
  await cluster.addPool()
  await cluster.addVolume('v')

  const refused = [
    join(outside, 'x'),
    root,
    `${root}/../outside/x`,
    `${root}/./x`,
    'allowed/x',
    `${root}x/y`,
    join(root, 'link'),
    join(root, 'link/x'),
    join(root, 'dangling'),
    join(root, 'dangling/x'),
  ]
  for (const mountAt of refused) {
    await expect(node.mount('v', ONE, { mountAt }), mountAt).rejects.toMatchObject({ code: 'mount_root_not_allowed' })
    await cluster.volumeFree('v')
  }
  expect(readdirSync(outside)).toEqual([])

  const path = join(root, 'deep/er')
  expect(await node.mount('v', ONE, { mountAt: path })).toBe(path)
  putData(path)
  await node.unmount('v', ONE)
  expect(mountsUnder(root)).toEqual([])

  // what somebody else has mounted there is neither covered nor unmounted
  tool('mount', '-t', 'tmpfs', 'tmpfs', join(root, 'taken'))
  writeFileSync(join(root, 'taken/theirs'), '')
  await expect(node.mount('v', ONE, { mountAt: join(root, 'taken') })).rejects.toMatchObject({
    code: 'still_mounted',
    message: expect.stringContaining('is the mount point of tmpfs'),
  })
  await cluster.volumeFree('v')
  expect(existsSync(join(root, 'taken/theirs'))).toBe(true)
  tool('umount', join(root, 'taken'))
  expect(cluster.leftovers()).toEqual(tidy(0))
})
