/** Storage for tests of the driver gluster: a real server for a whole file, and a pool of its own for each test. */
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Driver, PoolTarget } from '../../src/drivers/driver.ts'
import { createGlusterDriver } from '../../src/drivers/gluster.ts'
import { readBootId } from '../../src/node/identity.ts'
import { createFilesystemTools } from '../../src/programs/filesystem-tools.ts'
import { clientPid } from '../../src/programs/gluster-process.ts'
import { createPrograms } from '../../src/programs/run.ts'
import { mountsUnder } from '../e2e/support/node-cleanup.ts'
import { startServer, VOLUME } from '../support/gluster.ts'
import type { GlusterPeer } from '../support/gluster-peer.ts'
import { tempDir } from '../support/temp-dir.ts'
import type { DriverFixture } from './contract.ts'
import { makeDisk, releaseAll, tool } from './disk.ts'
import { fillUp } from './loop-fixture.ts'

export class GlusterServer {
  readonly peer: GlusterPeer
  /** The volume, mounted for us alone. */
  readonly mount: string
  readonly #close: (() => void | Promise<void>)[]

  private constructor(peer: GlusterPeer, mount: string, close: (() => void | Promise<void>)[]) {
    this.peer = peer
    this.mount = mount
    this.#close = close
  }

  static async start(sizeMiB = 1024): Promise<GlusterServer> {
    const temp = tempDir()
    const disk = makeDisk('xfs', sizeMiB)
    const close: (() => void | Promise<void>)[] = [temp.remove, () => disk.dispose()]
    try {
      const brick = join(disk.directory, 'brick')
      const peer = await startServer(join(temp.path, 'peer'), brick)
      close.push(() => peer.dispose())
      const mount = join(temp.path, 'mnt')
      mkdirSync(mount)
      const where = [`--volfile-server=${peer.options.address}`, `--volfile-id=${VOLUME}`]
      tool('glusterfs', ...where, `--log-file=${join(temp.path, 'mnt.log')}`, '--attribute-timeout=0', mount)
      close.push(() => void tool('umount', mount))
      return new GlusterServer(peer, mount, close)
    } catch (thrown) {
      for (const each of close.reverse()) await each()
      throw thrown
    }
  }

  get address(): string {
    return this.peer.options.address
  }

  settings(directory: string): Record<string, string> {
    return { volume: `${this.address}:/${VOLUME}`, directory }
  }

  async dispose(): Promise<void> {
    for (const each of this.#close.splice(0).reverse()) await each()
  }
}

/** A node's own driver, which keeps its clients below a directory of the node. */
export interface GlusterNode {
  readonly driver: Driver
  readonly clients: string
  /** Process id of the pool's client. */
  clientPid(pool: PoolTarget): number | undefined
}

export interface GlusterFixture extends DriverFixture, GlusterNode {
  readonly server: GlusterServer
  readonly directory: string
  /** Another node, or with the same name another life of one. @param tag marks its children */
  node(name: string, tag?: string): GlusterNode
}

export async function makeGlusterFixture(server: GlusterServer): Promise<GlusterFixture> {
  const temp = tempDir()
  const scratch = join(temp.path, 'scratch')
  mkdirSync(scratch)
  const uuid = randomUUID()
  const directory = `/${uuid.slice(0, 8)}`
  const opened: Driver[] = []
  const node = (name: string, tag?: string): GlusterNode => {
    const programs = createPrograms(undefined, tag)
    const clients = join(temp.path, name)
    const filesystems = createFilesystemTools({ programs, scratchDirectory: scratch })
    const driver = createGlusterDriver({ programs, filesystems, directory: clients })
    opened.push(driver)
    return { driver, clients, clientPid: (pool) => clientPid(placeOf(clients, pool.uuid)) }
  }
  const own = node('node-1')
  const ballast = join(server.mount, `ballast-${uuid}`)
  return {
    ...{ server, scratch, directory, node, bootId: readBootId() },
    ...own,
    filesystems: createFilesystemTools({ programs: createPrograms(), scratchDirectory: scratch }),
    pool: {
      ...{ id: 'pool-1', name: 'gluster~test~pool', uuid, installation: randomUUID() },
      settings: server.settings(directory),
      node: { id: 'node-1', bootId: readBootId() },
      handleOf: () => undefined,
    },
    makeReadOnly: async () => void tool('mount', '-o', 'remount,ro', join(own.clients, uuid)),
    fill: async () => {
      mkdirSync(ballast)
      fillUp(ballast)
    },
    async dispose() {
      releaseAll(temp.path)
      for (const { target } of mountsUnder(scratch).reverse()) attempt('umount', target)
      await Promise.all(opened.map((driver) => driver.close()))
      for (const { target } of mountsUnder(temp.path).reverse()) attempt('umount', target)
      for (const each of [join(server.mount, directory), ballast]) rmSync(each, { recursive: true, force: true })
      temp.remove()
    },
  }
}

function placeOf(clients: string, uuid: string) {
  const target = join(clients, uuid)
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
  return {
    driver: 'gluster',
    settings: server.settings('/pool'),
    leftovers: async () =>
      readdirSync(join(server.mount, 'pool')).filter((name) => !/^\.holdfast-(pool|trial)/.test(name)),
    dispose: () => server.dispose(),
    server,
  }
}
