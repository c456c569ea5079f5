import { type DescField, type DescMethod, ScalarType } from '@bufbuild/protobuf'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Controller, GroupController } from '../../../src/csi/generated/csi/v1/csi_pb.js'
import { asking, ControllerWorld, type Door, mounted, refused } from './support/controller-world.ts'

/** A good request of each call, about what is not there. Fields in `required` are so by the specification (1.12). */
const CALLS: Record<string, { request: Record<string, unknown>; required: string[] }> = {
  createVolume: {
    request: {
      ...asking('fields', 8, { secrets: { password: 'hunter2' }, parameters: { iops: '0' } }),
      mutableParameters: { labels: 'a=1' },
      accessibilityRequirements: { preferred: [{ segments: { 'topology.holdfast.io/node': 'node-1' } }] },
      volumeContentSource: { type: { case: 'snapshot', value: { snapshotId: 'snap-none' } } },
    },
    required: ['name', 'volumeCapabilities'],
  },
  deleteVolume: { request: { volumeId: 'vol-none', secrets: {} }, required: ['volumeId'] },
  controllerPublishVolume: {
    request: {
      ...{ volumeId: 'vol-none', nodeId: 'node-1', volumeCapability: mounted(), readonly: true },
      ...{ secrets: {}, volumeContext: { name: 'x' } },
    },
    // false is a value of readonly
    required: ['volumeId', 'nodeId', 'volumeCapability'],
  },
  controllerUnpublishVolume: {
    request: { volumeId: 'vol-none', nodeId: 'node-1', secrets: {} },
    required: ['volumeId'],
  },
  validateVolumeCapabilities: {
    request: {
      ...{ volumeId: 'vol-none', volumeContext: { name: 'x' }, volumeCapabilities: [mounted()] },
      ...{ parameters: { iops: '0' }, secrets: {}, mutableParameters: { iops: '0' } },
    },
    required: ['volumeId', 'volumeCapabilities'],
  },
  listVolumes: { request: { maxEntries: 5, startingToken: '' }, required: [] },
  getCapacity: {
    request: {
      ...{ volumeCapabilities: [mounted()], parameters: { iops: '0' } },
      accessibleTopology: { segments: { 'topology.holdfast.io/node': 'node-1' } },
    },
    required: [],
  },
  controllerGetCapabilities: { request: {}, required: [] },
  createSnapshot: {
    request: { sourceVolumeId: 'vol-none', name: 'fields', secrets: {}, parameters: { labels: 'a=1' } },
    required: ['sourceVolumeId', 'name'],
  },
  deleteSnapshot: { request: { snapshotId: 'snap-none', secrets: {} }, required: ['snapshotId'] },
  listSnapshots: {
    request: { maxEntries: 5, startingToken: '', sourceVolumeId: 'vol-none', snapshotId: 'snap-none', secrets: {} },
    required: [],
  },
  getSnapshot: { request: { snapshotId: 'snap-none', secrets: {} }, required: ['snapshotId'] },
  controllerExpandVolume: {
    request: {
      ...{ volumeId: 'vol-none', capacityRange: { requiredBytes: 5n }, secrets: {} },
      volumeCapability: mounted(),
    },
    required: ['volumeId', 'capacityRange'],
  },
  controllerGetVolume: { request: { volumeId: 'vol-none' }, required: ['volumeId'] },
  controllerModifyVolume: {
    request: { volumeId: 'vol-none', secrets: {}, mutableParameters: { labels: 'a=1' } },
    required: ['volumeId', 'mutableParameters'],
  },
  groupControllerGetCapabilities: { request: {}, required: [] },
  createVolumeGroupSnapshot: {
    request: { name: 'fields', sourceVolumeIds: ['vol-none'], secrets: {}, parameters: { labels: 'a=1' } },
    required: ['name', 'sourceVolumeIds'],
  },
  deleteVolumeGroupSnapshot: {
    request: { groupSnapshotId: 'group-none', snapshotIds: ['snap-none'], secrets: {} },
    required: ['groupSnapshotId', 'snapshotIds'],
  },
  getVolumeGroupSnapshot: {
    request: { groupSnapshotId: 'group-none', snapshotIds: ['snap-none'], secrets: {} },
    required: ['groupSnapshotId', 'snapshotIds'],
  },
}
const METHODS = [...Controller.methods, ...GroupController.methods]
const FIELDS = METHODS.flatMap((method) => method.input.fields.map((field) => [method, field] as const))
/** Fields that are longer than others, or whose error has a status of its own. */
const OWN_LIMIT = ['node_id', 'starting_token', 'secrets']

let world: ControllerWorld
let door: Door

beforeAll(async () => {
  world = await ControllerWorld.start(['node-1'])
  await world.rest.pool('loop~a~one', world.node(1))
  door = await world.door()
})
afterAll(() => world?.close())

const ask = async ({ parent, localName }: DescMethod, request: object): Promise<string> => {
  const service = (parent === Controller ? door.controller : door.groups) as unknown as Record<
    string,
    (request: object) => Promise<unknown>
  >
  return (await service[localName]?.(request).then(
    () => 'OK',
    (thrown: { code: string }) => thrown.code,
  )) as string
}

describe('every call', () => {
  test.each(METHODS.map((method) => [method.name, method] as const))(
    '%s is served and known here',
    async (_, method) => {
      const call = CALLS[method.localName]
      const known = method.input.fields.map(({ name }) => name).sort()
      expect(Object.keys(call?.request ?? {}).length).toBe(known.length)
      expect(['OK', 'NOT_FOUND']).toContain(await ask(method, call?.request ?? {}))
    },
  )
})

describe('every field', () => {
  const named = FIELDS.map(([method, field]) => [`${method.name}.${field.name}`, method, field] as const)

  test.each(named)('%s, when missing, is refused only if it is required', async (_, method, field) => {
    const { request, required } = CALLS[method.localName] ?? { request: {}, required: [] }
    const name = localName(field)
    const { [name]: __, ...rest } = request
    const code = await ask(method, rest)
    expect(code === 'INVALID_ARGUMENT').toBe(required.includes(name))
  })

  const texts = named.filter(([, , field]) => {
    const text = field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING
    const listed = field.fieldKind === 'list' && field.listKind === 'scalar'
    return (text || listed || field.fieldKind === 'map') && !OWN_LIMIT.includes(field.name)
  })
  test.each(texts)('%s, when it is longer than the specification lets it be, is refused', async (_, method, field) => {
    const { request } = CALLS[method.localName] ?? { request: {} }
    const long = { map: { labels: 'x'.repeat(5000) }, list: ['x'.repeat(129)], scalar: 'x'.repeat(129) }
    const value = long[field.fieldKind as keyof typeof long]
    expect(await ask(method, { ...request, [localName(field)]: value })).toBe('INVALID_ARGUMENT')
  })
})

function localName({ localName: name }: DescField): string {
  return name
}

test('node ids may have 256 bytes, and topologies have a limit, too', async () => {
  const publish = (nodeId: string) =>
    door.controller.controllerPublishVolume({ volumeId: 'vol-none', nodeId, volumeCapability: mounted() })
  await refused(publish('x'.repeat(256)), 'NOT_FOUND')
  await refused(publish('x'.repeat(257)), 'INVALID_ARGUMENT', 'node_id')
  const segments = { 'topology.holdfast.io/node': 'x'.repeat(5000) }
  await refused(door.controller.getCapacity({ accessibleTopology: { segments } }), 'INVALID_ARGUMENT', '4096 bytes')
})

test.each([
  ['no way of access', { accessMode: { mode: 1 } }],
  ['no mode', { accessType: { case: 'block' as const, value: {} } }],
  ['an unknown mode', { accessType: { case: 'block' as const, value: {} }, accessMode: { mode: 99 } }],
  ['an unknown flag', { ...mounted(), accessType: { case: 'mount' as const, value: { mountFlags: ['sync=x'] } } }],
])('a capability with %s is refused', async (_, capability) => {
  await refused(
    door.controller.createVolume({ ...asking('capability'), volumeCapabilities: [capability] }),
    'INVALID_ARGUMENT',
    'volume_capability',
  )
})

test.each(['', 'a\u0000b', 'a\u007fb', 'tab\u0085'])('a name like %j is refused', async (name) => {
  await refused(door.controller.createVolume(asking(name)), 'INVALID_ARGUMENT', 'name')
})

test('secrets are in no line of the log', async () => {
  await door.controller.deleteVolume({ volumeId: 'vol-none', secrets: { password: 'hunter2' } })
  const said = JSON.stringify(door.log.debugs)
  expect(said).toContain('vol-none')
  expect(said).not.toContain('hunter2')
})
