import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { childrenOf, signal } from '../../e2e/support/node-children.ts'

const BIN = fileURLToPath(new URL('../../../bin/holdfast', import.meta.url))

/** One of the real programs in a process of its own: killed, started again, and watched for ending by itself. */
export class Daemon {
  readonly name: string
  readonly logFile: string
  /** How it ended when nobody had asked it to. */
  readonly surprises: string[] = []
  readonly #args: readonly string[]
  #child: ChildProcess | undefined
  #asked = false

  readonly #directory: string

  /** @param directory the test's own: its log is there, and its processes are told by it */
  constructor(name: string, args: readonly string[], directory: string) {
    this.name = name
    this.logFile = join(directory, `${name}.log`)
    this.#directory = directory
    this.#args = args
  }

  get pid(): number | undefined {
    return this.isRunning ? this.#child?.pid : undefined
  }

  get isRunning(): boolean {
    const child = this.#child
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  start(): void {
    if (this.isRunning) return
    const log = openSync(this.logFile, 'a')
    const env = {
      PATH: process.env.PATH ?? '',
      TMPDIR: this.#directory,
      NODE_COMPILE_CACHE: join(tmpdir(), 'hf-cache'),
    }
    const child = spawn(BIN, this.#args, { stdio: ['ignore', log, log], env })
    closeSync(log)
    this.#child = child
    this.#asked = false
    child.on('exit', (code, how) => {
      if (!this.#asked) this.surprises.push(`${this.name} ended by itself (${how ?? code}): ${this.tail(600)}`)
    })
  }

  async kill9(): Promise<void> {
    const child = this.#child
    if (child === undefined || !this.isRunning) return
    this.#asked = true
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  /** Ends a child of it whose command line has the word. @returns whether there was one */
  kill9Child(word: string): boolean {
    const { pid } = this
    const found = pid === undefined ? undefined : childrenOf(pid).find(({ line }) => line.includes(word))
    return found !== undefined && signal(found.pid, 'SIGKILL')
  }

  /** @returns the exit code; undefined when it has not ended by then and had to be killed */
  async stop(deadlineMs: number): Promise<number | null | undefined> {
    const child = this.#child
    if (child === undefined || !this.isRunning) return child?.exitCode
    this.#asked = true
    const ended = once(child, 'exit').then(() => true)
    child.kill('SIGTERM')
    const inTime = await Promise.race([ended, delay(deadlineMs, false, { ref: false })])
    if (inTime) return child.exitCode
    await this.kill9()
    return undefined
  }

  tail(characters: number): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8').slice(-characters) : ''
  }
}
