import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Answer, Request } from './writer-protocol.ts'

/** The other side of a writer: asks it, wherever it lives. */
export interface WriterLink {
  /** @throws Error when the writer ended before it answered: what was asked may or may not have been done */
  ask(request: Request): Promise<Answer>
  /** Ends the writer, whatever it is doing. Does nothing when it has ended. */
  stop(): Promise<void>
}

interface Waiting {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

// .ts in the source tree, .js where it was compiled
const PROGRAM = new URL(`./writer-worker${extname(import.meta.url)}`, import.meta.url)

/** A writer in a worker thread. */
export class WriterThread implements WriterLink {
  readonly #worker: Worker
  readonly #waiting: Waiting[] = []
  #ended: Error | undefined

  constructor(program: URL = PROGRAM) {
    this.#worker = new Worker(program)
    this.#worker.on('message', (answer: Answer) => this.#waiting.shift()?.resolve(answer))
    this.#worker.on('error', (error) => this.#end(asError(error)))
    this.#worker.on('exit', (code) => this.#end(new Error(`the writer thread ended with code ${code}`)))
  }

  ask(request: Request): Promise<Answer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#worker.postMessage(request)
    })
  }

  async stop(): Promise<void> {
    await this.#worker.terminate()
  }

  #end(error: Error): void {
    this.#ended ??= error
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#ended)
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}
