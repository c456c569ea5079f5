import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningDev, runDev } from '../../../src/cli/dev.ts'
import { HttpLink } from '../../../src/node/http-link.ts'
import { DockerVolumeIsolator } from '../../support/mesos/docker-volume-isolator.ts'
import { needs } from '../../support/missing.ts'
import { tempDir } from '../../support/temp-dir.ts'
import { unmountAll } from '../docker/support/unmount-all.ts'
import { buildDvdcli, DVDCLI, dvdcli, type Environment, named } from './support/run-dvdcli.ts'

needs('root', 'loop-devices', 'mkfs.ext4').describe("dvdcli with Holdfast's own plugin", () => {
  const directory = tempDir()
  let dev: RunningDev
  let rest: HttpLink

  beforeAll(async () => {
    buildDvdcli()
    const log = pino({ level: 'silent' })
    dev = await runDev({ dir: directory.path, nodes: 2, poolSizeMiB: 8192, docker: 'holdfast', log })
    rest = new HttpLink({ api: dev.api, token: dev.token })
  })

  afterAll(async () => {
    await rest?.close()
    await dev?.stop()
    unmountAll(directory.path)
    directory.remove()
  })

  function machine(node: number): Environment {
    return { HOLDFAST_PLUGIN_SOCKETS_DIR: dirname(dev.nodes[node - 1]?.docker ?? '') }
  }

  function run(command: string, volume: string, ...more: string[]) {
    return dvdcli([command, ...named('holdfast', volume), ...more], machine(1))
  }

  async function users(volume: string): Promise<string[]> {
    const { attachments } = await rest.rest<{ attachments: { node: string; users: { door: string; id: string }[] }[] }>(
      'GET',
      `/v1/volumes/${volume}`,
    )
    return attachments.flatMap((each) => each.users.map(({ door, id }) => `${each.node} ${door} ${id}`))
  }

  function isMounted(path: string): boolean {
    return readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${path} `)
  }

  test('many mounts are one user, and one unmount ends them', async () => {
    const first = await run('mount', 'many', '--volumeopts=size=64MiB')
    expect(first).toMatchObject({ code: 0, stderr: '' })
    const path = first.stdout.trimEnd()
    writeFileSync(join(path, 'kept'), 'kept')
    expect((await run('mount', 'many', '--volumeopts=size=64MiB')).stdout).toBe(first.stdout)
    expect((await run('mount', 'many')).stdout).toBe(first.stdout)
    expect(await users('many')).toEqual(['node-1 docker set'])
    expect((await run('path', 'many')).stdout).toBe(first.stdout)
    expect(await run('unmount', 'many')).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(isMounted(path)).toBe(false)
    expect(await run('path', 'many')).toMatchObject({ code: 0, stdout: '', stderr: '' })
    const again = await run('mount', 'many')
    expect(readFileSync(join(again.stdout.trimEnd(), 'kept'), 'utf8')).toBe('kept')
    expect((await run('unmount', 'many')).code).toBe(0)
  })

  test('unmount of a volume never mounted, and of none, is done', async () => {
    expect((await run('create', 'idle', '--volumeopts=size=64MiB')).code).toBe(0)
    expect(await run('unmount', 'idle')).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(await run('unmount', 'never-there')).toMatchObject({ code: 0, stdout: '', stderr: '' })
  })

  test('a volume in use on one machine is refused on another, and follows when it is free', async () => {
    const args = named('holdfast', 'moving', 'size=64MiB')
    const first = await dvdcli(['mount', ...args], machine(1))
    writeFileSync(join(first.stdout.trimEnd(), 'from'), 'node-1')
    const refused = await dvdcli(['mount', ...args], machine(2))
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toMatch(/^mount of volume "moving" was refused by driver "holdfast": .*node-1.*\]\n$/)
    expect((await dvdcli(['unmount', ...named('holdfast', 'moving')], machine(1))).code).toBe(0)
    const second = await dvdcli(['mount', ...args], machine(2))
    expect(readFileSync(join(second.stdout.trimEnd(), 'from'), 'utf8')).toBe('node-1')
    expect((await dvdcli(['unmount', ...named('holdfast', 'moving')], machine(2))).code).toBe(0)
  })

  test('create, get, list and remove', async () => {
    expect(await run('get', 'made')).toMatchObject({ code: 1, stderr: 'driver "holdfast" has no volume "made"\n' })
    expect(await run('create', 'made', '--volumeopts=size=64MiB,fs=ext4')).toMatchObject({ code: 0, stdout: '' })
    expect(await run('get', 'made')).toMatchObject({ code: 0, stdout: 'made\n', stderr: '' })
    const list = await dvdcli(['list', '--volumedriver=holdfast'], machine(1))
    expect(list.stdout.split('\n')).toContain('made')
    expect(await run('remove', 'made')).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect((await run('remove', 'made')).code).toBe(1)
  })

  test('what does not fit, or is not known, is told with the numbers', async () => {
    const large = await run('mount', 'large', '--volumeopts=size=500')
    expect(large).toMatchObject({ code: 1, stdout: '' })
    expect(large.stderr).toMatch(/^mount of volume "large" was refused by driver "holdfast": .*\[does_not_fit\]\n$/)
    const typed = await run('mount', 'typed', '--volumeopts=sise=5')
    expect(typed.stderr).toMatch(/size.*\[invalid_option\]\n$/)
    expect((await run('get', 'typed')).code).toBe(1)
  })

  test('makes none with --explicitcreate or by policy', async () => {
    expect(await run('mount', 'unmade', '--explicitcreate')).toMatchObject({ code: 1, stdout: '' })
    const policy = { ...machine(1), HOLDFAST_DVDCLI_IMPLICIT_CREATE: 'false', HOLDFAST_DVDCLI_DRIVER: 'holdfast' }
    expect(await dvdcli(['mount', '--volumename=unmade'], policy)).toMatchObject({ code: 1, stdout: '' })
    expect((await run('get', 'unmade')).code).toBe(1)
  })

  test('serves the isolator of Mesos: two containers share a volume, and the last lets go of it', async () => {
    const bin = join(directory.path, 'bin')
    mkdirSync(bin)
    symlinkSync(DVDCLI, join(bin, 'dvdcli'))
    const env = { PATH: `${bin}:/usr/bin:/bin`, ...machine(1) }
    const isolator = new DockerVolumeIsolator({ env, cwd: directory.path })
    const parameter = [{ key: 'size', value: '64MiB' }]
    const docker_volume = { driver: 'holdfast', name: 'shared', driver_options: { parameter } }
    const volumes = [{ container_path: 'd', mode: 'RW' as const, source: { type: 'DOCKER_VOLUME', docker_volume } }]
    const [one] = await isolator.prepare('one', { type: 'MESOS', volumes })
    const [two] = await isolator.prepare('two', { type: 'MESOS', volumes })
    expect(two?.source).toBe(one?.source)
    await isolator.cleanup('one')
    expect(isMounted(one?.source ?? '')).toBe(true)
    await isolator.cleanup('two')
    expect(isMounted(one?.source ?? '')).toBe(false)
    expect(isolator.destroyErrors).toBe(0)
  })
})
