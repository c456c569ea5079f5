/** What storms rely on: a task that finds something wrong with its volume says so, and fails. */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { needs } from '../../support/missing.ts'
import { testDir } from '../../support/temp-dir.ts'
import { until } from '../../support/until.ts'
import { taskCommand } from './task-script.ts'

needs('root', 'flock').describe('a task of a storm', () => {
  const { test } = needs()

  test('writes its lines, and tells the host of them', async () => {
    const task = sandbox()
    expect(await task.run('one')).toBe(0)
    expect(await task.run('two')).toBe(0)
    const lines = ['one begun', 'one ended', 'two begun', 'two ended', '']
    expect(readFileSync(join(task.directory, 'data/lines'), 'utf8').split('\n')).toEqual(lines)
    expect(readFileSync(task.book('lines'), 'utf8').split('\n')).toEqual(lines)
    expect(existsSync(task.book('trouble'))).toBe(false)
  })

  test('finds another living writer, and no dead one', async () => {
    const task = sandbox()
    const first = task.run('first', 5)
    await until(() => existsSync(task.book('lines')) && readFileSync(task.book('lines'), 'utf8').includes('first'), {
      what: 'the first task to write',
    })
    expect(await task.run('second')).toBe(77)
    expect(readFileSync(task.book('trouble'), 'utf8')).toMatch(/^second: double writer: first, process \d+\n$/)
    process.kill(Number(/process (\d+)/.exec(readFileSync(task.book('owner'), 'utf8'))?.[1]), 'SIGKILL')
    expect(await task.run('third')).toBe(0)
    await first
  })

  test('finds that a line is lost', async () => {
    const task = sandbox()
    expect(await task.run('one')).toBe(0)
    writeFileSync(join(task.directory, 'data/lines'), 'one begun\n')
    expect(await task.run('two')).toBe(77)
    expect(readFileSync(task.book('trouble'), 'utf8')).toBe('two: lost: one ended\n')
  })

  test('finds that nothing is mounted', async () => {
    const task = sandbox()
    execFileSync('umount', [join(task.directory, 'data')])
    expect(await task.run('one')).toBe(77)
    expect(readFileSync(task.book('trouble'), 'utf8')).toBe('one: no volume is mounted at data\n')
  })
})

/** A folder with a filesystem of its own at `data`. */
function sandbox() {
  const directory = testDir()
  const data = join(directory, 'data')
  mkdirSync(data)
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', data])
  onTestFinished(() => {
    try {
      execFileSync('umount', [data], { stdio: 'ignore' })
    } catch {
      // the test has done it
    }
  })
  const run = (line: string, seconds = 0): Promise<number> =>
    new Promise((resolve) => {
      const command = taskCommand(directory, 'vol', line, seconds)
      const child = execFile('/bin/sh', ['-c', command], { cwd: directory }, () => resolve(child.exitCode ?? 137))
    })
  return { directory, run, book: (kind: string) => join(directory, `vol.${kind}`) }
}
