/**
 * The one module that starts programs. Argument vectors only, absolute paths found in a fixed list of directories, a
 * clean environment, bounded output, and an end for every child: deadline or cancel → SIGTERM → SIGKILL → abandoned.
 * A child in uninterruptible sleep cannot be ended by anybody; it is left behind so that it blocks nobody else.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { HoldfastError } from '../model/errors.ts'
import { BoundedOutput } from './bounded-output.ts'
import { missingProgram, programFailure } from './program-failure.ts'
import { TAG } from './survivors.ts'

const PATH = '/usr/sbin:/usr/bin:/sbin:/bin'
const CLEAN = { PATH, LC_ALL: 'C' }
const OUTPUT_LIMIT = 1024 * 1024

export interface RunOptions {
  readonly signal: AbortSignal
  /** Milliseconds until the program is told to end. */
  readonly deadlineMs: number
  /** The deadline starts anew whenever the program's I/O counters or its output move (mkfs, copies). */
  readonly whileProgressing?: boolean
  /** Called with the bytes written so far; implies that counters are read. */
  readonly onWritten?: (bytes: number) => void
  /** Exit codes that are an answer and not a failure. Default: 0 only. */
  readonly accept?: readonly number[]
}

export interface RunResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A child that survived SIGKILL so far: it still may touch storage. */
export interface AbandonedChild {
  readonly pid: number
  readonly program: string
  readonly args: readonly string[]
}

export interface Programs {
  /**
   * Runs a program to its end.
   * @throws storage_failed, storage_full, storage_read_only by its exit and words; storage_timeout; cancelled;
   * stuck (data: pid) when it could not be ended
   */
  run(program: string, args: readonly string[], options: RunOptions): Promise<RunResult>
  /** Whether the program is installed. */
  installed(program: string): boolean
  /** What children see of the environment. */
  readonly environment: Readonly<Record<string, string>>
  /** Children that could not be ended and still exist. While one exists, nothing proves that its work is over. */
  abandoned(): readonly AbandonedChild[]
}

/** How long to wait after SIGTERM, and after SIGKILL, in milliseconds. */
export interface EndTimes {
  readonly terminateMs: number
  readonly killMs: number
}

/**
 * @param tag marks every child, so that a later life of the daemon can find those that outlived it
 * @param directories where programs are looked for besides the system's own directories, after these
 */
export function createPrograms(
  times: EndTimes = { terminateMs: 2000, killMs: 2000 },
  tag?: string,
  directories: readonly string[] = [],
): Programs {
  const environment = tag === undefined ? CLEAN : { ...CLEAN, [TAG]: tag }
  const found = new Map<string, string>()
  const abandoned = new Set<AbandonedChild>()
  const places = [...PATH.split(':'), ...directories]

  function locate(program: string): string | undefined {
    const known = found.get(program) ?? search(program, places)
    if (known !== undefined) found.set(program, known)
    return known
  }

  return {
    async run(program, args, options) {
      if (options.signal.aborted) throw new HoldfastError('cancelled', `${program} was cancelled before it started`)
      const file = locate(program)
      if (file === undefined) throw missingProgram(program, places.join(':'))
      return await new Run({ program, file, args, options, times, abandoned, environment }).result
    },
    environment,
    installed: (program) => locate(program) !== undefined,
    abandoned: () => [...abandoned],
  }
}

function search(program: string, places: readonly string[]): string | undefined {
  if (!/^[a-z0-9._-]+$/.test(program)) return undefined
  return places.map((directory) => `${directory}/${program}`).find(isExecutable)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

interface RunSetup {
  readonly program: string
  readonly file: string
  readonly args: readonly string[]
  readonly options: RunOptions
  readonly times: EndTimes
  readonly abandoned: Set<AbandonedChild>
  readonly environment: Readonly<Record<string, string>>
}

/** One child from start to end. */
class Run {
  readonly result: Promise<RunResult>
  private readonly setup: RunSetup
  private readonly child: ChildProcess
  private readonly stdout = new BoundedOutput(OUTPUT_LIMIT)
  private readonly stderr = new BoundedOutput(OUTPUT_LIMIT)
  private readonly resolve: (result: RunResult) => void
  private readonly reject: (error: Error) => void
  private timer: NodeJS.Timeout | undefined
  private watch: NodeJS.Timeout | undefined
  private endedFor: 'storage_timeout' | 'cancelled' | undefined
  private progressMark = ''

  constructor(setup: RunSetup) {
    this.setup = setup
    const { promise, resolve, reject } = Promise.withResolvers<RunResult>()
    this.result = promise
    this.resolve = resolve
    this.reject = reject
    // Its own session: a Ctrl-C at the daemon's terminal must not end a mkfs, and a signal reaches helpers as well.
    this.child = spawn(setup.file, setup.args, {
      // Tools print this name before their messages.
      argv0: setup.program,
      cwd: '/',
      env: setup.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    this.child.stdout?.on('data', (chunk: Buffer) => this.stdout.push(chunk))
    this.child.stderr?.on('data', (chunk: Buffer) => this.stderr.push(chunk))
    this.child.on('error', (error) => this.failToStart(error))
    this.child.on('exit', () => this.drain())
    this.child.on('close', (code, killedBy) => this.close(code, killedBy))
    setup.options.signal.addEventListener('abort', this.onAbort, { once: true })
    this.armDeadline()
    if (setup.options.whileProgressing === true || setup.options.onWritten !== undefined) this.watchProgress()
  }

  private readonly onAbort = (): void => this.terminate('cancelled')

  private armDeadline(): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.terminate('storage_timeout'), this.setup.options.deadlineMs)
  }

  private watchProgress(): void {
    const every = Math.min(500, Math.max(20, this.setup.options.deadlineMs / 4))
    this.watch = setInterval(() => {
      const counters = readCounters(this.child.pid)
      this.setup.options.onWritten?.(counters.written)
      const mark = `${counters.all} ${this.stdout.total} ${this.stderr.total}`
      if (mark === this.progressMark) return
      this.progressMark = mark
      if (this.setup.options.whileProgressing === true && this.endedFor === undefined) this.armDeadline()
    }, every)
  }

  private terminate(why: 'storage_timeout' | 'cancelled'): void {
    if (this.endedFor !== undefined) return
    this.endedFor = why
    this.kill('SIGTERM')
    clearTimeout(this.timer)
    this.timer = setTimeout(() => {
      this.kill('SIGKILL')
      this.timer = setTimeout(() => this.abandon(), this.setup.times.killMs)
    }, this.setup.times.terminateMs)
  }

  private kill(signal: 'SIGTERM' | 'SIGKILL'): void {
    // Once it has exited its number may belong to somebody else.
    if (this.child.pid === undefined || this.child.exitCode !== null || this.child.signalCode !== null) return
    try {
      process.kill(-this.child.pid, signal)
    } catch {
      // It ended in between; its exit is on the way.
    }
  }

  /** The child is gone but a helper of it may still hold the pipes: wait a moment for the rest, not for ever. */
  private drain(): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.closePipes(), 1000)
  }

  private closePipes(): void {
    this.child.stdout?.destroy()
    this.child.stderr?.destroy()
  }

  private abandon(): void {
    const { program, args, abandoned } = this.setup
    const pid = this.child.pid ?? 0
    const entry = { pid, program, args }
    abandoned.add(entry)
    this.child.once('exit', () => abandoned.delete(entry))
    this.child.unref()
    this.closePipes()
    this.settle()
    const text = `${program} (pid ${pid}) hangs in the kernel and could not be ended; what it did is not known`
    this.reject(new HoldfastError('stuck', text, { pid, program, reason: this.endedFor }))
  }

  private close(code: number | null, killedBy: string | null): void {
    this.settle()
    const end = { code, killedBy, stdout: this.stdout.text(), stderr: this.stderr.text() }
    const accepted = this.setup.options.accept ?? [0]
    if (code !== null && accepted.includes(code)) {
      this.resolve({ code, stdout: end.stdout, stderr: end.stderr })
    } else if (this.endedFor === undefined) {
      this.reject(programFailure(this.setup.program, end))
    } else {
      this.reject(this.endedError(this.endedFor))
    }
  }

  private endedError(why: 'storage_timeout' | 'cancelled'): HoldfastError {
    const { program, options } = this.setup
    const text =
      why === 'cancelled'
        ? `${program} was cancelled and has ended`
        : `${program} did not ${options.whileProgressing === true ? 'progress' : 'finish'} within ${options.deadlineMs} ms and was ended`
    return new HoldfastError(why, text, { program })
  }

  private failToStart(error: Error): void {
    if (this.child.pid !== undefined) return
    this.settle()
    const text = `${this.setup.file} could not be started: ${error.message}`
    this.reject(new HoldfastError('storage_failed', text, { program: this.setup.program }, { cause: error }))
  }

  private settle(): void {
    clearTimeout(this.timer)
    clearInterval(this.watch)
    this.setup.options.signal.removeEventListener('abort', this.onAbort)
  }
}

/** I/O counters of a process (proc(5), /proc/PID/io); zeros when it is gone. */
function readCounters(pid: number | undefined): { all: string; written: number } {
  try {
    const text = readFileSync(`/proc/${pid}/io`, 'utf8')
    return { all: text, written: Number(/^wchar: (\d+)$/m.exec(text)?.[1] ?? 0) }
  } catch {
    return { all: '', written: 0 }
  }
}
