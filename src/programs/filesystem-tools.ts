/** The kernel's filesystems by their tools: blkid, mkfs, mount and so on, each in a child that can be ended. */
import { mkdir, mkdtemp, realpath, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import type { BlockFilesystemType, Filesystems, FilesystemType, MountEntry, Signature } from '../node/filesystems.ts'
import { usersOfMount } from './device-users.ts'
import { DirectoryFilesystem } from './directory-filesystem.ts'
import { changeUuid, makeFilesystem } from './filesystem-writers.ts'
import { mountOptions } from './mount-options.ts'
import { readMounts } from './mount-table.ts'
import { errnoOf } from './pool-paths.ts'
import { probeDevice } from './probe-device.ts'
import type { Programs } from './run.ts'

const STAT_MS = 5000
const MOUNT_MS = 60_000
/** Without any I/O for so long a tool that may run for hours counts as hanging. */
const PROGRESS_MS = 60_000
/** The kernel resizes no btrfs to less (btrfs_ioctl_resize). */
const LEAST_BTRFS_MIB = 256

export interface FilesystemToolsDeps {
  readonly programs: Programs
  /** Where a filesystem is mounted for a moment when it must be (growing an idle xfs or btrfs). Default: the system's. */
  readonly scratchDirectory?: string
  /**
   * Directories whose empty mount points are ours to remove even if an earlier process made them, e.g.
   * `/var/lib/holdfast/mnt`. Elsewhere only those that this object made are removed.
   */
  readonly ownRoots?: readonly string[]
}

export function createFilesystemTools(deps: FilesystemToolsDeps): Filesystems {
  return new FilesystemTools(deps)
}

class FilesystemTools implements Filesystems {
  private readonly programs: Programs
  private readonly scratchDirectory: string
  private readonly ownRoots: readonly string[]
  private readonly made = new Set<string>()
  private readonly directories: DirectoryFilesystem

  constructor(deps: FilesystemToolsDeps) {
    this.programs = deps.programs
    this.scratchDirectory = deps.scratchDirectory ?? tmpdir()
    this.ownRoots = deps.ownRoots ?? []
    this.directories = new DirectoryFilesystem(deps.programs)
  }

  async probe(device: string, signal: AbortSignal): Promise<Signature> {
    if (!isDevice(device)) return await this.directories.probe(device)
    return await probeDevice(this.programs, device, signal)
  }

  async make(device: string, type: FilesystemType, uuid: string, signal: AbortSignal): Promise<void> {
    if (type === 'directory') return await this.directories.make(device, uuid)
    await makeFilesystem(this.programs, device, type, uuid, signal)
  }

  async changeUuid(device: string, type: FilesystemType, uuid: string, signal: AbortSignal): Promise<void> {
    if (type === 'directory') return await this.directories.changeUuid(device, uuid)
    await this.refuseMounted(device)
    await changeUuid(this.programs, this.scratchDirectory, device, type, uuid, signal)
  }

  async mount(
    device: string,
    target: string,
    options: { type: FilesystemType; readOnly: boolean; flags: readonly string[] },
    signal: AbortSignal,
  ): Promise<void> {
    checkTarget(target)
    if (options.type === 'directory') return await this.bind(device, target, options.readOnly, signal)
    const words = mountOptions(options.type, options.readOnly, options.flags)
    const made = await this.makeTarget(target)
    // --internal-only: no mount.TYPE helper. --rw: a write-protected device is refused and not mounted read-only behind
    // the caller's back.
    const mode = options.readOnly ? '--read-only' : '--rw'
    const args = ['--internal-only', mode, '-t', options.type, '-o', words, '--source', device, '--target', target]
    try {
      await this.programs.run('mount', args, { signal, deadlineMs: MOUNT_MS })
    } catch (error) {
      if (await this.mountedAs(device, target, options.readOnly)) return
      if (made) await this.removeTarget(target)
      throw error
    }
  }

  private async bind(directory: string, target: string, readOnly: boolean, signal: AbortSignal): Promise<void> {
    const made = await this.makeTarget(target)
    try {
      await this.directories.bind(directory, target, readOnly, signal)
    } catch (error) {
      if (made) await this.removeTarget(target)
      throw error
    }
  }

  async unmount(target: string, signal: AbortSignal): Promise<void> {
    checkTarget(target)
    // One mount may lie over another.
    for (let entry = await this.topMount(target); entry !== undefined; entry = await this.topMount(target)) {
      const { code, stderr } = await this.programs.run('umount', ['--internal-only', target], {
        signal,
        deadlineMs: MOUNT_MS,
        accept: [0, 1, 32],
      })
      if (code === 0 || /not mounted/.test(stderr)) continue
      if (/busy/.test(stderr)) throw await busyError(target, entry)
      throw new HoldfastError('storage_failed', `${target} could not be unmounted: ${stderr.trim()}`, { target })
    }
    if (this.isOurs(target)) await this.removeTarget(target)
  }

  async grow(device: string, type: FilesystemType, target: string | undefined, signal: AbortSignal): Promise<void> {
    // the storage that made it grows it
    if (type === 'directory') return
    if (type === 'ext4') {
      // resize2fs works on the device either way; idle, it wants a checked filesystem. 1: errors were corrected.
      if (target === undefined) await this.long('e2fsck', ['-f', '-p', device], signal, [0, 1])
      await this.growExt4(device, signal)
    } else if (target === undefined) {
      await this.mountedForAMoment(device, type, signal, (scratch) => this.growMounted(type, scratch, signal))
    } else {
      await this.growMounted(type, target, signal)
    }
  }

  async freeze(target: string, signal: AbortSignal): Promise<void> {
    const { code, stderr } = await this.programs.run('fsfreeze', ['--freeze', target], {
      signal,
      deadlineMs: MOUNT_MS,
      accept: [0, 1],
    })
    if (code === 0) return
    if (/resource busy/.test(stderr)) {
      throw new HoldfastError('in_use', `${target} is frozen already, perhaps by somebody else`, { target })
    }
    throw new HoldfastError('storage_failed', `${target} could not be frozen: ${stderr.trim()}`, { target })
  }

  async thaw(target: string, signal: AbortSignal): Promise<void> {
    const { code, stderr } = await this.programs.run('fsfreeze', ['--unfreeze', target], {
      signal,
      deadlineMs: MOUNT_MS,
      accept: [0, 1],
    })
    // EINVAL: it is not frozen, which is what was asked for.
    if (code === 0 || /unfreeze failed: Invalid argument/.test(stderr)) return
    throw new HoldfastError('storage_failed', `${target} could not be thawed: ${stderr.trim()}`, { target })
  }

  async shutdown(target: string, signal: AbortSignal): Promise<void> {
    const entry = await this.topMount(target)
    if (entry === undefined) throw new HoldfastError('storage_failed', `${target} is not mounted`, { target })
    if (entry.type === 'btrfs') {
      throw new HoldfastError('unsupported', `${target} is btrfs, which cannot be stopped without flushing`, { target })
    }
    // -x: expert mode, which has the command; it works for ext4 too. No `-f`: the log is not flushed.
    await this.programs.run('xfs_io', ['-x', '-c', 'shutdown', target], { signal, deadlineMs: MOUNT_MS })
  }

  async mounts(): Promise<MountEntry[]> {
    return await readMounts()
  }

  async usage(target: string, signal: AbortSignal): Promise<{ sizeMiB: number; usedMiB: number; freeMiB: number }> {
    const args = ['--file-system', '--format=%S %b %f %a', '--', target]
    const { stdout } = await this.programs.run('stat', args, { signal, deadlineMs: STAT_MS })
    const [unit = 0n, blocks = 0n, free = 0n, available = 0n] = stdout.trim().split(' ').map(BigInt)
    const toMiB = (count: bigint): number => Number((count * unit) / 1_048_576n)
    return { sizeMiB: toMiB(blocks), usedMiB: toMiB(blocks - free), freeMiB: toMiB(available) }
  }

  private async growExt4(device: string, signal: AbortSignal): Promise<void> {
    try {
      await this.long('resize2fs', [device], signal)
    } catch (error) {
      if (!(error instanceof HoldfastError) || !/Permission denied to resize/.test(error.message)) throw error
      const text = `A mounted ext4 (${device}) grows only with the capability CAP_SYS_RESOURCE, which is missing here`
      throw new HoldfastError('unsupported', `${text}: unmount it first, or add the capability`, { device })
    }
  }

  private async growMounted(type: 'xfs' | 'btrfs', target: string, signal: AbortSignal): Promise<void> {
    if (type === 'xfs') await this.long('xfs_growfs', ['-d', target], signal)
    else await this.growBtrfs(target, signal)
  }

  private async growBtrfs(target: string, signal: AbortSignal): Promise<void> {
    try {
      await this.long('btrfs', ['filesystem', 'resize', 'max', target], signal)
    } catch (error) {
      const refused = error instanceof HoldfastError && /Invalid argument/.test(error.message)
      if (!refused || (await this.usage(target, signal)).sizeMiB >= LEAST_BTRFS_MIB) throw error
      const text = `A btrfs is resized only to ${LEAST_BTRFS_MIB} MiB or more; grow it to that at least`
      throw new HoldfastError('unsupported', text, { target }, { cause: error })
    }
  }

  private async mountedForAMoment(
    device: string,
    type: BlockFilesystemType,
    signal: AbortSignal,
    work: (target: string) => Promise<void>,
  ): Promise<void> {
    const target = await mkdtemp(join(this.scratchDirectory, 'holdfast-grow-'))
    this.made.add(target)
    try {
      await this.mount(device, target, { type, readOnly: false, flags: ['nosuid', 'nodev', 'noexec'] }, signal)
      await work(target)
    } finally {
      // Also when cancelled: a mount must not stay behind.
      await this.unmount(target, AbortSignal.timeout(MOUNT_MS))
    }
  }

  private async long(program: string, args: string[], signal: AbortSignal, accept = [0]): Promise<void> {
    await this.programs.run(program, args, { signal, deadlineMs: PROGRESS_MS, whileProgressing: true, accept })
  }

  private async refuseMounted(device: string): Promise<void> {
    const mounted = (await this.mounts()).find((entry) => entry.device === device)
    if (mounted === undefined) return
    throw new HoldfastError('still_mounted', `${device} is mounted on ${mounted.target}; unmount it first`, { device })
  }

  private async topMount(target: string): Promise<MountEntry | undefined> {
    const real = await realTarget(target)
    return (await this.mounts()).findLast((entry) => entry.target === real)
  }

  /** A repeat of a mount that is there is no failure. */
  private async mountedAs(device: string, target: string, readOnly: boolean): Promise<boolean> {
    const entry = await this.topMount(target)
    return entry?.device === device && entry.readOnly === readOnly
  }

  /** True if the directory was made now. Never looks into it: what is mounted there may hang. */
  private async makeTarget(target: string): Promise<boolean> {
    try {
      await mkdir(target, { mode: 0o755 })
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === 'EEXIST') return false
      if (errno !== 'ENOENT') throw targetError(target, error)
      const first = await mkdir(target, { mode: 0o755, recursive: true }).catch((cause: unknown) => {
        throw targetError(target, cause)
      })
      if (first === undefined) return false
    }
    this.made.add(target)
    return true
  }

  private isOurs(target: string): boolean {
    return this.made.has(target) || this.ownRoots.some((root) => target.startsWith(`${root}/`))
  }

  private async removeTarget(target: string): Promise<void> {
    this.made.delete(target)
    // rmdir refuses what is not empty or is mounted again: both mean that it is not ours to remove. It also takes away
    // copies of the mount that other namespaces still have at this place (Linux 3.18). Files open there stay open, and the
    // device with them: whether it is free is seen at the device, never here.
    await rmdir(target).catch(() => undefined)
  }
}

/** Devices are below /dev, and no storage mounts its directories there. */
function isDevice(path: string): boolean {
  return path.startsWith('/dev/')
}

function checkTarget(target: string): void {
  if (isAbsolute(target) && resolve(target) === target && target !== '/' && !target.includes('\0')) return
  const text = `Bad mount target ${JSON.stringify(target)}: an absolute path without . or .. is needed`
  throw new HoldfastError('invalid_option', text, { target })
}

/** The path as the mount table has it. The last part is never looked at: a mount there may hang. */
async function realTarget(target: string): Promise<string> {
  const parent = await realpath(dirname(target)).catch(() => dirname(target))
  return join(parent, basename(target))
}

function targetError(target: string, error: unknown): HoldfastError {
  const code = errnoOf(error) === 'EROFS' ? 'storage_read_only' : 'storage_failed'
  const reason = error instanceof Error ? error.message : String(error)
  return new HoldfastError(code, `The mount point ${target} could not be made: ${reason}`, { target }, { cause: error })
}

async function busyError(target: string, entry: MountEntry): Promise<HoldfastError> {
  const users = await usersOfMount(await realTarget(target))
  const who = users.length === 0 ? 'a mount below it, a loop device or a swap file' : users.join(', ')
  const text = `${target} (${entry.device}) is still used by ${who}`
  return new HoldfastError('still_mounted', text, { target, device: entry.device, users })
}
