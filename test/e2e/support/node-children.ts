/** Looks at the children of a node daemon, to end the daemon while one of them is at work. */
import { readdirSync, readFileSync } from 'node:fs'

/** Processes that a daemon (by its process id) has started itself and that run, with their command lines. */
export function childrenOf(parent: number): { pid: number; line: string }[] {
  const pids = list(`/proc/${parent}/task`).flatMap((thread) =>
    read(`/proc/${parent}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  )
  return pids.map((pid) => ({ pid, line: commandLine(pid) })).filter(({ pid }) => stateOf(pid) !== '')
}

/** Processes of any parent that were started with a daemon's tag: its children, also those that outlived it. */
export function taggedWith(tag: string): { pid: number; line: string }[] {
  return list('/proc')
    .filter((name) => /^\d+$/.test(name) && read(`/proc/${name}/environ`).includes(`HOLDFAST_CHILD_OF=${tag}`))
    .map((name) => ({ pid: Number(name), line: commandLine(Number(name)) }))
    .filter(({ pid }) => stateOf(pid) !== '')
}

/** False when it is gone. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name)
    return true
  } catch {
    return false
  }
}

/** One letter of proc(5); empty for a process that is gone or a zombie. */
export function stateOf(pid: number): string {
  const state = /^State:\s+(\S)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? ''
  return state === 'Z' || state === 'X' ? '' : state
}

function commandLine(pid: number): string {
  return read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()
}

function list(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return [] // it ended meanwhile
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return '' // it ended meanwhile
  }
}
