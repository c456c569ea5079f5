import { mkdirSync, readFileSync } from 'node:fs'
import type { Programs } from './run.ts'

const MOUNT_MS = 10_000

/**
 * Makes sure that what is mounted under a directory is seen by the mount namespaces of container daemons: on a machine
 * whose mounts are private (mount_namespaces(7)) the directory becomes a shared mount of its own.
 * @returns what takes that back, when nothing is mounted under it any more
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
    if (lines().some((line) => target(line)?.startsWith(`${directory}/`))) return
    await programs.run('umount', [directory], { ...options(), accept: [0, 1, 32] })
  }
}

function lines(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n')
}

function target(line: string): string | undefined {
  return line.split(' ')[4]?.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))
}

/** Whether the mount that covers a directory is shared: proc(5), optional fields of mountinfo. */
function isShared(directory: string): boolean {
  const covering = lines()
    .filter((line) => isUnder(directory, target(line) ?? ''))
    .sort((a, b) => (target(a)?.length ?? 0) - (target(b)?.length ?? 0))
    .at(-1)
  return covering !== undefined && / shared:\d+ /.test(covering.split(' - ')[0] ?? '')
}

function isUnder(path: string, mount: string): boolean {
  return mount === '/' || path === mount || path.startsWith(`${mount}/`)
}
