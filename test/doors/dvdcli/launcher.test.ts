import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { testDir } from '../../support/temp-dir.ts'
import { buildDvdcli } from './support/run-dvdcli.ts'

const BIN = join(import.meta.dirname, '../../../bin')
const withNode = { HOLDFAST_NODE: process.execPath, PATH: '/usr/bin:/bin' }
const echo = 'process.stdout.write(JSON.stringify(process.argv.slice(2)))\n'

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/** A copy of the launchers with a built program of one line beside them. */
function install(): { top: string; program: string } {
  const top = testDir()
  mkdirSync(join(top, 'bin'))
  for (const name of ['holdfast', 'dvdcli']) copyFileSync(join(BIN, name), join(top, 'bin', name))
  write(join(top, 'package.json'), '{"type":"module"}')
  write(join(top, 'dist/dvdcli.cjs'), echo)
  return { top, program: join(top, 'bin/dvdcli') }
}

test('arguments reach the program as they are, through links in the PATH', () => {
  const { top, program } = install()
  mkdirSync(join(top, 'agent'))
  symlinkSync(program, join(top, 'agent/absolute'))
  symlinkSync('absolute', join(top, 'agent/dvdcli'))
  const env = { ...withNode, PATH: `${top}/agent:/usr/bin:/bin` }
  const run = spawnSync('dvdcli', ['mount', 'a b', '', '$HOME', '--x=*'], { env, encoding: 'utf8' })
  expect(run.stderr).toBe('')
  expect(JSON.parse(run.stdout)).toEqual(['mount', 'a b', '', '$HOME', '--x=*'])
})

test('sources that are newer than what was built, or were not built, are run themselves', () => {
  const { top, program } = install()
  const main = join(top, 'src/doors/dvdcli/main.ts')
  write(main, "const text: string = 'sources'\nprocess.stdout.write(text)\n")
  const run = () => spawnSync(program, [], { env: withNode, encoding: 'utf8' })
  utimesSync(main, 0, Date.now() / 1000 + 10)
  expect(run()).toMatchObject({ stdout: 'sources', stderr: '' })
  utimesSync(main, 0, 0)
  expect(run()).toMatchObject({ stdout: '[]', stderr: '' })
  rmSync(join(top, 'dist'), { recursive: true })
  expect(run()).toMatchObject({ stdout: 'sources', stderr: '' })
})

test('what it keeps can be written by its owner alone, whatever the umask is', () => {
  const { top, program } = install()
  spawnSync('sh', ['-c', 'umask 0; exec "$0" mount', program], { env: withNode })
  expect(statSync(join(top, 'dist/compiled')).mode & 0o777).toBe(0o755)
})

test('a Node that is too old is refused, and none at all', () => {
  const { top, program } = install()
  for (const tool of ['sh', 'uname', 'readlink']) symlinkSync(`/bin/${tool}`, join(top, tool))
  const run = spawnSync(program, [], { env: { PATH: top }, encoding: 'utf8' })
  expect(run).toMatchObject({ status: 1, stdout: '' })
  expect(run.stderr).toMatch(/^holdfast: Node 24 or newer is needed, but node is not there/)
  write(join(top, 'node'), '#!/bin/sh\necho v20.20.2\n')
  chmodSync(join(top, 'node'), 0o755)
  expect(spawnSync(program, [], { env: { PATH: top }, encoding: 'utf8' }).stderr).toContain('v20.20.2')
})

test('the built program needs nothing but what Node brings: it has to start at once', () => {
  buildDvdcli()
  const built = readFileSync(join(BIN, '../dist/dvdcli.cjs'), 'utf8')
  const needed = [...built.matchAll(/\brequire\("([^"]*)"\)/g)].map(([, name = '']) => name)
  expect([...new Set(needed)].sort()).toEqual(['node:fs', 'node:net', 'node:os', 'node:path', 'node:tls'])
})
