/** A node daemon in a process of its own, that a test can kill, stop and start again on the same state. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { HoldfastError, isErrorCode } from '../../../src/model/errors.ts'
import type { MountRequest, NodeDaemon } from '../../../src/node/daemon.ts'
import { signal } from './node-children.ts'
import type { Gate } from './node-gate.ts'
import type { NodeCall, NodeMessage, NodeProcessOptions } from './node-process.ts'

const PROGRAM = fileURLToPath(new URL('./node-process.ts', import.meta.url))

export type User = { door: string; id: string }

export class NodeProcess {
  readonly options: NodeProcessOptions
  /** Set: the daemon's programs pass through it. */
  gate: Pick<Gate, 'command'> | undefined
  readonly #pending = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  #child: ChildProcess | undefined
  #lastId = 0

  constructor(options: NodeProcessOptions) {
    this.options = options
  }

  get name(): string {
    return this.options.name
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Whether its process runs. */
  get alive(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** What the daemon marks its children with. */
  get tag(): string | undefined {
    const path = join(this.options.state, 'machine-id')
    return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined
  }

  async start(): Promise<void> {
    const args = [PROGRAM, JSON.stringify(this.options)]
    const [program, words] = this.gate?.command(process.execPath, args) ?? [process.execPath, args]
    const child = spawn(program, words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#child = child
    const ready = Promise.withResolvers<void>()
    child.on('message', (message: NodeMessage) => {
      if ('ready' in message) ready.resolve()
      else this.#settle(message)
    })
    child.once('exit', (code, killedBy) => {
      const error = new Error(`node ${this.name} ended (${killedBy ?? code})`)
      ready.reject(error)
      for (const { reject } of this.#pending.values()) reject(error)
      this.#pending.clear()
    })
    await ready.promise
  }

  #settle(message: Exclude<NodeMessage, { ready: true }>): void {
    const call = this.#pending.get(message.id)
    this.#pending.delete(message.id)
    if (call === undefined) return
    if (!('code' in message)) call.resolve(message.value)
    else call.reject(new HoldfastError(isErrorCode(message.code) ? message.code : 'internal', message.message))
  }

  #call(asked: NodeCall): Promise<unknown> {
    const id = ++this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#pending.set(id, { resolve, reject })
    // without a channel nobody would ever answer
    this.#child?.send({ id, ...asked }, (error) => {
      if (error === null) return
      this.#pending.delete(id)
      reject(error)
    })
    // a call that is cut off by a kill is of no interest to a test that does not wait for it
    promise.catch(() => undefined)
    return promise
  }

  mount(volume: string, user: User, more: Partial<MountRequest> = {}): Promise<string> {
    return this.#call({ call: 'mount', request: { volume, user, ...more } }) as Promise<string>
  }

  async unmount(volume: string, user: User): Promise<void> {
    await this.#call({ call: 'unmount', volume, user })
  }

  status(): Promise<ReturnType<NodeDaemon['status']>> {
    return this.#call({ call: 'status' }) as Promise<ReturnType<NodeDaemon['status']>>
  }

  signal(name: NodeJS.Signals): void {
    signal(this.pid, name)
  }

  /** SIGKILL; returns when it is gone. Its children live on. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  /** Stops in an orderly way, as a service manager does. */
  async stop(): Promise<void> {
    if (this.#child === undefined) return
    await this.#call({ call: 'stop' })
    await this.kill()
  }

  /** What the daemon has in its journal, read from outside. */
  journal(kind: 'work' | 'slot' | 'owed'): Record<string, unknown>[] {
    const database = new DatabaseSync(join(this.options.state, 'journal.db'), { readOnly: true })
    try {
      const rows = database.prepare('SELECT json FROM entries WHERE kind = ?').all(kind)
      return rows.map((row) => JSON.parse(String(row.json)))
    } finally {
      database.close()
    }
  }

  log(): string {
    return existsSync(this.options.logFile) ? readFileSync(this.options.logFile, 'utf8') : ''
  }
}
