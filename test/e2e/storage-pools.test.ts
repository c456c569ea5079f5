import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tool } from '../drivers/disk.ts'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { type Cluster, launchCluster, type TestPool, tidy } from './support/node-cluster.ts'
import { fillUp, hasData, putData } from './support/node-content.ts'
import type { NodeProcess } from './support/node-daemon.ts'

const ONE = { door: 'test', id: 'one' }

let cluster: Cluster
let node: NodeProcess

beforeAll(async () => {
  cluster = await launchCluster({ node: { probeEveryMs: 1000 } })
  node = cluster.nodes[0] as NodeProcess
}, 60_000)
afterAll(() => cluster?.dispose(), 60_000)

async function declare(name: string, directory: string): Promise<void> {
  const settings = { directory }
  await cluster.post('/v1/pools', { name, driver: 'loop', settings, capacityMiB: 1000, markOn: node.name })
}

/** Why the node does not reach a pool, as its log says it. */
async function notReached(name: string): Promise<{ code: string; message: string }> {
  const { id } = await cluster.get<{ id: string }>(`/v1/pools/${encodeURIComponent(name)}`)
  return await until(
    () =>
      node
        .log()
        .split('\n')
        .filter((line) => line.includes('"pool.not-reached"') && line.includes(id))
        .map((line) => JSON.parse(line) as { code: string; message: string })
        .at(-1),
    { what: `the reason why ${name} is not reached` },
  )
}

async function asked(name: string, pool: string, more: Record<string, unknown> = {}): Promise<void> {
  await cluster.post('/v1/volumes', { name, sizeMiB: 32, pool, ...more })
}

/**
 * Waits until a volume is deleted; not until all operations have ended: the pool whose directory is a file is being marked
 * again and again.
 */
async function gone(name: string): Promise<void> {
  const isGone = () =>
    cluster.volume(name).then(
      () => false,
      (thrown) => thrown.code === 'not_found',
    )
  await until(isGone, { what: `${name} to be deleted`, everyMs: 50, deadlineMs: 30_000 })
}

/** The open operation on a volume, once it has met a failure with that code. */
async function failing(name: string, code: string): Promise<{ message: string }> {
  return await until(
    async () => {
      const [id] = (await cluster.volume(name)).operations
      const { fault } = await cluster.get<{ fault?: { code: string; message: string } }>(`/v1/operations/${id}`)
      return fault?.code === code ? fault : undefined
    },
    { what: `the operation on ${name} to fail with ${code}`, deadlineMs: 20_000 },
  )
}

needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs').describe('a pool', () => {
  test('whose directory is missing is not reached until it is there and marked', async () => {
    const directory = join(cluster.dir, 'later')
    await declare('loop~test~later', directory)
    expect(await notReached('loop~test~later')).toMatchObject({
      code: 'no_marker',
      message: expect.stringContaining('does not exist'),
    })
    mkdirSync(directory)
    await cluster.poolReached('loop~test~later', 1)
    await cluster.addVolume('later', { pool: 'loop~test~later' })
  })

  test('whose directory is a file is not reached', async () => {
    const file = join(cluster.dir, 'file')
    writeFileSync(file, 'theirs')
    await declare('loop~test~file', file)
    expect(await notReached('loop~test~file')).toMatchObject({
      code: 'storage_failed',
      message: expect.stringContaining('is not a directory'),
    })
  })

  test('that carries the marker of another is not reached, and not marked over', async () => {
    const { directory } = await cluster.addPool({ name: 'loop~test~first' })
    await declare('loop~test~second', directory)
    expect(await notReached('loop~test~second')).toMatchObject({
      code: 'marker_conflict',
      message: expect.stringContaining('loop~test~first'),
    })
    await expect(asked('homeless', 'loop~test~second')).rejects.toMatchObject({
      code: 'does_not_fit',
      message: expect.stringContaining('has no marker yet'),
    })
    expect(await cluster.addVolume('homed', { pool: 'loop~test~first' })).toMatchObject({ state: 'available' })
  })

  test('whose share is not mounted is not reached, and nothing is written in its place; it comes back by itself', async () => {
    const { disk, directory, name } = await cluster.addPool({
      name: 'loop~test~share',
      on: { type: 'xfs', sizeMiB: 1024 },
    })
    await cluster.addVolume('shared', { pool: name })
    await cluster.addVolume('goes', { pool: name })
    putData(await node.mount('shared', ONE))
    await node.unmount('shared', ONE)
    tool('umount', disk?.directory ?? '')
    mkdirSync(directory)
    await cluster.poolReached(name, 0, 20_000)
    await expect(node.mount('shared', ONE)).rejects.toMatchObject({ code: 'no_reach' })
    await expect(asked('waits', name)).rejects.toMatchObject({
      code: 'does_not_fit',
      message: expect.stringContaining('no node reaches it now'),
    })
    // what was there before the share went is deleted when it is back, not before
    await cluster.post('/v1/volumes/goes/delete')
    expect(readdirSync(directory)).toEqual([])
    rmSync(directory, { recursive: true })
    tool('mount', disk?.device ?? '', disk?.directory ?? '')
    await cluster.poolReached(name, 1)
    await gone('goes')
    expect(readdirSync(directory).filter((file) => file.endsWith('.img'))).toHaveLength(1)
    expect(hasData(await node.mount('shared', ONE))).toBe(true)
    await node.unmount('shared', ONE)
  })

  test('that is read-only makes nothing, and says so; then it does', async () => {
    const pool = await cluster.addPool({ name: 'loop~test~ro', on: { type: 'ext4', sizeMiB: 256 } })
    pool.disk?.remount('ro')
    await asked('ro', pool.name)
    await failing('ro', 'storage_read_only')
    pool.disk?.remount('rw')
    await cluster.volumeIs('ro', 'available')
  })

  test('that gets full in the middle of a format says so, and takes the volume when there is room', async () => {
    const pool = await cluster.addPool({ name: 'loop~test~full', on: { type: 'ext4', sizeMiB: 256 } })
    const large = { fs: 'xfs', sizeMiB: 300 }
    await filled(pool, async () => {
      await asked('full', pool.name, large)
      expect(await cluster.volumeIs('full', 'error')).toMatchObject({
        fault: { code: 'storage_full', next: expect.stringContaining('free space') },
      })
    })
    await cluster.post('/v1/volumes/full/delete')
    await gone('full')
    expect(await cluster.addVolume('full', { pool: pool.name, ...large })).toMatchObject({ state: 'available' })
  })

  test('that gets full in the middle of a copy keeps no half of it', async () => {
    const pool = await cluster.addPool({ name: 'loop~test~tight', on: { type: 'ext4', sizeMiB: 96 } })
    await cluster.addVolume('src', { pool: pool.name })
    const path = await node.mount('src', ONE)
    writeFileSync(join(path, 'big'), Buffer.alloc(20 * 1024 * 1024, 1), { flush: true })
    await node.unmount('src', ONE)
    await filled(pool, async () => {
      await asked('copy', pool.name, { from: { volume: 'src' } })
      expect(await cluster.volumeIs('copy', 'error')).toMatchObject({ fault: { code: 'storage_full' } })
    })
    expect(readdirSync(pool.directory).filter((file) => file.endsWith('.img'))).toHaveLength(1)
    expect(cluster.leftovers()).toEqual(tidy(0))
  })
})

/** Does something while all but a few blocks of the pool's filesystem are taken. */
async function filled(pool: TestPool, work: () => Promise<void>): Promise<void> {
  const ballast = join(pool.disk?.directory ?? '', 'ballast')
  fillUp(ballast, 1)
  try {
    await work()
  } finally {
    rmSync(ballast)
  }
}
