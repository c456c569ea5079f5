import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { testDir } from '../support/temp-dir.ts'

const launcher = join(import.meta.dirname, '../../bin/holdfast')

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/** A copy of the launcher with a program of one line beside it. */
function install(main: string, text: string): { dir: string; bin: string } {
  const dir = testDir()
  const bin = join(dir, 'app/bin/holdfast')
  write(join(dir, 'app', main), text)
  write(join(dir, 'app/package.json'), '{"type":"module"}')
  mkdirSync(dirname(bin), { recursive: true })
  copyFileSync(launcher, bin)
  return { dir, bin }
}

const withNode = { HOLDFAST_NODE: process.execPath, PATH: '/usr/bin:/bin' }
const echo = 'console.log(JSON.stringify(process.argv.slice(2)))\n'

test('arguments reach the program as they are, through a relative and an absolute link', () => {
  const { dir, bin } = install('src/cli/main.ts', `const typed: number = 1\nvoid typed\n${echo}`)
  symlinkSync(bin, join(dir, 'absolute'))
  symlinkSync('absolute', join(dir, 'relative'))
  const run = spawnSync(join(dir, 'relative'), ['a b', '', '$HOME', '--x=*'], { env: withNode, encoding: 'utf8' })
  expect(run.stderr).toBe('')
  expect(JSON.parse(run.stdout)).toEqual(['a b', '', '$HOME', '--x=*'])
})

test('without sources the packaged program runs, found by PATH', () => {
  const { bin } = install('dist/cli/main.js', echo)
  const env = { ...withNode, PATH: `${dirname(bin)}:/usr/bin:/bin` }
  expect(spawnSync('holdfast', ['x'], { env, encoding: 'utf8' }).stdout).toBe('["x"]\n')
})

test('a Node that is too old is refused with one clear sentence', () => {
  const { dir, bin } = install('src/cli/main.ts', echo)
  const old = join(dir, 'node')
  write(old, '#!/bin/sh\necho v20.20.2\n')
  chmodSync(old, 0o755)
  const run = spawnSync(bin, [], { env: { HOLDFAST_NODE: old, PATH: '/usr/bin:/bin' }, encoding: 'utf8' })
  expect(run.status).toBe(1)
  expect(run.stderr).toMatch(/^holdfast: Node 24 or newer is needed, but .*node is v20\.20\.2\. Run npm ci in .*\n$/)
})

test('no Node at all is said, with exit code 1', () => {
  const { dir, bin } = install('src/cli/main.ts', echo)
  for (const tool of ['sh', 'uname', 'readlink', 'dirname']) symlinkSync(`/bin/${tool}`, join(dir, tool))
  const run = spawnSync(bin, [], { env: { PATH: dir }, encoding: 'utf8' })
  expect(run.status).toBe(1)
  expect(run.stderr).toContain('node is not there')
})

test('a signal reaches the program itself, and its exit code comes back', async () => {
  const text = "process.on('SIGTERM', () => process.exit(7))\nsetInterval(() => {}, 1000)\nconsole.log(process.pid)\n"
  const { bin } = install('src/cli/main.ts', text)
  const child = spawn(bin, [], { env: withNode, stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(child.stdout, 'data')
  expect(Number(String(line))).toBe(child.pid)
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([7, null])
})
