import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'

const TOP = new URL('../..', import.meta.url).pathname
export const HOLDFAST = join(TOP, 'bin/holdfast')

export interface Output {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end; never throws for its exit code. */
export function execute(file: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Output> {
  return new Promise((resolve) => {
    execFile(file, args, { env: { ...process.env, ...environment }, timeout: 120_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ code, stdout: stdout.trimEnd(), stderr: stderr.trimEnd() })
    })
  })
}

/** @returns what it printed @throws with its words when it fails */
export async function must(file: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await execute(file, args)
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} exited with ${code}: ${stderr || stdout}`)
  return stdout
}

/** A daemon of the demonstration, with a configuration file and a log of its own. */
export class Daemon {
  readonly log: string
  readonly #config: string
  readonly #command: readonly string[]
  #child: ChildProcess | undefined

  /**
   * @param command what runs it, e.g. `['node', 'run']`
   * @param config the section of the file that has the same name as the command's noun
   */
  constructor(directory: string, name: string, command: readonly [string, string], config: object) {
    mkdirSync(directory, { recursive: true })
    this.log = join(directory, `${name}.log`)
    this.#config = join(directory, `${name}.yaml`)
    this.#command = command
    this.configure(config)
  }

  /** For its next start. */
  configure(config: object): void {
    // JSON is YAML
    writeFileSync(this.#config, JSON.stringify({ [this.#command[0] ?? '']: config }, null, 2))
  }

  start(): void {
    const log = openSync(this.log, 'a')
    const args = ['--config', this.#config, ...this.#command]
    this.#child = spawn(HOLDFAST, args, { stdio: ['ignore', log, log] })
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child === undefined || !this.running) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await gone
  }

  /** The last lines of its log, for when something goes wrong. */
  tail(): string {
    return readFileSync(this.log, 'utf8').trimEnd().split('\n').slice(-8).join('\n')
  }
}

/** A port of loopback that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
