import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { HoldfastError } from '../model/errors.ts'
import type { LauncherAnswer, LauncherRequest } from './launcher-protocol.ts'
import { type AbandonedChild, createPrograms, type Programs, type RunOptions, type RunResult } from './run.ts'
import { endSurvivors } from './survivors.ts'

const CHILD = new URL(`./launcher-child${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)

interface Pending {
  readonly options: RunOptions
  readonly resolve: (result: RunResult) => void
  readonly reject: (error: Error) => void
}

/** Programs started by a small process of their own (see `launcher-child.ts`); otherwise as `createPrograms`. */
export class Launcher implements Programs {
  readonly environment: Readonly<Record<string, string>>
  readonly #tag: string
  readonly #directories: readonly string[]
  readonly #local: Programs
  readonly #pending = new Map<number, Pending>()
  #abandoned: readonly AbandonedChild[] = []
  #child: Promise<ChildProcess> | undefined
  #lastId = 0
  #closed = false

  /**
   * @param tag marks every child; unique to the daemon
   * @param directories as for `createPrograms`
   */
  constructor(tag: string, directories: readonly string[] = []) {
    this.#tag = tag
    this.#directories = directories
    this.#local = createPrograms(undefined, tag, directories)
    this.environment = this.#local.environment
  }

  installed(program: string): boolean {
    return this.#local.installed(program)
  }

  abandoned(): readonly AbandonedChild[] {
    return this.#abandoned
  }

  async run(program: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
    if (options.signal.aborted) throw new HoldfastError('cancelled', `${program} was cancelled before it started`)
    if (this.#closed) throw new HoldfastError('cancelled', `${program} was asked for while the node stops`)
    const child = await this.#started()
    this.#lastId += 1
    const id = this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<RunResult>()
    this.#pending.set(id, { options, resolve, reject })
    // only while it has something to do does it keep this process alive
    child.ref()
    child.channel?.ref()
    const abort = () => send(child, { kind: 'abort', id })
    options.signal.addEventListener('abort', abort, { once: true })
    const { deadlineMs, whileProgressing = false, onWritten, accept } = options
    const reportsWritten = onWritten !== undefined
    send(child, { kind: 'run', id, program, args, deadlineMs, whileProgressing, reportsWritten, accept })
    try {
      return await promise
    } finally {
      options.signal.removeEventListener('abort', abort)
      this.#pending.delete(id)
      if (this.#pending.size === 0) rest(child)
    }
  }

  /** Ends the launcher, and with it what still runs. */
  async close(): Promise<void> {
    this.#closed = true
    const child = await this.#child
    if (child === undefined || child.exitCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.disconnect()
    await gone
  }

  #started(): Promise<ChildProcess> {
    this.#child ??= this.#start()
    return this.#child
  }

  async #start(): Promise<ChildProcess> {
    const child = fork(fileURLToPath(CHILD), this.#directories, {
      cwd: '/',
      env: { ...this.environment },
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    child.on('message', (answer: LauncherAnswer) => this.#take(answer))
    child.on('error', () => this.#lost())
    child.on('exit', () => this.#lost())
    rest(child)
    return child
  }

  #take(answer: LauncherAnswer): void {
    const pending = this.#pending.get(answer.id)
    if (answer.kind === 'written') {
      pending?.options.onWritten?.(answer.bytes)
      return
    }
    this.#abandoned = answer.abandoned
    if (answer.kind === 'result') pending?.resolve(answer.result)
    else pending?.reject(new HoldfastError(answer.code, answer.message, { ...answer.data }))
  }

  /** The launcher ended: what it ran may still run, so that is ended before anything is told or begun anew. */
  #lost(): void {
    const lost = [...this.#pending.values()]
    this.#pending.clear()
    const ended = this.#closed ? Promise.resolve([]) : endSurvivors(this.#tag)
    this.#child = this.#closed ? undefined : ended.then(() => this.#start())
    void ended.then((survivors) => {
      const code = survivors.length === 0 ? 'interrupted' : 'stuck'
      for (const { reject } of lost) reject(new HoldfastError(code, 'the process that ran the programs ended'))
    })
  }
}

function rest(child: ChildProcess): void {
  child.unref()
  child.channel?.unref()
}

function send(child: ChildProcess, request: LauncherRequest): void {
  // a failure to send is followed by the child's exit, which rejects what is pending
  child.send(request, () => undefined)
}
