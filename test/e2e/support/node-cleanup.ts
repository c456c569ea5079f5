/** Looks at what a test has mounted and attached below its own directory, and takes all of it back. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { tool } from '../../drivers/disk.ts'
import { signal, stateOf, taggedWith } from './node-children.ts'

/** Mount points below a directory, in the order in which they were mounted. */
export function mountsUnder(directory: string): { target: string; device: string }[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .trim()
    .split('\n')
    .map((line) => ({ target: line.split(' ')[4] ?? '', device: line.split(' - ')[1]?.split(' ')[1] ?? '' }))
    .filter(({ target }) => target.startsWith(`${directory}/`))
}

/**
 * Loop devices whose file is, or was, below a directory, or has a name that begins with a prefix: of a device that was
 * set up in another mount namespace the kernel does not give the whole path.
 */
export function loopsUnder(directory: string, prefix: string): { device: string; file: string }[] {
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .map((name) => ({ device: `/dev/${name}`, file: backingFile(name) }))
    .filter(({ file }) => file.startsWith(`${directory}/`) || basename(file).startsWith(prefix))
}

function backingFile(name: string): string {
  try {
    return readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trim()
  } catch {
    return '' // not in use
  }
}

/** After a test, whatever became of it: ends processes, thaws, unmounts, detaches. */
export function takeBack(directory: string, prefix: string, tags: readonly string[]): void {
  for (const tag of tags) for (const { pid } of taggedWith(tag)) end(pid)
  for (const { target } of mountsUnder(directory)) attempt('fsfreeze', '--unfreeze', target)
  // volumes lie on pools, which lie on disks: what is on top goes first
  for (let round = 0; round < 3; round++) {
    for (const { target } of mountsUnder(directory).reverse()) attempt('umount', target)
    for (const { device } of loopsUnder(directory, prefix).reverse()) attempt('losetup', '--detach', device)
  }
  // a device that was just detached may hold its file's mount for a moment more
  for (const { target } of mountsUnder(directory).reverse()) attempt('umount', '--lazy', target)
  attempt('umount', directory)
}

function end(pid: number): void {
  signal(pid, 'SIGKILL')
  for (let waited = 0; stateOf(pid) !== '' && waited < 2000; waited += 10) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
  }
}

function attempt(program: string, ...args: string[]): void {
  try {
    tool(program, ...args)
  } catch {
    // it is not so, or not any more
  }
}
