/**
 * A gate in front of the programs that a daemon starts. Armed, it makes the next start of one stand still (SIGSTOP) just
 * before it does its work, for as long as the test likes: the programs themselves live for milliseconds. The programs
 * are replaced in a mount namespace of the daemon's own, so that nobody else on the machine meets the gate.
 */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tool } from '../../drivers/disk.ts'
import { until } from '../../support/until.ts'

const PROGRAMS = {
  '/usr/bin': ['mount', 'umount', 'cp'],
  '/usr/sbin': ['losetup', 'blkid', 'fsfreeze', 'mkfs.ext4', 'mkfs.xfs', 'tune2fs', 'resize2fs', 'xfs_growfs'],
}

export class Gate {
  readonly #directory: string

  /** @param shared a directory of the test; mounts below it are seen on both sides of the gate */
  constructor(shared: string) {
    this.#directory = join(shared, 'gate')
    mkdirSync(join(this.#directory, 'real'), { recursive: true })
    tool('mount', '--bind', shared, shared)
    tool('mount', '--make-shared', shared)
    const script = join(this.#directory, 'program')
    writeFileSync(script, wrapper(this.#directory))
    chmodSync(script, 0o755)
    for (const [directory, names] of Object.entries(PROGRAMS)) {
      for (const name of names) copyFileSync(where(directory, name), join(this.#directory, 'real', name))
    }
  }

  /** The command line that runs a program behind the gate. */
  command(program: string, args: readonly string[]): [string, string[]] {
    const binds = Object.entries(PROGRAMS).flatMap(([directory, names]) =>
      names.map((name) => `mount --bind '${this.#directory}/program' ${where(directory, name)}`),
    )
    // what hides the programs must not reach other namespaces
    const lines = ['set -e', 'mount --make-private /', ...binds.filter((line) => !line.endsWith('/mount'))]
    lines.push(...binds.filter((line) => line.endsWith('/mount')), 'exec "$0" "$@"')
    return [
      'unshare',
      ['--mount', '--propagation', 'unchanged', '--', '/bin/sh', '-c', lines.join('\n'), program, ...args],
    ]
  }

  /** Arms the gate, does what makes the daemon start the program, and gives its process id once it stands still. */
  async catch(program: string, words: string, work: () => Promise<unknown>): Promise<number> {
    const reached = join(this.#directory, 'reached')
    const armed = join(this.#directory, `arm.${program}`)
    rmSync(reached, { force: true })
    writeFileSync(armed, words)
    // what is under way is cut off by what the test does next
    work().catch(() => undefined)
    try {
      await until(() => existsSync(reached), { what: `${program} ${words} to start`, deadlineMs: 30_000 })
      return Number(readFileSync(reached, 'utf8'))
    } finally {
      rmSync(armed, { force: true })
    }
  }
}

function where(directory: string, name: string): string {
  const paths = [directory, '/usr/sbin', '/usr/bin', '/sbin', '/bin'].map((each) => join(each, name))
  const found = paths.find((path) => existsSync(path))
  if (found === undefined) throw new Error(`${name} is not installed`)
  return found
}

function wrapper(directory: string): string {
  return `#!/bin/sh
name=\${0##*/}
if [ -e '${directory}/arm.'"$name" ]; then
  read -r words < '${directory}/arm.'"$name"
  case " $* " in
    *"$words"*)
      rm -f '${directory}/arm.'"$name"
      echo $$ > '${directory}/reaching'
      mv '${directory}/reaching' '${directory}/reached'
      kill -STOP $$
      ;;
  esac
fi
exec '${directory}/real/'"$name" "$@"
`
}
