/** Storage for tests of the driver docker: a plugin that keeps directories, and a pool on it. */
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createDockerDriver } from '../../src/drivers/docker.ts'
import type { PoolTarget } from '../../src/drivers/driver.ts'
import { readBootId } from '../../src/node/identity.ts'
import { createFilesystemTools } from '../../src/programs/filesystem-tools.ts'
import { createPrograms } from '../../src/programs/run.ts'
import { tempDir } from '../support/temp-dir.ts'
import { VolumePlugin, type VolumePluginOptions } from '../support/volume-plugin.ts'
import type { DriverFixture } from './contract.ts'

/** So short that a test can wait for them, and long enough for a machine that stands still for a moment. */
const TIMES = { longMs: 3000, shortMs: 3000, waitMs: 2000 }

export interface DockerFixture extends DriverFixture {
  readonly plugin: VolumePlugin
  readonly dir: string
  /** Where the driver has its places. */
  readonly places: string
  /** Another life of the driver, with the same places. */
  again(): DockerFixture['driver']
}

export async function makeDockerFixture(
  options: Partial<VolumePluginOptions> = {},
  settings: Record<string, string> = {},
): Promise<DockerFixture> {
  const temp = tempDir()
  const [scratch, places] = [join(temp.path, 'scratch'), join(temp.path, 'places')]
  mkdirSync(scratch)
  const socket = join(temp.path, 'p.sock')
  const plugin = new VolumePlugin({ dir: join(temp.path, 'plugin'), socket, ...options })
  await plugin.start()
  const programs = createPrograms()
  const plugins = { sockets: join(temp.path, 'sockets'), specs: [join(temp.path, 'specs')] }
  const again = () => createDockerDriver({ programs, plugins, directory: places, times: TIMES })
  return {
    ...{ plugin, scratch, places, again, dir: temp.path, bootId: readBootId(), driver: again() },
    filesystems: createFilesystemTools({ programs, scratchDirectory: scratch }),
    pool: poolOn({ socket, ...settings }),
    async dispose() {
      unmountBelow(scratch)
      unmountBelow(places)
      await plugin.dispose()
      temp.remove()
    },
  }
}

export function poolOn(settings: Record<string, string>): PoolTarget {
  return {
    ...{ id: 'pool-1', name: 'docker~test~plugin', uuid: randomUUID(), installation: randomUUID(), settings },
    node: { id: 'node-1', bootId: readBootId() },
    handleOf: () => undefined,
  }
}

/** The newest first: one may lie in another. */
export function unmountBelow(directory: string): void {
  for (const target of mountsBelow(directory).reverse()) execFileSync('umount', [target])
}

export function mountsBelow(directory: string): string[] {
  const targets = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
  return targets.filter((target) => target.startsWith(`${directory}/`))
}

/** A pool for tests of the whole system. */
export async function makeDockerBackend() {
  const temp = tempDir()
  const socket = join(temp.path, 'p.sock')
  const plugin = new VolumePlugin({ dir: join(temp.path, 'plugin'), socket, mounts: true })
  await plugin.start()
  return {
    driver: 'docker',
    settings: { socket, sizeOption: 'size', requireMount: 'true' },
    leftovers: async () => plugin.volumes.filter((name) => !/^hf-[0-9a-f]{8}-pool-/.test(name)),
    dispose: async () => {
      await plugin.dispose()
      temp.remove()
    },
  }
}
