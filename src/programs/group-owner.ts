/** Gives a mounted volume to a group, as pods with an fsGroup want it: files and folders theirs, readable and writable. */
import type { Programs } from './run.ts'

const LOOK_MS = 5000
/** Without having changed one more file for so long it counts as hanging. */
const PROGRESS_MS = 60_000
/** What every folder must let the group do, and hand on: rwx and setgid. */
const FOLDER_BITS = 0o2070

export class GroupOwner {
  readonly #programs: Programs

  constructor(programs: Programs) {
    this.#programs = programs
  }

  /** Whether the root of a volume is the group's: then all of it was, and what came since is its users' matter. */
  async owns(directory: string, gid: number, signal: AbortSignal): Promise<boolean> {
    const args = ['--format=%g %f', '--', directory]
    const { stdout } = await this.#programs.run('stat', args, { signal, deadlineMs: LOOK_MS })
    const [group = '', mode = ''] = stdout.trim().split(' ')
    return Number(group) === gid && (Number.parseInt(mode, 16) & FOLDER_BITS) === FOLDER_BITS
  }

  /**
   * Changes the root, and with `all` everything below it that is on the same filesystem. The root comes last, so that
   * what was interrupted is begun anew. Symbolic links are changed themselves, never what they point to; nobody else may
   * be working in it meanwhile.
   */
  async give(directory: string, gid: number, all: boolean, signal: AbortSignal): Promise<void> {
    const below = all ? [] : ['-maxdepth', '0']
    const find = (...words: string[]) =>
      this.#programs.run('find', [directory, '-xdev', ...below, ...words], {
        signal,
        deadlineMs: PROGRESS_MS,
        whileProgressing: true,
      })
    // each names what it has changed: that is the progress
    await find('-type', 'f', '-exec', 'chmod', '--verbose', 'g+rwX', '{}', '+')
    await find('-type', 'd', '-exec', 'chmod', '--verbose', 'g+rwxs', '{}', '+')
    await find('-depth', '-exec', 'chgrp', '--no-dereference', '--verbose', String(gid), '{}', '+')
  }
}
