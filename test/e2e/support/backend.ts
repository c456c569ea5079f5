/** Storage of each kind, for tests that are the same for all drivers. */
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { makeDisk } from '../../drivers/disk.ts'
import type { NodeProcessOptions } from './node-process.ts'

/** Storage that is empty and not yet marked. */
export interface Backend {
  readonly driver: string
  readonly settings: Readonly<Record<string, string>>
  /** What node daemons need to know besides. */
  readonly nodeOptions?: Partial<NodeProcessOptions>
  /** Objects on the storage that are not the pool's marker. */
  leftovers(): Promise<string[]>
  /** Takes all of it away, also after a failed test. */
  dispose(): Promise<void>
}

export async function makeLoopBackend(): Promise<Backend> {
  const disk = makeDisk('xfs', 2048)
  const directory = join(disk.directory, 'pool')
  mkdirSync(directory)
  return {
    driver: 'loop',
    settings: { directory },
    // a trial of what the directory can do, cut off in the middle, has no name that counts
    leftovers: async () => readdirSync(directory).filter((name) => !/^\.holdfast-(pool|trial)/.test(name)),
    dispose: async () => {
      disk.thaw()
      disk.dispose()
    },
  }
}
