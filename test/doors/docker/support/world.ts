/** A controller and two nodes that share a pool on real loop devices, and doors of any configuration on them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { type RunningDev, runDev } from '../../../../src/cli/dev.ts'
import type { DockerDoorConfig } from '../../../../src/doors/docker/config.ts'
import { createDockerDoor, type DockerDoor } from '../../../../src/doors/docker/door.ts'
import { HttpLink } from '../../../../src/node/http-link.ts'
import { tempDir } from '../../../support/temp-dir.ts'
import { PluginClient } from './plugin-client.ts'
import { unmountAll } from './unmount-all.ts'

export class World {
  readonly dir: string
  readonly dev: RunningDev
  /** The admin's. */
  readonly rest: HttpLink
  /** What the doors have logged, newest last. */
  readonly logged: Record<string, unknown>[] = []
  readonly #closers: (() => Promise<void> | void)[]
  #doors = 0

  constructor(dir: string, dev: RunningDev, closers: (() => Promise<void> | void)[]) {
    this.dir = dir
    this.dev = dev
    this.rest = new HttpLink({ api: dev.api, token: dev.token })
    this.#closers = [...closers, () => this.rest.close()]
  }

  static async start(poolSizeMiB = 8192): Promise<World> {
    const dir = tempDir()
    const log = pino({ level: 'silent' })
    const dev = await runDev({ dir: dir.path, nodes: 2, poolSizeMiB, docker: 'off', log })
    return new World(dir.path, dev, [() => dir.remove(), () => unmountAll(dir.path), () => dev.stop()])
  }

  /** Opens a door on a node, with the node's own credential, as the daemon does it. */
  async door(
    config: Partial<DockerDoorConfig> = {},
    node = 1,
    api = this.dev.api,
  ): Promise<{ client: PluginClient; door: DockerDoor; link: HttpLink }> {
    const { running, nodes } = this.dev
    const { daemon } = running[node - 1] ?? {}
    if (daemon === undefined) throw new Error(`there are ${nodes.length} nodes`)
    this.#doors += 1
    const socket = join(this.dir, `door-${this.#doors}.sock`)
    const token = readFileSync(join(this.dir, `node-${node}`, 'state', 'node.token'), 'utf8').trim()
    const link = new HttpLink({ api, token })
    const say = (data: object) => void this.logged.push({ ...data })
    const log = { info: say, warn: say }
    const door = createDockerDoor({ node: daemon, rest: link, socket, config: { roles: ['default'], ...config }, log })
    this.#closers.push(
      () => link.close(),
      () => door.close(),
    )
    await door.listen()
    return { client: new PluginClient(socket), door, link }
  }

  volume(name: string): Promise<VolumeOfRest> {
    return this.rest.rest('GET', `/v1/volumes/${name}`)
  }

  async dispose(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close()
  }
}

export interface VolumeOfRest {
  readonly id: string
  readonly state: string
  readonly role: string
  readonly sizeMiB: number
  readonly iops: number
  readonly fs: string
  readonly access: string
  readonly protected: boolean
  readonly labels: Record<string, string>
  readonly createdBy: string
  readonly source?: { kind: string; id: string }
  readonly attachments: { node: string; mode: string; users: { door: string; id: string }[] }[]
}
