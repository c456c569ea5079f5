/**
 * The process of a GlusterFS client. It serves what is mounted, so it must outlive the node daemon: it runs in a session
 * of its own, without the mark by which the daemon ends what an earlier life of it left, and under systemd in a scope of
 * its own. It is found again by the file with its process id, and its command line.
 */
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '../model/errors.ts'
import type { GlusterSettings } from './gluster-settings.ts'
import type { Programs } from './run.ts'
import { TAG } from './survivors.ts'

const START_MS = 30_000
const END_MS = 5000
/** What a client exits with that finds no server: the errno. */
const ENOTCONN = 107
/** Made by systemd when it runs the machine (sd_booted(3)). */
const SYSTEMD = '/run/systemd/system'

export interface ClientPlace {
  /** Where it is mounted: nobody else's command line ends with it. */
  readonly target: string
  readonly pidFile: string
  readonly logFile: string
}

/**
 * Starts a client; when this returns it is mounted, or about to be.
 * @param title for the list of units
 */
export async function startClient(
  programs: Programs,
  place: ClientPlace,
  settings: GlusterSettings,
  title: string,
  signal: AbortSignal,
): Promise<void> {
  if (!programs.installed('glusterfs')) {
    const text =
      'The program glusterfs is not installed on this node; on Debian it comes with the package glusterfs-client'
    throw new HoldfastError('storage_failed', text, { program: 'glusterfs' })
  }
  try {
    await programs.run('env', clientCommand(place, settings, title, existsSync(SYSTEMD)), {
      signal,
      deadlineMs: START_MS,
    })
  } catch (thrown) {
    if (!(thrown instanceof HoldfastError) || thrown.code === 'cancelled') throw thrown
    const { servers, volume } = settings
    const why = thrown.data.exit === ENOTCONN ? 'no server answers' : (lastError(place.logFile) ?? thrown.message)
    const text = `The volume ${volume} of ${servers.join(', ')} could not be mounted: ${why} (see ${place.logFile})`
    throw new HoldfastError(thrown.code, text, { ...thrown.data, log: place.logFile }, { cause: thrown })
  }
}

/** For env(1). Exported for its test: few machines that run tests are run by systemd. */
export function clientCommand(
  place: ClientPlace,
  settings: GlusterSettings,
  title: string,
  systemd: boolean,
): string[] {
  const scope = ['systemd-run', '--scope', '--quiet', '--collect', `--description=${title}`, '--']
  return [
    `--unset=${TAG}`,
    ...(systemd ? scope : []),
    'glusterfs',
    ...settings.servers.map((server) => `--volfile-server=${server.replace(/^\[(.*)\]$/, '$1')}`),
    `--volfile-id=/${settings.volume}`,
    `--log-file=${place.logFile}`,
    `--pid-file=${place.pidFile}`,
    ...(settings.options.some((option) => option.startsWith('--log-level')) ? [] : ['--log-level=WARNING']),
    // What one node wrote another one reads at once: neither the kernel nor the client may answer for a second from what
    // it remembers, as they do by default (measured on 10.3: size, content and existence of files).
    ...['--attribute-timeout=0', '--entry-timeout=0', '--negative-timeout=0'],
    ...['--xlator-option=*-md-cache.md-cache-timeout=0', '--xlator-option=*-quick-read.cache-timeout=0'],
    ...settings.options,
    place.target,
  ]
}

/** Process id of the client that serves a place; undefined when none does. */
export function clientPid({ pidFile, target }: ClientPlace): number | undefined {
  const pid = Number(read(pidFile).trim())
  if (!Number.isSafeInteger(pid) || pid < 2) return undefined
  const words = read(`/proc/${pid}/cmdline`).split('\0')
  return words[0]?.endsWith('glusterfs') === true && words.at(-2) === target ? pid : undefined
}

/** Ends a client that serves nothing: it is still looking for its servers, say. @throws stuck */
export async function endClient(place: ClientPlace): Promise<void> {
  const end = performance.now() + END_MS
  for (let pid = clientPid(place); pid !== undefined; pid = clientPid(place)) {
    if (performance.now() > end) {
      throw new HoldfastError('stuck', `The GlusterFS client (pid ${pid}) could not be ended`, { pid })
    }
    kill(pid)
    await delay(10)
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it has ended by itself
  }
}

/** What the client said last of what went wrong: `[time] E [MSGID: n] [file:line:function] 0-name: what`. */
function lastError(logFile: string): string | undefined {
  const errors = read(logFile)
    .slice(-65_536)
    .split('\n')
    .filter((line) => / [EC] \[/.test(line))
  return errors
    .at(-1)
    ?.replace(/^.*?\] [EC] (?:\[[^\]]*\] )*/, '')
    .slice(0, 500)
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return '' // it is not there, or not any more
  }
}
