import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Environment variable by which the children of a daemon are known. */
export const TAG = 'HOLDFAST_CHILD_OF'

const WAIT_MS = 5000
const LOOK_EVERY_MS = 20

/**
 * Ends the children that an earlier life of the daemon left behind (it was killed while they ran): before anything is
 * done anew, nothing old may still be writing.
 * @returns process ids of those that could not be ended; what they hold cannot be proven free
 */
export async function endSurvivors(tag: string): Promise<number[]> {
  const deadline = Date.now() + WAIT_MS
  for (;;) {
    const survivors = childrenOf(tag)
    if (survivors.length === 0 || Date.now() > deadline) return survivors
    for (const pid of survivors) kill(pid)
    await sleep(LOOK_EVERY_MS)
  }
}

function childrenOf(tag: string): number[] {
  const mark = `${TAG}=${tag}`
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && environmentOf(pid).includes(mark))
}

/** The environment a process was started with; nothing for one that has ended, or is a zombie. */
function environmentOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')
  } catch {
    return []
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it has ended by itself
  }
}
