import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { needs } from '../support/missing.ts'

const script = join(import.meta.dirname, '../../scripts/leftovers.ts')

/** A root of its own, directly in /tmp as that of ./check is. */
function runRoot(): string {
  const root = mkdtempSync('/tmp/hf-left-')
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  return root
}

function leftovers(root: string) {
  const { TMPDIR: _, ...env } = process.env
  return spawnSync(process.execPath, [script, root], { env, encoding: 'utf8' })
}

test('a run that left nothing is clean', () => {
  const run = leftovers(runRoot())
  expect({ status: run.status, output: run.stdout + run.stderr }).toEqual({ status: 0, output: '' })
})

test('a process of the run is named and ended, one of another run is left alone', async () => {
  const root = runRoot()
  const ours = spawn('sleep', ['300'], { env: { TMPDIR: root }, stdio: 'ignore' })
  const other = spawn('sleep', ['300'], { env: { TMPDIR: `${root}x` }, stdio: 'ignore' })
  onTestFinished(() => void other.kill())
  onTestFinished(() => void ours.kill())
  await Promise.all([once(ours, 'spawn'), once(other, 'spawn')])
  const ended = once(ours, 'exit')
  const run = leftovers(root)
  expect(run.status).toBe(1)
  expect(run.stdout).toContain(`process ${ours.pid}: sleep 300`)
  expect(await ended).toEqual([null, 'SIGTERM'])
  expect(other.exitCode ?? other.signalCode).toBeNull()
})

test('a server of storage is known by its command line', async () => {
  const root = runRoot()
  const start = (path: string) =>
    spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)', path], {
      ...{ argv0: '/usr/sbin/glusterfs', cwd: '/', env: {}, stdio: 'ignore' },
    })
  const [ours, other] = [start(`${root}/mnt`), start(`${root}x/mnt`)]
  onTestFinished(() => {
    for (const each of [ours, other]) each.kill('SIGKILL')
  })
  await Promise.all([once(ours, 'spawn'), once(other, 'spawn')])
  const ended = once(ours, 'exit')
  expect(leftovers(root).stdout).toContain(`process ${ours.pid}: /usr/sbin/glusterfs`)
  expect(await ended).toEqual([null, 'SIGTERM'])
  expect(other.exitCode ?? other.signalCode).toBeNull()
})

needs('root', 'loop-devices', 'losetup', 'mkfs.ext4').test(
  'a mounted loop device is named, unmounted, detached',
  () => {
    const root = runRoot()
    const image = join(root, 'disk')
    const target = join(root, 'a mount')
    writeFileSync(image, '')
    truncateSync(image, 8 * 1024 * 1024)
    mkdirSync(target)
    expect(spawnSync('mkfs.ext4', ['-q', image]).status).toBe(0)
    const device = spawnSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).stdout.trim()
    onTestFinished(() => void spawnSync('losetup', ['--detach', device]))
    expect(spawnSync('mount', [device, target]).status).toBe(0)
    onTestFinished(() => void spawnSync('umount', [target]))

    const run = leftovers(root)
    expect(run.status).toBe(1)
    expect(run.stdout).toBe(`mount ${target}\nloop device ${device}: ${image}\n`)
    expect(leftovers(root).status).toBe(0)
  },
)
