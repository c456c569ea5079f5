import { type ChildProcess, fork } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface RestartedChildOptions {
  /** The program: a module that speaks over the channel of `process.send`. */
  readonly module: URL
  readonly onMessage: (message: unknown) => void
  /** A new life has begun: nothing that was said to an earlier one counts. */
  readonly onStart: () => void
  /** It ended without having been told to. Another life begins in `againInMs`. */
  readonly onEnd: (how: string, againInMs: number) => void
  /** A line that it wrote to stderr. */
  readonly onLine: (line: string) => void
  /** Wait before the first restart, ms; doubled up to `longestPauseMs`. A life of a minute begins anew with the first. */
  readonly firstPauseMs?: number
  readonly longestPauseMs?: number
}

const GOOD_LIFE_MS = 60_000
const ENVIRONMENT = ['PATH', 'LANG', 'LC_ALL', 'TZ', 'NODE_COMPILE_CACHE', 'TMPDIR']

/** A child of this same Node that is started again whenever it ends. It must end by itself when its channel closes. */
export class RestartedChild {
  readonly #options: RestartedChildOptions
  #child: ChildProcess | undefined
  #timer: NodeJS.Timeout | undefined
  #failures = 0
  #closed = false

  constructor(options: RestartedChildOptions) {
    this.#options = options
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Starts it; a start that fails is one of its ends. */
  start(): void {
    if (this.#closed || this.#child !== undefined) return
    const born = performance.now()
    const child = fork(fileURLToPath(this.#options.module), [], {
      cwd: '/',
      env: environment(),
      execArgv: ['--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#child = child
    child.on('message', (message) => {
      if (this.#child === child) this.#options.onMessage(message)
    })
    child.on('error', (error) => this.#ended(child, error.message, born))
    child.on('exit', (code, signal) => this.#ended(child, signal ?? `exit code ${code}`, born))
    if (child.stderr !== null) {
      child.stderr.on('error', () => undefined)
      createInterface({ input: child.stderr }).on('line', (line) => this.#options.onLine(line))
    }
    this.#options.onStart()
  }

  /** What is sent while none lives is lost: `onStart` is where the next one is told what it needs. */
  send(message: object): void {
    // a failure to send is followed by its end
    this.#child?.send(message, () => undefined)
  }

  /** Ends this life; the next one begins at once. */
  restart(): void {
    const child = this.#child
    clearTimeout(this.#timer)
    this.#failures = 0
    this.#child = undefined
    child?.kill('SIGKILL')
    if (child === undefined || hasEnded(child)) this.start()
    else child.once('exit', () => this.start())
  }

  /** Ends it for good. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    const child = this.#child
    this.#child = undefined
    if (child === undefined || hasEnded(child)) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }

  #ended(child: ChildProcess, how: string, born: number): void {
    if (this.#child !== child) return
    this.#child = undefined
    const { firstPauseMs = 100, longestPauseMs = 10_000, onEnd } = this.#options
    this.#failures = performance.now() - born > GOOD_LIFE_MS ? 0 : this.#failures + 1
    const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(this.#failures, 20))
    onEnd(how, pause)
    this.#timer = setTimeout(() => this.start(), pause)
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null
}

/** Secrets are not for the environment: they reach the child over its channel, or as paths of files. */
function environment(): Record<string, string> {
  const entries = ENVIRONMENT.flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return Object.fromEntries(entries)
}
