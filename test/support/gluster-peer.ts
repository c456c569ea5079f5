/**
 * One server of a GlusterFS cluster: a real glusterd in a mount namespace of its own, and if wished in a network
 * namespace of its own, which makes a machine of it. Its daemons are found again by the namespace.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { createConnection, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { until } from './until.ts'

const LISTENER = fileURLToPath(new URL('./namespace-listener-stand-in.ts', import.meta.url))
const run = promisify(execFile)

export interface PeerOptions {
  /** Its own: what its daemons write, and its bricks. */
  readonly dir: string
  readonly address: string
  /** Where it has bricks besides: what is mounted there stays. */
  readonly keep?: string
  /** Process in the network namespace with the bridge `br0` that it is to be connected to; none: the network is shared. */
  readonly bridge?: number
}

export class GlusterPeer {
  readonly options: PeerOptions
  #holder: ChildProcess | undefined
  readonly #listeners: Server[] = []
  readonly #forwarded = new Set<number>()

  constructor(options: PeerOptions) {
    this.options = options
  }

  /** A process in its namespaces. */
  get pid(): number {
    return this.#holder?.pid ?? 0
  }

  /** Where its bricks are. */
  get bricks(): string {
    return join(this.options.dir, 'bricks')
  }

  async start(): Promise<void> {
    await this.#holdNamespaces()
    const { address, bridge } = this.options
    if (bridge !== undefined) await this.#connect(bridge)
    // on a machine of its own its helpers look for it on localhost
    const bind = `management.transport.socket.bind-address=${address}`
    await this.run('glusterd', '--log-level', 'WARNING', ...(bridge === undefined ? ['--xlator-option', bind] : []))
    await until(async () => (await this.gluster('pool', 'list')) !== '', { what: 'glusterd to answer', everyMs: 50 })
  }

  async #holdNamespaces(): Promise<void> {
    const { dir, bridge, keep = dir } = this.options
    for (const name of ['lib', 'log', 'bricks']) mkdirSync(join(dir, name), { recursive: true })
    // geo-replication, which nobody needs here, is asked a dozen times when glusterd starts: that takes it seconds
    writeFileSync(join(dir, 'gsyncd'), '#!/bin/sh\necho gsyncd\n', { mode: 0o755 })
    const script = [
      // mounts of other tests would be held by this namespace
      'while read -r _ _ _ _ target _; do case $target in "$0"/*|"$2"*) ;; "$1"/*) umount -l "$target";; esac; done </proc/self/mountinfo',
      'mount --bind "$0/lib" /var/lib/glusterd && mount --bind "$0/log" /var/log/glusterfs',
      'mount -t tmpfs tmpfs /run && mkdir /run/gluster',
      'for gsyncd in /usr/lib/*/glusterfs/gsyncd; do mount --bind "$0/gsyncd" "$gsyncd"; done',
      'echo ready && exec sleep infinity',
    ].join('\n')
    const namespaces = ['--mount', '--propagation', 'private', ...(bridge === undefined ? [] : ['--net'])]
    const stdio: ['ignore', 'pipe', number] = ['ignore', 'pipe', openSync(join(dir, 'namespace.log'), 'a')]
    const holder = spawn('unshare', [...namespaces, 'sh', '-c', script, dir, tmpdir(), keep], { cwd: dir, stdio })
    this.#holder = holder
    let said = ''
    holder.stdout?.on('data', (chunk) => {
      said += chunk
    })
    await until(() => said.includes('ready'), { what: 'the namespaces of a peer' })
  }

  async #connect(bridge: number): Promise<void> {
    const port = `v${this.pid}`
    const at = (pid: number, ...args: string[]) => run('nsenter', [`--net=/proc/${pid}/ns/net`, 'ip', ...args])
    await at(bridge, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'e0', 'netns', String(this.pid))
    await at(bridge, 'link', 'set', port, 'master', 'br0', 'up')
    await at(this.pid, 'link', 'set', 'lo', 'up')
    await at(this.pid, 'addr', 'add', `${this.options.address}/24`, 'dev', 'e0')
    await at(this.pid, 'link', 'set', 'e0', 'up')
  }

  /** The command line that runs a program there. */
  command(program: string, args: readonly string[]): [string, string[]] {
    const net = this.options.bridge === undefined ? [] : [`--net=/proc/${this.pid}/ns/net`]
    return ['nsenter', [`--mount=/proc/${this.pid}/ns/mnt`, ...net, '--', program, ...args]]
  }

  /** Runs a program there. @returns what it printed @throws when it fails */
  async run(program: string, ...args: string[]): Promise<string> {
    const [file, words] = this.command(program, args)
    return (await run(file, words, { cwd: '/', timeout: 40_000 })).stdout.trim()
  }

  gluster(...args: string[]): Promise<string> {
    return this.run('gluster', '--mode=script', `--glusterd-sock=/run/glusterd.socket`, ...args)
  }

  /** A path there, seen from here. */
  path(path: string): string {
    return `/proc/${this.pid}/root${path}`
  }

  /** Lets programs there reach a port of 127.0.0.1 here, as the same port of 127.0.0.1 there. */
  async forward(port: number): Promise<void> {
    if (this.options.bridge === undefined || this.#forwarded.has(port)) return
    this.#forwarded.add(port)
    const [file, words] = this.command(process.execPath, [LISTENER, String(port)])
    const child = spawn(file, words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const [, server] = (await once(child, 'message')) as [unknown, Server]
    child.disconnect()
    this.#listeners.push(server)
    server.on('connection', (socket) => {
      const onward = createConnection(port, '127.0.0.1')
      for (const each of [socket, onward]) each.on('error', () => undefined)
      socket.pipe(onward).pipe(socket)
      socket.on('close', () => onward.destroy())
      onward.on('close', () => socket.destroy())
    })
  }

  /** Process ids of the daemons there with this in their command line. */
  daemons(name: string): number[] {
    const namespace = linkOf(this.pid)
    if (namespace === '') return []
    const all = readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid))
      .map(Number)
    return all.filter((pid) => linkOf(pid) === namespace && read(`/proc/${pid}/cmdline`).includes(name))
  }

  /** Ends everything that runs there. What is mounted there goes with it. */
  async dispose(): Promise<void> {
    for (const server of this.#listeners) server.close()
    if (this.#holder === undefined) return
    await until(
      () => {
        const left = this.daemons('').filter((pid) => pid !== this.pid)
        for (const pid of left) kill(pid)
        return left.length === 0
      },
      { what: `the daemons of ${this.options.dir} to end`, everyMs: 20 },
    )
    const gone = once(this.#holder, 'exit')
    if (this.#holder.exitCode === null && this.#holder.signalCode === null) {
      this.#holder.kill('SIGKILL')
      await gone
    }
  }
}

function linkOf(pid: number): string {
  try {
    return existsSync(`/proc/${pid}`) ? readlinkSync(`/proc/${pid}/ns/mnt`) : ''
  } catch {
    return '' // it ended meanwhile
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it ended meanwhile
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it has ended by itself
  }
}
