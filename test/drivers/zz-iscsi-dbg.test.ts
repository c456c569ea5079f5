import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { execFileSync } from 'node:child_process'
import { test } from 'vitest'
import { startTgt } from '../support/tgt-server.ts'
import { makeIscsiFixture } from './iscsi-fixture.ts'
const s = AbortSignal.timeout(60000)
let t0 = 0
const lap = (what: string) => { const t = performance.now(); console.log(what, Math.round(t - t0)); t0 = performance.now() }
test('x', async () => {
  const server = await startTgt()
  const f = await makeIscsiFixture(server, 'xfs')
  try {
    await f.driver.mark(f.pool, s)
    await f.driver.create(f.pool, 'a', 320, s)
    const { device } = await f.driver.attach(f.pool, 'a', false, s)
    t0 = performance.now()
    await f.filesystems.make(device, 'xfs', randomUUID(), s); lap('make')
    const target = join(f.scratch, 'm')
    await f.filesystems.mount(device, target, { type: 'xfs', readOnly: false, flags: [] }, s); lap('mount')
    await f.filesystems.freeze(target, s); lap('freeze')
    await f.driver.copy(f.pool, 'a', 'b', 'volume', () => {}, s); lap('copy')
    await f.filesystems.thaw(target, s); lap('thaw')
    const b = await f.driver.attach(f.pool, 'b', false, s); lap('attach')
    await f.filesystems.changeUuid(b.device, 'xfs', randomUUID(), s); lap('changeUuid')
    await f.filesystems.mount(b.device, target + 'b', { type: 'xfs', readOnly: false, flags: [] }, s); lap('mount')
    await f.filesystems.unmount(target + 'b', s); lap('unmount')
    await f.filesystems.unmount(target, s); lap('unmount')
    await f.driver.detach(f.pool, 'b', s); lap('detach')
    for (const bs of ['4k', '64k']) for (const rw of ['write', 'read', 'randwrite', 'randread']) {
      const out = execFileSync('fio', ['--name=x', '--filename=' + device, '--rw=' + rw, '--bs=' + bs, '--direct=1', '--ioengine=libaio', '--iodepth=16', '--runtime=1', '--time_based', '--size=100m'], { encoding: 'utf8' })
      console.log('fio', bs, rw, /IOPS=\S+/.exec(out)?.[0])
    }
  } finally { await f.dispose(); await server.dispose() }
})
