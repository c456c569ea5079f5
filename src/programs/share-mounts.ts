import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import type { Programs } from './run.ts'

const MOUNT_MS = 10_000

/**
 * Makes sure that what is mounted under a directory is seen by the mount namespaces of container daemons: on a machine
 * whose mounts are private (mount_namespaces(7)) the directory becomes a shared mount of its own.
 * A mount that is shared already is left alone: made private and shared again it would be another one, and what is
 * mounted from then on would be missing in the namespaces that follow the old one; containers started there would write
 * to the bare directory.
 * @returns what takes that back, when nothing is mounted under it any more and no other namespace follows it
 */
export async function shareMounts(programs: Programs, directory: string): Promise<() => Promise<void>> {
  mkdirSync(directory, { recursive: true, mode: 0o755 })
  if (isShared(directory)) return async () => undefined
  const options = () => ({ signal: AbortSignal.timeout(MOUNT_MS), deadlineMs: MOUNT_MS })
  if (!lines().some((line) => target(line) === directory)) {
    await programs.run('mount', ['--bind', directory, directory], options())
  }
  await programs.run('mount', ['--make-private', directory], options())
  await programs.run('mount', ['--make-shared', directory], options())
  return async () => {
    if (lines().some((line) => target(line)?.startsWith(`${directory}/`)) || isFollowed(directory)) return
    await programs.run('umount', [directory], { ...options(), accept: [0, 1, 32] })
  }
}

function lines(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n')
}

function target(line: string): string | undefined {
  return line.split(' ')[4]?.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))
}

/** Whether the mount that covers a directory is shared. */
function isShared(directory: string): boolean {
  return peerGroup(covering(directory)) !== undefined
}

/** Whether a container daemon has a mount in its namespace that follows the one at the directory. */
function isFollowed(directory: string): boolean {
  const group = peerGroup(covering(directory))
  if (group === undefined) return false
  const follows = new RegExp(` master:${group}(?: |$)`, 'm')
  return readdirSync('/proc').some((pid) => /^\d+$/.test(pid) && follows.test(mountsOf(pid)))
}

function covering(directory: string): string | undefined {
  return lines()
    .filter((line) => isUnder(directory, target(line) ?? ''))
    .sort((a, b) => (target(a)?.length ?? 0) - (target(b)?.length ?? 0))
    .at(-1)
}

/** The group of a shared mount, from the optional fields of mountinfo (proc(5)), which end at " - ". */
function peerGroup(line: string | undefined): string | undefined {
  return / shared:(\d+)(?: |$)/.exec(line?.split(' - ')[0] ?? '')?.[1]
}

function mountsOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
  } catch {
    return '' // it ended meanwhile
  }
}

function isUnder(path: string, mount: string): boolean {
  return mount === '/' || path === mount || path.startsWith(`${mount}/`)
}
