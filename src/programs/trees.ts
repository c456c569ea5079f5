/** Whole directory trees: copied with everything that they have, made durable, removed. As long as it takes while it goes on. */
import type { Programs } from './run.ts'

const STALL_MS = 60_000
/** One file may take long to reach the disks of a storage system. */
const SYNC_STALL_MS = 600_000

/** @param to does not exist yet; its parent does */
export async function copyTree(programs: Programs, from: string, to: string, signal: AbortSignal): Promise<void> {
  const how = ['--archive', '--sparse=always', '--no-target-directory', '--']
  await programs.run('cp', [...how, from, to], { signal, deadlineMs: STALL_MS, whileProgressing: true })
  // what find prints shows that it goes on
  const wanted = ['(', '-type', 'f', '-o', '-type', 'd', ')', '-print']
  await programs.run('find', [to, ...wanted, '-exec', 'sync', '--', '{}', '+'], {
    signal,
    deadlineMs: SYNC_STALL_MS,
    whileProgressing: true,
  })
}

/** What is not there any more is a success. */
export async function removeTree(programs: Programs, tree: string, signal: AbortSignal): Promise<void> {
  // verbose: its output shows that it goes on
  const args = ['--recursive', '--force', '--one-file-system', '--verbose', '--', tree]
  await programs.run('rm', args, { signal, deadlineMs: STALL_MS, whileProgressing: true })
}
