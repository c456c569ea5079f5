import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { childrenOf, signal, stateOf } from './support/node-children.ts'
import { type Cluster, launchCluster, tidy } from './support/node-cluster.ts'
import { hasData, putData } from './support/node-content.ts'
import type { NodeProcess } from './support/node-daemon.ts'

const USER = { door: 'test', id: 'one' }
const EXT4 = 'loop~test~ext4'
const XFS = 'loop~test~xfs'

let cluster: Cluster
let node: NodeProcess

type Program = readonly [program: string, words: string]

/** Kills the daemon while a child of it stands still in the middle of its work; the next life has to deal with both. */
async function killDuring([program, words]: Program, work: () => Promise<unknown>): Promise<void> {
  const child = await caught(program, words, work)
  await node.kill()
  await cluster.startNode(node)
  expect(stateOf(child)).toBe('')
}

/** The same, but the child lives to do its work before the next life begins. */
async function killAroundChild([program, words]: Program, work: () => Promise<unknown>): Promise<void> {
  const child = await caught(program, words, work)
  const helpers = childrenOf(node.pid)
  node.signal('SIGSTOP')
  for (const { pid } of helpers) signal(pid, 'SIGKILL')
  await node.kill()
  signal(child, 'SIGCONT')
  await until(() => stateOf(child) === '', { what: 'the orphan to end' })
  await cluster.startNode(node)
}

async function caught(program: string, words: string, work: () => Promise<unknown>): Promise<number> {
  const child = await cluster.gate?.catch(program, words, work)
  await until(() => stateOf(child ?? 0) === 'T', { what: `${program} to stand still` })
  return child ?? 0
}

/** Kills the daemon while the process that does its file operations stands still with one in hand. */
async function killBeforeFileOperation(step: string, work: () => Promise<unknown>): Promise<void> {
  const workers = childrenOf(node.pid).filter(({ line }) => line.includes('file-worker-child'))
  expect(workers).not.toEqual([])
  for (const { pid } of workers) signal(pid, 'SIGSTOP')
  work().catch(() => undefined)
  await until(() => underWay(step), { what: `the ${step} to begin` })
  await until(() => !childrenOf(node.pid).some(({ line }) => line.includes('fsfreeze')), { what: 'the freeze' })
  await node.kill()
  for (const { pid } of workers) signal(pid, 'SIGCONT')
  await cluster.startNode(node)
}

function underWay(step: string): boolean {
  const entries = node.journal('work') as { order: { step: string }; result?: unknown }[]
  return entries.some((entry) => entry.order.step === step && entry.result === undefined)
}

/** Mounted once with data in it, and free again. */
async function volumeWithData(name: string, more: Record<string, unknown>): Promise<void> {
  await cluster.addVolume(name, more)
  putData(await node.mount(name, USER), name)
  await node.unmount(name, USER)
}

async function expectData(name: string, seed: string): Promise<void> {
  const path = await node.mount(name, USER)
  expect(hasData(path, seed)).toBe(true)
  await node.unmount(name, USER)
}

async function expectGone(name: string): Promise<void> {
  await until(
    () =>
      cluster.volume(name).then(
        () => false,
        (error) => error.code === 'not_found',
      ),
    {
      what: `${name} to be deleted`,
      deadlineMs: 30_000,
    },
  )
}

needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs').describe('a daemon that is killed', () => {
  beforeAll(async () => {
    cluster = await launchCluster({ gated: true })
    node = cluster.nodes[0] as NodeProcess
    await cluster.addPool({ name: EXT4 })
    await cluster.addPool({ name: XFS, on: { type: 'xfs', sizeMiB: 2048 } })
  }, 60_000)
  afterAll(() => cluster?.dispose(), 60_000)
  afterEach(() => cluster.operationsDone().then(() => expect(cluster.leftovers()).toEqual(tidy(0))))

  test('in the making of an object: it is made', async () => {
    await killBeforeFileOperation('create', () => cluster.addVolume('c', { pool: EXT4 }))
    const volume = await cluster.volumeIs('c', 'available')
    expect(volume).toMatchObject({ sizeMiB: 32, realSizeMiB: 32, epoch: 1 })
  })

  for (const [fs, sizeMiB] of [
    ['ext4', 32],
    ['xfs', 300],
  ] as const) {
    test(`in mkfs.${fs}: nothing is continued, the object is made again under a new UUID and epoch`, async () => {
      const name = `m-${fs}`
      let interrupted: { uuid?: string; epoch?: number } = {}
      await killDuring([`mkfs.${fs}`, uuidFlag(fs)], async () => {
        const made = cluster.addVolume(name, { pool: EXT4, fs, sizeMiB })
        interrupted = (await cluster.volumeIs(name, 'formatting')).format
        await made
      })
      const { format } = await cluster.volumeIs(name, 'available')
      expect(interrupted).toMatchObject({ state: 'formatting', epoch: 1 })
      expect(format).toMatchObject({ state: 'formatted' })
      expect(format.uuid).not.toBe(interrupted.uuid)
      expect((await cluster.volume(name)).epoch).toBe(2)
    })
  }

  test('in mkfs, which goes on and ends: what it made is not used', async () => {
    await killAroundChild(['mkfs.ext4', '-U'], () => cluster.addVolume('mo', { pool: EXT4 }))
    expect((await cluster.volumeIs('mo', 'available')).epoch).toBe(2)
  })

  const MOUNTING: [string, Program][] = [
    ['in attaching', ['losetup', '--find']],
    ['between attaching and mounting', ['blkid', '--probe']],
    ['in mounting', ['mount', '--source']],
  ]
  for (const [when, words] of MOUNTING) {
    test(`${when}: the volume is mounted for its user all the same`, async () => {
      const name = `a-${words[0]}`
      await volumeWithData(name, { pool: EXT4 })
      await killDuring(words, () => node.mount(name, USER))
      await until(async () => (await cluster.volume(name)).attachments[0]?.state === 'mounted', { what: 'the mount' })
      expect(cluster.leftovers()).toEqual(tidy(1))
      expect(hasData(await node.mount(name, USER), name)).toBe(true)
      await node.unmount(name, USER)
      expect((await cluster.volume(name)).inUse).toBe(false)
    })
  }

  test('in mounting, which goes on and ends: it is mounted once', async () => {
    await volumeWithData('mm', { pool: EXT4 })
    await killAroundChild(['mount', '--source'], () => node.mount('mm', USER))
    await until(async () => (await cluster.volume('mm')).attachments[0]?.state === 'mounted', { what: 'the mount' })
    expect(cluster.leftovers()).toEqual(tidy(1))
    await expectData('mm', 'mm')
  })

  const UNMOUNTING: [string, Program][] = [
    ['in unmounting', ['umount', '/target']],
    ['in detaching', ['losetup', '--detach']],
  ]
  for (const [when, words] of UNMOUNTING) {
    test(`${when}: the user, who had no answer, still has the volume and gives it up again`, async () => {
      const name = `u-${words[0]}`
      await volumeWithData(name, { pool: EXT4 })
      await node.mount(name, USER)
      await killDuring(words, () => node.unmount(name, USER))
      await until(async () => (await cluster.volume(name)).attachments[0]?.state === 'mounted', { what: 'the mount' })
      await expectData(name, name)
      expect((await cluster.volume(name)).inUse).toBe(false)
    })
  }

  test('in detaching, which goes on and ends: the user still has the volume', async () => {
    await volumeWithData('ud', { pool: EXT4 })
    await node.mount('ud', USER)
    await killAroundChild(['losetup', '--detach'], () => node.unmount('ud', USER))
    await until(async () => (await cluster.volume('ud')).attachments[0]?.state === 'mounted', { what: 'the mount' })
    await expectData('ud', 'ud')
  })

  test('in the copying of a clone: it is copied anew, with a UUID of its own', async () => {
    await volumeWithData('s1', { pool: EXT4 })
    await killDuring(['cp', '--sparse'], () => cluster.addVolume('c1', { pool: EXT4, from: { volume: 's1' } }))
    const clone = await cluster.volumeIs('c1', 'available')
    expect(clone.format.uuid).not.toBe((await cluster.volume('s1')).format.uuid)
    await expectData('c1', 's1')
    await expectData('s1', 's1')
  })

  test('in the change of a clone’s UUID: it is copied anew', async () => {
    await killDuring(['tune2fs', '-U'], () => cluster.addVolume('c2', { pool: EXT4, from: { volume: 's1' } }))
    await cluster.volumeIs('c2', 'available')
    await expectData('c2', 's1')
  })

  test('in the copying of a snapshot: it is copied anew', async () => {
    await killDuring(['cp', '--sparse'], () => cluster.post('/v1/snapshots', { volume: 's1', name: 'snap' }))
    await cluster.operationsDone()
    expect(await cluster.get('/v1/snapshots/snap')).toMatchObject({ state: 'available' })
  })

  test('while a mounted volume is frozen for its snapshot: it is thawed before the controller is even asked', async () => {
    await cluster.addVolume('f', { pool: XFS, fs: 'xfs', sizeMiB: 300 })
    const path = await node.mount('f', USER)
    await killWhileFrozen('f', path)
    await cluster.operationsDone()
    expect(await cluster.get('/v1/snapshots/frozen')).toMatchObject({ state: 'available' })
    await expectData('f', 'after')
  })

  const GROWING: [string, string, Record<string, unknown>, Program][] = [
    ['an idle ext4', 'g-ext4', { fs: 'ext4', sizeMiB: 32 }, ['resize2fs', '/dev/loop']],
    ['an idle xfs', 'g-xfs', { fs: 'xfs', sizeMiB: 300 }, ['xfs_growfs', '-d']],
    ['an idle xfs', 'g-xfs2', { fs: 'xfs', sizeMiB: 300 }, ['umount', 'scratch']],
  ]
  for (const [what, name, more, words] of GROWING) {
    test(`in the growing of ${what} (${words.join(' ')}): it grows, and nothing stays mounted`, async () => {
      await volumeWithData(name, { pool: EXT4, ...more })
      const sizeMiB = Number(more.sizeMiB) + 100
      await killDuring(words, () => cluster.post(`/v1/volumes/${name}/resize`, { sizeMiB }))
      await cluster.operationsDone()
      expect(await cluster.volume(name)).toMatchObject({ sizeMiB, realSizeMiB: sizeMiB })
      await expectData(name, name)
    })
  }

  test('in the growing of a mounted xfs: it grows', async () => {
    await volumeWithData('gm', { pool: XFS, fs: 'xfs', sizeMiB: 300 })
    await node.mount('gm', USER)
    await killDuring(['xfs_growfs', '-d'], () => cluster.post('/v1/volumes/gm/resize', { sizeMiB: 400 }))
    await cluster.operationsDone()
    expect(await cluster.volume('gm')).toMatchObject({ sizeMiB: 400, realSizeMiB: 400 })
    await expectData('gm', 'gm')
  })

  test('in a deletion: the object is deleted', async () => {
    const volume = await cluster.volume('c1')
    await killBeforeFileOperation('delete', () => cluster.post('/v1/volumes/c1/delete'))
    await expectGone('c1')
    expect(existsSync(cluster.file(volume))).toBe(false)
  })

  /** The controller is away at the restart: only what the node knows itself can thaw the volume. */
  async function killWhileFrozen(volume: string, path: string): Promise<void> {
    const workers = childrenOf(node.pid).filter(({ line }) => line.includes('file-worker-child'))
    for (const { pid } of workers) signal(pid, 'SIGSTOP')
    const freeze = await caught('fsfreeze', '--freeze', () => cluster.post('/v1/snapshots', { volume, name: 'frozen' }))
    signal(freeze, 'SIGCONT')
    await until(() => stateOf(freeze) === '', { what: 'the freeze' })
    const writer = spawn('touch', [`${path}/late`], { stdio: 'ignore' })
    await until(() => stateOf(writer.pid ?? 0) === 'D', { what: 'a writer to wait for the thaw' })
    await cluster.stopController()
    await node.kill()
    for (const { pid } of workers) signal(pid, 'SIGCONT')
    await cluster.startNode(node)
    await until(() => stateOf(writer.pid ?? 0) === '', { what: 'the volume to be thawed' })
    putData(path, 'after')
    await cluster.startController()
  }
})

function uuidFlag(fs: string): string {
  return fs === 'xfs' ? 'uuid=' : '-U'
}
