import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { testDir } from '../../support/temp-dir.ts'
import { buildDvdcli, dvdcli, named } from './support/run-dvdcli.ts'
import { ScriptedPlugin, type Step } from './support/scripted-plugin.ts'

beforeAll(buildDvdcli)

interface Recorded {
  /** `Get pv1`, `Activate`. */
  readonly call: string
  readonly answer: Step & object
}

/** What REX-Ray 0.11.4 answered, in order. */
function recorded(name: string): Recorded[] {
  const text = readFileSync(join(import.meta.dirname, 'recordings', `${name}.http`), 'utf8').replaceAll('\r', '')
  const blocks = text.matchAll(
    /^=== POST \/\w+\.(\w+) {2}body: (.*)\nHTTP\/1\.1 (\d+)[\s\S]*?\n\n([\s\S]*?)\n\n\[time_total/gm,
  )
  return [...blocks].map(([, method = '', body = '', status, answer = '']) => {
    const volume = /"Name":"([^"]*)"/.exec(body)?.[1]
    return {
      call: volume === undefined ? method : `${method} ${volume}`,
      answer: { status: Number(status), text: answer },
    }
  })
}

/** A plugin that gives the recorded answers to a call one after the other, the last of them for ever. */
async function replaying(name: string) {
  const all = recorded(name)
  const plugin = new ScriptedPlugin((call, times) => {
    const answers = all.filter((each) => each.call === call)
    return answers[Math.min(times, answers.length - 1)]?.answer ?? { status: 404, text: 'not recorded' }
  })
  const dir = testDir()
  await plugin.listen(join(dir, 'rexray.sock'))
  onTestFinished(() => plugin.close())
  const run = (command: string, volume: string, ...more: string[]) =>
    dvdcli([command, ...named('rexray', volume), ...more], { HOLDFAST_PLUGIN_SOCKETS_DIR: dir })
  return { plugin, run }
}

const DONE = { code: 0, stdout: '', stderr: '' }

describe('with what the Docker plugin of REX-Ray 0.11.4 answered', () => {
  test('a volume is shown, mounted and unmounted', async () => {
    const { run } = await replaying('docker-legacy')
    const path = '/var/lib/rexray-test/var/lib/volumes/pv1/data\n'
    expect(await run('create', 'pv1', '--volumeopts=size=1')).toMatchObject(DONE)
    expect(await run('get', 'pv1')).toMatchObject({ ...DONE, stdout: 'pv1\n' })
    expect(await run('path', 'pv1')).toMatchObject(DONE)
    expect(await run('mount', 'pv1')).toMatchObject({ ...DONE, stdout: path })
    expect(await run('mount', 'pv1')).toMatchObject({ ...DONE, stdout: path })
    // the second was answered with 500 "resource not found"
    expect(await run('unmount', 'pv1')).toMatchObject(DONE)
    expect(await run('unmount', 'pv1')).toMatchObject(DONE)
  })

  test('an absent volume is one', async () => {
    const { run, plugin } = await replaying('docker-legacy')
    expect(await run('get', 'nosuch')).toMatchObject({ code: 1, stderr: 'driver "rexray" has no volume "nosuch"\n' })
    expect(await run('mount', 'nosuch', '--explicitcreate')).toMatchObject({ code: 1, stdout: '' })
    expect(plugin.calls).not.toContain('Mount nosuch')
    expect(await run('mount', 'nosuch')).toMatchObject({ code: 1, stdout: '' })
    expect(plugin.calls).toContain('Create nosuch')
    expect(await run('unmount', 'implicit1')).toMatchObject(DONE)
  })
})

describe('with what its bridge to CSI answered', () => {
  test('a volume is shown, mounted and unmounted', async () => {
    const { run } = await replaying('docker-bridge-csivfs')
    const path = '/var/lib/rexray-test/var/lib/docker/volumes/pv1\n'
    const refused = {
      code: 1,
      stderr: 'create of volume "pv1" was refused by driver "rexray": CreateVolume failed: 2\n',
    }
    expect(await run('create', 'pv1', '--volumeopts=size=1')).toMatchObject(refused)
    expect(await run('create', 'pv1', '--volumeopts=size=1')).toMatchObject(DONE)
    // Get knows no path, and Path says "volume not mounted"
    expect(await run('path', 'pv1')).toMatchObject(DONE)
    expect(await run('mount', 'pv1')).toMatchObject({ ...DONE, stdout: path })
    expect(await run('path', 'pv1')).toMatchObject({ ...DONE, stdout: path })
    expect(await run('unmount', 'pv1')).toMatchObject(DONE)
  })

  test('an absent volume is one', async () => {
    const { run } = await replaying('docker-bridge-csivfs')
    expect(await run('get', 'nosuch')).toMatchObject({ code: 1, stderr: 'driver "rexray" has no volume "nosuch"\n' })
    expect(await run('unmount', 'implicit1')).toMatchObject(DONE)
  })
})
