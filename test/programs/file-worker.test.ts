import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { PoolDirectory } from '../../src/programs/file-protocol.ts'
import { FileWorker } from '../../src/programs/file-worker.ts'
import { makeDisk } from '../drivers/disk.ts'
import { needs } from '../support/missing.ts'
import { testDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { isRunning } from './children.ts'

function poolIn(directory: string): PoolDirectory {
  return { directory, name: 'loop~test~worker', uuid: randomUUID(), installation: randomUUID() }
}

function workerWith(idleMs = 60_000): FileWorker {
  const worker = new FileWorker('loop~test~worker', { idleMs, killMs: 200 })
  onTestFinished(() => worker.close())
  return worker
}

test('one process serves many calls, and errors keep their code', async () => {
  const worker = workerWith()
  const pool = poolIn(testDir())
  await expect(worker.call('list', 5000, pool)).rejects.toMatchObject({ code: 'no_marker' })
  await worker.call('mark', 5000, pool)
  const { pid } = worker
  const made = await Promise.all([1, 2, 3, 4].map((n) => worker.call('create', 5000, pool, `v${n}`, n)))
  expect(made).toEqual([true, true, true, true])
  expect((await worker.call('list', 5000, pool)).files.map((file) => file.size / 1024 / 1024)).toEqual([1, 2, 3, 4])
  await expect(worker.call('create', 5000, pool, '../x', 1)).rejects.toMatchObject({ code: 'invalid_name' })
  expect(worker.pid).toBe(pid)
})

test('an idle process ends, and the next call starts another', async () => {
  const worker = workerWith(50)
  const pool = poolIn(testDir())
  await worker.call('mark', 5000, pool)
  const { pid = 0 } = worker
  await until(() => !isRunning(pid), { what: 'the idle process to end' })
  await worker.call('mark', 5000, pool)
  expect(worker.pid).not.toBe(pid)
})

test('a killed process fails the calls that it had, and the next call starts another', async () => {
  const worker = workerWith()
  const pool = poolIn(testDir())
  await worker.call('mark', 5000, pool)
  const { pid = 0 } = worker
  process.kill(pid, 'SIGSTOP')
  const call = worker.call('create', 5000, pool, 'a', 8)
  process.kill(pid, 'SIGKILL')
  await expect(call).rejects.toMatchObject({ code: 'storage_failed', data: { pid } })
  expect(await worker.call('create', 5000, pool, 'a', 8)).toBe(true)
})

test('a call over its deadline costs the process', async () => {
  const worker = workerWith()
  const pool = poolIn(testDir())
  await worker.call('mark', 5000, pool)
  const { pid = 0 } = worker
  process.kill(pid, 'SIGSTOP')
  const both = [worker.call('list', 100, pool), worker.call('create', 60_000, pool, 'a', 8)]
  const ends = await Promise.allSettled(both)
  for (const end of ends) expect(end).toMatchObject({ status: 'rejected', reason: { code: 'storage_timeout' } })
  expect(isRunning(pid)).toBe(false)
  expect((await worker.call('list', 5000, pool)).files).toEqual([])
})

test('the worker ends when its parent dies, and keeps no parent from ending', async () => {
  const directory = testDir()
  const module = new URL('../../src/programs/file-worker.ts', import.meta.url).href
  const code = (last: string) => `
    import { FileWorker } from ${JSON.stringify(module)}
    const worker = new FileWorker('x')
    const pool = { directory: ${JSON.stringify(directory)}, name: 'x', uuid: 'u', installation: 'i' }
    await worker.call('mark', 5000, pool)
    console.log(worker.pid)
    ${last}`
  for (const last of ['', "process.kill(process.pid, 'SIGKILL')"]) {
    const pid = await new Promise<string>((resolve) => {
      const args = ['--input-type=module', '--eval', code(last)]
      execFile(process.execPath, args, { timeout: 20_000, encoding: 'utf8' }, (_error, stdout) =>
        resolve(stdout.trim()),
      )
    })
    expect(pid).toMatch(/^\d+$/)
    await until(() => !isRunning(Number(pid)), { what: 'the worker to end with its parent' })
  }
})

const machine = needs('root', 'loop-devices', 'mkfs.ext4')

machine.test('storage that hangs makes one call stuck and the next ones fail at once, until it answers', async () => {
  const disk = makeDisk('ext4', 16)
  onTestFinished(() => disk.dispose())
  const directory = join(disk.directory, 'pool')
  mkdirSync(directory)
  const worker = workerWith()
  const pool = poolIn(directory)
  await worker.call('mark', 5000, pool)
  disk.freeze()
  // expected from the first moment: on a slow machine it ends before the next pool is made
  const stuck = expect(worker.call('create', 200, pool, 'a', 8)).rejects.toMatchObject({
    code: 'stuck',
    data: { pid: expect.any(Number) },
  })
  const elsewhere = workerWith()
  const healthy = poolIn(testDir())
  await elsewhere.call('mark', 5000, healthy)
  await stuck
  await expect(worker.call('list', 5000, pool)).rejects.toMatchObject({ code: 'stuck' })
  expect(await elsewhere.call('create', 5000, healthy, 'a', 8)).toBe(true)
  disk.thaw()
  await until(() => worker.call('list', 5000, pool), { what: 'the storage to answer again' })
  // The hanging create may have gone no further than its temporary file, never to half an object.
  expect(await worker.call('create', 5000, pool, 'a', 8)).toBe(true)
  expect(readdirSync(directory).sort()).toEqual(['.holdfast-pool.json', 'a.img'])
})
