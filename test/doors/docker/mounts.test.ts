import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import type { PluginClient } from './support/plugin-client.ts'
import { World } from './support/world.ts'

/** Nothing listens on the port discard (RFC 863). */
const NOBODY = 'http://127.0.0.1:9'
const SMALL = { size: '32MiB' }

needs('root', 'loop-devices').describe('mounts of the Docker door', () => {
  let world: World
  let one: PluginClient
  let two: PluginClient

  beforeAll(async () => {
    world = await World.start()
    one = (await world.door({}, 1)).client
    two = (await world.door({ answerMs: 3000 }, 2)).client
  })
  afterAll(() => world?.dispose())
  afterEach(async () => {
    for (const { daemon } of world.dev.running) {
      for (const { entry } of daemon.table.slots) {
        // two nodes of one machine share its loop devices: the first of two readers can't prove that its own is gone
        for (const user of entry?.users ?? []) await daemon.unmount(entry!.volume.id, user).catch(() => undefined)
      }
    }
    await until(() => world.dev.running.every(({ daemon }) => [...daemon.table.slots].every((slot) => !slot.entry)), {
      what: 'everything to be unmounted',
      deadlineMs: 40_000,
    })
  })

  async function users(name: string): Promise<string[]> {
    const { attachments } = await world.volume(name)
    return attachments.flatMap((each) => each.users.map((user) => `${user.door} ${user.id}`))
  }

  test('several mount IDs share one mount; the last one that goes takes it down', async () => {
    await one.create('shared', SMALL)
    const path = await one.mount('shared', 'a')
    writeFileSync(join(path, 'file'), 'kept')
    expect(await one.mount('shared', 'b')).toBe(path)
    expect(await users('shared')).toEqual(['docker a', 'docker b'])
    expect(await one.get('shared')).toMatchObject({ Mountpoint: path, Status: { nodes: ['node-1'], mountpoint: path } })
    expect((await one.ok('Path', { Name: 'shared' })).Mountpoint).toBe(path)
    await one.unmount('shared', 'a')
    expect(readFileSync(join(path, 'file'), 'utf8')).toBe('kept')
    await one.unmount('shared', 'b')
    expect(existsSync(join(path, 'file'))).toBe(false)
    expect((await world.volume('shared')).attachments).toEqual([])
    expect(await one.get('shared')).toMatchObject({ Mountpoint: '' })
  })

  test('a known mount ID again is answered the same and counts once', async () => {
    await one.create('repeated', SMALL)
    const [path, again] = await Promise.all([one.mount('repeated', 'a'), one.mount('repeated', 'a')])
    expect(again).toBe(path)
    expect(await one.mount('repeated', 'a')).toBe(path)
    expect(await users('repeated')).toEqual(['docker a'])
    await one.unmount('repeated', 'a')
    expect((await world.volume('repeated')).attachments).toEqual([])
  })

  test('without a mount ID, mounts are set and cleared, not counted', async () => {
    await one.create('dvdcli', SMALL)
    const path = (await one.ok('Mount', { Name: 'dvdcli' })).Mountpoint
    expect((await one.ok('Mount', { Name: 'dvdcli', ID: '' })).Mountpoint).toBe(path)
    expect(await one.mount('dvdcli', 'a')).toBe(path)
    expect(await users('dvdcli')).toEqual(['docker set', 'docker a'])
    await one.ok('Unmount', { Name: 'dvdcli' })
    expect(await users('dvdcli')).toEqual(['docker a'])
    await one.unmount('dvdcli', 'a')
  })

  test('Unmount of what is not mounted, or does not exist, is a success', async () => {
    await one.create('idle', SMALL)
    await one.unmount('idle', 'a')
    await one.unmount('never-was', 'a')
    const path = await one.mount('idle', 'a')
    await one.unmount('idle', 'somebody-else')
    expect(await users('idle')).toEqual(['docker a'])
    expect((await one.ok('Path', { Name: 'idle' })).Mountpoint).toBe(path)
  })

  test('what a container uses on one node is refused on another at once, with who has it', async () => {
    await one.create('held', SMALL)
    await one.mount('held', 'container-1')
    const start = performance.now()
    await expect(two.mount('held', 'b')).rejects.toThrow(/in use on node node-1 \(docker container-1\).*held_elsewhere/)
    expect(performance.now() - start).toBeLessThan(2000)
    expect(await two.get('held')).toMatchObject({ Mountpoint: '', Status: { nodes: ['node-1'] } })
    await expect(two.ok('Remove', { Name: 'held' })).rejects.toThrow(/in_use/)
    await one.unmount('held', 'container-1')
    expect(await two.mount('held', 'b')).toContain('node-2')
  })

  test('data follows from node to node', async () => {
    await one.create('moving', SMALL)
    writeFileSync(join(await one.mount('moving', 'a'), 'file'), 'follows')
    await one.unmount('moving', 'a')
    expect(readFileSync(join(await two.mount('moving', 'b'), 'file'), 'utf8')).toBe('follows')
  })

  test('a read-only volume is mounted read-only, on several nodes at once', async () => {
    await one.create('library', SMALL)
    writeFileSync(join(await one.mount('library', 'w'), 'book'), 'text')
    await one.unmount('library', 'w')
    await world.rest.rest('PATCH', '/v1/volumes/library', { access: 'read-only' })
    const [here, there] = [await one.mount('library', 'a'), await two.mount('library', 'b')]
    expect(readFileSync(join(here, 'book'), 'utf8')).toBe('text')
    expect(readFileSync(join(there, 'book'), 'utf8')).toBe('text')
    expect(() => writeFileSync(join(here, 'book'), 'other')).toThrow(/EROFS/)
  })

  test('a raw volume is refused with the reason', async () => {
    await world.rest.rest('POST', '/v1/volumes?wait=20', { name: 'raw', sizeMiB: 32, fs: 'raw' })
    await expect(one.mount('raw', 'a')).rejects.toThrow(/is raw; Docker can only mount volumes with a filesystem/)
  })

  test('a volume that is still being made is waited for', async () => {
    const asked = world.rest.rest('POST', '/v1/volumes', { name: 'early', sizeMiB: 32 })
    await asked
    expect(await one.mount('early', 'a')).toMatch(/^\//)
  })

  test('a volume that an operation copies is waited for', async () => {
    await one.create('busy', { size: '256MiB' })
    await one.unmount('busy', 'nobody')
    await world.rest.rest('POST', '/v1/volumes', { name: 'busy-copy', sizeMiB: 256, from: { volume: 'busy' } })
    expect(await two.mount('busy', 'a')).toContain('node-2')
  })

  test('a mount that nobody waits for any more is taken back', async () => {
    await one.create('abandoned', SMALL)
    const abort = new AbortController()
    const asked = one.call('Mount', { Name: 'abandoned', ID: 'a' }, { signal: abort.signal })
    await until(async () => (await users('abandoned')).length === 1, { what: 'the claim', everyMs: 1 })
    abort.abort()
    await expect(asked).rejects.toThrow()
    await until(async () => (await world.volume('abandoned')).attachments.length === 0, { what: 'the mount to go' })
    expect(await one.mount('abandoned', 'b')).toMatch(/^\//)
  })

  test('a mount ID that was known before stays when its repeat is abandoned', async () => {
    await one.create('still-there', SMALL)
    const path = await one.mount('still-there', 'a')
    const abort = new AbortController()
    const asked = one.call('Mount', { Name: 'still-there', ID: 'a' }, { signal: abort.signal })
    abort.abort()
    await expect(asked).rejects.toThrow()
    expect(await one.mount('still-there', 'a')).toBe(path)
    expect(await users('still-there')).toEqual(['docker a'])
  })

  test('bad mount IDs are refused', async () => {
    await one.create('bad-ids', SMALL)
    for (const id of ['a b', 'a\n', 'x'.repeat(257), 'ä']) {
      await expect(one.mount('bad-ids', id)).rejects.toThrow(/invalid_request/)
    }
    expect((await world.volume('bad-ids')).attachments).toEqual([])
  })

  test('while the controller is away a volume is not absent: Docker must not make another one', async () => {
    await one.create('hidden', SMALL)
    const { client } = await world.door({ answerMs: 700 }, 1, NOBODY)
    for (const call of ['Get', 'Path', 'Remove', 'Create', 'Mount', 'List']) {
      const { status, body } = await client.call(call, { Name: 'hidden', ID: 'a' })
      expect(status).toBe(500)
      expect(body.Err).toMatch(/does not answer.*unreachable/)
    }
    const { body } = await client.call('Mount', { Name: 'hidden', ID: 'a' })
    expect(body.Err).toContain('(waited 1 s)')
  })

  test('while the controller is away what is mounted for Docker is known, and takes another user', async () => {
    await one.create('known', SMALL)
    const path = await one.mount('known', 'a')
    const { client } = await world.door({ answerMs: 700 }, 1, NOBODY)
    expect(await client.mount('known', 'b')).toBe(path)
    expect((await client.ok('Path', { Name: 'known' })).Mountpoint).toBe(path)
    expect(await client.get('known')).toMatchObject({ Name: 'known', Mountpoint: path })
    await client.unmount('known', 'b')
  })

  test('closing answers a waiting Mount that it is stopping; what is mounted stays', async () => {
    await one.create('closing', SMALL)
    const path = await one.mount('closing', 'a')
    const { client, door } = await world.door({}, 1, NOBODY)
    const waiting = client.call('Mount', { Name: 'other', ID: 'b' })
    await until(() => door.busy, { what: 'the Mount to wait' })
    await door.close()
    expect((await waiting).body.Err).toMatch(/the node daemon is stopping.*not_ready/)
    expect(existsSync(client.socket)).toBe(false)
    expect(existsSync(path)).toBe(true)
    expect(await users('closing')).toEqual(['docker a'])
  })
})
