/** Reads /proc/self/mountinfo (proc(5)). Nothing mounted is touched. */
import { readFile } from 'node:fs/promises'
import type { MountEntry } from '../node/filesystems.ts'

export async function readMounts(): Promise<MountEntry[]> {
  return parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'))
}

export function parseMountInfo(text: string): MountEntry[] {
  return parseMounts(text).map(({ options: _, ...entry }) => entry)
}

/** With the options of the mount itself, which two mounts of one filesystem need not share. */
export interface MountedAt extends Required<MountEntry> {
  readonly options: readonly string[]
}

export async function mountedAt(): Promise<MountedAt[]> {
  return parseMounts(await readFile('/proc/self/mountinfo', 'utf8'))
}

export function parseMounts(text: string): MountedAt[] {
  return text.split('\n').flatMap((line) => parseLine(line) ?? [])
}

/** `36 35 98:0 /root /target rw,noatime master:1 - ext3 /dev/root rw,errors=continue` */
function parseLine(line: string): MountedAt | undefined {
  const [left, right] = line.split(' - ', 2)
  if (left === undefined || right === undefined) return undefined
  const [, , filesystem, root, target, options] = left.split(' ')
  const [type, device, superOptions] = right.split(' ')
  if (target === undefined || options === undefined || type === undefined || device === undefined) return undefined
  const where = { root: unescapeOctal(root ?? '/'), filesystem: filesystem ?? '' }
  const readOnly = isReadOnly(options) || isReadOnly(superOptions ?? '')
  const own = { target: unescapeOctal(target), options: options.split(',') }
  return { device: unescapeOctal(device), type, readOnly, ...own, ...where }
}

function isReadOnly(options: string): boolean {
  return options.split(',').includes('ro')
}

/** The kernel writes space, tab, newline and backslash as three octal digits, byte by byte. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}
