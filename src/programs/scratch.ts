/** The directory in which the daemon mounts something for a moment (see `filesystem-tools.ts`). */
import { mkdirSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { readMounts } from './mount-table.ts'
import type { Programs } from './run.ts'

const UNMOUNT_MS = 60_000

/**
 * Makes the directory, and takes back what an earlier life of the daemon left in it: it was killed while something was
 * mounted there. What cannot be unmounted now stays, and its device is found busy by whoever needs it.
 */
export async function clearScratch(programs: Programs, directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const left = (await readMounts()).filter(({ target }) => target.startsWith(`${directory}/`))
  for (const { target } of left.reverse()) {
    const options = { signal: AbortSignal.timeout(UNMOUNT_MS), deadlineMs: UNMOUNT_MS, accept: [0, 1, 32] }
    await programs.run('umount', ['--internal-only', target], options).catch(() => undefined)
  }
  for (const name of readdirSync(directory)) removeEmpty(join(directory, name))
}

function removeEmpty(path: string): void {
  try {
    rmdirSync(path)
  } catch {
    // still mounted: it is in nobody's way
  }
}
