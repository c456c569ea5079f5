/** From a program's exit to a coded error with the one line of its output that helps. */
import { type ErrorCode, HoldfastError } from '../model/errors.ts'

/** The Debian package that brings each program we start. */
const PACKAGES: Readonly<Record<string, string>> = {
  losetup: 'mount',
  mount: 'mount',
  umount: 'mount',
  blkid: 'util-linux',
  fsfreeze: 'util-linux',
  unshare: 'util-linux',
  cmp: 'diffutils',
  cp: 'coreutils',
  rm: 'coreutils',
  mkdir: 'coreutils',
  env: 'coreutils',
  find: 'findutils',
  'systemd-run': 'systemd',
  stat: 'coreutils',
  sync: 'coreutils',
  'mkfs.ext4': 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  resize2fs: 'e2fsprogs',
  tune2fs: 'e2fsprogs',
  'mkfs.xfs': 'xfsprogs',
  xfs_db: 'xfsprogs',
  xfs_growfs: 'xfsprogs',
  xfs_io: 'xfsprogs',
  'mkfs.btrfs': 'btrfs-progs',
  btrfs: 'btrfs-progs',
  btrfstune: 'btrfs-progs',
}

export interface ProgramEnd {
  /** Exit code, or null when a signal ended it. */
  readonly code: number | null
  readonly killedBy: string | null
  readonly stdout: string
  readonly stderr: string
}

/** The program is not there: say where we looked and what to install. */
export function missingProgram(program: string, path: string): HoldfastError {
  const debian = PACKAGES[program]
  const advice = debian === undefined ? '' : `; on Debian it comes with the package ${debian}`
  return new HoldfastError('storage_failed', `The program ${program} is not in ${path}${advice}`, { program })
}

/** An exit that was not among the accepted ones. */
export function programFailure(program: string, end: ProgramEnd): HoldfastError {
  const how = end.killedBy === null ? `exit ${end.code}` : `ended by ${end.killedBy}`
  const line = usefulLine(program, end.stderr) ?? usefulLine(program, end.stdout) ?? 'it said nothing'
  return new HoldfastError(codeOf(end.stderr), `${program} failed (${how}): ${line}`, {
    program,
    exit: end.code,
    signal: end.killedBy,
    output: end.stderr.slice(-4096),
  })
}

/** The kernel's own words, stable because programs run with LC_ALL=C. */
function codeOf(stderr: string): ErrorCode {
  if (/No space left on device|Disk quota exceeded/.test(stderr)) return 'storage_full'
  if (/Read-only file system/.test(stderr)) return 'storage_read_only'
  return 'storage_failed'
}

/** Banners, notes and continuation lines that the tools print before they say what is wrong. */
const NOISE = /^(mke2fs \d|tune2fs \d|e2fsck \d|resize2fs \d|btrfs-progs v|See https?:|NOTE:|WARNING:|Usage:|\s|$)/

/** The first line of output that tells a person something, without the program's own name in front. */
export function usefulLine(program: string, output: string): string | undefined {
  const line = output.split('\n').find((text) => !NOISE.test(text))
  if (line === undefined) return undefined
  const plain = line.startsWith(`${program}: `) ? line.slice(program.length + 2) : line
  return plain.replace(/^ERROR: /, '').slice(0, 500)
}
