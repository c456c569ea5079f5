import { execFile } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createPrograms } from '../../src/programs/run.ts'
import { makeDisk } from '../drivers/disk.ts'
import { needs } from '../support/missing.ts'
import { testDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { childrenWith } from './children.ts'

const signal = new AbortController().signal
const programs = createPrograms()

test('a program gets its arguments as they are and an environment of its own', async () => {
  const odd = '$(id) `id` ; "quoted" \n *'
  expect((await programs.run('printf', ['%s', odd], { signal, deadlineMs: 5000 })).stdout).toBe(odd)
  const { stdout } = await programs.run('env', [], { signal, deadlineMs: 5000 })
  expect(stdout.trim().split('\n').sort()).toEqual(['LC_ALL=C', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin'])
  expect((await programs.run('pwd', [], { signal, deadlineMs: 5000 })).stdout).toBe('/\n')
  expect((await programs.run('cat', [], { signal, deadlineMs: 5000 })).stdout).toBe('')
})

test('only plain names are looked up, in fixed places', async () => {
  expect(programs.installed('mount')).toBe(true)
  for (const bad of ['/bin/true', '../bin/true', 'no-such-program', '', 'true;id']) {
    expect(programs.installed(bad)).toBe(false)
    await expect(programs.run(bad, [], { signal, deadlineMs: 1000 })).rejects.toMatchObject({ code: 'storage_failed' })
  }
})

test('programs are looked for in other directories after the usual ones', async () => {
  const directory = testDir()
  for (const name of ['mount', 'its-own']) writeFileSync(join(directory, name), '#!/bin/sh\necho "$0"', { mode: 0o755 })
  const more = createPrograms(undefined, undefined, [directory])
  expect((await more.run('its-own', [], { signal, deadlineMs: 5000 })).stdout.trim()).toBe(join(directory, 'its-own'))
  expect((await more.run('mount', ['--version'], { signal, deadlineMs: 5000 })).stdout).toContain('util-linux')
  await expect(more.run('no-such', [], { signal, deadlineMs: 5000 })).rejects.toThrow(directory)
  expect(programs.installed('its-own')).toBe(false)
})

test('a missing program is named with its Debian package', async () => {
  // Looked up under a name that this machine cannot have, beside one that the table knows.
  const { missingProgram } = await import('../../src/programs/program-failure.ts')
  expect(missingProgram('mkfs.xfs', '/sbin').message).toBe(
    'The program mkfs.xfs is not in /sbin; on Debian it comes with the package xfsprogs',
  )
})

test('of endless output the end is kept, up to a mebibyte', async () => {
  const { stdout } = await programs.run('seq', ['1', '1500000'], { signal, deadlineMs: 20_000 })
  expect(stdout).toHaveLength(1024 * 1024)
  expect(stdout.endsWith('\n1499999\n1500000\n')).toBe(true)
})

test('a failure says the exit code and the first useful line', async () => {
  await expect(programs.run('ls', ['/no/such/place'], { signal, deadlineMs: 5000 })).rejects.toMatchObject({
    code: 'storage_failed',
    message: "ls failed (exit 2): cannot access '/no/such/place': No such file or directory",
    data: { exit: 2, program: 'ls' },
  })
  expect(await programs.run('ls', ['/no'], { signal, deadlineMs: 5000, accept: [0, 2] })).toMatchObject({ code: 2 })
})

test('a program over its deadline is ended', async () => {
  const run = programs.run('sleep', ['600.125'], { signal, deadlineMs: 100 })
  await expect(run).rejects.toMatchObject({ code: 'storage_timeout' })
  expect(childrenWith('sleep', '600.125')).toEqual([])
})

test('a program that ignores SIGTERM is killed', async () => {
  const impatient = createPrograms({ terminateMs: 100, killMs: 2000 })
  const args = ['--ignore-signal=TERM', 'sleep', '600.25']
  await expect(impatient.run('env', args, { signal, deadlineMs: 100 })).rejects.toMatchObject({
    code: 'storage_timeout',
  })
  expect(childrenWith('sleep', '600.25')).toEqual([])
})

test('cancelling ends the program, and before the start nothing is started', async () => {
  const controller = new AbortController()
  const run = programs.run('sleep', ['600.5'], { signal: controller.signal, deadlineMs: 60_000 })
  await until(() => childrenWith('sleep', '600.5').length === 1, { what: 'the program to run' })
  controller.abort()
  await expect(run).rejects.toMatchObject({ code: 'cancelled' })
  expect(childrenWith('sleep', '600.5')).toEqual([])
  const file = join(testDir(), 'made')
  const late = programs.run('touch', [file], { signal: controller.signal, deadlineMs: 5000 })
  await expect(late).rejects.toMatchObject({ code: 'cancelled' })
  expect(existsSync(file)).toBe(false)
})

test('a program that makes progress outlives its deadline; one that makes none does not', async () => {
  const busy = ['if=/dev/zero', 'of=/dev/null', 'bs=64k', 'count=300000']
  const start = performance.now()
  await programs.run('dd', busy, { signal, deadlineMs: 200, whileProgressing: true })
  expect(performance.now() - start).toBeGreaterThan(200)
  const idle = programs.run('sleep', ['600.75'], { signal, deadlineMs: 200, whileProgressing: true })
  await expect(idle).rejects.toMatchObject({ code: 'storage_timeout' })
})

test('the death of a program by a signal is an error that names it', async () => {
  const run = programs.run('sleep', ['601'], { signal, deadlineMs: 60_000 })
  const [pid = 0] = await until(() => childrenWith('sleep', '601').length === 1 && childrenWith('sleep', '601'), {
    what: 'the program to run',
  })
  process.kill(pid, 'SIGKILL')
  await expect(run).rejects.toMatchObject({ code: 'storage_failed', data: { signal: 'SIGKILL' } })
})

const machine = needs('root', 'loop-devices', 'mkfs.ext4')

machine.test('full and read-only storage have their own codes', async () => {
  const disk = makeDisk('ext4', 8)
  onTestFinished(() => disk.dispose())
  const big = ['if=/dev/zero', `of=${disk.directory}/big`, 'bs=1M', 'count=16']
  await expect(programs.run('dd', big, { signal, deadlineMs: 20_000 })).rejects.toMatchObject({ code: 'storage_full' })
  disk.remount('ro')
  const touch = programs.run('touch', [`${disk.directory}/a`], { signal, deadlineMs: 5000 })
  await expect(touch).rejects.toMatchObject({ code: 'storage_read_only' })
})

machine.test('a program that hangs in the kernel is abandoned, named, and blocks nobody', async () => {
  const disk = makeDisk('ext4', 8)
  onTestFinished(() => disk.dispose())
  disk.freeze()
  const impatient = createPrograms({ terminateMs: 50, killMs: 50 })
  const stuck = impatient.run('touch', [`${disk.directory}/a`], { signal, deadlineMs: 50 })
  const others = await impatient.run('true', [], { signal, deadlineMs: 5000 })
  expect(others.code).toBe(0)
  const error = await stuck.catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'stuck', data: { pid: expect.any(Number) } })
  expect(impatient.abandoned()).toMatchObject([{ program: 'touch' }])
  disk.thaw()
  await until(() => impatient.abandoned().length === 0, { what: 'the abandoned program to end' })
})

machine.test('a process can end while a program of it hangs', async () => {
  const disk = makeDisk('ext4', 8)
  onTestFinished(() => disk.dispose())
  disk.freeze()
  const module = new URL('../../src/programs/run.ts', import.meta.url).href
  const code = `
    import { createPrograms } from ${JSON.stringify(module)}
    const signal = new AbortController().signal
    await createPrograms({ terminateMs: 50, killMs: 50 })
      .run('touch', [${JSON.stringify(`${disk.directory}/a`)}], { signal, deadlineMs: 50 })
      .catch((error) => console.log(error.code))`
  const args = ['--input-type=module', '--eval', code]
  const printed = await new Promise<string>((resolve, reject) => {
    execFile(process.execPath, args, { timeout: 20_000, encoding: 'utf8' }, (error, stdout) =>
      error === null ? resolve(stdout) : reject(error),
    )
  })
  expect(printed).toBe('stuck\n')
})
