/** A small real filesystem in an image on a loop device, for tests that fill it, freeze it or mount it read-only. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FilesystemType } from '../../src/node/filesystems.ts'
import { tempDir } from '../support/temp-dir.ts'

export interface Disk {
  readonly type: FilesystemType
  /** Where it is mounted: empty but for what mkfs put there. */
  readonly directory: string
  readonly device: string
  remount(mode: 'ro' | 'rw'): void
  freeze(): void
  thaw(): void
  dispose(): void
}

/** Runs a program and gives what it printed. */
export function tool(program: string, ...args: string[]): string {
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env })
}

export function makeDisk(type: FilesystemType, sizeMiB: number): Disk {
  const temp = tempDir()
  const image = join(temp.path, 'disk')
  const directory = join(temp.path, 'mnt')
  mkdirSync(directory)
  writeFileSync(image, '')
  truncateSync(image, sizeMiB * 1024 * 1024)
  // No blocks kept for root: a full disk must be full for us, too.
  tool(`mkfs.${type}`, '-q', ...(type === 'ext4' ? ['-m', '0'] : []), image)
  const device = tool('losetup', '--find', '--show', image).trim()
  tool('mount', '-t', type, device, directory)
  let frozen = false
  return {
    type,
    directory,
    device,
    remount: (mode) => void tool('mount', '-o', `remount,${mode}`, directory),
    freeze: () => {
      tool('fsfreeze', '--freeze', directory)
      frozen = true
    },
    thaw: () => {
      if (frozen) tool('fsfreeze', '--unfreeze', directory)
      frozen = false
    },
    dispose() {
      this.thaw()
      unmountSoon(directory)
      tool('losetup', '--detach', device)
      temp.remove()
    },
  }
}

/** A process that hung in a frozen disk ends a moment after the thaw. */
function unmountSoon(directory: string): void {
  for (let attempt = 1; ; attempt++) {
    try {
      tool('umount', directory)
      return
    } catch (error) {
      if (attempt === 100) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
    }
  }
}

/** Removes what a failed test left on devices whose file is in a directory: mounts first, then the devices. */
export function releaseAll(directory: string): void {
  const rows = tool('losetup', '--list', '--raw', '--noheadings', '--output', 'NAME,BACK-FILE').trim().split('\n')
  for (const row of rows) {
    const [device = '', file = ''] = row.split(' ')
    if (!file.startsWith(`${directory}/`)) continue
    for (;;) {
      try {
        tool('umount', device)
      } catch {
        break // not mounted
      }
    }
    tool('losetup', '--detach', device)
  }
}
