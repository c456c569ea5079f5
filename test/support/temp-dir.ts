import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export interface TempDir extends Disposable {
  readonly path: string
  remove(): void
}

/**
 * A new folder with a short path (a unix socket's path has at most 107 bytes). The caller removes it, after what is
 * mounted below it: with `using`, in `afterAll`, or by asking for `testDir` instead.
 * Removing throws EBUSY when something is still mounted in it, which is then the thing to repair.
 */
export function tempDir(): TempDir {
  const path = mkdtempSync(join(tmpdir(), 'hf-'))
  const remove = () => rmSync(path, { recursive: true, force: true, maxRetries: 3 })
  return { path, remove, [Symbol.dispose]: remove }
}

/** A new folder that is removed when the current test ends, after whatever the test registers later (last in, first out). */
export function testDir(): string {
  const dir = tempDir()
  onTestFinished(() => dir.remove())
  return dir.path
}
