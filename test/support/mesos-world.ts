import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type RunningDev, runDev } from '../../src/cli/dev.ts'
import { createLog } from '../../src/controller/http/log.ts'
import type { Command } from '../../src/ledger/commands.ts'
import { requiredAcls } from '../../src/mesos/acls.ts'
import { HttpLink } from '../../src/node/http-link.ts'
import { type AgentOptions, type Mesos, startMesos } from './mesos/cluster.ts'
import { type TempDir, tempDir } from './temp-dir.ts'
import { until } from './until.ts'

/** Programs that it needs, for `needs(...)`. */
export const MESOS_WORLD_NEEDS = ['root', 'loop-devices', 'mkfs.ext4', 'unshare'] as const

export interface WorldOptions {
  /** One machine for each: an agent, a node daemon, a provider. Two when not given. */
  readonly agents?: readonly AgentOptions[]
  /** Of the pool that is there from the start, which is not shown to Mesos yet. */
  readonly poolSizeMiB?: number
  readonly poolIops?: number
  /** Roles that the masters' ACLs keep from touching what is ours; not given: there are no ACLs. */
  readonly guardedRoles?: readonly string[]
  readonly leaseMs?: number
}

/** A double of Mesos and a Holdfast beside it: the machine of agent N is node-N. */
export interface MesosWorld {
  readonly mesos: Mesos
  readonly dev: RunningDev
  /** As an administrator. */
  readonly link: HttpLink
  readonly directory: string
  /** `PATCH /v1/pools/…` with `mesos`. */
  showPool(mesos: object, pool?: string): Promise<void>
  /** One more pool, on a sparse image with xfs, where objects may be as large as one likes. */
  addLargePool(name: string, capacity: { capacityMiB: number; iops: number }): Promise<void>
  /** Leaves nothing behind; waits until Mesos' volumes are let go. */
  stop(): Promise<void>
}

export async function startWorld(options: WorldOptions = {}): Promise<MesosWorld> {
  const directory = tempDir()
  const closers: (() => Promise<unknown> | unknown)[] = [() => directory.remove()]
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    return await compose(options, directory, closers, stop)
  } catch (thrown) {
    await stop()
    throw thrown
  }
}

async function compose(
  { agents = [{}, {}], poolSizeMiB = 102_400, poolIops = 0, guardedRoles, leaseMs = 15_000 }: WorldOptions,
  { path }: TempDir,
  closers: (() => Promise<unknown> | unknown)[],
  stop: () => Promise<void>,
): Promise<MesosWorld> {
  const named = agents.map((agent, index) => ({ hostname: `node-${index + 1}`, ...agent }))
  const acls = guardedRoles === undefined ? undefined : requiredAcls({ principal: 'holdfast', roles: guardedRoles })
  const mesos = await startMesos({ workDir: join(path, 'm'), agents: named, acls })
  closers.push(() => mesos.stop())
  const dir = join(path, 'd')
  const images = join(path, 'images')
  closers.push(() => unmountAll(path))
  const urls = mesos.agents.map(({ url }) => url)
  const log = createLog('error')
  const dev = await runDev({
    dir,
    nodes: named.length,
    poolSizeMiB,
    poolIops,
    docker: 'off',
    mesos: urls,
    leaseMs,
    log,
  })
  closers.push(() => dev.stop())
  // providers withdraw in good order only from agents that are there, which takes its time
  closers.push(() => mesos.stop())
  if (acls !== undefined) {
    const command: Command = { kind: 'guard.set', state: 'verified', why: [] }
    await dev.controller.engine.submit({ actor: 'test', command })
  }
  const link = new HttpLink({ api: dev.api, token: dev.token })
  closers.push(() => link.close())
  closers.push(() => letGo(link))
  return {
    ...{ mesos, dev, link, directory: path, stop },
    showPool: async (settings, pool = dev.pool) => {
      await link.rest('PATCH', `/v1/pools/${encodeURIComponent(pool)}`, { mesos: settings })
    },
    addLargePool: (name, capacity) => addLargePool(link, join(images, name), name, capacity, named.length),
  }
}

async function addLargePool(link: HttpLink, directory: string, name: string, capacity: object, nodes: number) {
  mkdirSync(directory, { recursive: true })
  const image = `${directory}.img`
  writeFileSync(image, '')
  execFileSync('truncate', ['--size=64G', image])
  execFileSync('mkfs.xfs', ['-q', image])
  execFileSync('mount', ['-o', 'loop', image, directory])
  await link.rest('POST', '/v1/pools', { name, driver: 'loop', settings: { directory }, markOn: 'node-1', ...capacity })
  const path = `/v1/pools/${encodeURIComponent(name)}`
  await until(async () => (await link.rest<{ nodes: number }>('GET', path)).nodes === nodes, {
    what: `all nodes to reach ${name}`,
    deadlineMs: 20_000,
  })
}

function unmountAll(folder: string): void {
  const mounts = execFileSync('cat', ['/proc/self/mounts'], { encoding: 'utf8' }).split('\n')
  const targets = mounts.map((line) => line.split(' ')[1] ?? '').filter((target) => target.startsWith(`${folder}/`))
  for (const target of targets.reverse()) execFileSync('umount', [target])
}

/** A machine gives a volume back some seconds after its task; what is still mounted then could not be removed. */
async function letGo(link: HttpLink): Promise<void> {
  const free = async () => (await link.rest<{ items: unknown[] }>('GET', '/v1/attachments')).items.length === 0
  await until(free, { what: 'all volumes to be let go', deadlineMs: 30_000, everyMs: 100 })
}
