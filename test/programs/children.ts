/** Looks at this process's own children, to end one at a chosen moment. */
import { readdirSync, readFileSync } from 'node:fs'

/** Pids of running children of this process (zombies not counted) whose command line contains all the words. */
export function childrenWith(...words: string[]): number[] {
  return ownChildren().filter((pid) => {
    const line = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')
    return words.every((word) => line.includes(word)) && isRunning(pid)
  })
}

/** Whether a process exists and is no zombie, which is gone but for its exit code. */
export function isRunning(pid: number): boolean {
  return /^State:\s+[^ZX\s]/m.test(read(`/proc/${pid}/status`))
}

function ownChildren(): number[] {
  const threads = readdirSync('/proc/self/task')
  return threads.flatMap((thread) => read(`/proc/self/task/${thread}/children`).split(' ').filter(Boolean).map(Number))
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it ended meanwhile
  }
}
