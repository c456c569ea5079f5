import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type RunningDev, runDev } from '../../src/cli/dev.ts'
import { createLog } from '../../src/controller/http/log.ts'
import { HttpLink } from '../../src/node/http-link.ts'
import { type Mesos, startMesos } from '../support/mesos/cluster.ts'
import { DockerVolumeIsolator } from '../support/mesos/docker-volume-isolator.ts'
import { AppRefused, Marathon } from '../support/mesos/marathon.ts'
import type { MarathonApp } from '../support/mesos/marathon-app.ts'
import { needs } from '../support/missing.ts'
import { tempDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'

const DVDCLI = join(import.meta.dirname, '../../bin/dvdcli')

/** The first app of docs/mesos-frameworks.md, with another command. */
function documented(cmd: string): MarathonApp {
  const page = readFileSync(join(import.meta.dirname, '../../docs/mesos-frameworks.md'), 'utf8')
  const shown = /```json\n(\{ "id": "\/db"[\s\S]*?)```/.exec(page)?.[1] ?? ''
  return { ...(JSON.parse(shown) as MarathonApp), cmd }
}

needs('root', 'loop-devices', 'mkfs.ext4', 'unshare').describe("an app of Marathon's with a Docker volume", () => {
  let directory: ReturnType<typeof tempDir>
  let dev: RunningDev
  let link: HttpLink
  let mesos: Mesos
  let marathon: Marathon

  beforeEach(async () => {
    directory = tempDir()
    const dir = join(directory.path, 'd')
    const log = createLog('error')
    dev = await runDev({ dir, nodes: 2, poolSizeMiB: 102_400, poolIops: 1000, docker: 'holdfast', log })
    link = new HttpLink({ api: dev.api, token: dev.token })
    mesos = await startMesos({ workDir: join(directory.path, 'm'), agents: dev.nodes.map(({ name }) => agent(name)) })
    marathon = await Marathon.connect(mesos.master.url)
  }, 60_000)

  afterEach(async () => {
    await marathon?.stop()
    await until(async () => (await attachments()).length === 0, { what: 'volumes to be let go', deadlineMs: 20_000 })
    await mesos?.stop()
    await link?.close()
    await dev?.stop()
    directory[Symbol.dispose]()
  }, 60_000)

  /** An agent on the machine of a node: dvdcli is in its PATH, and finds that node's plugin socket. */
  function agent(hostname: string) {
    const machine = join(directory.path, 'd', hostname)
    const bin = join(machine, 'bin')
    mkdirSync(bin)
    symlinkSync(DVDCLI, join(bin, 'dvdcli'))
    const env = { PATH: `${bin}:/usr/bin:/bin`, HOLDFAST_PLUGIN_SOCKETS_DIR: join(machine, 'plugins') }
    return { hostname, isolator: new DockerVolumeIsolator({ env, cwd: machine }) }
  }

  async function attachments(): Promise<unknown[]> {
    return (await link.rest<{ items: unknown[] }>('GET', '/v1/attachments')).items
  }

  function journalOf(hostname: string, volumeId: string): string {
    return join(directory.path, 'd', hostname, 'mnt', volumeId, 'target', 'journal')
  }

  test('has its volume made, and its data on the next agent', async () => {
    const first = await marathon.deploy(documented('echo one >> data/journal; sleep 3600'))
    const volume = await link.rest<{ id: string; sizeMiB: number; iops: number }>('GET', '/v1/volumes/db-data')
    expect(volume).toMatchObject({ sizeMiB: 20 * 1024, iops: 500, fs: 'ext4' })
    const journal = journalOf(first.hostname, volume.id)
    await until(() => readFileSync(journal, 'utf8').includes('one'), { what: 'the task to write' })

    await marathon.suspend('/db')
    await until(() => !existsSync(journal), { what: 'the volume to be unmounted' })
    mesos.agents.find(({ hostname }) => hostname === first.hostname)?.kill()
    const second = await marathon.restart('/db')
    expect(second.hostname).not.toBe(first.hostname)
    const moved = journalOf(second.hostname, volume.id)
    await until(() => readFileSync(moved, 'utf8').split('one').length === 3, { what: 'the second task to write' })
  }, 60_000)

  test('does not start when the pool has no room, and the agent says why', async () => {
    const app = documented('true')
    const [volume] = app.container?.volumes ?? []
    const large = { ...volume, external: { ...volume?.external, size: 500 } } as never
    const refused = { ...app, container: { type: 'MESOS' as const, volumes: [large] } }
    await expect(marathon.deploy(refused, 5000)).rejects.toThrow(/102,?400|does not fit|free/)
  })

  test('is refused by Marathon itself when another app has a volume of that name', async () => {
    await marathon.deploy(documented('sleep 3600'))
    const twice = marathon.deploy({ ...documented('sleep 3600'), id: '/other' })
    await expect(twice).rejects.toThrow(AppRefused)
  })
})
