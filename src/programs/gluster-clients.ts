/**
 * Clients of GlusterFS volumes: one for each pool and node, mounted at a private place. A client that died is replaced as
 * soon as nothing of ours is in use through it; what is in use there can only be taken down, and is named.
 */
import { mkdirSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '../model/errors.ts'
import { Lane } from './call-limits.ts'
import { type ClientPlace, clientPid, endClient, startClient } from './gluster-process.ts'
import type { GlusterSettings } from './gluster-settings.ts'
import { LoopDevices } from './loop-devices.ts'
import { type MountedAt, mountedAt } from './mount-table.ts'
import { mountsOfAllNamespaces } from './namespace-mounts.ts'
import type { Programs } from './run.ts'

const UMOUNT_MS = 10_000
/** How long the mount may take to be seen after the client said that it is there. */
const APPEAR_MS = 5000
export const CLIENT_TYPE = 'fuse.glusterfs'

/** A pool, as far as its client needs to know it. */
export interface ClientOf {
  readonly uuid: string
  readonly name: string
  readonly settings: GlusterSettings
}

/** Where a client is mounted, and which one it is: after a repair there is another one at the same place. */
export interface MountedClient {
  readonly target: string
  readonly pid: number | undefined
}

export class GlusterClients {
  private readonly programs: Programs
  private readonly directory: string
  private readonly loops: LoopDevices
  private readonly lanes = new Map<string, Lane>()
  /** Pools that were worked on in this life. */
  private readonly used = new Set<string>()
  private root: string | undefined

  /** @param directory of the node's own, on a local filesystem */
  constructor(programs: Programs, directory: string) {
    this.programs = programs
    this.directory = directory
    this.loops = new LoopDevices(programs)
  }

  /** Where the client of a pool is, or would be, mounted; as the kernel's table has it. */
  target(uuid: string): string {
    if (this.root === undefined) {
      mkdirSync(this.directory, { recursive: true, mode: 0o700 })
      this.root = realpathSync(this.directory)
    }
    return join(this.root, uuid)
  }

  /** The mount of a pool's client, by the kernel's table; it may be dead. */
  async mounted(uuid: string): Promise<MountedAt | undefined> {
    const target = this.target(uuid)
    return (await mountedAt()).findLast((each) => each.target === target && each.type === CLIENT_TYPE)
  }

  /** The client of a pool, mounted now if it is not yet. Whether it still lives is seen by using it. */
  async client(pool: ClientOf, signal: AbortSignal): Promise<MountedClient> {
    const place = this.place(pool.uuid)
    this.used.add(pool.uuid)
    if ((await this.mounted(pool.uuid)) === undefined) {
      await this.lane(pool).run(signal, async () => {
        if ((await this.mounted(pool.uuid)) === undefined) await this.start(pool, signal)
      })
    }
    return { target: place.target, pid: clientPid(place) }
  }

  /**
   * Replaces a client that is dead.
   * @param seen the client as it was when the call was made that failed
   * @param failure of that call
   * @throws storage_failed when it lives, so that it is the storage that does not answer; and when something of ours is
   *   still in use through the dead one (data: users)
   */
  async repair(pool: ClientOf, seen: MountedClient, failure: HoldfastError, signal: AbortSignal): Promise<void> {
    await this.lane(pool).run(signal, async () => {
      const pid = clientPid(this.place(pool.uuid))
      if (pid !== undefined && pid === seen.pid) throw notReached(pool, failure)
      if (pid !== undefined) return
      const dead = await this.mounted(pool.uuid)
      if (dead !== undefined) {
        const users = this.users(dead)
        if (users.length > 0) throw inUse(pool, users)
        // nothing of ours holds it; an administrator's shell in it must not hold us up
        await this.programs.run('umount', ['--internal-only', '--lazy', dead.target], { signal, deadlineMs: UMOUNT_MS })
      }
      await this.start(pool, signal)
    })
  }

  /** Unmounts clients that nothing is in use through. */
  async close(): Promise<void> {
    for (const uuid of this.used) {
      const mount = await this.mounted(uuid)
      if (mount === undefined || this.users(mount).length > 0) continue
      // one that is held all the same, or does not answer, is found again by the next life
      await this.programs
        .run('umount', ['--internal-only', mount.target], {
          signal: AbortSignal.timeout(UMOUNT_MS),
          deadlineMs: UMOUNT_MS,
        })
        .catch(() => undefined)
    }
  }

  /** What is in use through a client: files under loop devices, and directories that are mounted elsewhere. */
  private users({ target, filesystem }: MountedAt): string[] {
    const files = this.loops.list().filter(({ path }) => path.startsWith(`${target}/`))
    const binds = mountsOfAllNamespaces().filter((each) => each.filesystem === filesystem && each.root !== '/')
    return [...new Set([...files.map(({ path }) => path.slice(target.length)), ...binds.map(({ root }) => root)])]
  }

  private async start(pool: ClientOf, signal: AbortSignal): Promise<void> {
    const place = this.place(pool.uuid)
    mkdirSync(place.target, { recursive: true, mode: 0o700 })
    const before = clientPid(place)
    if (before !== undefined) throw unmounted(pool, before)
    const title = `Holdfast: GlusterFS client of ${pool.name}`
    try {
      await startClient(this.programs, place, pool.settings, title, signal)
    } catch (thrown) {
      // given up while it looks for its servers, it would come to mount later
      await endClient(place)
      throw thrown
    }
    for (const end = performance.now() + APPEAR_MS; (await this.mounted(pool.uuid)) === undefined; ) {
      if (performance.now() > end) {
        const text = `The GlusterFS client of ${pool.name} has started and not mounted anything (see ${place.logFile})`
        throw new HoldfastError('storage_failed', text, { log: place.logFile })
      }
      await delay(20)
    }
  }

  private place(uuid: string): ClientPlace {
    const target = this.target(uuid)
    return { target, pidFile: `${target}.pid`, logFile: `${target}.log` }
  }

  private lane({ uuid }: ClientOf): Lane {
    const known = this.lanes.get(uuid)
    if (known !== undefined) return known
    const lane = new Lane(1)
    this.lanes.set(uuid, lane)
    return lane
  }
}

/** What the kernel says of a mount whose client is dead, and a client whose servers are away; and what ended with it. */
export function lostConnection(thrown: unknown): thrown is HoldfastError {
  if (!(thrown instanceof HoldfastError)) return false
  const { errno } = thrown.data
  if (errno === 'ENOTCONN' || errno === 'ECONNABORTED') return true
  return /Transport endpoint is not connected|Software caused connection abort/.test(thrown.message)
}

function notReached({ name, settings }: ClientOf, cause: HoldfastError): HoldfastError {
  const text = `The volume ${settings.volume} of ${name} does not answer: its bricks, or a quorum of them, cannot be reached`
  return new HoldfastError('storage_failed', `${text} from this node`, { ...cause.data }, { cause })
}

/** It may still serve what is in use, so it is not ended; it ends by itself with the last of that. */
function unmounted(pool: ClientOf, pid: number): HoldfastError {
  const text = `The GlusterFS client of ${pool.name} on this node (pid ${pid}) runs, but its mount point was unmounted`
  return new HoldfastError(
    'storage_failed',
    `${text}: stop what uses the pool's volumes here, then it is mounted again`,
    {
      pid,
    },
  )
}

function inUse(pool: ClientOf, users: readonly string[]): HoldfastError {
  const some = users.slice(0, 5).join(', ') + (users.length > 5 ? ` and ${users.length - 5} more` : '')
  const text = `The GlusterFS client of ${pool.name} on this node has died while ${some} were in use through it`
  return new HoldfastError('storage_failed', `${text}: stop what uses them, then it is started again`, { users })
}
