import { request } from 'node:http'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createLocalDoor } from '../../../src/doors/local/local-door.ts'
import { LocalNodeClient } from '../../../src/doors/local/node-client.ts'
import { HoldfastError } from '../../../src/model/errors.ts'
import type { MountRequest } from '../../../src/node/daemon.ts'
import { testDir } from '../../support/temp-dir.ts'

type Users = { door: string; id: string }[]

/** A door over a real socket, in front of a node that only keeps a list of users. */
async function door(users: Map<string, Users> = new Map()) {
  const socket = join(testDir(), 'node.sock')
  const asked: MountRequest[] = []
  const find = (volume: string) => {
    const found = users.get(volume)
    return found === undefined ? undefined : ({ entry: { users: found } } as never)
  }
  const node = {
    table: { find } as never,
    status: () => ({ connected: true, volumes: [], work: [], owed: 0, reached: [] }) as never,
    mount: async (mount: MountRequest) => {
      asked.push(mount)
      if (mount.volume === 'nowhere')
        throw new HoldfastError('not_found', 'volume "nowhere" does not exist', { volume: 'nowhere' })
      const of = users.get(mount.volume) ?? []
      users.set(mount.volume, [...of.filter((each) => each.door !== mount.user.door), { ...mount.user }])
      // somebody else comes in the very same moment
      if (mount.volume === 'contested') users.get('contested')?.push({ door: 'docker', id: 'c1' })
      return `/mnt/${mount.volume}/target`
    },
    unmount: async (volume: string, user: { door: string; id: string }) => {
      users.set(
        volume,
        (users.get(volume) ?? []).filter((each) => each.door !== user.door),
      )
    },
  }
  const made = createLocalDoor({ node, socket, mountRoot: '/mnt', log: { warn: () => undefined } })
  await made.listen()
  onTestFinished(() => made.close())
  return { socket, client: new LocalNodeClient(socket), asked, users, made }
}

function send(
  socket: string,
  method: string,
  path: string,
  body?: string,
): Promise<{ status: number; type: string; body: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: socket, method, path }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers['content-type'] ?? '',
          body: JSON.parse(text),
        }),
      )
    })
    call.on('error', reject)
    call.end(body)
  })
}

const USER = { door: 'mesos', id: 'agent-1' }

test('mounts and unmounts for a user, and says how the node is', async () => {
  const { client, asked, users } = await door()
  const mount = { volume: 'vol-1', user: USER, mode: 'ro' as const, roles: ['ads'] }
  expect(await client.mount(mount, 5000)).toBe('/mnt/vol-1/target')
  expect(asked).toEqual([mount])
  await client.unmount('vol-1', USER, 5000)
  expect(users.get('vol-1')).toEqual([])
  expect(await client.status(5000)).toMatchObject({ connected: true, mountRoot: '/mnt' })
})

test('a refusal of the node reaches the caller with its code, sentence and data', async () => {
  const { client } = await door()
  await expect(client.mount({ volume: 'nowhere', user: USER }, 5000)).rejects.toMatchObject({
    code: 'not_found',
    message: 'volume "nowhere" does not exist',
    data: { volume: 'nowhere' },
  })
})

test('an exclusive mount is refused while another door has the volume, and taken back when one comes at once', async () => {
  const { client, asked, users } = await door(new Map([['busy', [{ door: 'docker', id: 'c1' }]]]))
  const mount = (volume: string) => client.mount({ volume, user: USER, exclusive: true }, 5000)
  await expect(mount('busy')).rejects.toMatchObject({ code: 'in_use', message: expect.stringContaining('docker (c1)') })
  expect(asked).toEqual([])
  await expect(mount('contested')).rejects.toMatchObject({ code: 'in_use' })
  expect(users.get('contested')).toEqual([{ door: 'docker', id: 'c1' }])
  expect(await mount('free')).toBe('/mnt/free/target')
  expect(await mount('free')).toBe('/mnt/free/target')
})

test.each([
  ['not JSON', '{', 'not JSON'],
  ['no object', '[]', 'must be a JSON object'],
  ['no volume', '{"user":{"door":"mesos","id":"a"}}', 'volume'],
  ['no user', '{"volume":"v"}', 'user'],
  ['a door of nobody', '{"volume":"v","user":{"door":"ME SOS","id":"a"}}', 'user.door'],
  ['an id with a blank', '{"volume":"v","user":{"door":"mesos","id":"a b"}}', 'user.id'],
  ['a mode of nobody', '{"volume":"v","user":{"door":"mesos","id":"a"},"mode":"rx"}', 'mode'],
  ['roles that are no list', '{"volume":"v","user":{"door":"mesos","id":"a"},"roles":"ads"}', 'roles'],
  ['a flag that is none', '{"volume":"v","user":{"door":"mesos","id":"a"},"exclusive":"yes"}', 'exclusive'],
])('a request with %s is refused with a problem document', async (_, body, says) => {
  const { socket, asked } = await door()
  const answer = await send(socket, 'POST', '/mount', body)
  expect(answer).toMatchObject({ status: 400, type: 'application/problem+json', body: { code: 'invalid_request' } })
  expect(String(answer.body.detail)).toContain(says)
  expect(asked).toEqual([])
})

test('another path, another method and a body without an end are refused', async () => {
  const { socket } = await door()
  expect(await send(socket, 'GET', '/nothing')).toMatchObject({ status: 404, body: { code: 'not_found' } })
  expect(await send(socket, 'GET', '/mount')).toMatchObject({ status: 405, body: { code: 'method_not_allowed' } })
  expect(await send(socket, 'POST', '/mount', 'x'.repeat(70_000))).toMatchObject({
    status: 413,
    body: { code: 'body_too_large' },
  })
  expect(await send(socket, 'GET', '/status')).toMatchObject({ status: 200 })
})

test('a node that is not there, or does not answer in time, is told as that', async () => {
  const { client, made } = await door()
  await made.close()
  await expect(client.status(5000)).rejects.toMatchObject({ code: 'node_unreachable' })
  const silent = await door()
  await expect(silent.client.status(0)).rejects.toMatchObject({ code: 'node_unreachable' })
})
