import type { Programs } from './run.ts'

const SEEK_MS = 10_000
const READ_STALL_MS = 60_000
/**
 * lseek(2) with SEEK_DATA, which Node does not have. xfs_io has it too, but looks at the mounts of the machine first, and
 * would hang with one that hangs.
 */
const FIRST_DATA = 'open(my $file, "<", $ARGV[0]) or die "$!\\n"; print defined(sysseek($file, 0, 3)) ? "data" : 0 + $!'
const ENXIO = '6'

/**
 * Whether a file was never written to, though it takes blocks: bricks of GlusterFS keep what they note about a file in
 * blocks of it. Without perl, which asks for the first data, the whole file is read.
 */
export async function isAllHole(
  programs: Programs,
  path: string,
  bytes: number,
  signal: AbortSignal,
): Promise<boolean> {
  if (programs.installed('perl')) {
    const { stdout } = await programs.run('perl', ['-e', FIRST_DATA, path], { signal, deadlineMs: SEEK_MS })
    return stdout === ENXIO
  }
  const { code } = await programs.run('cmp', ['--silent', `--bytes=${bytes}`, '--', path, '/dev/zero'], {
    signal,
    deadlineMs: READ_STALL_MS,
    whileProgressing: true,
    accept: [0, 1],
  })
  return code === 0
}
