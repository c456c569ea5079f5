import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const PROGRAM = fileURLToPath(new URL('./chained-writer.ts', import.meta.url))

/** The command line of the program that commits numbered batches. */
export function writerArguments(directory: string, batches: number): string[] {
  return [PROGRAM, directory, `${batches}`]
}

/** A chained writer in a process of its own; it is killed when the test ends. */
export class ChildWriter {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  /** The newest batch that the child acknowledged. */
  acknowledged = 0

  constructor(directory: string) {
    this.#child = spawn(process.execPath, writerArguments(directory, 0), { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]()
    onTestFinished(() => this.kill())
  }

  /** Waits until it leads, which comes after it took the lock. */
  async leading(): Promise<void> {
    await this.#line()
  }

  async acknowledge(batches: number): Promise<void> {
    for (let i = 0; i < batches; i += 1) await this.#line()
  }

  /** Kills it with SIGKILL and reads what it had said before. */
  async kill(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, 'exit')
      this.#child.kill('SIGKILL')
      await ended
    }
    while (!(await this.#next())) {
      // reads to the end
    }
  }

  async #line(): Promise<void> {
    if (await this.#next()) throw new Error('the chained writer ended by itself')
  }

  async #next(): Promise<boolean> {
    const { done, value } = await this.#lines.next()
    if (done === true) return true
    const [word, n] = value.split(' ')
    if (word === 'ack') this.acknowledged = Number(n)
    return false
  }
}
