import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../../support/until.ts'
import { asking, block, ControllerWorld, type Door, mounted, refused } from './support/controller-world.ts'

let world: ControllerWorld
let door: Door
let poolId = ''

beforeAll(async () => {
  world = await ControllerWorld.start(['node-1', 'node-2', 'node-far'])
  poolId = (await world.rest.pool('loop~a~one', world.node(1))).id
  await until(() => world.node(2).find(poolId), { what: 'node-2 to reach it' })
  await until(async () => (await world.get('/v1/pools/loop~a~one')).nodes === 2, { what: 'two nodes' })
  door = await world.door()
})
afterAll(() => world?.close())

const make = async (name: string, more: object = {}): Promise<string> => {
  const { volume } = await door.controller.createVolume(asking(name, 8, more))
  return volume?.volumeId ?? ''
}
const publish = (volumeId: string, nodeId = 'node-1', more: object = {}) =>
  door.controller.controllerPublishVolume({ volumeId, nodeId, volumeCapability: mounted(), ...more })
const unpublish = (volumeId: string, nodeId = 'node-1') =>
  door.controller.controllerUnpublishVolume({ volumeId, nodeId })
const users = async (volumeId: string) => {
  const { attachments } = await world.get(`/v1/volumes/${volumeId}`)
  return attachments.flatMap((each: { node: string; mode: string; users: { door: string; id: string }[] }) =>
    each.users.map((user) => [each.node, each.mode, user.door, user.id]),
  )
}

describe('ControllerPublishVolume', () => {
  test('claims the volume for the node, once, by its name or id', async () => {
    const id = await make('claimed')
    expect((await publish(id)).publishContext).toEqual({})
    await publish(id, world.node(1).nodeId)
    expect(await users(id)).toEqual([['node-1', 'rw', 'rest', 'csi/mount SINGLE_NODE_WRITER rw']])
  })

  test('claims for reading only where the flag, the mode or a mount option says so', async () => {
    const id = await make('read', { volumeCapabilities: [mounted(), mounted('MULTI_NODE_READER_ONLY')] })
    const readers = { volumeCapability: mounted('MULTI_NODE_READER_ONLY') }
    expect((await publish(id, 'node-1', readers)).publishContext).toEqual({ 'holdfast.io/readonly': 'true' })
    await publish(id, 'node-2', { readonly: true })
    expect((await users(id)).map((each: string[]) => each[1])).toEqual(['ro', 'ro'])
  })

  test('refuses what is published there for something else', async () => {
    const id = await make('otherwise')
    await publish(id)
    const other = (more: object) => refused(publish(id, 'node-1', more), 'ALREADY_EXISTS', 'published on node node-1')
    await other({ readonly: true })
    await other({ volumeCapability: mounted('SINGLE_NODE_MULTI_WRITER') })
    expect(await users(id)).toHaveLength(1)
  })

  test('refuses a second node, and names the first', async () => {
    const id = await make('held')
    await publish(id)
    await refused(publish(id, 'node-2'), 'FAILED_PRECONDITION', 'node-1')
  })

  test('refuses what is not there, cannot be had so, or has no room', async () => {
    const id = await make('wanted')
    await refused(publish('vol-none'), 'NOT_FOUND', 'no such volume')
    await refused(publish('wanted'), 'NOT_FOUND', 'no such volume')
    await refused(publish(id, 'nobody'), 'NOT_FOUND', 'no such node')
    await refused(publish(id, 'node-far'), 'FAILED_PRECONDITION', 'does not reach')
    await refused(publish(id, 'node-1', { volumeCapability: block() }), 'INVALID_ARGUMENT', 'filesystem')
    await refused(publish(id, 'node-1', { volumeContext: { name: 'other' } }), 'INVALID_ARGUMENT', 'its name')
    await publish(id, 'node-1', {
      volumeContext: { name: 'wanted', 'storage.kubernetes.io/csiProvisionerIdentity': 'x' },
    })
    const full = await make('full')
    const { attachmentLimit } = await world.get('/v1/nodes/node-2')
    await world.rest.ask('PATCH', '/v1/nodes/node-2', { attachmentLimit: 0 })
    await refused(publish(full, 'node-2'), 'RESOURCE_EXHAUSTED', 'node-2')
    await world.rest.ask('PATCH', '/v1/nodes/node-2', { attachmentLimit })
    await world.rest.ask('POST', '/v1/volumes?wait=10', { name: 'of-db', sizeMiB: 8, role: 'db' })
    const { id: foreign } = await world.get('/v1/volumes/of-db')
    await refused(publish(foreign), 'NOT_FOUND')
  })
})

describe('ControllerUnpublishVolume', () => {
  test('answers when another node can have the volume', async () => {
    const id = await make('moving')
    for (const node of ['node-1', 'node-2', 'node-1']) {
      await publish(id, node)
      await unpublish(id, node)
      expect(await users(id)).toEqual([])
    }
    await unpublish(id)
    await unpublish('vol-none')
    await unpublish(id, 'nobody')
  })

  test('takes it from all nodes when it names none', async () => {
    const reader = { volumeCapability: mounted('MULTI_NODE_READER_ONLY') }
    const id = await make('everywhere', { volumeCapabilities: [mounted('MULTI_NODE_READER_ONLY')] })
    await publish(id, 'node-1', reader)
    await publish(id, 'node-2', reader)
    await unpublish(id, '')
    expect((await world.get(`/v1/volumes/${id}`)).attachments).toEqual([])
  })

  test('leaves what other doors do there, and waits for what is staged there', async () => {
    const id = await make('shared')
    await publish(id)
    const claim = (user: string) => ({ volume: id, node: 'node-1', user: { id: user } })
    await world.rest.ask('POST', '/v1/attachments', claim('somebody'))
    await unpublish(id)
    expect(await users(id)).toEqual([['node-1', 'rw', 'rest', 'somebody']])
    const staged = await make('staged')
    await world.node(1).call('claim', { volume: staged, user: { door: 'csi', id: 'path' }, mode: 'rw' })
    await publish(staged)
    const short = await world.door({ answerMs: 300 })
    const early = short.controller.controllerUnpublishVolume({ volumeId: staged, nodeId: 'node-1' })
    await refused(early, 'ABORTED', 'still staged on node node-1')
  })
})

describe('DeleteVolume', () => {
  test('answers when it is gone, and for what is gone already', async () => {
    const id = await make('gone')
    await door.controller.deleteVolume({ volumeId: id })
    expect((await world.rest.ask('GET', `/v1/volumes/${id}`)).status).toBe(404)
    await door.controller.deleteVolume({ volumeId: id })
    await door.controller.deleteVolume({ volumeId: 'reallyfakevolumeid' })
    await door.controller.deleteVolume({ volumeId: '../v1/nodes' })
  })

  test('refuses what is in use, protected or of another role', async () => {
    const id = await make('used', { parameters: { protected: 'true' } })
    const remove = () => door.controller.deleteVolume({ volumeId: id })
    await refused(remove(), 'FAILED_PRECONDITION', 'protected')
    await door.controller.controllerModifyVolume({ volumeId: id, mutableParameters: { protected: 'false' } })
    await publish(id)
    await refused(remove(), 'FAILED_PRECONDITION', 'in use on node node-1')
    await unpublish(id)
    await remove()
    await world.rest.ask('POST', '/v1/volumes?wait=10', { name: 'of-db-2', sizeMiB: 8, role: 'db' })
    const { id: foreign } = await world.get('/v1/volumes/of-db-2')
    await refused(door.controller.deleteVolume({ volumeId: foreign }), 'PERMISSION_DENIED', 'role')
  })

  test('keeps it in the trash where the door is told to', async () => {
    const keeping = await world.door({ trashHours: 1 })
    const id = await make('kept')
    await keeping.controller.deleteVolume({ volumeId: id })
    await keeping.controller.deleteVolume({ volumeId: id })
    expect((await world.get(`/v1/volumes/${id}`)).state).toBe('trash')
    await refused(keeping.controller.controllerGetVolume({ volumeId: id }), 'NOT_FOUND')
  })
})

test("a node's credential claims for other nodes at the CSI door alone, and for its users alone", async () => {
  const id = await make('guarded')
  const ask = (door: string | undefined, user: string, path = '/v1/attachments') =>
    world.rest.ask(
      'POST',
      path,
      { volume: id, node: 'node-2', user: { id: user } },
      {
        token: world.node(1).secret,
        ...(door === undefined ? {} : { headers: { 'holdfast-door': door } }),
      },
    )
  for (const [said, user] of [
    [undefined, 'csi/x'],
    ['docker', 'csi/x'],
    ['csi', 'task'],
  ] as const) {
    expect((await ask(said, user)).body.code).toBe('forbidden')
  }
  await publish(id, 'node-2')
  const [{ id: attachment }] = (await world.get(`/v1/volumes/${id}`)).attachments
  const release = await world.rest.ask(
    'POST',
    `/v1/attachments/${attachment}/release`,
    { user: { id: 'task' } },
    { token: world.node(1).secret },
  )
  expect(release.body.code).toBe('forbidden')
})
