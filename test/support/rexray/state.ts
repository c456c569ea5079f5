/** What the REX-Ray double remembers between calls, in files of one directory. */
import { appendFileSync, closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Attachment {
  readonly instance: string
  readonly device: string
}

export interface Volume {
  readonly id: string
  readonly name: string
  /** GiB; 0 is not printed. */
  readonly size: number
  readonly type: string
  readonly zone: string
  readonly iops: number
  attachments: Attachment[]
}

/** How it behaves. Defaults are those of the recorded service. */
export interface Options {
  /** `named`: devices are names only, as the recorded service has them; `loop`: real loop devices. */
  devices: 'named' | 'loop'
  grammar: '0.6' | '0.3'
  mountRoot: string
  /** `paths`: the device is told by `ls --path` only, as on storage whose devices the machine itself must find. */
  tells: 'always' | 'paths'
  /** Longer names are cut off, as ScaleIO does it; 0: never. */
  nameLength: number
  /** As EBS and ScaleIO have it; the recorded service has not. */
  uniqueNames: boolean
  /** GiB of all volumes together; 0: no limit. */
  capacity: number
  /** A file of this name is told as the device of everything that is attached. */
  deviceName: string
}

/** Something that goes wrong the next `times` times that an argument vector matches. */
export interface Fault {
  readonly match: string
  /** Whether it is done all the same. */
  readonly after?: boolean
  readonly what: 'hang' | 'fail' | 'print'
  /** Printed to stdout, or to stderr where it fails. */
  readonly text?: string
  times: number
}

export interface State {
  options: Options
  next: number
  volumes: Volume[]
  faults: Fault[]
}

export const RECORDED: Options = {
  devices: 'named',
  grammar: '0.6',
  mountRoot: '/var/lib/rexray-test/var/lib/volumes',
  tells: 'always',
  nameLength: 0,
  uniqueNames: false,
  capacity: 0,
  deviceName: '',
}

/** The recorded service had made two volumes before. */
export function emptyState(options: Partial<Options>): State {
  return { options: { ...RECORDED, ...options }, next: 2, volumes: [], faults: [] }
}

export function readState(directory: string): State {
  return JSON.parse(readFileSync(join(directory, 'state.json'), 'utf8')) as State
}

export function writeState(directory: string, state: State): void {
  const temporary = join(directory, `state.${process.pid}`)
  writeFileSync(temporary, JSON.stringify(state))
  renameSync(temporary, join(directory, 'state.json'))
}

/** Changes the state while nobody else does. */
export function withState<T>(directory: string, work: (state: State) => T): T {
  const lock = join(directory, 'lock')
  takeLock(lock)
  try {
    const state = readState(directory)
    const result = work(state)
    writeState(directory, state)
    return result
  } finally {
    rmSync(lock, { force: true })
  }
}

function takeLock(lock: string): void {
  for (;;) {
    try {
      const file = openSync(lock, 'wx')
      writeFileSync(file, String(process.pid))
      closeSync(file)
      return
    } catch {
      // whoever was killed with it has it no more
      if (isDead(lock)) rmSync(lock, { force: true })
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2)
    }
  }
}

function isDead(lock: string): boolean {
  try {
    const pid = Number(readFileSync(lock, 'utf8'))
    if (pid > 0) process.kill(pid, 0)
    return false
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

export function noteCall(directory: string, words: readonly string[]): void {
  appendFileSync(join(directory, 'calls.jsonl'), `${JSON.stringify(words)}\n`)
}
