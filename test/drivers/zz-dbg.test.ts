import { test } from 'vitest'
import { execFile, execSync } from 'node:child_process'
import { promisify } from 'node:util'
import { useIscsi } from './iscsi-stage.ts'
const stage = useIscsi()
const s = AbortSignal.timeout(1e9)
test('x', async () => {
  const { driver, pool } = stage()
  const object = await stage().create(64)
  const d = await stage().attach(object)
  let done = false
  const run = promisify(execFile)('fio', ['--name=x', '--filename=' + d, '--size=60m', '--rw=randrw', '--bs=4k', '--direct=1', '--ioengine=psync', '--fsync=10', '--time_based', '--runtime=25', '--output-format=json'], { maxBuffer: 1e8 }).then(({ stdout }) => {
    done = true
    const j = JSON.parse(stdout).jobs[0]
    console.log(d, 'write iops', Math.round(j.write.iops), 'max ms', Math.round(j.write.clat_ns.max / 1e6), 'read max', Math.round(j.read.clat_ns.max / 1e6), 'sync max', Math.round((j.sync?.lat_ns?.max ?? 0) / 1e6))
  })
  let size = 64
  const slow: string[] = []
  for (let i = 0; !done; i++) {
    const t = performance.now()
    const what = process.env.WHAT === 'grow' ? 'grow' : process.env.WHAT === 'limit' ? 'limit' : 'attach'
    if (what === 'grow') await driver.grow(pool, object, ++size, s)
    else await driver.attach(pool, object, false, s, what === 'limit' ? (i % 2 ? 5000 : 0) : 0)
    const ms = Math.round(performance.now() - t)
    if (ms > 1000) slow.push(`${what} ${i}: ${ms}`)
    if (done) console.log(what, i, 'slow', slow)
  }
  await run
  await stage().detach(object)
}, 200000)
