import { join } from 'node:path'
import { create, type DescMessage, type Message } from '@bufbuild/protobuf'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningNode, runNode } from '../../../src/cli/run-node.ts'
import { Node } from '../../../src/csi/generated/csi/v1/csi_pb.js'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { mount, mountOptions, NodeWorld, outcome, type Plugin } from './support/node-world.ts'

/** Fields that a call may leave out; the specification (1.12) marks them OPTIONAL. */
const OPTIONAL: Readonly<Record<string, readonly string[]>> = {
  NodeStageVolume: ['publish_context', 'secrets', 'volume_context'],
  NodeUnstageVolume: [],
  NodePublishVolume: ['publish_context', 'staging_target_path', 'readonly', 'secrets', 'volume_context'],
  NodeUnpublishVolume: [],
  NodeGetVolumeStats: ['staging_target_path'],
  NodeExpandVolume: ['capacity_range', 'staging_target_path', 'volume_capability', 'secrets'],
}
const OPTIONS = { deadlineMs: 10_000 }

needs('root', 'loop-devices').describe('requests to the Node service', () => {
  let world: NodeWorld
  let one: Plugin

  beforeAll(async () => {
    world = await NodeWorld.start()
    one = world.plugin(1)
  })
  afterAll(() => world?.dispose())

  function call(method: (typeof Node.methods)[number], request: Message): Promise<string> {
    const calls = one.node as unknown as Record<string, (request: Message, options: object) => Promise<unknown>>
    return outcome(calls[method.localName]?.(request, OPTIONS) ?? Promise.reject(new Error(method.name)))
  }

  /** A request with every field that has a value here, but one. */
  function request(input: DescMessage, without: string, more: object = {}): Message {
    const { staging, target } = world.paths('fields')
    const whole: Record<string, unknown> = {
      volume_id: 'nobody',
      staging_target_path: staging,
      target_path: target,
      volume_path: target,
      volume_capability: mount(),
    }
    const fields = input.fields.filter(({ name }) => name !== without && name in whole)
    return create(input, {
      ...Object.fromEntries(fields.map(({ name, localName }) => [localName, whole[name]])),
      ...more,
    })
  }

  const methods = Node.methods.filter(({ input }) => input.fields.length > 0)

  test('every field that is required is missed', async () => {
    expect(methods.map(({ name }) => name).sort()).toEqual(Object.keys(OPTIONAL).sort())
    for (const method of methods) {
      for (const { name } of method.input.fields) {
        const said = await call(method, request(method.input, name))
        const required = OPTIONAL[method.name]?.includes(name) === false
        const missed = said.startsWith(`INVALID_ARGUMENT ${name}: missing`)
        expect({ call: method.name, name, missed }).toEqual({ call: method.name, name, missed: required })
      }
    }
    const unstaged = Node.method.nodePublishVolume
    expect(await call(unstaged, request(unstaged.input, 'staging_target_path'))).toMatch(
      /^FAILED_PRECONDITION staging_target/,
    )
  })

  test('capabilities that say nothing, and texts and maps that are too long', async () => {
    const { nodeStageVolume: method } = Node.method
    const wishes = [
      {},
      { accessType: { case: 'mount', value: {} } },
      { accessMode: { mode: 1 } },
      { accessType: { case: 'mount', value: {} }, accessMode: { mode: 0 } },
      { accessType: { case: 'mount', value: {} }, accessMode: { mode: 99 } },
      { accessType: { case: 'mount', value: { fsType: 'ntfs' } }, accessMode: { mode: 1 } },
      { accessType: { case: 'mount', value: { volumeMountGroup: 'staff' } }, accessMode: { mode: 1 } },
    ]
    for (const volumeCapability of wishes) {
      expect(await call(method, request(method.input, '', { volumeCapability }))).toMatch(
        /^INVALID_ARGUMENT volume_cap/,
      )
    }
    for (const { input, ...rest } of methods) {
      const said = await call({ input, ...rest } as never, request(input, '', { volumeId: 'v'.repeat(129) }))
      expect(said).toMatch(/^INVALID_ARGUMENT volume_id: longer than 128 bytes/)
    }
    const large = { key: 'v'.repeat(5000) }
    for (const more of [{ volumeContext: large }, { publishContext: large }, { secrets: large }]) {
      const said = await call(method, request(method.input, '', more))
      expect(said).toMatch(/^INVALID_ARGUMENT .*more than 4096 bytes/)
    }
    expect(await call(method, request(method.input, '', { volumeId: '../nodes' }))).toMatch(/^NOT_FOUND/)
  })

  test('a node daemon that is started again finds what was staged and published', async () => {
    const volume = await world.create('again')
    const paths = world.paths('again')
    await one.stage(volume, paths)
    await one.publish(volume, paths)
    const [running, node] = [world.dev.running[0], world.dev.nodes[0]]
    await running?.stop()
    expect(mountOptions(paths.target)).toBeDefined()
    let second: RunningNode | undefined
    try {
      second = await runNode({
        ...{ name: 'node-1', api: world.dev.api, joinToken: undefined, leaseMs: 15_000, labels: {}, mountRoots: [] },
        state: join(world.dir, 'node-1/state'),
        mountRoot: node?.mountRoot ?? '',
        csi: { socket: join(world.dir, 'again.sock'), roles: ['default'], roots: [world.dir] },
        log: pino({ level: 'silent' }),
      })
      const { daemon } = second
      await until(() => daemon.connected, { what: 'the node to be back' })
      const plugin = world.connect(join(world.dir, 'again.sock'))
      await plugin.publish(volume, paths)
      expect(await outcome(plugin.unstage(volume, paths))).toMatch(/^FAILED_PRECONDITION .*still published/)
      await plugin.leave(volume, paths)
      expect(await world.users('again')).toEqual([])
    } finally {
      await second?.stop()
    }
  })
})
