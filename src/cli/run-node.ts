import { mkdirSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { createDockerDoor } from '../doors/docker/door.ts'
import { createLocalDoor } from '../doors/local/local-door.ts'
import type { Driver } from '../drivers/driver.ts'
import { HoldfastError } from '../model/errors.ts'
import { nodeCredential } from '../node/credential.ts'
import { NodeDaemon } from '../node/daemon.ts'
import { HttpLink } from '../node/http-link.ts'
import { machineId, readBootId } from '../node/identity.ts'
import { MountPoints } from '../node/mount-points.ts'
import { SqliteJournal } from '../node/sqlite-journal.ts'
import { KernelWatchdog } from '../node/watchdog.ts'
import { createFilesystemTools } from '../programs/filesystem-tools.ts'
import { Launcher } from '../programs/launcher.ts'
import { clearScratch } from '../programs/scratch.ts'
import { shareMounts } from '../programs/share-mounts.ts'
import { endSurvivors } from '../programs/survivors.ts'
import { systemClock } from '../runtime/system-clock.ts'
import { prepareDirectory } from '../store/sqlite/directory.ts'
import { DirectoryLock } from '../store/sqlite/lock.ts'
import type { CsiDoorOptions } from './csi-door.ts'
import { nodeDrivers } from './node-drivers.ts'
import { VERSION } from './version.ts'

export interface DockerDoorOptions {
  /** Path of the plugin's unix socket; its name without `.sock` is the driver's name. */
  readonly socket: string
  readonly roles: readonly string[]
  readonly trashHours: number
  /** Docker's own API socket, to find users whose Unmount was skipped. */
  readonly api?: string | undefined
}

export interface NodeOptions {
  readonly name: string
  /** URL of the controller. */
  readonly api: string
  /** Used once, when the node has no credential yet. */
  readonly joinToken: string | undefined
  /** PEM of the controller's authority. */
  readonly ca?: string | undefined
  readonly state: string
  readonly mountRoot: string
  /** Directories under which callers may choose a mount point. */
  readonly mountRoots: readonly string[]
  /** Where drivers' programs are looked for besides the usual directories of the system. */
  readonly programDirectories?: readonly string[] | undefined
  readonly labels: Readonly<Record<string, string>>
  /** Watchdog device, for pools with `fence: self`. */
  readonly watchdog?: string | undefined
  /** Where the kernel describes its watchdogs. Default `/sys/class/watchdog`. */
  readonly watchdogSysfs?: string | undefined
  readonly leaseMs: number
  /** How often a pool that is reached is looked at, ms; 10,000 if not given. */
  readonly probeEveryMs?: number | undefined
  readonly docker?: DockerDoorOptions | undefined
  readonly csi?: CsiDoorOptions | undefined
  /** Unix socket for other processes of this machine, such as the provider for Mesos. */
  readonly socket?: string | undefined
  /** Puts something between the node and a driver: a test makes its calls fail. */
  readonly wrapDriver?: (driver: Driver) => Driver
  readonly log: Logger
}

export interface RunningNode {
  readonly daemon: NodeDaemon
  /** Stops the daemon and its doors; what is mounted stays mounted. */
  stop(): Promise<void>
}

/** Composes a node of real parts and starts it. What was opened is closed in reverse order. */
export async function runNode(options: NodeOptions): Promise<RunningNode> {
  const closers: (() => Promise<void> | void)[] = []
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    const daemon = await compose(options, closers)
    return { daemon, stop }
  } catch (thrown) {
    await stop()
    throw thrown
  }
}

async function compose(options: NodeOptions, closers: (() => Promise<void> | void)[]): Promise<NodeDaemon> {
  if (process.geteuid?.() !== 0) {
    throw new HoldfastError('forbidden', 'the node daemon mounts filesystems and must run as root')
  }
  const directory = prepareDirectory(options.state)
  const lock = new DirectoryLock(directory, 'node')
  closers.push(() => lock.release())
  const machine = machineId(directory)
  const survivors = await endSurvivors(machine)
  if (survivors.length > 0) options.log.warn({ event: 'children.survive', pids: survivors })
  const programs = new Launcher(machine, options.programDirectories)
  closers.push(() => programs.close())
  mkdirSync(options.mountRoot, { recursive: true, mode: 0o755 })
  // as the kernel's table of mounts has it
  const mountRoot = realpathSync(options.mountRoot)
  closers.push(await shareMounts(programs, mountRoot))
  const scratchDirectory = join(directory, 'scratch')
  await clearScratch(programs, scratchDirectory)
  const journal = new SqliteJournal(join(directory, 'journal.db'))
  closers.push(() => journal.close())
  const filesystems = createFilesystemTools({ programs, scratchDirectory, ownRoots: [mountRoot] })
  const drivers = nodeDrivers({
    ...{ programs, filesystems, directory: join(directory, 'drivers') },
    log: (event, data) => options.log.info({ event, ...data }),
  })
  for (const driver of drivers) closers.push(() => driver.close())
  const token = await joinOnce(options, directory, machine)
  const link = new HttpLink({ api: options.api, token, ca: options.ca })
  closers.push(() => link.close())
  const { log } = options
  const watchdog =
    options.watchdog === undefined ? undefined : new KernelWatchdog(options.watchdog, options.watchdogSysfs)
  const bootId = readBootId()
  const daemon = new NodeDaemon({
    link,
    journal,
    filesystems,
    watchdog,
    clock: systemClock,
    drivers: new Map(drivers.map((driver) => [driver.name, options.wrapDriver?.(driver) ?? driver])),
    mountPoints: new MountPoints(mountRoot, options.mountRoots),
    bootId,
    machineId: machine,
    version: VERSION,
    leaseMs: options.leaseMs,
    probeEveryMs: options.probeEveryMs,
    log: (event, data) => log.info({ event, ...data }),
  })
  if (watchdog !== undefined) closers.push(() => watchdog.close(daemon.reliesOnWatchdog))
  daemon.start()
  closers.push(() => daemon.stop())
  if (options.socket !== undefined) {
    const door = createLocalDoor({ node: daemon, mountRoot, socket: options.socket, log })
    await door.listen()
    closers.push(() => door.close())
  }
  if (options.docker !== undefined) {
    const { socket, roles, trashHours, api } = options.docker
    const config = { roles, trashHours, ...(api === undefined ? {} : { api }) }
    const door = createDockerDoor({ node: daemon, rest: link, socket, config, log })
    await door.listen()
    closers.push(() => door.close())
  }
  if (options.csi !== undefined) {
    // gRPC is large, and not everybody needs it
    const { csiDoor } = await import('./csi-door.ts')
    const parts = { daemon, name: options.name, link, journal, programs, bootId, own: [mountRoot, directory], log }
    const door = csiDoor({ ...parts, options: options.csi })
    await door.listen()
    closers.push(() => door.close())
  }
  return daemon
}

function joinOnce(options: NodeOptions, directory: string, machine: string): Promise<string> {
  const { name, labels, api, ca, joinToken } = options
  return nodeCredential({
    directory,
    name,
    labels,
    machineId: machine,
    join: async (body) => {
      if (joinToken === undefined) {
        throw new HoldfastError(
          'unauthenticated',
          `node ${name} has no credential in ${directory} yet; give it a join token (holdfast node token)`,
        )
      }
      const link = new HttpLink({ api, ca, token: joinToken })
      await link.rest('POST', '/v1/nodes/join', body).finally(() => link.close())
    },
  })
}
