import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../support/until.ts'

const MAIN = join(import.meta.dirname, '../../examples/mesos-framework/main.ts')

/** What the example says, a line each. */
export interface Said {
  readonly event: string
  readonly [member: string]: unknown
}

/** The example framework as an author would run it, with a state file that outlives it. */
export class ExampleProcess {
  readonly said: Said[] = []
  readonly #args: readonly string[]
  readonly #stateFile: string
  #child: ChildProcess | undefined
  #errors = ''

  constructor(directory: string, args: Readonly<Record<string, string>>) {
    this.#stateFile = join(directory, 'database.json')
    const flags = Object.entries({ ...args, state: this.#stateFile }).flatMap(([name, value]) => [`--${name}`, value])
    this.#args = [MAIN, ...flags]
  }

  start(): void {
    const child = spawn(process.execPath, this.#args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    let rest = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = `${rest}${chunk}`.split('\n')
      rest = lines.pop() ?? ''
      this.said.push(...lines.map((line) => JSON.parse(line) as Said))
    })
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      this.#errors += chunk
    })
  }

  /** Waits for a line that comes after the first `after` ones. */
  async hears(event: string, fits: (said: Said) => boolean = () => true, after = 0): Promise<Said> {
    const look = () => this.said.slice(after).find((said) => said.event === event && fits(said))
    try {
      return await until(look, { what: `the example to say ${event}`, deadlineMs: 30_000 })
    } catch (thrown) {
      const last = this.said.slice(-12).map((said) => JSON.stringify(said))
      throw new Error([String(thrown), ...last, this.#errors.slice(-2000)].join('\n'))
    }
  }

  get state(): { frameworkId?: string; volumeId?: string; task?: { id: string; hostname: string } } {
    return JSON.parse(readFileSync(this.#stateFile, 'utf8'))
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await gone
  }
}
