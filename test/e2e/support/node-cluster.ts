/** A controller in this process and node daemons in processes of their own, on real disks, below one directory. */
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import { type RunningController, runController } from '../../../src/cli/run-controller.ts'
import type { FilesystemType } from '../../../src/node/filesystems.ts'
import { HttpLink } from '../../../src/node/http-link.ts'
import { type Disk, makeDisk } from '../../drivers/disk.ts'
import { type TempDir, tempDir } from '../../support/temp-dir.ts'
import { until } from '../../support/until.ts'
import type { Backend } from './backend.ts'
import { taggedWith } from './node-children.ts'
import { loopsUnder, mountsUnder, takeBack } from './node-cleanup.ts'
import { NodeProcess } from './node-daemon.ts'
import { Gate } from './node-gate.ts'
import type { NodeProcessOptions } from './node-process.ts'

export interface ClusterOptions {
  readonly nodes?: readonly string[]
  /** Default 15 s, as in production. */
  readonly leaseMs?: number
  /** After how long a step is overdue; default as in production, a minute and more. */
  readonly overdueMs?: number
  readonly node?: Partial<NodeProcessOptions>
  /** Lets a test stop the programs that daemons start. */
  readonly gated?: boolean
  /** Nodes, by name, that are not on this machine. */
  readonly machines?: Readonly<Record<string, Machine>>
}

/** Another machine, or what stands for one. */
export interface Machine {
  /** The command line that runs a program there. */
  command(program: string, args: readonly string[]): [string, string[]]
  /** Lets programs there reach a port of 127.0.0.1 here, as the same port of 127.0.0.1 there. */
  forward(port: number): Promise<void>
}

export interface PoolOptions {
  readonly name?: string
  readonly fence?: 'driver' | 'manual' | 'self'
  /** The filesystem that the pool's directory is on; by default that of the temporary directory. */
  readonly on?: { readonly type: FilesystemType; readonly sizeMiB: number }
  readonly capacityMiB?: number
  /** Storage of another kind than a directory; the test disposes of it. */
  readonly backend?: Pick<Backend, 'driver' | 'settings'>
}

export interface TestPool {
  readonly name: string
  readonly directory: string
  readonly disk: Disk | undefined
}

/** What tests look at of a volume. */
export interface VolumeView {
  id: string
  name: string
  state: string
  object: string
  pool: string
  epoch: number
  sizeMiB: number
  realSizeMiB?: number
  format: { state: string; uuid?: string; epoch?: number }
  fault?: { code: string; message: string; next: string }
  inUse: boolean
  attachments: AttachmentView[]
  operations: string[]
}

export interface AttachmentView {
  id: string
  node: string
  state: string
  epoch: number
  users: { door: string; id: string }[]
  path?: string
  ageSeconds: number
  reason?: string
}

export interface OperationView {
  id: string
  kind: string
  step: string
  state: string
  attempt: number
  failures: number
  overdue: boolean
  fault?: { code: string; message: string }
  waitingFor?: string
}

export interface StatusView {
  installation: string
  nodes: { up: number; lost: number; items: { id: string; name: string; state: string; reach: string[] }[] }
  operations: { pending: number; running: number; overdue: number; items: OperationView[] }
  stuck: { kind: string; name?: string; state: string; node?: string; sinceSeconds?: number; reason: string }[]
}

export class Cluster {
  readonly dir: string
  readonly nodes: readonly NodeProcess[]
  readonly pools: TestPool[] = []
  gate: Gate | undefined
  readonly #temp: TempDir
  readonly #options: ClusterOptions
  #controller: RunningController | undefined
  #link: HttpLink | undefined
  #log: ReturnType<typeof pino.destination> | undefined
  #port = 0
  #installation = 'none'

  constructor(temp: TempDir, options: ClusterOptions) {
    this.#temp = temp
    this.dir = temp.path
    this.#options = options
    this.nodes = (options.nodes ?? ['a']).map((name) => new NodeProcess(this.#nodeOptions(name)))
  }

  #nodeOptions(name: string): NodeProcessOptions {
    const base = join(this.dir, name)
    return {
      name,
      api: '',
      joinToken: undefined,
      state: join(base, 'state'),
      mountRoot: join(base, 'mnt'),
      mountRoots: [],
      labels: {},
      leaseMs: this.#options.leaseMs ?? 15_000,
      logFile: join(this.dir, `${name}.log`),
      ...this.#options.node,
    }
  }

  async start(): Promise<void> {
    if (this.#options.gated === true) this.gate = new Gate(this.dir)
    for (const node of this.nodes) node.gate = this.#options.machines?.[node.name] ?? this.gate
    await this.startController()
    for (const node of this.nodes) mkdirSync(dirname(node.options.state), { recursive: true })
    await Promise.all(this.nodes.map((node) => this.startNode(node)))
    await this.nodesUp()
  }

  async startController(): Promise<void> {
    this.#log = pino.destination({ dest: join(this.dir, 'controller.log'), sync: true })
    this.#controller = await runController({
      state: join(this.dir, 'controller'),
      host: '127.0.0.1',
      port: this.#port,
      insecure: false,
      leaseMs: this.#options.leaseMs ?? 15_000,
      trustClock: true,
      overdueMs: this.#options.overdueMs,
      log: pino({ level: 'info' }, this.#log),
    })
    const { api, token } = this.#controller
    this.#port = Number(new URL(api).port)
    await this.#link?.close()
    this.#link = new HttpLink({ api, token })
    this.#installation = (await this.status()).installation
  }

  async stopController(): Promise<void> {
    await this.#controller?.stop()
    this.#controller = undefined
    const log = this.#log
    this.#log = undefined
    if (log === undefined) return
    // an open file would keep the directory's mount busy
    const closed = once(log, 'close')
    log.end()
    await closed
  }

  /** Of the names of this installation's objects. */
  get prefix(): string {
    return `hf-${this.#installation.slice(0, 8)}-`
  }

  async startNode(node: NodeProcess): Promise<void> {
    await this.#options.machines?.[node.name]?.forward(this.#port)
    Object.assign(node.options, { api: `http://127.0.0.1:${this.#port}`, joinToken: this.#controller?.token })
    await node.start()
    if (this.#controller === undefined) return
    // one that died again meanwhile is the caller's to start
    await until(async () => !node.alive || (await node.status()).connected, {
      what: `node ${node.name} to be connected`,
    })
  }

  /** Kills a node's daemon if it runs, and starts it again. */
  async restartNode(node: NodeProcess): Promise<void> {
    await node.kill()
    await this.startNode(node)
  }

  async nodesUp(): Promise<void> {
    await until(async () => (await this.status()).nodes.up === this.nodes.length, {
      what: 'all nodes to be up',
      deadlineMs: 20_000,
    })
  }

  rest<T>(method: string, path: string, body?: unknown): Promise<T> {
    if (this.#link === undefined) throw new Error('the cluster has not been started')
    return this.#link.rest<T>(method, path, body)
  }

  /** The newest thousand events. */
  async events(): Promise<{ type: string; data: { message?: string } }[]> {
    const { api = '', token = '' } = this.#controller ?? {}
    const headers = { accept: 'application/json', authorization: `Bearer ${token}` }
    const reply = await fetch(`${api}/v1/events?limit=1000`, { headers })
    return ((await reply.json()) as { items: { type: string; data: { message?: string } }[] }).items
  }

  get<T>(path: string): Promise<T> {
    return this.rest<T>('GET', path)
  }

  post<T = unknown>(path: string, body: unknown = {}): Promise<T> {
    return this.rest<T>('POST', path, body)
  }

  /** Below the cluster's own directory, where every daemon sees it. */
  #makeDisk(type: FilesystemType, sizeMiB: number): Disk {
    const before = process.env.TMPDIR
    process.env.TMPDIR = this.dir
    try {
      return makeDisk(type, sizeMiB)
    } finally {
      if (before === undefined) delete process.env.TMPDIR
      else process.env.TMPDIR = before
    }
  }

  /** Declares a pool, marks it on the first node, and waits until every node reaches it. */
  async addPool(options: PoolOptions = {}): Promise<TestPool> {
    const name = options.name ?? 'loop~test~pool'
    const disk = options.on === undefined ? undefined : this.#makeDisk(options.on.type, options.on.sizeMiB)
    const directory = join(disk?.directory ?? this.dir, name.replaceAll('~', '-'))
    const pool = { name, directory, disk }
    this.pools.push(pool)
    if (options.backend === undefined) mkdirSync(directory)
    const { driver, settings } = options.backend ?? { driver: 'loop', settings: { directory } }
    await this.post('/v1/pools', {
      name,
      driver,
      settings,
      capacityMiB: options.capacityMiB ?? 100_000,
      fence: options.fence ?? 'driver',
      markOn: this.nodes[0]?.name,
    })
    await this.poolReached(name, this.nodes.length)
    return pool
  }

  async poolReached(name: string, nodes: number, deadlineMs = 15_000): Promise<void> {
    const path = `/v1/pools/${encodeURIComponent(name)}`
    await until(async () => (await this.get<{ nodes: number }>(path)).nodes === nodes, {
      what: `${nodes} nodes to reach ${name}`,
      deadlineMs,
    })
  }

  status(): Promise<StatusView> {
    return this.get('/v1/status')
  }

  async addVolume(name: string, more: Record<string, unknown> = {}): Promise<VolumeView> {
    const { volume } = await this.post<{ volume: VolumeView }>('/v1/volumes?wait=60', { name, sizeMiB: 32, ...more })
    return volume
  }

  volume(name: string): Promise<VolumeView> {
    return this.get(`/v1/volumes/${name}`)
  }

  /** Waits until a volume has the state, and gives it. */
  async volumeIs(name: string, state: string, deadlineMs = 30_000): Promise<VolumeView> {
    return await until(
      async () => {
        const volume = await this.volume(name)
        if (volume.state !== state) throw new Error(`it is ${volume.state}: ${JSON.stringify(volume.fault ?? {})}`)
        return volume
      },
      { what: `volume ${name} to be ${state}`, deadlineMs },
    )
  }

  /** Waits until a volume is attached nowhere. */
  async volumeFree(name: string, deadlineMs = 30_000): Promise<void> {
    await until(async () => !(await this.volume(name)).inUse, { what: `volume ${name} to be free`, deadlineMs })
  }

  async operationsDone(deadlineMs = 30_000): Promise<void> {
    await until(
      async () => {
        const { operations } = await this.status()
        if (operations.pending + operations.running === 0) return true
        throw new Error(JSON.stringify(operations.items))
      },
      { what: 'all operations to end', deadlineMs },
    )
  }

  /** The file of a volume's object. */
  file(volume: { object: string; pool: string }): string {
    const pool = this.pools.find((each) => each.name === volume.pool)
    return join(pool?.directory ?? '', `${volume.object}.img`)
  }

  /**
   * What is there besides what belongs: mounts and devices of volumes, half-made files, work that the journals still
   * hold, processes. The figures to expect are how many volumes are mounted and attached.
   */
  leftovers(): Record<string, unknown> {
    const disks = this.pools.flatMap((pool) => pool.disk ?? [])
    const roots = [...disks.map((disk) => disk.directory), ...this.nodes.map((node) => node.options.mountRoot)]
    const mounts = mountsUnder(this.dir).filter(({ target }) => !roots.includes(target))
    const devices = loopsUnder(this.dir, this.prefix).filter(
      ({ device }) => !disks.some((disk) => disk.device === device),
    )
    const files = this.pools.flatMap(({ directory }) => (existsSync(directory) ? readdirSync(directory) : []))
    return {
      mounts: mounts.length,
      devices: devices.length,
      scratch: this.nodes.flatMap((node) => scratchOf(node)),
      partials: files.filter((file) => file.endsWith('.partial')),
      work: this.nodes.flatMap((node) => node.journal('work')).filter((entry) => entry.result === undefined),
      owed: this.nodes.flatMap((node) => node.journal('owed')),
      processes: this.nodes
        .flatMap((node) => (node.tag === undefined ? [] : taggedWith(node.tag)))
        .filter(({ line }) => !/(file-worker|launcher)-child/.test(line)),
    }
  }

  async dispose(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()))
    const tags = this.nodes.flatMap((node) => node.tag ?? [])
    for (const { disk } of this.pools) disk?.thaw()
    await this.#link?.close()
    await this.stopController()
    takeBack(this.dir, this.prefix, tags)
    this.#temp.remove()
  }
}

/** What a cluster without leftovers has, with so many volumes mounted. */
export function tidy(mounted: number): Record<string, unknown> {
  return { mounts: mounted, devices: mounted, scratch: [], partials: [], work: [], owed: [], processes: [] }
}

function scratchOf(node: NodeProcess): string[] {
  const scratch = join(node.options.state, 'scratch')
  return existsSync(scratch) ? readdirSync(scratch) : []
}

/** A running cluster; the caller disposes of it, also when it did not start. */
export async function launchCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const cluster = new Cluster(tempDir(), options)
  try {
    await cluster.start()
    return cluster
  } catch (thrown) {
    await cluster.dispose()
    throw thrown
  }
}

/**
 * A running cluster that is taken back when the test has ended, whatever became of it.
 * @param whenFinished of the test's own context, in tests that run side by side
 */
export async function startCluster(
  options: ClusterOptions = {},
  whenFinished: (work: () => Promise<void>, timeoutMs: number) => void = onTestFinished,
): Promise<Cluster> {
  const cluster = await launchCluster(options)
  whenFinished(() => cluster.dispose(), 60_000)
  return cluster
}
