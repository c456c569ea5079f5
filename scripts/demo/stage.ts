import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Dockerd } from '../../test/support/dockerd.ts'
import { until } from '../../test/support/until.ts'
import { Daemon, execute, freePort, HOLDFAST, must, type Output } from './process.ts'

export const POOL = 'loop~row8~pool-hdd'
/** The seed's 1,000 TB. */
export const POOL_MIB = 1_000_000_000
export const LEASE_SECONDS = 6

export interface Machine {
  readonly name: string
  readonly daemon: Daemon
  /** Absent where dockerd cannot run: the story is told with plain processes then. */
  readonly docker: Dockerd | undefined
}

/** All that the demonstration sets up: storage, a controller, two nodes, and a Docker daemon for each if possible. */
export class Stage {
  readonly directory: string
  readonly controller: Daemon
  readonly machines: Machine[] = []
  readonly api: string
  readonly #san: string
  readonly #controllerConfig: object

  private constructor(directory: string, port: number) {
    this.directory = directory
    this.api = `http://127.0.0.1:${port}`
    this.#san = join(directory, 'san')
    this.#controllerConfig = {
      listen: `127.0.0.1:${port}`,
      state: join(directory, 'controller'),
      leaseSeconds: LEASE_SECONDS,
    }
    this.controller = new Daemon(directory, 'controller', ['controller', 'run'], this.#controllerConfig)
  }

  static async empty(): Promise<Stage> {
    return new Stage(mkdtempSync(join(tmpdir(), 'hf-demo-')), await freePort())
  }

  get poolDirectory(): string {
    return this.#san
  }

  get tokenFile(): string {
    return join(this.directory, 'controller', 'admin.token')
  }

  /** The shared storage: a sparse image with xfs, since a file of ext4 ends at 16 TiB and xfs can share blocks. */
  async buildStorage(): Promise<void> {
    const image = join(this.directory, 'san.img')
    writeFileSync(image, '')
    await must('truncate', '--size=64G', image)
    await must('mkfs.xfs', '-q', image)
    mkdirSync(this.#san)
    await must('mount', '-o', 'loop', image, this.#san)
  }

  async startController(): Promise<void> {
    this.controller.start()
    await this.until('the controller', this.controller, async () => {
      const answer = await fetch(`${this.api}/readyz`).catch(() => undefined)
      return answer?.ok === true
    })
  }

  /** The controller starts anew, with more settings. */
  async restartController(more: object): Promise<void> {
    await this.controller.end('SIGTERM')
    this.controller.configure({ ...this.#controllerConfig, ...more })
    await this.startController()
  }

  async startMachine(name: string, withDocker: boolean): Promise<Machine> {
    const home = join(this.directory, name)
    const plugins = join(home, 'plugins')
    mkdirSync(plugins, { recursive: true })
    const daemon = new Daemon(this.directory, name, ['node', 'run'], {
      name,
      api: this.api,
      state: join(home, 'state'),
      mountRoot: join(home, 'mnt'),
      socket: join(home, 'node.sock'),
      joinTokenFile: await this.#joinToken(name),
      leaseSeconds: LEASE_SECONDS,
      doors: { docker: { name: 'holdfast', socket: join(plugins, 'holdfast.sock') } },
    })
    daemon.start()
    await this.until(`node ${name}`, daemon, async () => {
      const found = await this.ask('node', 'show', name)
      return found.code === 0 && JSON.parse(found.stdout).state === 'up'
    })
    const docker = withDocker ? await this.#startDocker(join(home, 'docker'), plugins) : undefined
    const machine = { name, daemon, docker }
    this.machines.push(machine)
    return machine
  }

  async #joinToken(name: string): Promise<string> {
    const file = join(this.directory, `${name}.join`)
    const { stdout } = await this.ask('node', 'token')
    writeFileSync(file, JSON.parse(stdout).secret, { mode: 0o600 })
    return file
  }

  async #startDocker(directory: string, plugins: string): Promise<Dockerd | undefined> {
    const docker = new Dockerd(directory, plugins)
    try {
      await docker.start()
      return docker
    } catch (thrown) {
      await docker.dispose()
      process.stdout.write(`   (dockerd does not run here: ${String(thrown).split('\n')[0]})\n`)
      return undefined
    }
  }

  /** Runs a holdfast command and prints it with what it says, as a visitor would type it. */
  async show(...args: string[]): Promise<Output> {
    process.stdout.write(`   $ holdfast ${args.map(quoted).join(' ')}\n`)
    const output = await execute(HOLDFAST, args, this.environment)
    for (const line of `${output.stderr}\n${output.stdout}`.split('\n')) {
      if (line !== '') process.stdout.write(`     ${line}\n`)
    }
    return output
  }

  /** Runs a holdfast command and prints it without what it says, which is not the point. @throws when it fails */
  async do(...args: string[]): Promise<void> {
    process.stdout.write(`   $ holdfast ${args.map(quoted).join(' ')}\n`)
    const { code, stderr } = await execute(HOLDFAST, args, this.environment)
    if (code !== 0) throw new Error(`it exited with ${code}: ${stderr}`)
  }

  /** Runs a holdfast command quietly; its answer is JSON. */
  ask(...args: string[]): Promise<Output> {
    return execute(HOLDFAST, ['--output', 'json', ...args], this.environment)
  }

  async json<T>(...args: string[]): Promise<T> {
    const { code, stdout, stderr } = await this.ask(...args)
    if (code !== 0) throw new Error(`holdfast ${args.join(' ')} exited with ${code}: ${stderr}`)
    return JSON.parse(stdout) as T
  }

  get environment(): NodeJS.ProcessEnv {
    return { HOLDFAST_API: this.api, HOLDFAST_TOKEN_FILE: this.tokenFile, NO_COLOR: '1' }
  }

  /** Waits, and tells the daemon's last words when it ends before. */
  async until(what: string, daemon: Daemon, condition: () => Promise<boolean>): Promise<void> {
    try {
      await until(async () => !daemon.running || (await condition()), { what, deadlineMs: 30_000, everyMs: 100 })
    } finally {
      if (!daemon.running) process.stderr.write(`${what} ended:\n${daemon.tail()}\n`)
    }
    if (!daemon.running) throw new Error(`${what} does not run`)
  }

  /** Brings back what the story killed. */
  async restart(): Promise<void> {
    for (const { daemon } of this.machines) if (!daemon.running) daemon.start()
  }

  /** Ends everything and leaves nothing behind, whatever state it is in. */
  async strike(): Promise<void> {
    for (const { docker } of this.machines) await docker?.dispose()
    for (const { daemon } of this.machines) await daemon.end('SIGTERM')
    await this.controller.end('SIGTERM')
    await unmountUnder(this.directory)
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** Unmounts and detaches whatever has its place under a directory, the innermost first. */
async function unmountUnder(directory: string): Promise<void> {
  const targets = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((target) => target.startsWith(`${directory}/`))
  for (const target of targets.reverse()) await execute('umount', [target])
  const { stdout } = await execute('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE'])
  for (const line of stdout.split('\n')) {
    const [device, file] = line.trim().split(/\s+/)
    if (device !== undefined && file?.startsWith(`${directory}/`)) await execute('losetup', ['--detach', device])
  }
}

function quoted(argument: string): string {
  return /^[\w./:=~@%,-]+$/.test(argument) ? argument : `'${argument}'`
}
