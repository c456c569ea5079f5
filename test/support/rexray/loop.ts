/** Disks of the double that are real: a sparse file each, as a loop device where it is attached. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

function tool(program: string, ...args: string[]): string {
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env })
}

function attempt(program: string, ...args: string[]): string {
  try {
    return tool(program, ...args)
  } catch {
    return ''
  }
}

export function imageOf(directory: string, id: string): string {
  return join(directory, 'images', `${id}.img`)
}

export function makeImage(directory: string, id: string, sizeGiB: number): void {
  mkdirSync(join(directory, 'images'), { recursive: true })
  writeFileSync(imageOf(directory, id), '')
  truncateSync(imageOf(directory, id), sizeGiB * 1024 ** 3)
}

export function removeImage(directory: string, id: string): void {
  rmSync(imageOf(directory, id), { force: true })
}

export function setUp(directory: string, id: string): string {
  return tool('losetup', '--find', '--show', imageOf(directory, id)).trim()
}

/** @param force pulls the disk from under whoever has it mounted */
export function takeDown(directory: string, device: string, force: boolean): void {
  const backing = `/sys/block/${basename(device)}/loop/backing_file`
  // what was only told as the device is not ours
  if (!existsSync(backing) || !readFileSync(backing, 'utf8').startsWith(`${directory}/`)) return
  // what was set for this disk must not stay with the number
  attempt('blockdev', '--setrw', device)
  if (force) for (const target of mountsOf(device).reverse()) tool('umount', '--lazy', target)
  attempt('losetup', '--detach', device)
}

export function mountsOf(device: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.split(' - ')[1]?.split(' ')[1] === device)
    .map((line) => line.split(' ')[4] ?? '')
}

/** Knows three filesystems, and makes one over everything else, by force: as REX-Ray does. */
export function formatAndMount(device: string, fsType: string, target: string): string {
  const known = /^TYPE=(ext4|xfs|btrfs)$/m.test(attempt('blkid', '--probe', '--output', 'export', device))
  if (!known) tool(`mkfs.${fsType}`, ...(fsType === 'xfs' ? ['-q', '-f'] : ['-q', '-F']), device)
  if (!mountsOf(device).includes(target)) {
    mkdirSync(target, { recursive: true })
    tool('mount', device, target)
  }
  mkdirSync(join(target, 'data'), { recursive: true, mode: 0o700 })
  return join(target, 'data')
}

/** @throws when it is busy */
export function unmountAll(device: string): void {
  for (const target of mountsOf(device).reverse()) tool('umount', target)
}
