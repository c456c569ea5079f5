/** A controller and two nodes that share a pool on real loop devices, and CSI doors of any configuration on them. */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { type RunningDev, runDev } from '../../../../src/cli/dev.ts'
import { GrpcChannel, type UnaryClient } from '../../../../src/csi/client.ts'
import { Identity, Node } from '../../../../src/csi/generated/csi/v1/csi_pb.js'
import { GrpcError } from '../../../../src/csi/grpc-error.ts'
import { type CsiDoorConfig, csiSettings } from '../../../../src/doors/csi/config.ts'
import { createCsiDoor } from '../../../../src/doors/csi/door.ts'
import { createNodeService } from '../../../../src/doors/csi/node-service.ts'
import { HttpLink } from '../../../../src/node/http-link.ts'
import { SqliteJournal } from '../../../../src/node/sqlite-journal.ts'
import { createPrograms } from '../../../../src/programs/run.ts'
import { tempDir } from '../../../support/temp-dir.ts'
import { unmountAll } from '../../docker/support/unmount-all.ts'

const CALL_MS = 20_000

export interface VolumeOfRest {
  readonly id: string
  readonly attachments: { node: string; mode: string; users: { door: string; id: string }[] }[]
}

export interface DoorOptions extends Partial<CsiDoorConfig> {
  readonly node?: number
  /** Stands for another boot of the machine. */
  readonly bootId?: string
  /** Name of the file that the door keeps its journal in; doors with the same one come after each other. */
  readonly journal?: string
  readonly api?: string
}

export class NodeWorld {
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

  static async start(): Promise<NodeWorld> {
    const dir = tempDir()
    const dev = await runDev({
      dir: dir.path,
      nodes: 2,
      poolSizeMiB: 8192,
      docker: 'off',
      log: pino({ level: 'silent' }),
    })
    return new NodeWorld(dir.path, dev, [() => dir.remove(), () => unmountAll(dir.path), () => dev.stop()])
  }

  /** The plugin that a node has by itself. */
  plugin(node = 1): Plugin {
    const socket = this.dev.nodes[node - 1]?.csi ?? ''
    return this.connect(socket)
  }

  connect(socket: string): Plugin {
    const channel = new GrpcChannel(`unix://${socket}`)
    this.#closers.push(() => channel.close())
    return new Plugin(channel, socket)
  }

  /** Another door on a node, with the node's own credential. */
  async door({ node = 1, bootId = 'boot-1', journal: file, api, ...config }: DoorOptions = {}) {
    const daemon = this.dev.running[node - 1]?.daemon
    if (daemon === undefined) throw new Error(`there are ${this.dev.nodes.length} nodes`)
    this.#doors += 1
    const name = `node-${node}`
    const journal = new SqliteJournal(join(this.dir, file ?? `door-${this.#doors}.db`))
    const token = readFileSync(join(this.dir, name, 'state', 'node.token'), 'utf8').trim()
    const rest = new HttpLink({ api: api ?? this.dev.api, token })
    const closing = new AbortController()
    const say = (data: object) => void this.logged.push({ ...data })
    const log = { debug: () => {}, isLevelEnabled: () => false, error: say, warn: say }
    const service = createNodeService({
      ...{ node: daemon, name, rest, journal, bootId, programs: createPrograms() },
      own: [join(this.dir, name, 'mnt'), join(this.dir, name, 'state')],
      settings: csiSettings({ roles: ['default'], roots: [this.dir], ...config }),
      closing: closing.signal,
      warn: (event, data) => say({ event, ...data }),
    })
    const socket = join(this.dir, `door-${this.#doors}.sock`)
    const door = createCsiDoor({ socket, version: '1', node: service, ready: () => true, log, closing })
    await door.listen()
    let open = true
    const close = async () => {
      if (!open) return
      open = false
      await door.close()
      await rest.close()
      journal.close()
    }
    this.#closers.push(close)
    return { plugin: this.connect(socket), close }
  }

  async create(name: string, more: object = {}): Promise<string> {
    const body = { name, sizeMiB: 32, pool: this.dev.pool, ...more }
    const { volume } = await this.rest.rest<{ volume: VolumeOfRest }>('POST', '/v1/volumes?wait=20', body)
    return volume.id
  }

  /** `node-1 rw csi` for each user. */
  async users(volume: string): Promise<string[]> {
    const { attachments } = await this.rest.rest<VolumeOfRest>('GET', `/v1/volumes/${volume}`)
    return attachments.flatMap((each) => each.users.map((user) => `${each.node} ${each.mode} ${user.door}`))
  }

  /** Paths as an orchestrator makes them: the staging directory, and the parent of the target. */
  paths(name: string): Paths {
    const base = join(this.dir, 'co', name)
    mkdirSync(join(base, 'staging'), { recursive: true })
    return { staging: join(base, 'staging'), target: join(base, 'target') }
  }

  async dispose(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close()
  }
}

export interface Paths {
  readonly staging: string
  readonly target: string
}

/** A client of one plugin. */
export class Plugin {
  readonly node: UnaryClient<typeof Node>
  readonly identity: UnaryClient<typeof Identity>
  readonly socket: string
  readonly channel: GrpcChannel

  constructor(channel: GrpcChannel, socket: string) {
    this.channel = channel
    this.socket = socket
    this.node = channel.client(Node)
    this.identity = channel.client(Identity)
  }

  async stage(
    volumeId: string,
    { staging }: Paths,
    volumeCapability: object = MOUNT,
    more: object = {},
  ): Promise<void> {
    await this.node.nodeStageVolume(
      { volumeId, stagingTargetPath: staging, volumeCapability, ...more },
      { deadlineMs: CALL_MS },
    )
  }

  async publish(volumeId: string, paths: Paths, volumeCapability: object = MOUNT, more: object = {}): Promise<void> {
    const { staging: stagingTargetPath, target: targetPath } = paths
    await this.node.nodePublishVolume(
      { volumeId, stagingTargetPath, targetPath, volumeCapability, ...more },
      { deadlineMs: CALL_MS },
    )
  }

  async unpublish(volumeId: string, { target }: Paths): Promise<void> {
    await this.node.nodeUnpublishVolume({ volumeId, targetPath: target }, { deadlineMs: CALL_MS })
  }

  async unstage(volumeId: string, { staging }: Paths): Promise<void> {
    await this.node.nodeUnstageVolume({ volumeId, stagingTargetPath: staging }, { deadlineMs: CALL_MS })
  }

  /** Unpublishes and unstages. */
  async leave(volumeId: string, paths: Paths): Promise<void> {
    await this.unpublish(volumeId, paths)
    await this.unstage(volumeId, paths)
  }

  stats(volumeId: string, volumePath: string) {
    return this.node.nodeGetVolumeStats({ volumeId, volumePath }, { deadlineMs: CALL_MS })
  }
}

/** VolumeCapability_AccessMode_Mode, by its numbers in csi.proto. */
export const MODE = {
  SINGLE_NODE_WRITER: 1,
  SINGLE_NODE_READER_ONLY: 2,
  MULTI_NODE_READER_ONLY: 3,
  MULTI_NODE_SINGLE_WRITER: 4,
  MULTI_NODE_MULTI_WRITER: 5,
  SINGLE_NODE_SINGLE_WRITER: 6,
  SINGLE_NODE_MULTI_WRITER: 7,
} as const

export function mount(mode: keyof typeof MODE = 'SINGLE_NODE_WRITER', value: object = {}): object {
  return { accessType: { case: 'mount', value }, accessMode: { mode: MODE[mode] } }
}

export function block(mode: keyof typeof MODE = 'SINGLE_NODE_WRITER'): object {
  return { accessType: { case: 'block', value: {} }, accessMode: { mode: MODE[mode] } }
}

const MOUNT = mount()

/** `NOT_FOUND no such volume …`; a call that succeeds is `OK`. */
export async function outcome(call: Promise<unknown>): Promise<string> {
  try {
    await call
    return 'OK'
  } catch (thrown) {
    if (thrown instanceof GrpcError) return `${thrown.code} ${thrown.message}`
    throw thrown
  }
}

/** Options of the uppermost mount at a path; undefined when nothing is mounted there. */
export function mountOptions(path: string): string[] | undefined {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  return lines
    .findLast((line) => line.split(' ')[4] === path)
    ?.split(' ')[5]
    ?.split(',')
}
