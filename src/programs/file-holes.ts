import type { Programs } from './run.ts'

const SEEK_MS = 10_000
const READ_STALL_MS = 60_000

/**
 * Whether a file was never written to, though it takes blocks: bricks of GlusterFS keep what they note about a file in
 * blocks of it. Asks for the first data (lseek(2), SEEK_DATA); without xfs_io, which can, the whole file is read.
 */
export async function isAllHole(
  programs: Programs,
  path: string,
  bytes: number,
  signal: AbortSignal,
): Promise<boolean> {
  if (programs.installed('xfs_io')) {
    const { stdout } = await programs.run('xfs_io', ['-r', '-c', 'seek -d 0', path], { signal, deadlineMs: SEEK_MS })
    return /^DATA\s+EOF$/m.test(stdout)
  }
  const { code } = await programs.run('cmp', ['--silent', `--bytes=${bytes}`, '--', path, '/dev/zero'], {
    signal,
    deadlineMs: READ_STALL_MS,
    whileProgressing: true,
    accept: [0, 1],
  })
  return code === 0
}
