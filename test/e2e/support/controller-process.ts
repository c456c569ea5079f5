import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const ENTRY = fileURLToPath(new URL('./controller-entry.ts', import.meta.url))

export interface Ready {
  readonly api: string
  readonly token: string
}

export interface ProcessOptions {
  readonly state: string
  /** Before the program: `strace -f …`. */
  readonly before?: readonly string[]
  /** Options of node. */
  readonly node?: readonly string[]
  /** Folder where compiled code is kept: the second start takes half the time. */
  readonly cache?: string
}

/** The command line that runs a controller. */
export function controllerCommand(options: ProcessOptions): string[] {
  return [...(options.before ?? []), process.execPath, ...(options.node ?? []), ENTRY, options.state, '0']
}

/** A controller in a process of its own. It loads its program at once and begins when it is told to. */
export class ControllerProcess {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #ended: Promise<unknown>

  constructor(options: ProcessOptions) {
    const [program = '', ...args] = controllerCommand(options)
    const env = options.cache === undefined ? process.env : { ...process.env, NODE_COMPILE_CACHE: options.cache }
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'], env })
    this.#ended = once(this.#child, 'exit')
    // writing to one that was killed
    this.#child.stdin?.on('error', () => undefined)
    this.#lines = createInterface({ input: this.#child.stdout as NonNullable<ChildProcess['stdout']> })[
      Symbol.asyncIterator
    ]()
  }

  async loaded(): Promise<void> {
    await this.#lines.next()
  }

  /** Tells it to begin. */
  begin(): void {
    this.#child.stdin?.write('begin\n')
  }

  /** What it says after `begin`; undefined when it ended before. */
  async ready(): Promise<Ready | undefined> {
    const { done, value } = await this.#lines.next()
    if (done === true) return undefined
    const said = JSON.parse(value) as Ready & { code?: string; message?: string }
    if (said.code !== undefined) throw new Error(`the controller did not start: ${said.code}: ${said.message}`)
    return said
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  /** Stops it whatever it does: below another program too, which does not hand a SIGKILL on. */
  async end(): Promise<void> {
    this.#child.stdin?.destroy()
    await Promise.race([this.#ended, delay(5000)])
    await this.kill()
  }

  /** Lets it stop by itself. */
  async stop(): Promise<number | null> {
    this.#child.stdin?.end()
    await this.#ended
    return this.#child.exitCode
  }
}
