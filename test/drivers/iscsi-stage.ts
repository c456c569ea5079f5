/** A pool of the driver iscsi, and what tests do with it: two nodes, disks that are written to, a server to be cut off. */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll } from 'vitest'
import type { Driver, PoolTarget } from '../../src/drivers/driver.ts'
import type { FilesystemType } from '../../src/node/filesystems.ts'
import { type RunningDaemon, runningDaemons } from '../../src/programs/storage-daemon.ts'
import { startTgt, type TgtServer } from '../support/tgt-server.ts'
import { until } from '../support/until.ts'
import { tool } from './disk.ts'
import { type IscsiFixture, makeIscsiFixture } from './iscsi-fixture.ts'

const signal = AbortSignal.timeout(1_000_000_000)

/** Somebody who writes to a mounted filesystem until told otherwise, or until it fails. */
export interface Writer {
  readonly target: string
  /** How often it has written. */
  count(): number
  /** Its exit. */
  readonly ended: Promise<unknown[]>
  stop(): Promise<void>
}

/** One for each test file; made by `useIscsi`. */
export class IscsiStage {
  readonly server: TgtServer
  readonly fixture: IscsiFixture
  readonly driver: Driver
  readonly pool: PoolTarget
  /** Another node. Its boot id is not that of this machine, so that nothing is done for it here. */
  readonly other: { readonly driver: Driver; readonly pool: PoolTarget }
  readonly #writers: Writer[] = []
  #last = 0

  constructor(server: TgtServer, fixture: IscsiFixture) {
    this.server = server
    this.fixture = fixture
    this.driver = fixture.driver
    this.pool = fixture.pool
    this.other = fixture.another({ id: 'node-2', bootId: randomUUID() })
  }

  get node(): { readonly driver: Driver; readonly pool: PoolTarget } {
    return { driver: this.driver, pool: this.pool }
  }

  /** A new object, which the other node has heard of as well. */
  async create(sizeMiB = 32): Promise<string> {
    this.#last += 1
    const object = `v${this.#last}`
    await this.driver.create(this.pool, object, sizeMiB, signal)
    await this.other.driver.inspect(this.other.pool, object, signal)
    return object
  }

  async attach(object: string, iops?: number): Promise<string> {
    return (await this.driver.attach(this.pool, object, false, signal, iops)).device
  }

  async detach(object: string): Promise<void> {
    await this.driver.detach(this.pool, object, signal)
  }

  async attachOther(object: string, readOnly = false): Promise<string> {
    return (await this.other.driver.attach(this.other.pool, object, readOnly, signal)).device
  }

  async detachOther(object: string): Promise<void> {
    await this.other.driver.detach(this.other.pool, object, signal)
  }

  /** What the server has, as it says. */
  targets(): string {
    return this.server.admin('--op', 'show', '--mode', 'target')
  }

  targetOf(object: string): string {
    return `iqn.2026-11.holdfast:${this.pool.uuid}.${object}`
  }

  /** The process that has an object here. */
  daemonOf(object: string): RunningDaemon {
    const name = this.targetOf(object)
    const [daemon] = runningDaemons(({ target }) => target === name || target.startsWith(`${name}:`))
    if (daemon === undefined) throw new Error(`no storage daemon has ${object}`)
    return daemon
  }

  async mount(device: string, target: string, type: FilesystemType, readOnly = false): Promise<void> {
    await this.fixture.filesystems.mount(device, target, { type, readOnly, flags: [] }, signal)
  }

  async unmount(target: string): Promise<void> {
    await this.fixture.filesystems.unmount(target, signal)
  }

  /** Makes a filesystem with a file `before` in it, mounts it, and writes to it. */
  async write(device: string, type: FilesystemType = 'ext4'): Promise<Writer> {
    const target = join(this.fixture.scratch, randomUUID())
    await this.fixture.filesystems.make(device, type, randomUUID(), signal)
    await this.mount(device, target, type)
    writeFileSync(join(target, 'before'), 'kept')
    tool('sync', '--file-system', target)
    const script = 'while dd if=/dev/zero of="$0" bs=4k count=1 oflag=direct 2>/dev/null; do echo; done'
    const child = spawn('sh', ['-c', script, join(target, 'file')], { stdio: ['ignore', 'pipe', 'ignore'] })
    let count = 0
    child.stdout.on('data', (chunk: Buffer) => {
      count += chunk.length
    })
    const ended = once(child, 'exit')
    const stop = async () => {
      child.kill('SIGKILL')
      await ended
    }
    const writer = { target, count: () => count, ended, stop }
    this.#writers.push(writer)
    await until(() => count > 0, { what: 'the first write' })
    return writer
  }

  /** Lets a node look at the pool again and again, as its daemon does, until the work is done. */
  async looking<T>(work: Promise<T>, { driver, pool } = this.node): Promise<T> {
    const timer = setInterval(() => void driver.probe(pool, signal).catch(() => undefined), 100)
    return await work.finally(() => clearInterval(timer))
  }

  /** After each test: whatever became of it, the server answers and nobody writes. */
  async calm(): Promise<void> {
    this.server.signal('SIGCONT')
    if (!this.server.runs()) await this.server.start()
    for (const writer of this.#writers.splice(0)) await writer.stop()
  }
}

/** For the tests of the calling `describe`: a server, and a pool that gives disks up after a second. */
export function useIscsi(): () => IscsiStage {
  let server: TgtServer | undefined
  let stage: IscsiStage | undefined
  beforeAll(async () => {
    server = await startTgt()
    stage = new IscsiStage(server, await makeIscsiFixture(server, 'xfs', { patience: '1' }))
    await stage.driver.mark(stage.pool, signal)
  }, 60_000)
  afterEach(() => stage?.calm())
  afterAll(async () => {
    await stage?.fixture.dispose().finally(() => server?.dispose())
  }, 60_000)
  return () => {
    if (stage === undefined) throw new Error('the stage was not set up')
    return stage
  }
}
