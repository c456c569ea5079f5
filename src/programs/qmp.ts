/**
 * Commands to a QEMU process over its monitor socket: QMP, one JSON object a line (QEMU, docs/interop/qmp-spec.txt).
 * A connection for each conversation: they are rare, and the process outlives the daemon.
 */
import { createConnection, type Socket } from 'node:net'
import { HoldfastError } from '../model/errors.ts'

/** The process answers nobody while it waits for the storage, which may be slow. */
const CALL_MS = 30_000
const ANSWER_LIMIT = 4 * 1024 * 1024

interface Message {
  readonly QMP?: unknown
  readonly event?: string
  readonly return?: unknown
  readonly error?: { readonly desc?: string }
}

export type Execute = (command: string, args?: Readonly<Record<string, unknown>>) => Promise<unknown>

/**
 * Opens the monitor, runs a conversation, and closes it.
 * @throws storage_failed when it cannot be reached or refuses a command, storage_timeout when it does not answer
 */
export async function withMonitor<T>(path: string, talk: (execute: Execute) => Promise<T>): Promise<T> {
  const monitor = new Monitor(path)
  try {
    await monitor.greeted()
    return await talk((command, args) => monitor.execute(command, args))
  } finally {
    monitor.close()
  }
}

class Monitor {
  private readonly path: string
  private readonly socket: Socket
  private buffer = ''
  private readonly messages: Message[] = []
  private failure: HoldfastError | undefined
  private wake: (() => void) | undefined

  constructor(path: string) {
    this.path = path
    this.socket = createConnection({ path })
    this.socket.setEncoding('utf8')
    this.socket.on('data', (text: string) => this.take(text))
    this.socket.on('error', (error) => this.fail(`${path}: ${error.message}`))
    this.socket.on('close', () => this.fail(`${path}: the process closed its monitor`))
  }

  async greeted(): Promise<void> {
    await this.next('its greeting')
    await this.execute('qmp_capabilities')
  }

  async execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    this.socket.write(`${JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }) })}\n`)
    const answer = await this.next(`the answer to ${command}`)
    if (answer.error === undefined) return answer.return
    const text = `The storage daemon refused ${command}: ${answer.error.desc ?? 'it did not say why'}`
    throw new HoldfastError('storage_failed', text, { command })
  }

  close(): void {
    this.socket.destroy()
  }

  private async next(what: string): Promise<Message> {
    const end = performance.now() + CALL_MS
    for (;;) {
      const message = this.messages.shift()
      if (message !== undefined) return message
      if (this.failure !== undefined) throw this.failure
      const left = end - performance.now()
      if (left <= 0) throw new HoldfastError('storage_timeout', `${this.path}: ${what} did not come in ${CALL_MS} ms`)
      await this.news(left)
    }
  }

  private async news(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, ms)
    this.wake = resolve
    await promise
    clearTimeout(timer)
  }

  private take(text: string): void {
    this.buffer += text
    if (this.buffer.length > ANSWER_LIMIT) this.fail(`${this.path}: an answer is too long`)
    const lines = this.buffer.split('\n')
    this.buffer = lines.pop() ?? ''
    for (const line of lines) this.read(line)
    this.wake?.()
  }

  private read(line: string): void {
    try {
      const message = JSON.parse(line) as Message
      // events come at any time and are not asked for
      if (message.event === undefined) this.messages.push(message)
    } catch {
      this.fail(`${this.path}: an answer is no JSON`)
    }
  }

  private fail(text: string): void {
    this.failure ??= new HoldfastError('storage_failed', text)
    this.socket.destroy()
    this.wake?.()
  }
}
