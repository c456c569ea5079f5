/** A task's command in a mount namespace of its own, with its volumes below its sandbox. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import type { Readable } from 'node:stream'

export interface Mount {
  readonly source: string
  /** Where it is seen, an absolute path below the sandbox. */
  readonly target: string
  readonly readOnly?: boolean
}

export interface TaskEnd {
  readonly code: number
  /** Why the command was never started. */
  readonly failure?: string
}

/**
 * Mounts, runs the command, tells of its end, and then stays: the namespace and what is mounted in it live until the
 * container is destroyed. It ends with everything in it when its standard input is closed, so that nothing outlives
 * the tests. It takes no part in what other tests mount: they could not give that back while a namespace follows it.
 */
const SCRIPT = `
command=$1 others=$2; shift 2
while [ $# -gt 0 ]; do
  mkdir -p "$2" && mount --bind "$1" "$2" && { [ "$3" = rw ] || mount -o remount,bind,ro "$2"; } ||
    { echo "failed $1" >&3; read -r _; exit 1; }
  shift 3
done
tac /proc/self/mountinfo | while read -r _ _ _ _ target _; do
  case $target in "$PWD"/*) ;; "$others"/*) umount -l "$target" ;; esac
done
exec 4<&0
( read -r _ <&4; kill -KILL 0 ) 3>&- &
/bin/sh -c "$command" >>stdout 2>>stderr </dev/null 3>&- 4<&- &
child=$!
echo "pid $child" >&3
wait $child
echo "exit $?" >&3
exec 3>&-
wait
`

export class TaskProcess {
  readonly #child: ChildProcess
  #commandPid: number | undefined

  constructor(
    sandbox: string,
    command: string,
    env: Readonly<Record<string, string>>,
    mounts: readonly Mount[],
    onEnd: (end: TaskEnd) => void,
  ) {
    mkdirSync(sandbox, { recursive: true })
    const pairs = mounts.flatMap(({ source, target, readOnly }) => [source, target, readOnly === true ? 'ro' : 'rw'])
    const args = ['--mount', '--propagation', 'slave', '/bin/sh', '-c', SCRIPT, 'task', command, tmpdir(), ...pairs]
    this.#child = spawn('unshare', args, {
      cwd: sandbox,
      detached: true,
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', MESOS_SANDBOX: sandbox, ...env },
      stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
    })
    this.#child.stdin?.on('error', () => {})
    this.#listen(onEnd)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  #listen(onEnd: (end: TaskEnd) => void): void {
    let said = ''
    let ended = false
    const end = (how: TaskEnd) => {
      if (!ended) onEnd(how)
      ended = true
    }
    const words = this.#child.stdio[3] as Readable
    words.on('data', (chunk) => {
      said += chunk
      for (let at = said.indexOf('\n'); at >= 0; at = said.indexOf('\n')) {
        const [what, ...rest] = said.slice(0, at).split(' ')
        said = said.slice(at + 1)
        if (what === 'pid') this.#commandPid = Number(rest[0])
        if (what === 'exit') end({ code: Number(rest[0]) })
        if (what === 'failed') end({ code: 1, failure: `Failed to mount ${rest.join(' ')}` })
      }
    })
    this.#child.on('error', (error) => end({ code: 1, failure: error.message }))
    this.#child.on('exit', (code) => end({ code: code ?? 137 }))
  }

  /** Asks the command to end; it is made to after a second. */
  terminate(): void {
    if (this.#commandPid !== undefined) signal(this.#commandPid, 'SIGTERM')
    setTimeout(() => {
      if (this.#commandPid !== undefined && this.#child.exitCode === null) signal(this.#commandPid, 'SIGKILL')
    }, 1000).unref()
  }

  /** Ends whatever is left, and with it the namespace and its mounts. Resolves when it is gone. */
  async destroy(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) return
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()))
    signal(-this.#child.pid, 'SIGKILL')
    await gone
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // it has ended by itself
  }
}
