/**
 * File operations on one pool's directory, in a forked process. A mount that hangs would fill the daemon's own thread
 * pool and with it every other pool; here the process is killed at the deadline and a new one is started.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HoldfastError } from '../model/errors.ts'
import type { AllFileOperations, FileOperation, FileResponse } from './file-protocol.ts'

/** Beside this file, as source or as built. */
const CHILD = fileURLToPath(new URL(`./file-worker-child${extname(import.meta.url)}`, import.meta.url))

export interface FileWorkerTimes {
  /** A worker with nothing to do ends after this many milliseconds. */
  readonly idleMs: number
  /** How long after SIGKILL the process may take to be gone. */
  readonly killMs: number
}

interface Pending {
  readonly operation: FileOperation
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

export class FileWorker {
  private readonly label: string
  private readonly times: FileWorkerTimes
  private readonly environment: Readonly<Record<string, string>>
  private readonly pending = new Map<number, Pending>()
  private child: ChildProcess | undefined
  private hanging: ChildProcess | undefined
  private idle: NodeJS.Timeout | undefined
  private lastId = 0

  /** @param label what the worker is for, in messages: the pool's name */
  constructor(
    label: string,
    times: FileWorkerTimes = { idleMs: 60_000, killMs: 2000 },
    environment: Readonly<Record<string, string>> = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
  ) {
    this.label = label
    this.environment = environment
    this.times = times
  }

  /** Process id while one runs. */
  get pid(): number | undefined {
    return this.child?.pid
  }

  /**
   * Runs one operation.
   * @param deadlineMs then the process is killed, with every other call that it has in hand
   * @throws what the operation throws; storage_timeout; stuck (data: pid) when the process could not be ended
   */
  async call<Op extends FileOperation>(
    operation: Op,
    deadlineMs: number,
    ...args: Parameters<AllFileOperations[Op]>
  ): Promise<Awaited<ReturnType<AllFileOperations[Op]>>> {
    if (this.hanging !== undefined) throw this.stuckError(this.hanging.pid)
    const child = this.child ?? this.start()
    const id = ++this.lastId
    const answer = new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => void this.expire(child, operation, deadlineMs), deadlineMs)
      this.pending.set(id, { operation, resolve, reject, timer })
    })
    this.markBusy()
    // A failure to send is followed by the child's exit, which rejects what is pending.
    child.send({ id, operation, args }, () => undefined)
    return (await answer) as Awaited<ReturnType<AllFileOperations[Op]>>
  }

  /** Ends the process; calls in hand are rejected. */
  async close(): Promise<void> {
    clearTimeout(this.idle)
    const { child } = this
    if (child === undefined) return
    this.release(child, new HoldfastError('cancelled', `The files of ${this.label} were closed`))
    child.kill('SIGKILL')
    await this.gone(child)
  }

  private start(): ChildProcess {
    const child = fork(CHILD, [], {
      cwd: '/',
      env: this.environment,
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    child.on('message', (response: FileResponse) => this.settle(response))
    child.on('error', (error) => this.release(child, this.endedError(child, error.message)))
    child.on('exit', (code, signal) => this.release(child, this.endedError(child, signal ?? `exit ${code}`)))
    this.child = child
    return child
  }

  private settle(response: FileResponse): void {
    const call = this.pending.get(response.id)
    if (call === undefined) return
    this.pending.delete(response.id)
    clearTimeout(call.timer)
    if ('failure' in response) {
      call.reject(new HoldfastError(response.failure.code, response.failure.message, response.failure.data))
    } else {
      call.resolve(response.value)
    }
    if (this.pending.size === 0) this.markIdle()
  }

  private markBusy(): void {
    clearTimeout(this.idle)
    this.child?.ref()
    this.child?.channel?.ref()
  }

  /** An idle worker must not keep the daemon from ending, and need not stay for ever. */
  private markIdle(): void {
    const { child } = this
    child?.unref()
    child?.channel?.unref()
    clearTimeout(this.idle)
    this.idle = setTimeout(() => {
      this.child = undefined
      if (child?.connected === true) child.disconnect()
    }, this.times.idleMs)
    this.idle.unref()
  }

  /** The deadline of one call: the process may hang in the kernel, so nothing of it can be trusted any more. */
  private async expire(child: ChildProcess, operation: FileOperation, deadlineMs: number): Promise<void> {
    if (this.child !== child) return
    const calls = this.takePending()
    this.child = undefined
    child.kill('SIGKILL')
    const text = `${operation} on ${this.label} did not finish within ${deadlineMs} ms and was ended`
    if (await this.gone(child)) {
      for (const call of calls) call.reject(new HoldfastError('storage_timeout', text, { operation: call.operation }))
      return
    }
    this.hanging = child
    child.once('exit', () => {
      this.hanging = undefined
    })
    child.unref()
    child.channel?.unref()
    for (const call of calls) call.reject(this.stuckError(child.pid))
  }

  private async gone(child: ChildProcess): Promise<boolean> {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return true
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => resolve(false), this.times.killMs)
    child.ref()
    child.once('exit', () => resolve(true))
    const ended = await promise
    clearTimeout(timer)
    return ended
  }

  private release(child: ChildProcess, error: HoldfastError): void {
    if (this.child !== child) return
    this.child = undefined
    clearTimeout(this.idle)
    for (const call of this.takePending()) call.reject(error)
  }

  private takePending(): Pending[] {
    const calls = [...this.pending.values()]
    this.pending.clear()
    for (const call of calls) clearTimeout(call.timer)
    return calls
  }

  private endedError(child: ChildProcess, how: string): HoldfastError {
    const text = `The process that works on the files of ${this.label} (pid ${child.pid}) ended (${how}); try again`
    return new HoldfastError('storage_failed', text, { pid: child.pid })
  }

  private stuckError(pid: number | undefined): HoldfastError {
    const text = `The process that works on the files of ${this.label} (pid ${pid}) hangs in the kernel and could not be ended`
    return new HoldfastError('stuck', text, { pid })
  }
}
