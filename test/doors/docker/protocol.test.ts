import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDockerDoor } from '../../../src/doors/docker/door.ts'
import { needs } from '../../support/missing.ts'
import { type PluginClient, send } from './support/plugin-client.ts'
import { World } from './support/world.ts'

needs('root', 'loop-devices').describe('the plugin protocol over a real socket', () => {
  let world: World
  let client: PluginClient

  beforeAll(async () => {
    world = await World.start()
    client = (await world.door()).client
  })
  afterAll(() => world?.dispose())

  test('activation with an empty body says that it is a volume driver', async () => {
    const reply = await send(client.socket, '/Plugin.Activate')
    expect(reply).toMatchObject({ status: 200, body: { Implements: ['VolumeDriver'] } })
    expect(reply.type).toBe('application/vnd.docker.plugins.v1.2+json')
  })

  test('its volumes are the same on every node', async () => {
    expect((await client.ok('Capabilities')).Capabilities).toEqual({ Scope: 'global' })
  })

  test('every call of the protocol is answered with JSON and Err', async () => {
    const name = { Name: 'every-call' }
    await client.ok('Create', { ...name, Opts: { size: '32MiB' } })
    expect((await client.ok('Get', name)).Err).toBe('')
    expect((await client.ok('List')).Err).toBe('')
    expect((await client.ok('Path', name)).Mountpoint).toBe('')
    expect((await client.ok('Mount', { ...name, ID: 'a' })).Mountpoint).toMatch(/^\//)
    expect((await client.ok('Path', name)).Mountpoint).toMatch(/^\//)
    expect((await client.ok('Unmount', { ...name, ID: 'a' })).Err).toBe('')
    expect((await client.ok('Remove', name)).Err).toBe('')
  })

  test('neither Host nor Content-Type nor Accept of a request matters', async () => {
    const headers = { host: '', 'content-type': 'text/html', accept: 'image/png' }
    const reply = await send(client.socket, '/VolumeDriver.List', '{}', { headers })
    expect(reply.status).toBe(200)
  })

  test('a path that is no call is told with 404', async () => {
    const reply = await send(client.socket, '/VolumeDriver.Format', '{}')
    expect(reply).toMatchObject({ status: 404, body: { Err: expect.stringContaining('no such call') } })
    expect((await send(client.socket, '/', '{}')).status).toBe(404)
  })

  test('anything but POST is told with 405', async () => {
    expect((await send(client.socket, '/VolumeDriver.List', undefined, { method: 'GET' })).status).toBe(405)
  })

  test.each([
    ['{', 'not JSON'],
    ['nonsense', 'not JSON'],
    ['[]', 'must be a JSON object'],
    ['null', 'must be a JSON object'],
    ['', 'without its content'],
    ['{}', 'without its content'],
    ['{"ID": "a"}', 'Name'],
    ['{"Name": 7}', 'Name'],
    ['{"Name": ""}', 'Name'],
    ['{"Name": "a", "ID": 7}', 'ID'],
  ])('the body %s is told with 400', async (text, sentence) => {
    const reply = await send(client.socket, '/VolumeDriver.Mount', text)
    expect(reply).toMatchObject({ status: 400, body: { Err: expect.stringContaining(sentence) } })
  })

  test.each(['[]', '7', '{"size": 7}', '{"size": null}'])('options %s are told with 400', async (opts) => {
    const reply = await send(client.socket, '/VolumeDriver.Create', `{"Name": "bad-options", "Opts": ${opts}}`)
    expect(reply).toMatchObject({ status: 400, body: { Err: expect.stringContaining('Opts') } })
    expect(await client.names()).not.toContain('bad-options')
  })

  test('a body above 1 MiB is refused, and the door goes on', async () => {
    const text = JSON.stringify({ Name: 'x'.repeat(1024 * 1024) })
    const refused = await send(client.socket, '/VolumeDriver.Get', text).catch((error: NodeJS.ErrnoException) => error)
    // Node may see the connection end before it has sent everything
    if ('status' in refused) expect(refused.status).toBe(413)
    else expect(['EPIPE', 'ECONNRESET']).toContain(refused.code)
    expect((await client.call('List')).status).toBe(200)
  })

  test('garbage and half requests end no process', async () => {
    for (const text of [
      '\0\0\0\n\n',
      'GET / HTTP/9.9\r\n\r\n',
      'POST /VolumeDriver.List HTTP/1.1\r\ncontent-length: 99\r\n\r\n{',
    ]) {
      await new Promise<void>((resolve) => {
        const socket = connect(client.socket, () => socket.end(text))
        socket.on('error', () => resolve())
        socket.on('close', () => resolve())
        socket.resume()
      })
    }
    expect((await client.call('List')).status).toBe(200)
  })

  test('a volume that does not exist is an error with a sentence and a code', async () => {
    const reply = await client.call('Get', { Name: 'nothing' })
    expect(reply.status).toBe(500)
    expect(reply.body.Err).toBe('no such volume "nothing" [not_found]')
    expect((await client.call('Path', { Name: 'nothing' })).status).toBe(500)
    expect((await client.call('Mount', { Name: 'nothing', ID: 'a' })).body.Err).toContain('not_found')
  })

  test('a second door on a socket that answers is refused, and the first goes on', async () => {
    const path = client.socket
    const daemon = world.dev.running[0]!.daemon
    const log = { info: () => undefined, warn: () => undefined }
    const second = createDockerDoor({
      node: daemon,
      rest: world.rest,
      socket: path,
      config: { roles: ['default'] },
      log,
    })
    await expect(second.listen()).rejects.toMatchObject({ code: 'in_use' })
    await second.close()
    expect((await client.call('List')).status).toBe(200)
  })

  test('a configuration without roles, or with a default role that is not among them, is refused', async () => {
    await expect(world.door({ roles: [] })).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(world.door({ defaultRole: 'other' })).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(world.door({ trashHours: -1 })).rejects.toMatchObject({ code: 'invalid_option' })
  })
})
