/** Two nodes and three GlusterFS servers on machines of their own: network and mount namespaces, real daemons in each. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { GLUSTER_NEEDS, GlusterMachines, VOLUME } from '../support/gluster.ts'
import type { GlusterPeer } from '../support/gluster-peer.ts'
import { needs } from '../support/missing.ts'
import { tempDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { Cluster } from './support/node-cluster.ts'
import { hasData, putData } from './support/node-content.ts'
import type { NodeProcess } from './support/node-daemon.ts'

const POOL = 'gluster~test~pool'
const USER = { door: 'test', id: 'one' }

needs(...GLUSTER_NEEDS, 'ip', 'mkfs.ext4').describe('GlusterFS on machines of its own', () => {
  const temp = tempDir()
  let machines: GlusterMachines
  let cluster: Cluster
  let a: NodeProcess
  let b: NodeProcess
  let one: GlusterPeer
  let two: GlusterPeer

  beforeAll(async () => {
    machines = await GlusterMachines.start(temp.path)
    ;[one, two] = machines.peers as [GlusterPeer, GlusterPeer, GlusterPeer]
    cluster = new Cluster(tempDir(), { nodes: ['a', 'b'], machines: { a: one, b: two } })
    await cluster.start()
    ;[a, b] = cluster.nodes as [NodeProcess, NodeProcess]
    const settings = { volume: `10.77.0.1:/${VOLUME}`, servers: '10.77.0.2,10.77.0.3', directory: '/volumes' }
    await cluster.addPool({ name: POOL, backend: { driver: 'gluster', settings }, fence: 'manual' })
  }, 60_000)

  afterAll(async () => {
    await cluster?.dispose()
    await machines?.dispose()
    temp.remove()
  }, 60_000)

  /** What is in the pool, as node a sees it. */
  async function objects(): Promise<string[]> {
    const clients = join(a.options.state, 'drivers/gluster')
    const [pool = ''] = readdirSync(one.path(clients)).filter((name) => !name.includes('.'))
    return readdirSync(one.path(join(clients, pool, 'volumes'))).filter((name) => name.startsWith('hf-'))
  }

  test('a volume that is written on one machine is read on the other', async () => {
    await cluster.addVolume('data', { pool: POOL, sizeMiB: 64 })
    putData(one.path(await a.mount('data', USER)), 'from a')
    await expect(b.mount('data', USER)).rejects.toMatchObject({ code: 'held_elsewhere' })
    await a.unmount('data', USER)
    const there = two.path(await b.mount('data', USER))
    expect(hasData(there, 'from a')).toBe(true)
    putData(there, 'from b')
    await b.unmount('data', USER).catch((e) => { console.log('DBG', e.message, readFileSync('/proc/' + two.pid + '/mountinfo', 'utf8').split('\n').slice(-8).join('\n'), b.log().split('\n').slice(-12).join('\n'), readdirSync('/sys/block').filter((n) => n.startsWith('loop')).map((n) => { try { return n + ' ' + readFileSync('/sys/block/' + n + '/loop/backing_file', 'utf8') } catch { return '' } }).join('')); throw e })
    expect(hasData(one.path(await a.mount('data', USER)), 'from b')).toBe(true)
    await a.unmount('data', USER)
  })

  test('a brick that is killed in the middle of writing loses nothing', async () => {
    const path = one.path(await a.mount('data', USER))
    const [brick] = two.daemons('glusterfsd')
    let killed = false
    for (let index = 0; index < 40; index++) {
      const file = await open(join(path, `f${index}`), 'w')
      await file.write(Buffer.alloc(64 * 1024, `content ${index}`))
      if (index === 20 && brick !== undefined) killed = process.kill(brick, 'SIGKILL')
      await file.sync()
      await file.close()
    }
    expect(killed).toBe(true)
    await a.unmount('data', USER)
    const there = two.path(await b.mount('data', USER))
    for (let index = 0; index < 40; index++) {
      expect(readFileSync(join(there, `f${index}`)).equals(Buffer.alloc(64 * 1024, `content ${index}`))).toBe(true)
    }
    await b.unmount('data', USER).catch((e) => { console.log('DBG', e.message, readFileSync('/proc/' + two.pid + '/mountinfo', 'utf8').split('\n').slice(-8).join('\n'), b.log().split('\n').slice(-12).join('\n'), readdirSync('/sys/block').filter((n) => n.startsWith('loop')).map((n) => { try { return n + ' ' + readFileSync('/sys/block/' + n + '/loop/backing_file', 'utf8') } catch { return '' } }).join('')); throw e })
  })

  test('what the brick missed is on it when it has been back for a while, and is enough', async () => {
    await one.gluster('volume', 'start', VOLUME, 'force')
    const healed = async () => {
      const info = await one.gluster('volume', 'heal', VOLUME, 'info')
      return info.match(/^Number of entries: 0$/gm)?.length === 3
    }
    await until(healed, { what: 'the brick to be healed', deadlineMs: 40_000, everyMs: 300 })
    for (const pid of one.daemons('glusterfsd')) process.kill(pid, 'SIGKILL')
    const there = two.path(await b.mount('data', USER))
    expect(readFileSync(join(there, 'f39')).equals(Buffer.alloc(64 * 1024, 'content 39'))).toBe(true)
    await b.unmount('data', USER).catch((e) => { console.log('DBG', e.message, readFileSync('/proc/' + two.pid + '/mountinfo', 'utf8').split('\n').slice(-8).join('\n'), b.log().split('\n').slice(-12).join('\n'), readdirSync('/sys/block').filter((n) => n.startsWith('loop')).map((n) => { try { return n + ' ' + readFileSync('/sys/block/' + n + '/loop/backing_file', 'utf8') } catch { return '' } }).join('')); throw e })
    await one.gluster('volume', 'start', VOLUME, 'force')
  })

  test('a volume whose client died is taken down, and is whole when it is brought up again', async () => {
    const path = one.path(await a.mount('data', USER))
    putData(path, 'before the end')
    for (const pid of one.daemons('--volfile-id')) {
      if (one.daemons('drivers/gluster').includes(pid)) process.kill(pid, 'SIGKILL')
    }
    expect(() => writeFileSync(join(path, 'lost'), Buffer.alloc(4 << 20), { flush: true })).toThrow(/EIO|EROFS/)
    await a.unmount('data', USER)
    expect(hasData(one.path(await a.mount('data', USER)), 'before the end')).toBe(true)
    await a.unmount('data', USER)
  })

  test('a directory is written by both machines at once, each seeing what the other wrote', async () => {
    await cluster.addVolume('shared', { pool: POOL, sizeMiB: 64, fs: 'directory', access: 'many-writers' })
    const here = one.path(await a.mount('shared', USER))
    const there = two.path(await b.mount('shared', USER))
    for (let round = 0; round < 10; round++) {
      const [from, to] = round % 2 === 0 ? [here, there] : [there, here]
      writeFileSync(join(from, 'file'), `round ${round}`)
      expect(readFileSync(join(to, 'file'), 'utf8')).toBe(`round ${round}`)
    }
    await a.unmount('shared', USER)
    expect(readFileSync(join(there, 'file'), 'utf8')).toBe('round 9')
    await b.unmount('shared', USER)
    await cluster.post('/v1/snapshots?wait=60', { volume: 'shared', name: 'then' })
    await cluster.addVolume('again', { pool: POOL, sizeMiB: 64, fs: 'directory', from: { snapshot: 'then' } })
    expect(readFileSync(join(two.path(await b.mount('again', USER)), 'file'), 'utf8')).toBe('round 9')
    await b.unmount('again', USER)
  })

  test('nothing is left when all is deleted', async () => {
    expect(await objects()).toHaveLength(4)
    for (const name of ['data', 'shared', 'again']) await cluster.rest('DELETE', `/v1/volumes/${name}?wait=60`)
    await cluster.rest('DELETE', '/v1/snapshots/then?wait=60')
    await cluster.operationsDone()
    await until(async () => (await objects()).length === 0, { what: 'the storage to be empty' })
    // a client that nothing uses goes with its daemon
    await a.stop()
    await until(() => one.daemons('drivers/gluster').length === 0, { what: 'the client to end' })
  })
})
