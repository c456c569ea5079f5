/**
 * Tests that need a program or a right that a machine may lack. They are skipped there, under a name that says why,
 * and ./check lists them.
 */
import { accessSync, constants, existsSync, globSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe, type TestContext, test } from 'vitest'

export interface Needing {
  /** What is missing, e.g. `needs dockerd`; undefined when all is there. */
  readonly reason: string | undefined
  test(name: string, body: (context: TestContext) => unknown, timeoutMs?: number): void
  describe(name: string, body: () => void): void
}

/**
 * @param what names of programs (`dockerd`, `mkfs.xfs`), or `root`, `loop-devices`, `zookeeper`
 * @example needs('root', 'mkfs.xfs').describe('an xfs volume', () => { … })
 */
export function needs(...what: string[]): Needing {
  const missing = what.filter(isMissing)
  if (missing.length === 0) {
    return {
      reason: undefined,
      test: (name, body, timeoutMs) => test(name, timeoutMs === undefined ? {} : { timeout: timeoutMs }, body),
      describe: (name, body) => describe(name, body),
    }
  }
  const reason = `needs ${missing.join(', ')}`
  return {
    reason,
    test: (name, body) => test.skip(`${name} (${reason})`, body),
    describe: (name, body) => describe.skip(`${name} (${reason})`, body),
  }
}

function isMissing(what: string): boolean {
  const listed = process.env.HOLDFAST_MISSING?.split(' ') ?? []
  if (listed.includes(what)) return true
  if (what === 'root') return process.getuid?.() !== 0
  if (what === 'loop-devices') return !existsSync('/dev/loop-control')
  // a module without a program of its own
  if (what === 'qemu-block-iscsi') return globSync('/usr/lib/*/qemu/block-iscsi.so').length === 0
  if (what === 'zookeeper') return !existsSync('/usr/share/java/zookeeper.jar')
  return !searchPath().some((directory) => isExecutable(join(directory, what)))
}

/** PATH, and where Debian keeps the programs of root. */
function searchPath(): string[] {
  return [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
