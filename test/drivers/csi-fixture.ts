/** Storage for tests of the driver csi: another installation, whose CSI doors it uses. One for a whole test file. */
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { type RunningDev, runDev } from '../../src/cli/dev.ts'
import type { PluginTimes } from '../../src/csi/plugin-call.ts'
import { createCsiDriver } from '../../src/drivers/csi.ts'
import type { Driver, PoolTarget } from '../../src/drivers/driver.ts'
import { HttpLink } from '../../src/node/http-link.ts'
import { readBootId } from '../../src/node/identity.ts'
import { createFilesystemTools } from '../../src/programs/filesystem-tools.ts'
import { createPrograms } from '../../src/programs/run.ts'
import { CsiProxy } from '../support/csi-proxy.ts'
import { type TempDir, tempDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import type { DriverFixture } from './contract.ts'
import { type Disk, makeDisk, tool } from './disk.ts'
import { unmountBelow } from './docker-fixture.ts'

const TIMES = { longMs: 20_000, shortMs: 5000, awayMs: 1500 }

interface Shown {
  id: string
  name: string
  state: string
}

/** An installation with two nodes. */
export class CsiStorage {
  readonly temp: TempDir
  readonly dev: RunningDev
  readonly rest: HttpLink
  readonly #disk: Disk

  private constructor(temp: TempDir, disk: Disk, dev: RunningDev) {
    this.temp = temp
    this.dev = dev
    this.rest = new HttpLink({ api: dev.api, token: dev.token })
    this.#disk = disk
  }

  static async start(): Promise<CsiStorage> {
    const temp = tempDir()
    const disk = makeDisk('xfs', 4096)
    try {
      const log = pino({ level: 'silent' })
      const dir = join(disk.directory, 'dev')
      const dev = await runDev({ dir, nodes: 2, poolSizeMiB: 1_000_000, docker: 'off', log })
      return new CsiStorage(temp, disk, dev)
    } catch (thrown) {
      disk.dispose()
      temp.remove()
      throw thrown
    }
  }

  /** @param node 1 or 2 */
  endpoint(node = 1): string {
    return `unix://${this.dev.nodes[node - 1]?.csi}`
  }

  async list(kind: 'volumes' | 'snapshots'): Promise<Shown[]> {
    return (await this.rest.rest<{ items: Shown[] }>('GET', `/v1/${kind}?limit=1000`)).items
  }

  /** Names of all that is there but markers. */
  async leftovers(): Promise<string[]> {
    const all = [...(await this.list('volumes')), ...(await this.list('snapshots'))]
    return all.map(({ name }) => name).filter((name) => !/^hf-[0-9a-f]{8}-pool-/.test(name))
  }

  /** All of it, also what a failed test left. */
  async clear(): Promise<void> {
    for (const kind of ['volumes', 'snapshots'] as const) {
      const items = await this.list(kind)
      await Promise.all(items.map(({ id }) => this.rest.rest('DELETE', `/v1/${kind}/${id}?wait=20`)))
      await until(async () => (await this.list(kind)).length === 0, { what: `no ${kind} to be left` })
    }
  }

  async dispose(): Promise<void> {
    await this.rest.close()
    await this.dev.stop()
    unmountBelow(this.temp.path)
    unmountBelow(this.#disk.directory)
    for (const line of tool('losetup', '--list', '--noheadings', '--output', 'NAME,BACK-FILE').split('\n')) {
      const [device, file] = line.trim().split(/\s+/)
      if (device !== undefined && file?.startsWith(`${this.#disk.directory}/`)) tool('losetup', '--detach', device)
    }
    this.#disk.dispose()
    this.temp.remove()
  }
}

export interface CsiFixture extends DriverFixture {
  readonly storage: CsiStorage
  /** What stands between the driver and the plugin. */
  readonly proxy: CsiProxy
  /** Where the driver keeps what it must not forget. */
  readonly directory: string
  /** Another life of the driver. */
  again(): Driver
  /** The same pool from the other machine. */
  elsewhere(): { driver: Driver; pool: PoolTarget }
}

export async function makeCsiFixture(
  storage: CsiStorage,
  settings: Record<string, string> = {},
  times: Partial<PluginTimes> = {},
): Promise<CsiFixture> {
  const temp = tempDir()
  const [scratch, directory] = [join(temp.path, 'scratch'), join(temp.path, 'driver')]
  mkdirSync(scratch)
  const proxy = new CsiProxy(join(temp.path, 'p.sock'), storage.endpoint())
  await proxy.start()
  const opened: Driver[] = []
  const programs = createPrograms()
  const filesystems = createFilesystemTools({ programs, scratchDirectory: scratch })
  const open = (own: string) => {
    const driver = createCsiDriver({ programs, filesystems, directory: own, times: { ...TIMES, ...times } })
    opened.push(driver)
    return driver
  }
  const driver = open(directory)
  const pool: PoolTarget = {
    ...{ id: 'pool-1', name: 'csi~test~pool', uuid: randomUUID(), installation: randomUUID() },
    settings: { endpoint: proxy.endpoint, ...settings },
    node: { id: 'node-1', bootId: readBootId() },
    handleOf: () => undefined,
  }
  return {
    ...{ storage, proxy, driver, filesystems, scratch, directory, pool, bootId: readBootId(), apart: true },
    again: () => open(directory),
    elsewhere: () => ({
      driver: open(join(temp.path, 'elsewhere')),
      pool: {
        ...pool,
        settings: { ...pool.settings, endpoint: storage.endpoint(2) },
        node: { id: 'node-2', bootId: randomUUID() },
      },
    }),
    async dispose() {
      proxy.faults.clear()
      unmountBelow(scratch)
      await Promise.all(opened.map((each) => takeBack(each, pool)))
      await Promise.all(opened.map((each) => each.close()))
      await proxy.close()
      unmountBelow(temp.path)
      await storage.clear()
      temp.remove()
    },
  }
}

async function takeBack(driver: Driver, pool: PoolTarget): Promise<void> {
  const signal = AbortSignal.timeout(30_000)
  const attached = await driver.attached(pool, signal)
  await Promise.all(attached.map(({ object }) => driver.detach(pool, object, signal).catch(() => undefined)))
}

/** For tests of the whole system. */
export async function makeCsiBackend() {
  const storage = await CsiStorage.start()
  return {
    driver: 'csi',
    settings: { endpoint: storage.endpoint() },
    leftovers: () => storage.leftovers(),
    dispose: () => storage.dispose(),
    storage,
  }
}
