import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { pino } from 'pino'
import { type RunningController, runController } from '../../src/cli/run-controller.ts'
import { tempDir } from '../support/temp-dir.ts'

export const BIN = join(import.meta.dirname, '../../bin/holdfast')

export interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export type Child = ChildProcessByStdio<Writable, Readable, Readable>
export type Environment = Readonly<Record<string, string>>

/** Nothing of the machine's own settings reaches a command under test. */
export function environment(more: Environment = {}): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '',
    HOME: '/nonexistent',
    HOLDFAST_CONTROLLER_STATE: '/nonexistent',
    NODE_COMPILE_CACHE: join(tmpdir(), 'hf-cache'),
    ...more,
  }
}

/** Starts the real program. */
export function start(args: readonly string[], more: Environment = {}): Child {
  return spawn(BIN, args, { env: environment(more), stdio: ['pipe', 'pipe', 'pipe'] })
}

/** Runs the real program to its end. */
export function holdfast(args: readonly string[], more: Environment = {}, input = ''): Promise<Ran> {
  const child = start(args, more)
  child.stdin.end(input)
  return ended(child)
}

export async function ended(child: Child): Promise<Ran> {
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out, err }
}

export interface Server extends AsyncDisposable {
  readonly running: RunningController
  /** What points the program at it. */
  readonly env: Environment
  run(line: string): Promise<Ran>
}

/** A real controller in this process, on any free port of loopback, with its state in a folder of its own. */
export async function server(): Promise<Server> {
  const dir = tempDir()
  const log = pino({ level: 'silent' })
  const state = join(dir.path, 'state')
  const running = await runController({ state, host: '127.0.0.1', port: 0, insecure: false, leaseMs: 15_000, log })
  const env = { HOLDFAST_API: running.api, HOLDFAST_TOKEN: running.token }
  return {
    running,
    env,
    run: (line) => holdfast(line.split(' '), env),
    async [Symbol.asyncDispose]() {
      await running.stop()
      dir.remove()
    },
  }
}

/** Ids, ages and the like are different every time. */
export function masked(text: string): string {
  return text
    .replace(/\b(pool|node|hold|vol|snap|group|att|op|tok)-[0-9a-v]{21}\b/g, '$1-ID')
    .replace(/\bhf-[0-9a-f]{8}-/g, 'hf-INST-')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(/\b(\d+[dhms]){1,2}(?=\s|$)/gm, 'AGE')
    .replace(/ +/g, ' ')
    .replace(/ $/gm, '')
}
