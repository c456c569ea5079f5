/** Storage for tests of the driver loop: a real filesystem with a pool in it. */
import { randomUUID } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, statfsSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { createLoopDriver } from '../../src/drivers/loop.ts'
import type { FilesystemType } from '../../src/node/filesystems.ts'
import { readBootId } from '../../src/node/identity.ts'
import { createFilesystemTools } from '../../src/programs/filesystem-tools.ts'
import { createPrograms, type Programs } from '../../src/programs/run.ts'
import { tempDir } from '../support/temp-dir.ts'
import type { DriverFixture } from './contract.ts'
import { type Disk, makeDisk, releaseAll } from './disk.ts'

export interface LoopFixture extends DriverFixture {
  readonly disk: Disk
  readonly directory: string
  readonly programs: Programs
}

export async function makeLoopFixture(type: FilesystemType, sizeMiB = 768): Promise<LoopFixture> {
  const disk = makeDisk(type, sizeMiB)
  const scratch = tempDir()
  const directory = join(disk.directory, 'pool')
  mkdirSync(directory)
  const programs = createPrograms()
  const filesystems = createFilesystemTools({ programs, scratchDirectory: scratch.path })
  const driver = createLoopDriver({ programs, filesystems })
  const pool = {
    id: 'pool-1',
    name: 'loop~test~disk',
    uuid: randomUUID(),
    installation: randomUUID(),
    settings: { directory },
    node: { id: 'node-1', bootId: readBootId() },
    handleOf: () => undefined,
  }
  return {
    ...{ disk, directory, programs, filesystems, driver, pool },
    scratch: scratch.path,
    bootId: readBootId(),
    makeReadOnly: async () => disk.remount('ro'),
    fill: async () => fillUp(disk.directory),
    async dispose() {
      disk.thaw()
      await driver.close()
      releaseAll(directory)
      disk.dispose()
      scratch.remove()
    },
  }
}

/** Writes until nothing goes in any more, in ever smaller pieces. */
export function fillUp(directory: string): void {
  const fd = openSync(join(directory, 'ballast'), 'w')
  try {
    for (let size = 8 * 1024 * 1024; size >= 4096; size /= 2) {
      while (statfsSync(directory).bavail > 0 && put(fd, Buffer.alloc(size, 1)));
    }
  } finally {
    closeSync(fd)
  }
}

function put(fd: number, bytes: Buffer): boolean {
  try {
    const written = writeSync(fd, bytes)
    fsyncSync(fd)
    return written === bytes.length
  } catch {
    return false // ENOSPC
  }
}
