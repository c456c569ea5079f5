/** Two Docker daemons that stand for two machines, each with its own node of one cluster. */
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { DockerDoorConfig } from '../../../../src/doors/docker/config.ts'
import { Dockerd } from '../../../support/dockerd.ts'
import { type TempDir, tempDir } from '../../../support/temp-dir.ts'
import { Cluster } from './cluster.ts'
import { unmountAll } from './unmount-all.ts'

export class DockerWorld {
  readonly dir: TempDir
  readonly cluster: Cluster
  readonly daemons: Dockerd[] = []

  private constructor(dir: TempDir, port: number) {
    this.dir = dir
    this.cluster = new Cluster(dir.path, port)
  }

  /** What was begun before a failure can still be disposed of: `made` is told at once. */
  static async start(
    made: (world: DockerWorld) => void,
    config: Partial<DockerDoorConfig> & { reconcile?: boolean } = {},
  ): Promise<DockerWorld> {
    const world = new DockerWorld(tempDir(), await freePort())
    made(world)
    const { reconcile = false, ...door } = config
    const socketOf = (number: number) => join(world.dir.path, `docker-${number}`, 'docker.sock')
    await world.cluster.start(2, (number) => ({ ...door, ...(reconcile ? { api: socketOf(number) } : {}) }))
    for (const [index, node] of world.cluster.nodes.entries()) {
      world.daemons.push(new Dockerd(join(world.dir.path, `docker-${index + 1}`), node.plugins))
    }
    await Promise.all(world.daemons.map((daemon) => daemon.start()))
    return world
  }

  docker(number: number): Dockerd {
    const daemon = this.daemons[number - 1]
    if (daemon === undefined) throw new Error(`there are ${this.daemons.length} Docker daemons`)
    return daemon
  }

  async dispose(): Promise<void> {
    for (const daemon of this.daemons) await daemon.dispose()
    await this.cluster.dispose()
    unmountAll(this.dir.path)
    this.dir.remove()
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (typeof address === 'object' && address !== null ? resolve(address.port) : reject()))
    })
  })
}
