import { existsSync, mkdirSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Logger } from 'pino'
import type { Controller } from '../controller/controller.ts'
import { DEFAULT_ROOTS } from '../doors/csi/config.ts'
import { HoldfastError } from '../model/errors.ts'
import { HttpLink } from '../node/http-link.ts'
import { runController } from './run-controller.ts'
import { type RunningNode, runNode } from './run-node.ts'
import { type RunningProvider, runProvider } from './run-provider.ts'

/** Longest path of a unix socket (unix(7), sun_path is 108 bytes with its NUL). */
const MAX_SOCKET_PATH = 107
const POOL = 'loop~dev~pool'
const READY_MS = 30_000

export interface DevOptions {
  /** Everything is kept under it. */
  readonly dir: string
  readonly nodes: number
  /** Declared capacity of the pool, MiB. */
  readonly poolSizeMiB: number
  /** IOPS of the pool; 0 counts none. */
  readonly poolIops?: number
  /** Name of the Docker volume plugin, or `off`. */
  readonly docker: string | 'off'
  /** URLs of Mesos agents: the first node is the first one's, and so on. */
  readonly mesos?: readonly string[]
  /** Masters of Mesos to watch: without them volumes stay on the agent where they were made. */
  readonly mesosMasters?: string | undefined
  /** 0: any free one. */
  readonly port?: number
  readonly leaseMs?: number
  readonly log: Logger
}

export interface DevNode {
  readonly name: string
  readonly mountRoot: string
  /** Docker's plugin socket. */
  readonly docker: string | null
  /** Socket of the CSI plugin. */
  readonly csi: string
  /** For other processes of the machine. */
  readonly socket: string
  /** URL of the Mesos agent that it provides for. */
  readonly mesos: string | null
}

/** What the ready line says. */
export interface DevReady {
  readonly api: string
  readonly token: string
  /** Where the token is kept. */
  readonly tokenFile: string
  readonly pool: string
  readonly nodes: readonly DevNode[]
}

export interface RunningDev extends DevReady {
  readonly controller: Controller
  readonly running: readonly RunningNode[]
  stop(): Promise<void>
}

/**
 * The embedded mode: a controller, nodes and a loop pool that they share, in one process, all state under one folder.
 * Stopped and started again on the same folder it goes on where it was.
 */
export async function runDev(options: DevOptions): Promise<RunningDev> {
  const dir = resolve(options.dir)
  const nodes = Array.from({ length: options.nodes }, (_, index) => devNode(dir, index, options))
  checkSocketPaths(dir, nodes)
  const closers: (() => Promise<void>)[] = []
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    mkdirSync(join(dir, 'pool'), { recursive: true, mode: 0o700 })
    const leaseMs = options.leaseMs ?? 15_000
    const { log } = options
    const state = join(dir, 'controller')
    const host = '127.0.0.1'
    const controller = await runController({
      state,
      host,
      port: options.port ?? 0,
      insecure: false,
      leaseMs,
      log,
      trustClock: true,
      mesos: { masters: options.mesosMasters, principal: 'holdfast' },
    })
    closers.push(controller.stop)
    const { api, token } = controller
    const running: RunningNode[] = []
    const own = ownDirectories(dir, nodes)
    for (const node of nodes) {
      const started = await startNode(dir, node, { api, token, leaseMs, own, log })
      closers.push(started.stop)
      running.push(started)
    }
    const link = new HttpLink({ api, token })
    try {
      await preparePool(link, options, join(dir, 'pool'), nodes)
    } finally {
      await link.close()
    }
    const providers: RunningProvider[] = []
    // each takes seconds to withdraw
    closers.push(async () => void (await Promise.all(providers.map((provider) => provider.stop()))))
    for (const node of nodes) {
      if (node.mesos !== null) providers.push(await startProvider(dir, node, node.mesos, api, log))
    }
    const ready = { api, token, tokenFile: join(state, 'admin.token'), pool: POOL, nodes }
    return { ...ready, controller: controller.controller, running, stop }
  } catch (thrown) {
    await stop()
    throw thrown
  }
}

function devNode(dir: string, index: number, { docker, mesos = [] }: DevOptions): DevNode {
  const name = `node-${index + 1}`
  return {
    name,
    mountRoot: join(dir, name, 'mnt'),
    docker: docker === 'off' ? null : join(dir, name, 'plugins', `${docker}.sock`),
    csi: join(dir, name, 'csi.sock'),
    socket: join(dir, name, 'node.sock'),
    mesos: mesos[index] ?? null,
  }
}

/** A path that is too long would fail with a bare EINVAL when the socket is made. */
function checkSocketPaths(dir: string, nodes: readonly DevNode[]): void {
  for (const path of nodes.flatMap(({ docker, csi, socket }) => [socket, csi, docker ?? ''])) {
    const length = Buffer.byteLength(path)
    if (length <= MAX_SOCKET_PATH) continue
    throw new HoldfastError(
      'invalid_option',
      `directory ${dir} makes the socket path ${path} ${length} bytes long; at most ${MAX_SOCKET_PATH} are possible: choose a shorter one`,
    )
  }
}

function startNode(
  dir: string,
  node: DevNode,
  { api, token, leaseMs, own, log }: { api: string; token: string; leaseMs: number; own: string[]; log: Logger },
): Promise<RunningNode> {
  return runNode({
    name: node.name,
    api,
    joinToken: token,
    state: join(dir, node.name, 'state'),
    mountRoot: node.mountRoot,
    mountRoots: [],
    labels: {},
    leaseMs,
    socket: node.socket,
    log: log.child({ node: node.name }),
    csi: {
      socket: node.csi,
      roles: ['default'],
      mesos: true,
      // whoever tries it out has volumes shown anywhere among temporary files, but not inside what is ours
      roots: [dir, realpathSync(tmpdir()), tmpdir(), ...DEFAULT_ROOTS],
      own,
    },
    ...(node.docker === null ? {} : { docker: { socket: node.docker, roles: ['default'], trashHours: 24 } }),
  })
}

/** What no caller may have anything shown in. */
function ownDirectories(dir: string, nodes: readonly DevNode[]): string[] {
  const ofNodes = nodes.flatMap(({ name, mountRoot }) => [mountRoot, join(dir, name, 'state')])
  return [join(dir, 'controller'), join(dir, 'pool'), ...ofNodes]
}

function startProvider(dir: string, node: DevNode, agent: string, api: string, log: Logger): Promise<RunningProvider> {
  return runProvider({
    agent,
    api,
    state: join(dir, node.name, 'mesos'),
    nodeSocket: node.socket,
    credential: join(dir, node.name, 'state'),
    log: log.child({ node: node.name }),
  })
}

/** The pool is made and marked the first time; then it is waited for until every node reaches it. */
async function preparePool(
  link: HttpLink,
  options: DevOptions,
  directory: string,
  nodes: readonly DevNode[],
): Promise<void> {
  const marked = existsSync(join(directory, '.holdfast-pool.json'))
  const pools = await link.rest<{ items: { name: string }[] }>('GET', '/v1/pools')
  if (!pools.items.some((pool) => pool.name === POOL)) {
    if (marked) throw new HoldfastError('marker_conflict', `${directory} belongs to another installation; move it away`)
    await link.rest('POST', '/v1/pools', {
      name: POOL,
      driver: 'loop',
      settings: { directory },
      capacityMiB: options.poolSizeMiB,
      iops: options.poolIops ?? 0,
      ...(nodes[0] === undefined ? {} : { markOn: nodes[0].name }),
    })
  }
  const end = Date.now() + READY_MS
  while (nodes.length > 0) {
    const pool = await link.rest<{ nodes: number }>('GET', `/v1/pools/${encodeURIComponent(POOL)}`)
    if (pool.nodes >= nodes.length) return
    if (Date.now() > end) throw new HoldfastError('no_reach', `the nodes do not reach the pool in ${directory}`)
    await new Promise((wake) => setTimeout(wake, 50))
  }
}
