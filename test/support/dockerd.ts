/**
 * A throw-away Docker daemon: state, sockets and processes below one folder, in a mount namespace of its own in which
 * /run/docker/plugins is a folder of the test. Several can run beside each other, and stand for several machines.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { until } from './until.ts'

/** Programs that it needs, for `needs(...)`. */
export const DOCKERD_NEEDS = ['root', 'dockerd', 'docker', 'unshare', 'nsenter', 'busybox', 'loop-devices'] as const
/** An image with a shell, there from the start. */
export const IMAGE = 'busybox'

export interface Output {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export class Dockerd {
  readonly dir: string
  /** Where plugins put their sockets. */
  readonly plugins: string
  readonly socket: string
  #holder: ChildProcess | undefined
  #daemon: ChildProcess | undefined

  /**
   * @param dir an absolute path in the test's own folder (Docker spins for ever on a relative one); of what is mounted
   *   under the folder for temporary files, the daemon sees what is in the test's own
   */
  constructor(dir: string, plugins: string) {
    this.dir = dir
    this.plugins = plugins
    this.socket = join(dir, 'docker.sock')
  }

  /** Everything that nodes mount below shared folders that exist by now is seen by the daemon and its containers. */
  async start(): Promise<void> {
    if (this.#holder === undefined) await this.#holdNamespace()
    await this.startDaemon()
    await this.#importImage()
  }

  /** Keeps the namespace, so that the daemon can be killed and come back to its containers' mounts. */
  async #holdNamespace(): Promise<void> {
    mkdirSync(this.dir, { recursive: true })
    const script = [
      // mounts of other tests would be held by this namespace
      'while read -r _ _ _ _ target _; do case $target in "$1"/*) ;; "$2"/*) umount -l "$target";; esac; done </proc/self/mountinfo',
      'mount -t tmpfs tmpfs /run && mkdir -p /run/docker/plugins && mount --bind "$0" /run/docker/plugins && echo ready',
      'exec sleep infinity',
    ].join('\n')
    const args = ['--mount', '--propagation', 'slave', 'sh', '-c', script, this.plugins, dirname(this.dir), tmpdir()]
    const holder = spawn('unshare', args, {
      cwd: this.dir,
      stdio: ['ignore', 'pipe', this.#log('namespace.log')],
    })
    this.#holder = holder
    let said = ''
    holder.stdout?.on('data', (chunk) => {
      said += chunk
    })
    await until(() => said.includes('ready'), { what: 'the mount namespace' })
  }

  #log(name: string): number {
    return openSync(join(this.dir, name), 'a')
  }

  async startDaemon(): Promise<void> {
    const args = [
      `--mount=/proc/${this.#holder?.pid}/ns/mnt`,
      'dockerd',
      `--data-root=${join(this.dir, 'data')}`,
      `--exec-root=${join(this.dir, 'exec')}`,
      `--pidfile=${join(this.dir, 'docker.pid')}`,
      `--host=unix://${this.socket}`,
      ...['--bridge=none', '--iptables=false', '--ip6tables=false', '--log-level=info'],
    ]
    const log = this.#log('dockerd.log')
    this.#daemon = spawn('nsenter', args, { cwd: this.dir, stdio: ['ignore', log, log] })
    const daemon = this.#daemon
    await until(
      async () => {
        if (daemon.exitCode !== null) return true
        return (await this.run('version', '--format', '{{.Server.Version}}')).code === 0
      },
      { what: `dockerd (see ${this.dir}/dockerd.log)`, deadlineMs: 45_000, everyMs: 100 },
    )
    if (daemon.exitCode !== null) throw new Error(`dockerd ended:\n${this.log().slice(-2000)}`)
  }

  log(): string {
    return readFileSync(join(this.dir, 'dockerd.log'), 'utf8')
  }

  async #importImage(): Promise<void> {
    const found = await this.run('image', 'inspect', IMAGE)
    if (found.code === 0) return
    const root = join(this.dir, 'root')
    mkdirSync(join(root, 'bin'), { recursive: true })
    const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path))
    if (busybox === undefined) throw new Error('busybox is not where Debian has it')
    copyFileSync(busybox, join(root, 'bin/busybox'))
    for (const name of ['sh', 'cat', 'sleep', 'sha256sum', 'dd', 'sync', 'mount', 'touch', 'test', 'ls']) {
      symlinkSync('busybox', join(root, 'bin', name))
    }
    const tar = join(this.dir, 'root.tar')
    execFileSync('tar', ['--create', '--file', tar, '--directory', root, '.'])
    await this.ok('import', tar, IMAGE)
  }

  /** Runs the docker command against this daemon; never throws for its exit code. */
  run(...args: string[]): Promise<Output> {
    const env = { ...process.env, DOCKER_HOST: `unix://${this.socket}`, DOCKER_CONFIG: join(this.dir, 'config') }
    return new Promise((resolve) => {
      execFile('docker', args, { env, timeout: 150_000 }, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
        resolve({ code, stdout: stdout.trim(), stderr: stderr.trim() })
      })
    })
  }

  /** @returns what the command printed @throws when it fails */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...args)
    if (code !== 0) throw new Error(`docker ${args.join(' ')} exited with ${code}: ${stderr}`)
    return stdout
  }

  /** Runs a shell command in a new container that is removed afterwards; `volume` is at /data. */
  sh(volume: string, command: string): Promise<string> {
    return this.ok('run', '--rm', '--network=none', '-v', `${volume}:/data`, IMAGE, 'sh', '-c', command)
  }

  /** Starts a container that sleeps with the volume at /data. */
  async sleeper(name: string, volume: string, ...options: string[]): Promise<void> {
    const command = ['sh', '-c', 'trap exit TERM; while :; do sleep 1; done']
    await this.ok('run', '-d', '--name', name, '--network=none', ...options, '-v', `${volume}:/data`, IMAGE, ...command)
  }

  /** Ends the daemon alone, without a chance to do anything more. Its containers go on. */
  async kill9(): Promise<void> {
    await this.#end('SIGKILL')
    const pidFile = join(this.dir, 'exec/containerd/containerd.pid')
    const pid = Number(read(pidFile))
    // containerd dies with its parent; where nobody reaps it, the next dockerd would take the zombie for a living one
    await until(() => pid === 0 || !isAlive(pid), { what: 'containerd to end' })
    rmSync(pidFile, { force: true })
  }

  async stopDaemon(): Promise<void> {
    await this.#end('SIGTERM')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const daemon = this.#daemon
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return
    daemon.kill(signal)
    await until(() => daemon.exitCode !== null || daemon.signalCode !== null, {
      what: 'dockerd to end',
      deadlineMs: 30_000,
    })
  }

  /** Ends containers, daemon and namespace, whatever state they are in. */
  async dispose(): Promise<void> {
    if (this.#daemon?.exitCode === null && this.#daemon.signalCode === null) {
      const ids = (await this.run('ps', '--all', '--quiet')).stdout.split('\n').filter(Boolean)
      if (ids.length > 0) await this.run('rm', '--force', ...ids)
      await this.#end('SIGTERM').catch(() => this.#end('SIGKILL'))
    }
    this.#holder?.kill('SIGKILL')
    await until(
      () => {
        const left = this.#processes()
        for (const pid of left) process.kill(pid, 'SIGKILL')
        return left.length === 0
      },
      { what: `the processes of ${this.dir} to end`, everyMs: 50 },
    )
  }

  /** Processes in the namespace, and those whose command line names our folder (containers' shims), and their children. */
  #processes(): number[] {
    const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    const marks = [join(this.dir, 'exec'), join(this.dir, 'data')]
    const own = all.filter((pid) => marks.some((mark) => read(`/proc/${pid}/cmdline`).includes(mark)))
    const found = new Set<number>()
    const add = (pid: number) => {
      if (found.has(pid) || !isAlive(pid)) return
      found.add(pid)
      for (const child of childrenOf(pid)) add(child)
    }
    for (const pid of own) add(Number(pid))
    return [...found]
  }
}

function childrenOf(pid: number): number[] {
  try {
    const threads = readdirSync(`/proc/${pid}/task`)
    return threads.flatMap((thread) =>
      read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
    )
  } catch {
    return [] // it ended meanwhile
  }
}

function isAlive(pid: number): boolean {
  return /^State:\s+[^ZX\s]/m.test(read(`/proc/${pid}/status`))
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it ended meanwhile
  }
}
