import { existsSync, renameSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tool } from '../drivers/disk.ts'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { type Cluster, launchCluster, type TestPool, tidy } from './support/node-cluster.ts'
import { hasData, lvmHeader, putData, sha256 } from './support/node-content.ts'
import type { NodeProcess } from './support/node-daemon.ts'

const ONE = { door: 'test', id: 'one' }
const MIB = 1024 * 1024

let cluster: Cluster
let node: NodeProcess
let pool: TestPool

interface InventoryView {
  at: number
  objects: { name: string; status: string }[]
  missing: string[]
}

beforeAll(async () => {
  cluster = await launchCluster()
  node = cluster.nodes[0] as NodeProcess
  pool = await cluster.addPool()
}, 60_000)
afterAll(() => cluster?.dispose(), 60_000)

function objectFile(object: string): string {
  return join(pool.directory, `${object}.img`)
}

function makeObject(object: string, sizeMiB: number): string {
  const file = objectFile(object)
  writeFileSync(file, '')
  truncateSync(file, sizeMiB * MIB)
  return file
}

/** A daemon that starts looks at its pools at once. */
async function lookAgain(): Promise<InventoryView> {
  const path = `/v1/pools/${encodeURIComponent(pool.name)}/inventory`
  const before = (await cluster.get<InventoryView>(path)).at
  await cluster.restartNode(node)
  return await until(
    async () => {
      const now = await cluster.get<InventoryView>(path)
      return now.at > before ? now : undefined
    },
    { what: 'a new inventory' },
  )
}

async function adopt(object: string, name: string): Promise<unknown> {
  return await cluster.post('/v1/volumes/import?wait=20', { pool: pool.name, object, name })
}

needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs').describe('what is on the storage', () => {
  test('is compared with the ledger, and never touched', async () => {
    const volume = await cluster.addVolume('known')
    makeObject('somebodys', 8)
    makeObject(`${cluster.prefix}vol-unknown`, 8)
    const { objects } = await lookAgain()
    const status = Object.fromEntries(objects.map((object) => [object.name, object.status]))
    expect(status).toEqual({
      [volume.object]: 'known',
      somebodys: 'foreign',
      [`${cluster.prefix}vol-unknown`]: 'orphan',
    })
    renameSync(cluster.file(volume), join(cluster.dir, 'hidden'))
    expect((await lookAgain()).missing).toEqual([volume.id])
    await lookAgain()
    await cluster.volumeIs('known', 'missing')
    await expect(node.mount('known', ONE)).rejects.toMatchObject({ code: 'wrong_state' })
    renameSync(join(cluster.dir, 'hidden'), cluster.file(volume))
    await lookAgain()
    await cluster.volumeIs('known', 'available')
    await node.mount('known', ONE)
    await node.unmount('known', ONE)
    expect(existsSync(objectFile('somebodys'))).toBe(true)
    expect(existsSync(objectFile(`${cluster.prefix}vol-unknown`))).toBe(true)
  })

  for (const [fs, sizeMiB] of [
    ['ext4', 16],
    ['xfs', 300],
    ['btrfs', 128],
    ['raw', 8],
  ] as const) {
    test(`an object with ${fs} is adopted as it is, and released again`, async () => {
      const file = makeObject(`old-${fs}`, sizeMiB)
      if (fs !== 'raw') tool(`mkfs.${fs}`, '-q', file)
      const before = sha256(file)
      await adopt(`old-${fs}`, `new-${fs}`)
      expect(await cluster.volumeIs(`new-${fs}`, 'available')).toMatchObject({ sizeMiB, fs, imported: true })
      expect(sha256(file)).toBe(before)
      const path = await node.mount(`new-${fs}`, ONE)
      if (fs !== 'raw') putData(path)
      await node.unmount(`new-${fs}`, ONE)
      await cluster.post(`/v1/volumes/new-${fs}/release`)
      expect(existsSync(file)).toBe(true)
      expect(cluster.leftovers()).toEqual(tidy(0))
    })
  }

  test('an object of LVM is not adopted, and left as it is', async () => {
    const file = makeObject('lvm', 16)
    writeFileSync(file, Buffer.concat([Buffer.alloc(512), lvmHeader(), Buffer.alloc(16 * MIB - 1024)]))
    const before = sha256(file)
    await expect(adopt('lvm', 'lvm')).rejects.toMatchObject({
      code: 'foreign_content',
      message: expect.stringContaining('LVM2_member'),
    })
    expect(sha256(file)).toBe(before)
    await cluster.post('/v1/volumes/lvm/release')
    expect(existsSync(file)).toBe(true)
  })

  for (const mode of [[], ['--read-only']]) {
    test(`an object that is in use ${mode.join('')} is not adopted, and stays attached`, async () => {
      const object = `used${mode.join('')}`
      const device = tool('losetup', '--find', '--show', ...mode, makeObject(object, 8)).trim()
      await cluster.post('/v1/volumes/import', { pool: pool.name, object, name: object })
      const { fault } = await until(
        async () => {
          const [id] = (await cluster.volume(object)).operations
          const operation = await cluster.get<{ fault?: { code: string; message: string } }>(`/v1/operations/${id}`)
          return operation.fault === undefined ? undefined : { fault: operation.fault, id }
        },
        { what: `the refusal: ${JSON.stringify(await cluster.volume(object))}` },
      )
      expect(fault).toMatchObject({ code: 'in_use', message: expect.stringContaining(device) })
      expect(tool('losetup', '--list', '--noheadings', '--output', 'BACK-FILE', device)).toContain(object)
      tool('losetup', '--detach', device)
      await cluster.volumeIs(object, 'available')
      await cluster.post(`/v1/volumes/${object}/release`)
    })
  }
})

const GROWN = [
  ['ext4', 32, 64],
  ['xfs', 300, 400],
  ['btrfs', 128, 300],
] as const

needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs').describe('a volume grows', () => {
  for (const [fs, from, to] of GROWN) {
    test(`idle, with ${fs}`, async () => {
      await cluster.addVolume(`idle-${fs}`, { fs, sizeMiB: from })
      putData(await node.mount(`idle-${fs}`, ONE))
      await node.unmount(`idle-${fs}`, ONE)
      await cluster.post(`/v1/volumes/idle-${fs}/resize?wait=60`, { sizeMiB: to })
      await cluster.operationsDone()
      const path = await node.mount(`idle-${fs}`, ONE)
      expect(hasData(path)).toBe(true)
      expect(sizeOf(path)).toBeGreaterThan((from + to) / 2 - 30)
      await node.unmount(`idle-${fs}`, ONE)
      expect(await cluster.volume(`idle-${fs}`)).toMatchObject({ sizeMiB: to, realSizeMiB: to })
    })

    test(`mounted, with ${fs}`, async (context) => {
      const name = `live-${fs}`
      await cluster.addVolume(name, { fs, sizeMiB: from })
      const path = await node.mount(name, ONE)
      putData(path)
      const refusal = await cluster.post(`/v1/volumes/${name}/resize?wait=60`, { sizeMiB: to }).then(
        () => undefined,
        (error: unknown) => error,
      )
      await cluster.operationsDone()
      const grown = sizeOf(path) > (from + to) / 2 - 30
      expect(hasData(path)).toBe(true)
      await node.unmount(name, ONE)
      const { sizeMiB } = await cluster.volume(name)
      // the object has grown in any case: its room is not given back for a filesystem that has not
      expect(sizeMiB).toBe(to)
      if (fs === 'ext4' && !grown) {
        expect((await operationsOf(name)).at(-1)).toMatchObject({
          fault: { code: 'unsupported', message: expect.stringContaining('CAP_SYS_RESOURCE') },
        })
        context.skip(`a mounted ext4 cannot grow here: CAP_SYS_RESOURCE is missing (${String(refusal)})`)
      }
      expect(grown).toBe(true)
    })
  }
})

needs('root', 'loop-devices', 'mkfs.btrfs').test(
  'a btrfs that the kernel will not resize keeps its room counted',
  async () => {
    await cluster.addVolume('small', { fs: 'btrfs', sizeMiB: 128 })
    await expect(cluster.post('/v1/volumes/small/resize?wait=20', { sizeMiB: 200 })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('256 MiB or more'),
    })
    expect(await cluster.volume('small')).toMatchObject({ state: 'available', sizeMiB: 200 })
    await cluster.post('/v1/volumes/small/resize?wait=20', { sizeMiB: 300 })
    await cluster.operationsDone()
    expect(await cluster.volume('small')).toMatchObject({ sizeMiB: 300 })
  },
)

async function operationsOf(name: string): Promise<{ kind: string; fault?: { code: string } }[]> {
  const { id } = await cluster.volume(name)
  const { items } = await cluster.get<{ items: { kind: string; fault?: { code: string } }[] }>(
    `/v1/operations?subject=${id}&kind=grow`,
  )
  return items
}

function sizeOf(path: string): number {
  const [unit = 0, blocks = 0] = tool('stat', '--file-system', '--format=%S %b', path).split(' ').map(Number)
  return (unit * blocks) / MIB
}
