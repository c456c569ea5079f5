/** Block devices as the kernel describes them in /sys (sysfs-block), whoever brought them. */
import { readFileSync } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Programs } from './run.ts'

const MIB = 1024 * 1024
const BLOCKDEV_MS = 10_000
const COMPARE_MS = 60_000

export interface BlockDevice {
  /** Without symbolic links: the kernel's own name for it. */
  readonly device: string
  readonly bytes: number
  readonly readOnly: boolean
  /** Another one for every disk that ever had this name since the boot (Linux 5.15); '' on older kernels. */
  readonly sequence: string
}

/** The device behind a path; undefined when there is none, or one without a medium. */
export async function lookAtDevice(path: string): Promise<BlockDevice | undefined> {
  let device: string
  try {
    device = await realpath(path)
    if (!(await stat(device)).isBlockDevice()) return undefined
  } catch {
    return undefined // ENOENT, or a link to nothing
  }
  const name = basename(device)
  const bytes = Number(attribute(name, 'size') ?? 0) * 512
  if (bytes === 0) return undefined
  return { device, bytes, readOnly: attribute(name, 'ro') === '1', sequence: attribute(name, 'diskseq') ?? '' }
}

/** Makes the kernel refuse writes to a device. */
export async function makeReadOnly(programs: Programs, device: string, signal: AbortSignal): Promise<void> {
  await programs.run('blockdev', ['--setro', device], { signal, deadlineMs: BLOCKDEV_MS })
}

/** Takes `makeReadOnly` back. */
export async function makeWritable(programs: Programs, device: string, signal: AbortSignal): Promise<void> {
  await programs.run('blockdev', ['--setrw', device], { signal, deadlineMs: BLOCKDEV_MS })
}

/** Whether the first MiBs and the last one are zero: there filesystems, partitions and volume managers write what they are. */
export async function hasBlankEnds(
  programs: Programs,
  { device, bytes }: BlockDevice,
  headMiB: number,
  signal: AbortSignal,
): Promise<boolean> {
  const head = Math.min(bytes, headMiB * MIB)
  if (!(await isZero(programs, device, 0, head, signal))) return false
  const tail = Math.min(bytes, MIB)
  return await isZero(programs, device, bytes - tail, tail, signal)
}

async function isZero(programs: Programs, device: string, from: number, count: number, signal: AbortSignal) {
  const args = ['--silent', `--ignore-initial=${from}:0`, `--bytes=${count}`, device, '/dev/zero']
  const { code } = await programs.run('cmp', args, { signal, deadlineMs: COMPARE_MS, accept: [0, 1] })
  return code === 0
}

/** Read synchronously: the kernel answers from memory. */
function attribute(name: string, key: string): string | undefined {
  try {
    return readFileSync(`/sys/class/block/${name}/${key}`, 'utf8').trim()
  } catch {
    return undefined
  }
}
