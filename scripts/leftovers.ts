/**
 * Lists and removes what a test run left behind below its folder of temporary files: processes, mounts, loop
 * devices. Exits 1 if there was any.
 *
 *   node scripts/leftovers.ts DIR
 *
 * A process belongs to the run if it was started with TMPDIR=DIR, or has its working directory or root below DIR; so does
 * one of those that serve storage and outlive a node daemon, if its command line names something below DIR.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** A process that ends by itself within this time (ms) was not left behind. */
const GRACE_MS = 2000
const KILL_MS = 5000

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // the process is gone
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

function isBelow(path: string, root: string): boolean {
  return path === root || path.startsWith(`${root}/`)
}

/** They run in a clean environment, at the root of the filesystem. */
const SERVERS = ['glusterfs', 'qemu-storage-daemon']

function isOurs(pid: string, root: string): boolean {
  if (read(`/proc/${pid}/environ`).split('\0').includes(`TMPDIR=${root}`)) return true
  const [program = '', ...words] = read(`/proc/${pid}/cmdline`).split('\0')
  if (SERVERS.includes(basename(program)) && words.some((word) => word.includes(`${root}/`))) return true
  return isBelow(link(`/proc/${pid}/cwd`), root) || isBelow(link(`/proc/${pid}/root`), root)
}

/** Ids of the run's processes that still run, zombies not counted. */
function processes(root: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
  return pids.filter((pid) => isOurs(pid, root) && !/^State:\s+[ZX]/m.test(read(`/proc/${pid}/status`))).map(Number)
}

function loopDevices(root: string): { device: string; file: string }[] {
  let output = ''
  try {
    output = execFileSync('losetup', ['--list', '--noheadings', '--raw', '--output', 'NAME,BACK-FILE'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  } catch {
    return [] // no losetup or no loop devices on this machine: then nothing can be left
  }
  const rows = output.split('\n').map((line) => line.split(' '))
  return rows.flatMap(([device, file]) =>
    device !== undefined && file !== undefined && isBelow(file, root) ? [{ device, file }] : [],
  )
}

/** Mount points below the root, or of one of the devices; the newest first, so that they can be unmounted in order. */
function mounts(root: string, devices: ReadonlySet<string>): string[] {
  const found: string[] = []
  for (const line of read('/proc/self/mountinfo').split('\n')) {
    const fields = line.split(' ')
    const target = (fields[4] ?? '').replace(/\\(\d{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8)))
    const device = fields[fields.indexOf('-') + 2] ?? ''
    if (isBelow(target, root) || devices.has(device)) found.unshift(target)
  }
  return found
}

async function settle(root: string, milliseconds: number): Promise<number[]> {
  const end = Date.now() + milliseconds
  let left = processes(root)
  while (left.length > 0 && Date.now() < end) {
    await delay(50)
    left = processes(root)
  }
  return left
}

function signal(pids: readonly number[], name: 'SIGTERM' | 'SIGKILL'): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name)
    } catch {
      // it ended meanwhile
    }
  }
}

function run(command: string, ...args: string[]): void {
  try {
    execFileSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  } catch {
    console.log(`could not be removed: ${command} ${args.join(' ')}`)
  }
}

const root = process.argv[2]
if (root === undefined || !root.startsWith('/tmp/')) {
  console.error('usage: leftovers.ts DIR, a folder below /tmp')
  process.exit(2)
}

const pids = await settle(root, GRACE_MS)
for (const pid of pids) {
  console.log(`process ${pid}: ${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').slice(0, 200)}`)
}
signal(pids, 'SIGTERM')
signal(await settle(root, KILL_MS), 'SIGKILL')
await settle(root, KILL_MS)

const loops = loopDevices(root)
const targets = mounts(root, new Set(loops.map((loop) => loop.device)))
for (const target of targets) {
  console.log(`mount ${target}`)
  run('umount', target)
}
for (const { device, file } of loops) {
  console.log(`loop device ${device}: ${file}`)
  run('losetup', '--detach', device)
}

process.exitCode = pids.length + loops.length + targets.length > 0 ? 1 : 0
