import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ZooKeeper } from '../../src/mesos/zookeeper.ts'
import type { ZooKeeperConnection } from '../../src/mesos/zookeeper-connection.ts'
import { systemClock } from '../../src/runtime/system-clock.ts'
import { needs } from '../support/missing.ts'
import { tempDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { ZOOKEEPER_NEEDS, ZooKeeperServers, ZooKeeperWriter } from './zookeeper-server.ts'

const toServers = (ports: number[]) => ports.map((port) => ({ host: '127.0.0.1', port }))

needs(...ZOOKEEPER_NEEDS).describe('a real ZooKeeper', () => {
  const dir = tempDir()
  const open: (ZooKeeperConnection | ZooKeeperWriter)[] = []
  let servers: ZooKeeperServers

  beforeAll(async () => {
    servers = await ZooKeeperServers.start(dir.path)
  })
  afterAll(async () => {
    for (const each of open) await each.close()
    await servers?.stop()
    dir.remove()
  })

  async function connect(auth?: string): Promise<ZooKeeperConnection> {
    const zooKeeper = new ZooKeeper({ clock: systemClock, servers: toServers(servers.ports), auth, sessionMs: 1500 })
    const connection = await zooKeeper.connect()
    open.push(connection)
    return connection
  }

  async function writer(): Promise<ZooKeeperWriter> {
    const client = await ZooKeeperWriter.open(servers.ports[0] as number)
    open.push(client)
    return client
  }

  test('children and data are read, and a change is told once', async () => {
    const master = await writer()
    await master.create('/a')
    const client = await connect()
    const told: string[] = []
    expect(await client.getChildren('/a', () => told.push('changed'))).toEqual([])
    const path = await master.stand('/a', 'Größe 1')
    await until(() => told.length === 1, { what: 'the change' })
    expect(path).toBe('/a/json.info_0000000000')
    expect(await client.getChildren('/a', () => told.push('again'))).toEqual(['json.info_0000000000'])
    expect((await client.getData(path))?.toString()).toBe('Größe 1')
    await master.close()
    await until(() => told.length === 2, { what: 'the node to go' })
    expect(told).toEqual(['changed', 'again'])
    expect(await client.getData(path)).toBeUndefined()
  })

  test('a node that is not there is no error', async () => {
    const client = await connect()
    expect(await client.getChildren('/nowhere', () => undefined)).toBeUndefined()
    expect(await client.getData('/nowhere')).toBeUndefined()
  })

  test('an idle connection lives beyond its session time, by pings', async () => {
    const client = await connect()
    const end = performance.now() + 3500
    // as long as several sessions; the condition is the time itself
    await until(() => performance.now() > end, { what: 'the time', everyMs: 100 })
    expect(await client.getChildren('/', () => undefined)).toContain('zookeeper')
  })

  test('what only one user may read is read by that user', async () => {
    const client = await writer()
    const hash = createHash('sha1').update('mesos:secret').digest('base64')
    await client.create('/locked', `mesos:${hash}`)
    const allowed = await connect('mesos:secret')
    expect(await allowed.getChildren('/locked', () => undefined)).toEqual([])
    const stranger = await connect()
    await expect(stranger.getChildren('/locked', () => undefined)).rejects.toMatchObject({
      code: 'mesos_refused',
      message: expect.stringContaining('its access list does not let this client read it'),
    })
    // a refusal is an answer: the connection goes on
    expect(await stranger.getChildren('/', () => undefined)).toContain('locked')
  })

  test('a closed connection says so to those who wait, and to those who come later', async () => {
    const client = await connect()
    const asked = client.getChildren('/', () => undefined)
    client.close()
    await expect(asked).rejects.toThrow('the connection was closed')
    expect(await client.closed).toBeUndefined()
    await expect(client.getData('/')).rejects.toThrow('the connection has ended')
  })
})

needs(...ZOOKEEPER_NEEDS).test(
  'three servers: when the one in use is killed, the next one goes on',
  async ({ onTestFinished }) => {
    const dir = tempDir()
    onTestFinished(() => dir.remove())
    const servers = await ZooKeeperServers.start(dir.path, 3)
    onTestFinished(() => servers.stop())
    const zooKeeper = new ZooKeeper({ clock: systemClock, servers: toServers(servers.ports), sessionMs: 2000 })
    const first = await zooKeeper.connect()
    expect(first.server).toContain(`:${servers.ports[0]}`)
    await servers.kill(0)
    expect(await first.closed).toMatchObject({ code: 'mesos_unreachable' })
    const second = await until(() => zooKeeper.connect(), { what: 'another server', deadlineMs: 20_000 })
    onTestFinished(() => second.close())
    expect(second.server).not.toBe(first.server)
    const children = await until(() => second.getChildren('/', () => undefined), { what: 'an answer' })
    expect(children).toContain('zookeeper')
  },
  90_000,
)

test('nobody there: every server is named', async () => {
  const zooKeeper = new ZooKeeper({ clock: systemClock, servers: toServers([1, 2]) })
  await expect(zooKeeper.connect()).rejects.toMatchObject({
    code: 'mesos_unreachable',
    message: expect.stringMatching(/127\.0\.0\.1:1: .*ECONNREFUSED.*; .*127\.0\.0\.1:2: /),
  })
})
