import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Unmounts and detaches whatever is left below a folder: nodes leave mounted what was in use when they stopped. */
export function unmountAll(dir: string): void {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  const targets = lines.map((line) => line.split(' ')[4] ?? '').filter((path) => path.startsWith(`${dir}/`))
  for (const target of targets.reverse()) execFileSync('umount', [target])
  const loops = execFileSync('losetup', ['--list', '--noheadings', '--raw', '--output', 'NAME,BACK-FILE'])
  for (const line of loops.toString().split('\n')) {
    const [device, file] = line.split(' ')
    if (device !== undefined && file?.startsWith(`${dir}/`)) execFileSync('losetup', ['--detach', device])
  }
}
