/** A controller, nodes that say that everything was done, and CSI's controller services on a socket. */
import { join } from 'node:path'
import { expect } from 'vitest'
import { GrpcChannel, type UnaryClient } from '../../../../src/csi/client.ts'
import {
  Controller,
  GroupController,
  type VolumeCapability_AccessMode_Mode as ModeNumber,
  VolumeCapability_AccessMode_Mode as Modes,
} from '../../../../src/csi/generated/csi/v1/csi_pb.js'
import { createControllerService } from '../../../../src/doors/csi/controller.ts'
import type { ControllerConfig } from '../../../../src/doors/csi/controller-config.ts'
import { createCsiDoor } from '../../../../src/doors/csi/door.ts'
import { createGroupControllerService } from '../../../../src/doors/csi/group-controller.ts'
import type { WorkOrder } from '../../../../src/model/node-protocol.ts'
import { HttpLink } from '../../../../src/node/http-link.ts'
import { type Rest, startRest } from '../../../controller/http/rest.ts'
import { type Lines, lines } from '../../../csi/support/serving.ts'
import type { NodeClient, NodeClientOptions } from '../../../support/node-client.ts'

export const MIB = 1024n * 1024n
const CALL = { deadlineMs: 20_000 }

/** The methods of a service with a deadline that is long enough. */
export type Calls<S extends Parameters<GrpcChannel['client']>[0]> = {
  readonly [K in keyof UnaryClient<S>]: (
    request: Parameters<UnaryClient<S>[K]>[0],
    options?: { deadlineMs: number },
  ) => ReturnType<UnaryClient<S>[K]>
}

export interface Door {
  readonly socket: string
  readonly controller: Calls<typeof Controller>
  readonly groups: Calls<typeof GroupController>
  /** What it has logged of its calls. */
  readonly log: Lines
  close(): Promise<void>
}

export type Work = NonNullable<NodeClientOptions['work']>

export class ControllerWorld {
  readonly rest: Rest
  /** What each node answers work orders with. */
  work: Work = () => 'ok'
  readonly nodes: NodeClient[] = []
  readonly #doors: Door[] = []

  private constructor(rest: Rest) {
    this.rest = rest
  }

  static async start(names: readonly string[] = ['node-1', 'node-2']): Promise<ControllerWorld> {
    const world = new ControllerWorld(await startRest())
    const work = (order: WorkOrder) => world.work(order)
    for (const name of names) world.nodes.push(await world.rest.node(name, { work }))
    return world
  }

  node(number: number): NodeClient {
    const node = this.nodes[number - 1]
    if (node === undefined) throw new Error(`there are ${this.nodes.length} nodes`)
    return node
  }

  /** A door with the credential of the first node, as the daemon has it, or with another token. */
  async door(config: Partial<ControllerConfig> = {}, token = this.node(1).secret): Promise<Door> {
    const socket = join(this.rest.directory, `csi-${this.#doors.length}.sock`)
    const link = new HttpLink({ api: this.rest.url, token })
    const closing = new AbortController()
    const log = lines()
    const parts = { rest: link, config: { roles: ['default'], ...config }, closing: closing.signal }
    const door = createCsiDoor({
      socket,
      closing,
      version: '0',
      ready: () => true,
      controller: createControllerService(parts),
      groupController: createGroupControllerService(parts),
      log: { ...log, warn: () => undefined },
    })
    await door.listen()
    const channel = new GrpcChannel(socket)
    let open = true
    const made: Door = {
      socket,
      log,
      controller: patient(channel.client(Controller)),
      groups: patient(channel.client(GroupController)),
      async close() {
        if (!open) return
        open = false
        channel.close()
        await door.close()
        await link.close()
      },
    }
    this.#doors.push(made)
    return made
  }

  async get(path: string) {
    const { status, body } = await this.rest.ask('GET', path)
    if (status !== 200) throw new Error(`${path}: ${JSON.stringify(body)}`)
    return body
  }

  async close(): Promise<void> {
    for (const door of this.#doors) await door.close()
    await this.rest.close()
  }
}

function patient<S extends Parameters<GrpcChannel['client']>[0]>(client: UnaryClient<S>): Calls<S> {
  const calls = Object.entries(client as Record<string, (request: object, options: object) => Promise<unknown>>)
  return Object.fromEntries(
    calls.map(([name, call]) => [name, (request: object, options = CALL) => call(request, options)]),
  ) as unknown as Calls<S>
}

type Mode = Exclude<keyof typeof ModeNumber, 'UNKNOWN'>

export function mounted(mode: Mode = 'SINGLE_NODE_WRITER', fsType = '') {
  return { accessType: { case: 'mount' as const, value: { fsType } }, accessMode: { mode: Modes[mode] } }
}

export function block(mode: Mode = 'SINGLE_NODE_WRITER') {
  return { accessType: { case: 'block' as const, value: {} }, accessMode: { mode: Modes[mode] } }
}

/** A request for a volume that can be had. */
export function asking(name: string, sizeMiB = 8, more: object = {}) {
  return {
    name,
    capacityRange: { requiredBytes: BigInt(sizeMiB) * MIB },
    volumeCapabilities: [mounted()],
    ...more,
  }
}

/** Expects a refusal with this status, and words of its sentence. */
export async function refused(call: Promise<unknown>, code: string, words: string | RegExp = ''): Promise<void> {
  const outcome = await call.then(
    (answer) => ({ answer }),
    (thrown: { code: string; message: string }) => ({ code: thrown.code, message: thrown.message }),
  )
  const message = typeof words === 'string' ? expect.stringContaining(words) : expect.stringMatching(words)
  expect(outcome).toEqual({ code, message })
}
