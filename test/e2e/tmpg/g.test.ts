import { afterAll, beforeAll, test } from 'vitest'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeGlusterBackend } from '../../drivers/gluster-fixture.ts'
import { putData } from '../support/node-content.ts'
import { type Cluster, launchCluster } from '../support/node-cluster.ts'
let backend: any; let cluster: Cluster
beforeAll(async () => { backend = await makeGlusterBackend(); cluster = await launchCluster({ nodes: ['a', 'b'] }); await cluster.addPool({ name: 'gluster~test~pool', backend, capacityMiB: 1_000_000 }) }, 60000)
afterAll(async () => { await cluster.dispose(); await backend.dispose() }, 60000)
test('grow', async () => {
  const U = { door: 't', id: '1' }
  const [a, b] = cluster.nodes as any
  for (let i = 0; i < 14; i++) {
    const n = `v${i}`
    const s = performance.now(); const marks: string[] = []; let last = s
    const m = (w: string) => { const now = performance.now(); marks.push(`${w} ${Math.round(now - last)}`); last = now }
    await cluster.addVolume(n, { pool: 'gluster~test~pool', sizeMiB: 320, fs: 'xfs' }); m('add')
    putData(await a.mount(n, U), 'x'); m('mount'); await a.unmount(n, U); m('um')
    await cluster.post('/v1/snapshots?wait=60', { volume: n, name: `s${i}` }); m('snap')
    await cluster.addVolume(`r${i}`, { pool: 'gluster~test~pool', sizeMiB: 320, from: { snapshot: `s${i}` } }); m('restore')
    await b.mount(`r${i}`, U); m('bm'); await a.mount(n, U); m('am'); await b.unmount(`r${i}`, U); m('bu'); await a.unmount(n, U); m('au')
    await a.mount(n, U); m('am')
    await cluster.post(`/v1/volumes/${n}/resize?wait=60`, { sizeMiB: 640 }); m('grow')
    await a.unmount(n, U); m('u')
    for (const v of [n, `r${i}`]) await cluster.rest('DELETE', `/v1/volumes/${v}?wait=60`)
    await cluster.rest('DELETE', `/v1/snapshots/s${i}?wait=60`); m('del')
    console.log(i, marks.join(', '))
    if (performance.now() - s > 9000) { console.log(cluster.nodes.map((x) => x.log().split('\n').slice(-25).join('\n')).join('\n---\n')) }
  }
}, 280000)
