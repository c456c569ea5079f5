/** One volume goes in and out by every door, and is counted as the one that it is. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type DevNode, type RunningDev, runDev } from '../../src/cli/dev.ts'
import { GrpcChannel } from '../../src/csi/client.ts'
import { HttpLink } from '../../src/node/http-link.ts'
import { type Paths, Plugin } from '../doors/csi/support/node-world.ts'
import { unmountAll } from '../doors/docker/support/unmount-all.ts'
import { buildDvdcli, dvdcli, named } from '../doors/dvdcli/support/run-dvdcli.ts'
import { DOCKERD_NEEDS, Dockerd } from '../support/dockerd.ts'
import { needs } from '../support/missing.ts'
import { tempDir } from '../support/temp-dir.ts'

interface Shown {
  id: string
  name: string
  state: string
  attachments: { node: string; users: { door: string; id: string }[] }[]
}

needs(...DOCKERD_NEEDS, 'mkfs.ext4').describe('one ledger behind every door', () => {
  const directory = tempDir()
  let dev: RunningDev
  let rest: HttpLink
  let docker: Dockerd
  let channel: GrpcChannel
  let csi: Plugin
  let one: DevNode
  let two: DevNode

  beforeAll(async () => {
    buildDvdcli()
    dev = await runDev({
      dir: directory.path,
      nodes: 2,
      poolSizeMiB: 1024,
      docker: 'hf',
      log: pino({ level: 'silent' }),
    })
    rest = new HttpLink({ api: dev.api, token: dev.token })
    ;[one, two] = dev.nodes as [DevNode, DevNode]
    channel = new GrpcChannel(`unix://${one.csi}`)
    csi = new Plugin(channel, one.csi)
    docker = new Dockerd(join(directory.path, 'docker-1'), dirname(one.docker ?? ''))
    await docker.start()
  }, 60_000)
  afterAll(async () => {
    await docker?.dispose()
    channel?.close()
    await rest?.close()
    await dev?.stop()
    unmountAll(directory.path)
    directory.remove()
  }, 60_000)

  /** What the ledger has: volumes, snapshots, and the MiB that they take of the pool. */
  async function counted(): Promise<{ volumes: string[]; snapshots: string[]; usedMiB: number }> {
    const names = async (path: string) =>
      (await rest.rest<{ items: Shown[] }>('GET', path)).items.map((each) => each.name).sort()
    const pool = await rest.rest<{ usage: { usedMiB: number } }>('GET', `/v1/pools/${encodeURIComponent(dev.pool)}`)
    return {
      volumes: await names('/v1/volumes'),
      snapshots: await names('/v1/snapshots'),
      usedMiB: pool.usage.usedMiB,
    }
  }

  async function users(volume: string): Promise<string[]> {
    const { attachments } = await rest.rest<Shown>('GET', `/v1/volumes/${volume}`)
    return attachments.flatMap((each) => each.users.map((user) => `${each.node} ${user.door}`))
  }

  /** dvdcli as the isolator of the second machine's agent runs it. */
  const isolator = (command: string, volume: string) =>
    dvdcli([command, ...named('hf', volume)], { HOLDFAST_PLUGIN_SOCKETS_DIR: dirname(two.docker ?? '') })

  function paths(name: string): Paths {
    const base = join(directory.path, 'csi', name)
    mkdirSync(join(base, 'staging'), { recursive: true })
    return { staging: join(base, 'staging'), target: join(base, 'target') }
  }

  test('made by Docker, mounted by dvdcli, staged by CSI, snapshotted by REST, cloned by Docker', async () => {
    await docker.ok('volume', 'create', '--driver=hf', '--opt=size=64MiB', 'data')
    await docker.sh('data', 'echo docker > /data/log')
    expect(await counted()).toEqual({ volumes: ['data'], snapshots: [], usedMiB: 64 })

    const mounted = await isolator('mount', 'data')
    expect(mounted).toMatchObject({ code: 0, stderr: '' })
    const log = join(mounted.stdout.trimEnd(), 'log')
    expect(readFileSync(log, 'utf8')).toBe('docker\n')
    writeFileSync(log, 'dvdcli\n', { flag: 'a' })
    expect(await users('data')).toEqual(['node-2 docker'])
    // who comes by another door is kept out all the same, and told by whom
    const { id } = await rest.rest<Shown>('GET', '/v1/volumes/data')
    await expect(csi.stage(id, paths('early'))).rejects.toThrow(/node-2/)
    expect((await docker.run('run', '--rm', '-v', 'data:/data', 'busybox', 'true')).stderr).toMatch(/node-2/)
    expect((await isolator('unmount', 'data')).code).toBe(0)
    expect(await counted()).toEqual({ volumes: ['data'], snapshots: [], usedMiB: 64 })

    const place = paths('data')
    await csi.stage(id, place)
    await csi.publish(id, place)
    writeFileSync(join(place.target, 'log'), 'csi\n', { flag: 'a' })
    expect(await users('data')).toEqual(['node-1 csi'])
    expect(await counted()).toEqual({ volumes: ['data'], snapshots: [], usedMiB: 64 })

    await csi.leave(id, place)
    await rest.rest('POST', '/v1/snapshots?wait=30', { volume: 'data', name: 'then' })
    expect(await counted()).toEqual({ volumes: ['data'], snapshots: ['then'], usedMiB: 128 })

    await docker.ok('volume', 'create', '--driver=hf', '--opt=from=snapshot:then', 'copy')
    expect(await docker.sh('copy', 'cat /data/log')).toBe('docker\ndvdcli\ncsi')
    expect(await counted()).toEqual({ volumes: ['copy', 'data'], snapshots: ['then'], usedMiB: 192 })
    expect(await users('data')).toEqual([])
  }, 60_000)

  test('is given back whole', async () => {
    for (const path of ['/v1/volumes/data', '/v1/volumes/copy', '/v1/snapshots/then']) {
      await rest.rest('DELETE', `${path}?wait=30`)
    }
    expect(await counted()).toEqual({ volumes: [], snapshots: [], usedMiB: 0 })
  })
})
