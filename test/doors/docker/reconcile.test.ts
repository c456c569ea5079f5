import { createServer } from 'node:http'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { DockerDoorConfig } from '../../../src/doors/docker/config.ts'
import type { DockerDoor } from '../../../src/doors/docker/door.ts'
import { listenOnSocket } from '../../../src/doors/docker/socket.ts'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import type { PluginClient } from './support/plugin-client.ts'
import { World } from './support/world.ts'

const LOOK_MS = 40

/** Answers like the Engine API; `docker-crashes` has the real one. */
class Engine {
  answer: unknown = []
  status = 200
  asked = 0
  /** Called while an answer is due. */
  before: () => Promise<void> = async () => undefined
  readonly server = createServer((request, response) => {
    this.asked += 1
    void this.before().finally(() => {
      const known = request.url === '/containers/json?all=1'
      response.writeHead(known ? this.status : 404)
      response.end(typeof this.answer === 'string' ? this.answer : JSON.stringify(this.answer))
    })
  })

  has(state: string, ...volumes: string[]): void {
    const mounts = volumes.map((name) => ({ Type: 'volume', Name: name, Driver: 'hf', Destination: '/data' }))
    this.answer = [{ Id: 'c1', State: state, Mounts: [{ Type: 'bind', Source: '/tmp' }, ...mounts] }]
  }
}

needs('root', 'loop-devices').describe('mounts whose Unmount Docker skipped', () => {
  let world: World
  let engine: Engine
  let api: string
  let doors: DockerDoor[]

  beforeAll(async () => {
    world = await World.start()
  })
  afterAll(() => world?.dispose())
  beforeEach(async ({ onTestFinished }) => {
    engine = new Engine()
    doors = []
    api = join(world.dir, 'engine.sock')
    await listenOnSocket(engine.server, api)
    onTestFinished(async () => {
      // a door that goes on looking would let go of the next test's mounts
      for (const door of doors) await door.close()
      await stop()
      for (const { entry } of world.dev.running[0]!.daemon.table.slots) {
        for (const user of entry?.users ?? []) await world.dev.running[0]!.daemon.unmount(entry!.volume.id, user)
      }
    })
  })

  async function stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => engine.server.close(() => resolve()))
    engine.server.closeAllConnections()
    await closed
  }

  async function open(config: Partial<DockerDoorConfig>) {
    const opened = await world.door({ api, ...config })
    doors.push(opened.door)
    return opened
  }

  /** A door that looks only when the test says so, with a volume mounted for one container. */
  async function mounted(name: string, graceMs = 0): Promise<{ door: DockerDoor; client: PluginClient }> {
    const { door, client } = await open({ graceMs, lookMs: 3_600_000 })
    await client.create(name, { size: '32MiB' })
    await client.mount(name, 'container-1')
    return { door, client }
  }

  async function isMounted(name: string): Promise<boolean> {
    return (await world.volume(name)).attachments.length > 0
  }

  /** A door that looks often by itself. */
  async function looking(name: string, graceMs = 0): Promise<PluginClient> {
    const { client } = await open({ graceMs, lookMs: LOOK_MS })
    await client.create(name, { size: '32MiB' })
    await client.mount(name, 'container-1')
    return client
  }

  async function looks(count: number): Promise<void> {
    const end = engine.asked + count
    await until(() => engine.asked >= end, { what: `${count} looks` })
  }

  test('a mount that no container uses any more is let go, and told in the log', async () => {
    await looking('left-over')
    await until(async () => !(await isMounted('left-over')), { what: 'the mount to go' })
    const said = { event: 'docker.unmount.skipped', volume: 'left-over', user: 'container-1' }
    await until(() => world.logged.some((line) => isDeepStrictEqual(line, said)), { what: 'the word in the log' })
  })

  test.each(['running', 'paused', 'restarting', 'removing'])(
    'a mount of a container that is %s stays',
    async (state) => {
      engine.has(state, `of-${state}`)
      await looking(`of-${state}`)
      await looks(4)
      expect(await isMounted(`of-${state}`)).toBe(true)
    },
  )

  test.each(['exited', 'dead', 'created'])('a mount of a container that is %s is let go', async (state) => {
    engine.has(state, `of-${state}`)
    await looking(`of-${state}`)
    await until(async () => !(await isMounted(`of-${state}`)), { what: 'the mount to go' })
  })

  test('one look is not enough: the container may be starting', async () => {
    const { door } = await mounted('once')
    expect(await door.reconcile()).toEqual([])
    expect(await isMounted('once')).toBe(true)
  })

  test('what came lately stays, however often nobody uses it', async () => {
    await looking('fresh', 60_000)
    await looks(5)
    expect(await isMounted('fresh')).toBe(true)
  })

  test.each([
    ['is away', 200, undefined],
    ['refuses', 500, []],
    ['answers something else', 200, { message: 'page not found' }],
    ['answers nonsense', 200, '<html>'],
    ['answers with half a list', 200, '[{"State": "running"'],
    ['lists nothing it should', 200, [null]],
  ])('nothing is let go while Docker %s', async (_what, status, answer) => {
    engine.status = status
    engine.answer = answer
    if (answer === undefined) await stop()
    const { door } = await open({ graceMs: 0, lookMs: 1 })
    const { client } = await open({ api: undefined })
    await client.create('unheard', { size: '32MiB' })
    await client.mount('unheard', 'container-1')
    const end = performance.now() + 100
    while (performance.now() < end) expect(await door.reconcile()).toEqual([])
    expect(await isMounted('unheard')).toBe(true)
  })

  test('nothing is concluded from a look during which a Mount came', async () => {
    const { client } = await open({ graceMs: 0, lookMs: LOOK_MS })
    await client.create('during', { size: '32MiB' })
    await client.create('other', { size: '32MiB' })
    await client.mount('during', 'container-1')
    engine.before = async () => {
      await client.mount('other', `container-${engine.asked}`)
    }
    await looks(4)
    expect(await isMounted('during')).toBe(true)
  })

  test('users without a mount ID are not of Docker and stay', async () => {
    const { client } = await open({ graceMs: 0, lookMs: LOOK_MS })
    await client.create('of-dvdcli', { size: '32MiB' })
    await client.create('of-docker', { size: '32MiB' })
    await client.mount('of-dvdcli', '')
    await client.mount('of-docker', 'container-1')
    await until(async () => !(await isMounted('of-docker')), { what: 'the mount of Docker to go' })
    expect(await isMounted('of-dvdcli')).toBe(true)
  })

  test('while nothing is mounted Docker is not asked', async () => {
    const { door } = await open({ graceMs: 0, lookMs: 3_600_000 })
    expect(await door.reconcile()).toEqual([])
    expect(engine.asked).toBe(0)
  })
})
