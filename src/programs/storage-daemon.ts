/**
 * qemu-storage-daemon as an iSCSI initiator in user space: one process for each attached object, which logs in to the
 * target, holds the limit of IOPS, and shows the disk as a file (a FUSE export) for a loop device to be set up on.
 *
 * The process serves what is mounted, so it must outlive the node daemon: it makes itself a session of its own, without
 * the mark by which the daemon ends what an earlier life of it left, and under systemd it has a scope of its own. It is
 * found again by its command line.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '../model/errors.ts'
import { type Execute, withMonitor } from './qmp.ts'
import type { Programs } from './run.ts'

const PROGRAM = 'qemu-storage-daemon'
const START_MS = 15_000
const TERMINATE_MS = 3000
const KILL_MS = 5000
/** Made by systemd when it runs the machine (sd_booted(3)). */
const SYSTEMD = '/run/systemd/system'
/** A unix socket's path has at most 107 bytes (unix(7)). */
const SOCKET_LIMIT = 107

/** The disk of a target, for one initiator. */
export interface DiskPath {
  /** HOST:PORT */
  readonly portal: string
  readonly target: string
  readonly lun: number
  readonly initiator: string
}

export interface StartOptions extends DiskPath {
  /** The file that is to show the disk. */
  readonly file: string
  readonly readOnly: boolean
  /** 0: no limit. */
  readonly iops: number
}

/** One that runs, as its command line says. Its LUN may be another one by now. */
export interface RunningDaemon extends DiskPath {
  readonly pid: number
  readonly file: string
}

/** Starts one; when this returns the file shows the disk. Whatever fails, nothing is left running. */
export async function startDaemon(programs: Programs, options: StartOptions, signal: AbortSignal): Promise<void> {
  if (!programs.installed(PROGRAM)) {
    const text = `The program ${PROGRAM} is not installed on this node; on Debian it comes with qemu-system-common`
    throw new HoldfastError('storage_failed', text, { program: PROGRAM })
  }
  const socket = monitorOf(options.file)
  if (Buffer.byteLength(socket) > SOCKET_LIMIT) {
    const text = `The path ${socket} is too long for a socket; give the node a state directory with a shorter path`
    throw new HoldfastError('storage_failed', text, { path: socket })
  }
  mkdirSync(dirname(options.file), { recursive: true, mode: 0o700 })
  rmSync(socket, { force: true })
  writeFileSync(options.file, '', { mode: 0o600 })
  try {
    const command = daemonCommand(options, existsSync(SYSTEMD), programs.environment.PATH ?? '')
    const { code, stderr } = await programs.run('env', command, { signal, deadlineMs: START_MS, accept: EXITS })
    if (code !== 0) throw startError(options, stderr)
  } catch (thrown) {
    // what was begun goes on by itself, and would hold the disk
    await endDaemons(
      runningDaemons((each) => each.file === options.file),
      'SIGKILL',
    )
    throw thrown
  }
}

const EXITS = Array.from({ length: 125 }, (_, exit) => exit)

/** For env(1). Exported for its test: few machines that run tests are run by systemd. */
export function daemonCommand(options: StartOptions, systemd: boolean, path: string): string[] {
  const { file, readOnly, iops } = options
  const scope = [
    'systemd-run',
    '--scope',
    '--quiet',
    '--collect',
    `--description=Holdfast disk ${basename(file)}`,
    '--',
  ]
  const socket = monitorOf(file)
  return [
    '--ignore-environment',
    `--chdir=${dirname(socket)}`,
    `PATH=${path}`,
    'LC_ALL=C',
    ...(systemd ? scope : []),
    PROGRAM,
    '--daemonize',
    ...['--chardev', `socket,id=monitor,path=${basename(socket)},server=on,wait=off`],
    ...['--monitor', 'chardev=monitor,mode=control'],
    ...['--object', `throttle-group,id=limit,x-iops-total=${iops}`],
    ...['--blockdev', JSON.stringify(diskNode(options, readOnly))],
    ...['--blockdev', JSON.stringify({ ...limitNode(options.lun), 'read-only': readOnly })],
    ...['--export', JSON.stringify(exportOf(file, !readOnly))],
  ]
}

function exportOf(file: string, writable: boolean) {
  return { type: 'fuse', id: 'file', 'node-name': 'top', mountpoint: file, writable, 'allow-other': 'off' }
}

function diskNode({ portal, target, lun, initiator }: DiskPath, readOnly: boolean) {
  const name = { driver: 'iscsi', 'node-name': nodeOf(lun) }
  const where = { transport: 'tcp', portal, target, lun, 'initiator-name': initiator }
  return { ...name, ...where, discard: 'unmap', 'read-only': readOnly }
}

function limitNode(lun: number) {
  return { driver: 'throttle', 'node-name': 'top', 'throttle-group': 'limit', file: nodeOf(lun), discard: 'unmap' }
}

function nodeOf(lun: number): string {
  return `disk${lun}`
}

/** Those that run on this machine and are wanted, whoever started them. */
export function runningDaemons(wanted: (daemon: RunningDaemon) => boolean): RunningDaemon[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => readDaemon(Number(pid)) ?? [])
    .filter(wanted)
}

/** Reads a process's command line; one that has ended has none. */
function readDaemon(pid: number): RunningDaemon | undefined {
  const [program = '', ...words] = readCommand(pid)
  if (basename(program) !== PROGRAM) return undefined
  const parts = words.filter((word) => word.startsWith('{')).map(parse)
  const disk = parts.find((part) => part.get('driver') === 'iscsi')
  const file = parts.find((part) => part.get('type') === 'fuse')?.get('mountpoint')
  const [portal, target, initiator] = ['portal', 'target', 'initiator-name'].map((key) => disk?.get(key))
  const lun = disk?.get('lun')
  if (typeof portal !== 'string' || typeof target !== 'string' || typeof initiator !== 'string') return undefined
  if (typeof file !== 'string' || typeof lun !== 'number') return undefined
  return { pid, file, portal, target, lun, initiator }
}

function readCommand(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return [] // it has ended
  }
}

function parse(text: string): Map<string, unknown> {
  try {
    return new Map(Object.entries(JSON.parse(text) as Record<string, unknown>))
  } catch {
    return new Map()
  }
}

/**
 * Ends processes, and returns when they are gone. With SIGTERM each logs out first.
 * @throws stuck when one cannot be ended
 */
export async function endDaemons(daemons: readonly RunningDaemon[], how: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  let left = signalled(daemons, how)
  const begun = performance.now()
  const limit = how === 'SIGTERM' ? TERMINATE_MS : KILL_MS
  while (left.length > 0 && performance.now() - begun < limit) {
    await delay(5)
    left = left.filter(isRunning)
  }
  const [first] = left
  if (first === undefined) return
  if (how === 'SIGTERM') return await endDaemons(left, 'SIGKILL')
  const text = `The storage daemon of ${first.target} (pid ${first.pid}) could not be ended`
  throw new HoldfastError('stuck', text, { pid: first.pid })
}

function signalled(daemons: readonly RunningDaemon[], how: 'SIGTERM' | 'SIGKILL'): RunningDaemon[] {
  const running = daemons.filter(isRunning)
  for (const { pid } of running) {
    try {
      process.kill(pid, how)
    } catch {
      // it has ended by itself
    }
  }
  return running
}

/** Its number may be another process's by now. */
function isRunning({ pid, file }: RunningDaemon): boolean {
  return readDaemon(pid)?.file === file
}

/** Its monitor's socket: with a short name, beside the directory of the pool. */
export function monitorOf(file: string): string {
  const name = createHash('sha256').update(file).digest('hex').slice(0, 16)
  return join(dirname(dirname(file)), `${name}.qmp`)
}

/** Holds the disk to so many requests a second from now on; 0: no limit. */
export async function limitIops(file: string, iops: number): Promise<void> {
  await withMonitor(monitorOf(file), async (execute) => {
    const limits = { path: '/objects/limit', property: 'limits' }
    const present = new Map(Object.entries((await execute('qom-get', limits)) as Record<string, unknown>))
    if (present.get('iops-total') !== iops) await execute('qom-set', { ...limits, value: { 'iops-total': iops } })
  })
}

/** The LUN that the disk is read from and written to now. */
export async function presentLun({ file, lun }: RunningDaemon): Promise<number> {
  return await withMonitor(monitorOf(file), async (execute) => (await nodes(execute)).now ?? lun)
}

/**
 * Goes over to another LUN of the same target, which shows the same disk with another size. What is in flight is
 * finished on the old one first, and what comes meanwhile waits.
 */
export async function switchLun(daemon: RunningDaemon, lun: number, bytes: number): Promise<void> {
  await withMonitor(monitorOf(daemon.file), async (execute) => {
    const before = await nodes(execute)
    if (before.now !== lun) {
      // of an earlier attempt that was broken off
      if (before.all.includes(lun)) await execute('blockdev-del', { 'node-name': nodeOf(lun) })
      await execute('blockdev-add', diskNode({ ...daemon, lun }, false))
      await execute('blockdev-reopen', { options: [limitNode(lun)] })
    }
    await execute('block_resize', { 'node-name': 'top', size: bytes })
    for (const old of (await nodes(execute)).all) {
      if (old !== lun) await execute('blockdev-del', { 'node-name': nodeOf(old) })
    }
  })
}

/** Which LUNs the process has open, and which of them the disk is on. */
async function nodes(execute: Execute): Promise<{ all: number[]; now: number | undefined }> {
  const listed = (await execute('query-named-block-nodes', { flat: true })) as { 'node-name'?: string; file?: string }[]
  const all = listed.flatMap((node) => {
    const lun = /^disk(\d+)$/.exec(node['node-name'] ?? '')?.[1]
    return lun === undefined ? [] : [Number(lun)]
  })
  const top = listed.find((node) => node['node-name'] === 'top')?.file ?? ''
  const below = parse(top.replace(/^json:/, '')).get('file')
  const lun = typeof below === 'object' && below !== null && 'lun' in below ? Number(below.lun) : undefined
  return { all, now: lun }
}

function startError({ portal, target }: StartOptions, stderr: string): HoldfastError {
  const lines = stderr.split('\n').filter((line) => line.startsWith(`${PROGRAM}: `))
  const line = (lines.at(-1) ?? stderr.trim()).replace(/^.*\}: /, '').slice(0, 500)
  const advice = /Unknown driver 'iscsi'/.test(line) ? '; on Debian it comes with qemu-block-extra' : ''
  const text = `${PROGRAM} could not open ${target} at ${portal}: ${line}${advice}`
  return new HoldfastError('storage_failed', text, { target, portal, output: stderr.slice(-4096) })
}
