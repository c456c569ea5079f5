/** Storage for tests of the driver gluster: a real server and a node's driver for a whole file, a fresh pool for each test. */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import type { Driver, PoolTarget } from '../../src/drivers/driver.ts'
import { createGlusterDriver } from '../../src/drivers/gluster.ts'
import { readBootId } from '../../src/node/identity.ts'
import { createFilesystemTools } from '../../src/programs/filesystem-tools.ts'
import { type ClientPlace, clientCommand, clientPid } from '../../src/programs/gluster-process.ts'
import { glusterSettings } from '../../src/programs/gluster-settings.ts'
import { errnoOf } from '../../src/programs/pool-paths.ts'
import { createPrograms } from '../../src/programs/run.ts'
import { mountsUnder } from '../e2e/support/node-cleanup.ts'
import { startServer, VOLUME } from '../support/gluster.ts'
import type { GlusterPeer } from '../support/gluster-peer.ts'
import { type TempDir, tempDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import type { DriverFixture } from './contract.ts'
import { type Disk, makeDisk, releaseAll, tool } from './disk.ts'
import { fillUp } from './loop-fixture.ts'

/** Inside the volume. */
const DIRECTORY = '/pools/one'

export class GlusterServer {
  readonly peer: GlusterPeer
  /** The volume, mounted for the test. */
  readonly mount: string
  readonly temp: TempDir
  readonly #disk: Disk
  #freeAtFirst = 0

  private constructor(temp: TempDir, disk: Disk, peer: GlusterPeer) {
    this.temp = temp
    this.peer = peer
    this.#disk = disk
    this.mount = join(temp.path, 'mnt')
  }

  static async start(sizeMiB = 512): Promise<GlusterServer> {
    const temp = tempDir()
    const disk = makeDisk('xfs', sizeMiB)
    try {
      const peer = await startServer(join(temp.path, 'peer'), join(disk.directory, 'brick'))
      const server = new GlusterServer(temp, disk, peer)
      mkdirSync(server.mount)
      const settings = glusterSettings(server.settings('/'))
      tool('env', ...clientCommand(placeOf(temp.path, 'mnt'), settings, 'the test', false))
      server.#freeAtFirst = server.#freeMiB()
      return server
    } catch (thrown) {
      disk.dispose()
      temp.remove()
      throw thrown
    }
  }

  settings(directory: string): Record<string, string> {
    return { volume: `${this.peer.options.address}:/${VOLUME}`, directory }
  }

  get #ballast(): string {
    return join(this.#disk.directory, 'ballast')
  }

  #freeMiB(): number {
    const { bavail, bsize } = statfsSync(this.#disk.directory)
    return (bavail * bsize) / 1024 / 1024
  }

  /** Takes all room, on the brick's own disk. */
  async fill(): Promise<void> {
    const directories = Array.from({ length: 20 }, (_, round) => join(this.#ballast, String(round)))
    for (const directory of directories) mkdirSync(directory, { recursive: true })
    // xfs gives back what it had set aside for a file when that is closed
    for (const directory of directories) {
      try {
        if (this.#freeMiB() > 0) fillUp(directory)
      } catch (error) {
        if (errnoOf(error) !== 'ENOSPC') throw error
        return // not even for another file
      }
    }
  }

  /** Waits until there is room again: what was removed is freed a while later. */
  async empty(): Promise<void> {
    rmSync(this.#ballast, { recursive: true, force: true })
    await until(() => this.#freeMiB() > this.#freeAtFirst - 16, { what: 'the brick to be empty' })
  }

  async dispose(): Promise<void> {
    tool('umount', this.mount)
    await this.peer.dispose()
    this.#disk.dispose()
    this.temp.remove()
  }
}

/** A node's own driver. */
export interface GlusterNode {
  readonly driver: Driver
  /** Where its clients are mounted. */
  readonly clients: string
  /** Process id of a pool's client. */
  clientPid(pool: PoolTarget): number | undefined
}

export interface GlusterFixture extends DriverFixture, GlusterNode {
  readonly server: GlusterServer
  /** The pool's directory, as the test sees it. */
  readonly directory: string
  /** Another node, or, by the name of a known one, another life of it. @param tag marks its children */
  node(name: string, tag?: string): GlusterNode
}

/** Makes fixtures that share what takes long: the server, and one node with its client. */
export class GlusterFixtures {
  readonly server: GlusterServer
  readonly #uuid = randomUUID()
  readonly #own: GlusterNode

  private constructor(server: GlusterServer) {
    this.server = server
    this.#own = this.#node('own')
  }

  static async start(): Promise<GlusterFixtures> {
    return new GlusterFixtures(await GlusterServer.start())
  }

  #node(name: string, tag?: string): GlusterNode {
    const programs = createPrograms(undefined, tag)
    const clients = join(this.server.temp.path, 'nodes', name)
    const driver = createGlusterDriver({
      programs,
      filesystems: createFilesystemTools({ programs }),
      directory: clients,
    })
    return { driver, clients, clientPid: ({ uuid }) => clientPid(placeOf(clients, uuid)) }
  }

  async make(): Promise<GlusterFixture> {
    const { server } = this
    const temp = tempDir()
    const others: GlusterNode[] = []
    const pool: PoolTarget = {
      ...{ id: 'pool-1', name: 'gluster~test~pool', uuid: this.#uuid, installation: randomUUID() },
      settings: server.settings(DIRECTORY),
      node: { id: 'node-1', bootId: readBootId() },
      handleOf: () => undefined,
    }
    const client = join(this.#own.clients, this.#uuid)
    return {
      ...this.#own,
      ...{ server, pool, scratch: temp.path, bootId: readBootId(), directory: join(server.mount, DIRECTORY) },
      filesystems: createFilesystemTools({ programs: createPrograms(), scratchDirectory: temp.path }),
      node: (name, tag) => {
        const node = this.#node(name, tag)
        others.push(node)
        return node
      },
      makeReadOnly: async () => void tool('mount', '-o', 'remount,ro', client),
      fill: () => server.fill(),
      dispose: async () => {
        for (const { target } of mountsUnder(temp.path).reverse()) tool('umount', target)
        releaseAll(join(server.temp.path, 'nodes'))
        await this.#forget(pool)
        await Promise.all(others.map(({ driver }) => driver.close()))
        if (mountsUnder(this.#own.clients).some(({ target }) => target === client)) {
          attempt('mount', '-o', 'remount,rw', client)
        }
        rmSync(join(server.mount, 'pools'), { recursive: true, force: true })
        await server.empty()
        temp.remove()
      },
    }
  }

  /** What was attached and not mounted is known to the driver alone. */
  async #forget(pool: PoolTarget): Promise<void> {
    const { driver } = this.#own
    const signal = AbortSignal.timeout(10_000)
    for (const { object } of await driver.attached(pool, signal)) await driver.detach(pool, object, signal)
  }

  async dispose(): Promise<void> {
    await this.#own.driver.close()
    for (const { target } of mountsUnder(this.server.temp.path).reverse()) {
      if (target !== this.server.mount) attempt('umount', target)
    }
    await this.server.dispose()
  }
}

function placeOf(clients: string, name: string): ClientPlace {
  const target = join(clients, name)
  return { target, pidFile: `${target}.pid`, logFile: `${target}.log` }
}

function attempt(program: string, ...args: string[]): void {
  try {
    tool(program, ...args)
  } catch {
    // it is not so, or not any more
  }
}

/** For tests of the whole system: what a pool needs, and what is left on the storage. */
export async function makeGlusterBackend() {
  const server = await GlusterServer.start(2048)
  const directory = join(server.mount, DIRECTORY)
  return {
    driver: 'gluster',
    settings: server.settings(DIRECTORY),
    leftovers: async () =>
      existsSync(directory) ? readdirSync(directory).filter((name) => !/^\.holdfast-(pool|trial)/.test(name)) : [],
    dispose: () => server.dispose(),
    server,
  }
}
