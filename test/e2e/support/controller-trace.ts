/** Reads what strace saw of a controller: was each answer on its way only after what it says was on the disk? */
import { readFileSync } from 'node:fs'

/** What is to be given to strace: -yy names files and sockets, -s shows whole database pages. */
export function straceCommand(file: string): string[] {
  return ['strace', '-f', '-tt', '-yy', '-s', '4200', '-e', `trace=${CALLS.join()}`, '-o', file]
}

const CALLS = ['read', 'fsync', 'fdatasync', 'write', 'writev', 'pwrite64', 'sendto', 'sendmsg']

interface Line {
  readonly call: string
  /** Of what the descriptor is open on. */
  readonly target: string
  readonly text: string
  /** Number of the line where it returned. */
  done: number
}

const LOG = 'holdfast.db-wal'

export class Trace {
  readonly #lines: (Line | undefined)[]

  constructor(file: string) {
    this.#lines = parse(readFileSync(file, 'latin1'))
  }

  get syncs(): number {
    return this.#find(0, (line) => isSync(line)).length
  }

  /**
   * Why an answer was not durable when it was written to its socket; undefined when it was.
   * @param key of the request, which its header tells
   * @param mark in what it records; undefined when there is nothing unique in that, and nothing else was under way
   */
  complaint(key: string, mark: string | undefined): string | undefined {
    const asked = this.#find(0, ({ call, text }) => call === 'read' && text.includes(`idempotency-key: ${key}\\r`))[0]
    if (asked === undefined) return `no request ${key}`
    const socket = this.#lines[asked]?.target
    const isAnswer = ({ call, target, text }: Line) =>
      call !== 'read' && target === socket && /"HTTP\/1.1 20[012] /.test(text)
    const answered = this.#find(asked, isAnswer)[0]
    if (answered === undefined) return `no answer to ${key}`
    const isWrite = ({ call, target, text }: Line) =>
      call === 'pwrite64' && target.endsWith(LOG) && (mark === undefined || text.includes(mark))
    const written = this.#find(asked, isWrite)[0]
    if (written === undefined || written > answered) return `${key}: nothing was written before the answer`
    const synced = this.#find(written, (line) => isSync(line) && line.done < answered)
    return synced.length === 0 ? `${key}: answered before a sync of what was written for it` : undefined
  }

  #find(after: number, wanted: (line: Line) => boolean): number[] {
    const found: number[] = []
    for (let index = after; index < this.#lines.length; index += 1) {
      const line = this.#lines[index]
      if (line !== undefined && wanted(line)) found.push(index)
    }
    return found
  }
}

function isSync({ call, target }: Line): boolean {
  return (call === 'fsync' || call === 'fdatasync') && target.endsWith(LOG)
}

/** `PID TIME call(FD<target>, …) = result`; a call that another thread's interrupts is told in two lines. */
function parse(text: string): (Line | undefined)[] {
  const lines: (Line | undefined)[] = []
  const unfinished = new Map<string, Line>()
  for (const [index, line] of text.split('\n').entries()) {
    const [, pid = '', rest = ''] = /^(\d+) +[\d:.]+ (.*)$/.exec(line) ?? []
    const [, call = '', target = ''] = /^(\w+)\(\d+<((?:->|[^<>])*)>/.exec(rest) ?? []
    const parsed = call === '' ? undefined : { call, target, text: rest, done: index }
    lines.push(parsed)
    if (parsed !== undefined && rest.endsWith('<unfinished ...>')) {
      parsed.done = Number.POSITIVE_INFINITY
      unfinished.set(pid, parsed)
    } else if (/^<\.\.\. \w+ resumed>/.test(rest)) {
      const begun = unfinished.get(pid)
      unfinished.delete(pid)
      if (begun === undefined) continue
      begun.done = index
      // what was read is known only now
      if (begun.call === 'read') lines[index] = { ...begun, text: rest }
    }
  }
  return lines
}
