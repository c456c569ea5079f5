import { test } from 'vitest'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { useIscsi } from './iscsi-stage.ts'
const stage = useIscsi()
test('x', async () => {
  const objects = await Promise.all([1, 2, 3].map(() => stage().create(64)))
  const devices = []
  for (const o of objects) devices.push(await stage().attach(o))
  const runs = devices.map(async (d) => {
    const { stdout } = await promisify(execFile)('fio', ['--name=x', '--filename=' + d, '--rw=randrw', '--bs=4k', '--direct=1', '--ioengine=psync', '--fsync=10', '--time_based', '--runtime=45', '--output-format=json'], { maxBuffer: 1e8 })
    const j = JSON.parse(stdout).jobs[0]
    console.log(d, 'write iops', Math.round(j.write.iops), 'max ms', Math.round(j.write.clat_ns.max / 1e6), 'read max', Math.round(j.read.clat_ns.max / 1e6), 'sync max', Math.round((j.sync?.lat_ns?.max ?? 0) / 1e6))
  })
  await Promise.all(runs)
  for (const o of objects) await stage().detach(o)
}, 100000)
