/**
 * The disks that this node has from iSCSI targets: for each a storage daemon, which shows it as a file, and a loop device
 * on that file. What is there is read from the kernel and the table of processes, never remembered: the node daemon may
 * have been started anew.
 */
import { mkdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import type { FileFacts } from './file-protocol.ts'
import { type LoopDevice, LoopDevices } from './loop-devices.ts'
import { readMounts } from './mount-table.ts'
import type { Programs } from './run.ts'
import { endDaemons, monitorOf, type RunningDaemon, runningDaemons } from './storage-daemon.ts'

const STAT_MS = 5000
const UMOUNT_MS = 10_000
const SUFFIX = '.disk'

/** What there is of a disk; any of its parts may be missing after an interruption. */
export interface LocalDisk {
  readonly object: string
  readonly file: string
  readonly daemons: readonly RunningDaemon[]
  readonly loops: readonly LoopDevice[]
  /** Whether the kernel's table has the file as a mount. */
  readonly shown: boolean
}

export class IscsiDisks {
  private readonly programs: Programs
  private readonly directory: string
  private readonly devices: LoopDevices
  private readonly waits = new Map<string, { progress: string; since: number }>()
  private root: string | undefined

  /** @param directory of the node's own, on a local filesystem */
  constructor(programs: Programs, directory: string) {
    this.programs = programs
    this.directory = directory
    this.devices = new LoopDevices(programs)
  }

  /** The file that shows an object; as the kernel's tables have it. */
  file(poolUuid: string, object: string): string {
    if (this.root === undefined) {
      mkdirSync(this.directory, { recursive: true, mode: 0o700 })
      this.root = realpathSync(this.directory)
    }
    return join(this.root, poolUuid, `${object}${SUFFIX}`)
  }

  /** What there is of the disks of a pool, by name order, or of one. */
  async present(poolUuid: string, object?: string): Promise<LocalDisk[]> {
    const directory = dirname(this.file(poolUuid, 'any'))
    const disks = await this.find((path) => dirname(path) === directory)
    return object === undefined ? disks : disks.filter((disk) => disk.object === object)
  }

  /** What a node of this machine has of an object, which need not be this node. */
  async ofInitiator(poolUuid: string, object: string, initiator: string): Promise<LocalDisk[]> {
    const own = this.file(poolUuid, object)
    const disks = await this.find((path) => path.endsWith(`/${poolUuid}/${object}${SUFFIX}`))
    return disks.filter(({ daemons, file }) =>
      // of one whose daemon has ended it is seen only that it is not ours
      daemons.length === 0 ? file !== own : daemons.some((daemon) => daemon.initiator === initiator),
    )
  }

  private async find(wanted: (path: string) => boolean): Promise<LocalDisk[]> {
    const isWanted = (path: string) => path.endsWith(SUFFIX) && wanted(path)
    const daemons = runningDaemons(({ file }) => isWanted(file))
    const loops = this.devices.list().filter(({ path }) => isWanted(path))
    const shown = (await readMounts()).map(({ target }) => target).filter(isWanted)
    const files = new Set([...daemons.map(({ file }) => file), ...loops.map(({ path }) => path), ...shown])
    return [...files].sort().map((file) => ({
      object: basename(file).slice(0, -SUFFIX.length),
      file,
      daemons: daemons.filter((each) => each.file === file),
      loops: loops.filter(({ path }) => path === file),
      shown: shown.includes(file),
    }))
  }

  /** Sets the loop device up on the file. */
  async attach(object: string, file: string, readOnly: boolean, signal: AbortSignal): Promise<string> {
    const facts = await this.facts(object, file, signal)
    // Without direct I/O the kernel writes to the file one request after the other. The FUSE export of QEMU mixes up
    // the data of writes that are in flight at the same time (seen with 7.2: one request's buffer is read into while
    // another is being written from it).
    return await this.devices.attach(facts, readOnly, 'off', signal)
  }

  /** Lets a device take the size that its file has by now. */
  async refresh({ object, file }: LocalDisk, device: string, signal: AbortSignal): Promise<void> {
    await this.facts(object, file, signal)
    await this.devices.refresh(device, signal)
  }

  /**
   * Takes a disk down, and returns when nothing of it is left.
   * @throws still_mounted when something holds the device; stuck
   */
  async takeDown(disk: LocalDisk, signal: AbortSignal): Promise<void> {
    try {
      await this.devices.detach(disk.loops, signal)
    } catch (thrown) {
      if (!(thrown instanceof HoldfastError) || !['storage_timeout', 'stuck'].includes(thrown.code)) throw thrown
      // the last close of a device waits for what is in flight, which without its daemon fails at once
      await endDaemons(disk.daemons, 'SIGKILL')
      await this.devices.detach(disk.loops, signal)
    }
    await endDaemons(disk.daemons, 'SIGTERM')
    await this.hide(disk.file, signal)
  }

  /** Gives a disk up: from now on everything that is asked of it fails, and what waits for it goes on. */
  async giveUp(disk: LocalDisk): Promise<void> {
    await endDaemons(disk.daemons, 'SIGKILL')
  }

  /** Whether something has been asked of a disk and was not answered for so long. Has to be called again and again. */
  isStuck(disk: LocalDisk, patienceMs: number | undefined): boolean {
    return disk.loops.some(({ device }) => {
      const waiting = requestsOf(basename(device))
      const before = this.waits.get(device)
      if (waiting === undefined || before?.progress !== waiting) {
        if (waiting === undefined) this.waits.delete(device)
        else this.waits.set(device, { progress: waiting, since: performance.now() })
        return false
      }
      return patienceMs !== undefined && performance.now() - before.since >= patienceMs
    })
  }

  /** Asked of the daemon itself: the kernel would answer for a second with what it was told before, and set sizes by it. */
  private async facts(object: string, file: string, signal: AbortSignal): Promise<FileFacts> {
    const args = ['--cached=never', '--format=%Hd:%Ld %i %s %b', '--', file]
    const { stdout } = await this.programs.run('stat', args, { signal, deadlineMs: STAT_MS })
    const [filesystem = '', inode = '', size, blocks] = stdout.trim().split(' ')
    return { object, path: file, size: Number(size), blocks: Number(blocks), filesystem, inode, links: 1 }
  }

  /** A daemon leaves its mount behind. */
  private async hide(file: string, signal: AbortSignal): Promise<void> {
    for (const { target } of (await readMounts()).filter((entry) => entry.target === file)) {
      const words = ['--internal-only', '--lazy', target]
      await this.programs.run('umount', words, { signal, deadlineMs: UMOUNT_MS, accept: [0, 1, 32] })
    }
    for (const path of [file, monitorOf(file)]) rmSync(path, { force: true })
  }
}

/**
 * How far a device has come, while requests to it are under way; undefined while there are none (the kernel's
 * Documentation/block/stat.rst: requests done are fields 1, 5, 12 and 16, those in flight field 9).
 */
function requestsOf(name: string): string | undefined {
  try {
    const fields = readFileSync(`/sys/block/${name}/stat`, 'utf8').trim().split(/\s+/)
    if (Number(fields[8]) === 0) return undefined
    return [0, 4, 11, 15].map((index) => fields[index]).join(' ')
  } catch {
    return undefined // it is gone
  }
}
