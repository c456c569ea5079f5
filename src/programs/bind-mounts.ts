/** Shows what is mounted, or a device, at a second place; and takes such places away again. Never lazily, never by force. */
import { HoldfastError } from '../model/errors.ts'
import { usersOfMount } from './device-users.ts'
import { type MountedAt, mountedAt } from './mount-table.ts'
import type { Programs } from './run.ts'

const MOUNT_MS = 60_000

/** Cut short, it would not be known what is there: its own deadline is the end of it unless a caller insists. */
const NEVER = new AbortController().signal

interface RunWish {
  readonly accept?: readonly number[] | undefined
  readonly signal?: AbortSignal | undefined
}

export interface BindWish {
  readonly readOnly: boolean
  /** Those that a bind mount has of its own, see `bindFlags`. */
  readonly flags: readonly string[]
}

export class BindMounts {
  readonly #programs: Programs

  constructor(programs: Programs) {
    this.#programs = programs
  }

  /** @param source a mount point, or a device node for a target that is a file */
  async bind(source: string, target: string, { readOnly, flags }: BindWish, signal?: AbortSignal): Promise<void> {
    await this.#mount(['-o', ['bind', ...(readOnly ? ['ro'] : []), ...flags].join(',')], source, target, signal)
  }

  /** Makes a read-only bind mount writable. */
  async makeWritable(target: string, flags: readonly string[]): Promise<void> {
    const words = ['remount', 'bind', 'rw', ...flags].join(',')
    await this.#run('mount', ['--internal-only', '-o', words, '--target', target])
  }

  /** An empty directory that nobody can write to. @param name is what the kernel's table calls it */
  async placeholder(name: string, target: string): Promise<void> {
    const words = 'ro,nosuid,nodev,noexec,size=4k,nr_inodes=2,mode=0555'
    await this.#mount(['-t', 'tmpfs', '-o', words], name, target)
  }

  async #mount(how: readonly string[], source: string, target: string, signal?: AbortSignal): Promise<void> {
    await this.#run('mount', ['--internal-only', ...how, '--source', source, '--target', target], { signal })
  }

  #run(program: string, args: readonly string[], { accept = [0], signal = NEVER }: RunWish = {}) {
    return this.#programs.run(program, args, { signal, deadlineMs: MOUNT_MS, accept })
  }

  /** Takes the uppermost mount at a place away; nothing there is a success. @throws still_mounted */
  async unmount(target: string, signal?: AbortSignal): Promise<void> {
    const { code, stderr } = await this.#run('umount', ['--internal-only', target], { accept: [0, 1, 32], signal })
    if (code === 0 || /not mounted/.test(stderr)) return
    if (!/busy/.test(stderr)) {
      throw new HoldfastError('storage_failed', `${target} could not be unmounted: ${stderr.trim()}`, { target })
    }
    const users = await usersOfMount(target)
    const who = users.length === 0 ? 'a mount below it or another mount namespace' : users.join(', ')
    throw new HoldfastError('still_mounted', `${target} is still used by ${who}`, { target, users })
  }

  /** The uppermost mount at a place, by the kernel's table: nothing there is touched. */
  async at(target: string): Promise<MountedAt | undefined> {
    return (await this.all()).findLast((each) => each.target === target)
  }

  /** The kernel's table. */
  all(): Promise<MountedAt[]> {
    return mountedAt()
  }
}
