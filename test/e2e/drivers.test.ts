/** The life of a volume on every kind of storage, by the same steps: what differs is what the storage says it can. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeCsiBackend } from '../drivers/csi-fixture.ts'
import { makeDockerOnHoldfastBackend } from '../drivers/docker-on-holdfast.ts'
import { makeGlusterBackend } from '../drivers/gluster-fixture.ts'
import { ISCSI_PROGRAMS, makeIscsiBackend } from '../drivers/iscsi-fixture.ts'
import { makeRexrayBackend } from '../drivers/rexray-fixture.ts'
import { GLUSTER_NEEDS } from '../support/gluster.ts'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { type Backend, makeLoopBackend } from './support/backend.ts'
import { type Cluster, launchCluster, type VolumeView } from './support/node-cluster.ts'
import { hasData, putData } from './support/node-content.ts'
import type { NodeProcess } from './support/node-daemon.ts'

interface PoolView {
  capabilities: {
    snapshot: string
    clone?: boolean
    grow: string
    formats: string
    filesystems: string[]
    unitMiB?: number
  }
  usage: { usedMiB: number }
}

const KINDS: [name: string, needed: string[], make: () => Promise<Backend>][] = [
  ['loop', [], makeLoopBackend],
  ['docker-on-loop', [], makeDockerOnHoldfastBackend],
  ['csi-on-loop', [], makeCsiBackend],
  ['iscsi', ISCSI_PROGRAMS, makeIscsiBackend],
  ['rexray', [], makeRexrayBackend],
  ['gluster', [...GLUSTER_NEEDS], makeGlusterBackend],
]
const USER = { door: 'test', id: 'one' }

for (const [kind, needed, make] of KINDS) {
  needs('root', 'loop-devices', 'mkfs.xfs', ...needed).describe(`a volume on ${kind}`, () => {
    const POOL = `${kind}~test~pool`
    let backend: Backend
    let cluster: Cluster
    let a: NodeProcess
    let b: NodeProcess
    let pool: PoolView
    let volume: VolumeView
    let unit: number

    beforeAll(async () => {
      backend = await make()
      cluster = await launchCluster({ nodes: ['a', 'b'], node: backend.nodeOptions ?? {} })
      ;[a, b] = cluster.nodes as [NodeProcess, NodeProcess]
      await cluster.addPool({ name: POOL, backend, capacityMiB: 1_000_000 })
      pool = await view()
      unit = Math.max(320, pool.capabilities.unitMiB ?? 1)
    }, 60_000)
    afterAll(async () => {
      await cluster?.dispose()
      await backend?.dispose()
    }, 60_000)

    const view = () => cluster.get<PoolView>(`/v1/pools/${encodeURIComponent(POOL)}`)
    const used = async () => (await view()).usage.usedMiB
    const fs = () => (pool.capabilities.formats === 'backend' ? 'directory' : 'xfs')
    const text = (path: string) => readFileSync(join(path, 'data'))

    test('is created, and counted once', async () => {
      volume = await cluster.addVolume('life', { pool: POOL, sizeMiB: unit, fs: fs() })
      expect(volume).toMatchObject({ state: 'available', sizeMiB: unit })
      expect(await used()).toBe(unit)
      expect(await backend.leftovers()).toHaveLength(1)
    })

    test('keeps what was written when it moves to another node', async () => {
      const there = await a.mount('life', USER)
      putData(there, 'first')
      await expect(b.mount('life', USER)).rejects.toMatchObject({ code: 'held_elsewhere' })
      await a.unmount('life', USER)
      const here = await b.mount('life', USER)
      expect(hasData(here, 'first')).toBe(true)
      putData(here, 'second')
      await b.unmount('life', USER)
      const back = await a.mount('life', USER, { mode: 'ro' })
      expect(hasData(back, 'second')).toBe(true)
      expect(() => putData(back, 'third')).toThrow(/EROFS|EACCES|EPERM/)
      await a.unmount('life', USER)
    })

    test('goes back to a snapshot, where there are any', async () => {
      const { snapshot, clone } = pool.capabilities
      const asked = cluster.post('/v1/snapshots?wait=60', { volume: 'life', name: 'before' })
      if (snapshot === 'none') return expect(asked).rejects.toMatchObject({ code: 'unsupported' })
      await asked
      putData(await a.mount('life', USER), 'after')
      await a.unmount('life', USER)
      const restore = cluster.addVolume('restored', { pool: POOL, sizeMiB: unit, from: { snapshot: 'before' } })
      if (clone === false)
        return expect(restore).rejects.toMatchObject({ code: expect.stringMatching(/unsupported|does_not_fit/) })
      await restore
      const path = await b.mount('restored', USER)
      expect(hasData(path, 'second')).toBe(true)
      expect(hasData(await a.mount('life', USER), 'after')).toBe(true)
      expect(await used()).toBe(3 * unit)
      await b.unmount('restored', USER)
      await a.unmount('life', USER)
    })

    test('grows, while it is used where the storage can', async () => {
      const { grow } = pool.capabilities
      const path = await a.mount('life', USER)
      const before = text(path)
      const asked = () => cluster.post('/v1/volumes/life/resize?wait=60', { sizeMiB: 2 * unit })
      if (grow === 'none') await expect(asked()).rejects.toMatchObject({ code: 'unsupported' })
      if (grow === 'offline') await a.unmount('life', USER)
      if (grow !== 'none') {
        await asked()
        expect(await cluster.volume('life')).toMatchObject({ sizeMiB: 2 * unit })
      }
      const grown = grow === 'offline' ? await a.mount('life', USER) : path
      expect(text(grown).equals(before)).toBe(true)
      await a.unmount('life', USER)
    })

    test('leaves nothing when it is deleted', async () => {
      for (const name of ['life', 'restored']) {
        await cluster
          .rest('DELETE', `/v1/volumes/${name}?wait=60`)
          .catch((error) => expect(error.code).toBe('not_found'))
      }
      await cluster
        .rest('DELETE', '/v1/snapshots/before?wait=60')
        .catch((error) => expect(error.code).toBe('not_found'))
      await cluster.operationsDone()
      expect(await used()).toBe(0)
      await until(async () => (await backend.leftovers()).length === 0, { what: 'the storage to be empty' })
      expect(cluster.leftovers()).toMatchObject({ devices: 0, scratch: [], partials: [], work: [], owed: [] })
    })
  })
}
