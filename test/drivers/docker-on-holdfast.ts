/** Holdfast on Holdfast: the plugin is the Docker door of another installation, whose volumes lie on loop devices. */
import { join } from 'node:path'
import { World } from '../doors/docker/support/world.ts'
import type { Backend } from '../e2e/support/backend.ts'

export async function makeDockerOnHoldfastBackend(): Promise<Backend> {
  const world = await World.start(16 * 1024)
  try {
    await world.door({ trashHours: 0 })
    return {
      driver: 'docker',
      settings: {
        socket: join(world.dir, 'door-1.sock'),
        createOptions: 'fs=xfs',
        sizeOption: 'size',
        sizeUnit: 'MiB',
        sizeSuffix: 'MiB',
        markerSizeMiB: '320',
        requireMount: 'true',
      },
      leftovers: async () => {
        const { items } = await world.rest.rest<{ items: { name: string }[] }>('GET', '/v1/volumes')
        return items.map(({ name }) => name).filter((name) => !/^hf-[0-9a-f]{8}-pool-/.test(name))
      },
      dispose: () => world.dispose(),
    }
  } catch (thrown) {
    await world.dispose()
    throw thrown
  }
}
