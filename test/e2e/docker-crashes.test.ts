/** The Docker door with real Docker daemons, when one of the processes is killed in the middle. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DockerWorld } from '../doors/docker/support/docker-world.ts'
import { PluginClient } from '../doors/docker/support/plugin-client.ts'
import { DOCKERD_NEEDS, type Dockerd } from '../support/dockerd.ts'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'

/** It heeds TERM, which Docker sends when it goes and comes; otherwise Docker waits ten seconds for it. */
const COUNT =
  'trap exit TERM; i=0; while :; do i=$((i+1)); echo $i > /data/new && mv /data/new /data/count; sleep 0.1; done'

needs(...DOCKERD_NEEDS).describe('crashes around Docker', () => {
  let world: DockerWorld
  let one: Dockerd
  let two: Dockerd

  beforeAll(async () => {
    await DockerWorld.start(
      (made) => {
        world = made
      },
      { reconcile: true, graceMs: 1500, lookMs: 500 },
    )
    one = world.docker(1)
    two = world.docker(2)
  })
  afterAll(() => world?.dispose())

  async function create(name: string): Promise<void> {
    await one.ok('volume', 'create', '--driver=hf', '--opt=size=64MiB', name)
  }

  /** A container that writes a growing number. */
  async function counter(name: string, volume: string, ...options: string[]): Promise<void> {
    await one.ok(
      'run',
      '-d',
      '--name',
      name,
      '--network=none',
      ...options,
      '-v',
      `${volume}:/data`,
      'busybox',
      'sh',
      '-c',
      COUNT,
    )
    await counts(name)
  }

  /** It writes, and what it writes can be read. */
  async function counts(name: string): Promise<void> {
    const read = async () => Number(await one.ok('exec', name, 'cat', '/data/count'))
    const before = await until(read, { what: `${name} to write` })
    await until(async () => (await read()) > before, { what: `${name} to go on writing`, everyMs: 50 })
  }

  async function free(volume: string, deadlineMs = 30_000): Promise<void> {
    await until(async () => Object.keys(await world.cluster.users(volume)).length === 0, {
      what: `${volume} to be free`,
      deadlineMs,
      everyMs: 50,
    })
  }

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'the node daemon ends by %s while a container writes: it goes on, and all is as before when the daemon is back',
    async (signal) => {
      const volume = `node-${signal.toLowerCase()}`
      await create(volume)
      await counter(volume, volume)
      await world.cluster.node(1).end(signal)
      await counts(volume)
      await world.cluster.node(1).start()
      await counts(volume)
      expect(await one.sh(volume, 'test -s /data/count && echo there')).toBe('there')
      expect((await two.run('run', '--rm', '-v', `${volume}:/data`, 'busybox', 'ls')).stderr).toMatch('held_elsewhere')
      await one.ok('rm', '--force', volume)
      await free(volume)
      await two.sh(volume, 'test -s /data/count')
    },
  )

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'the node daemon ends by %s while nothing is mounted: what it mounts later reaches the containers of the same Docker',
    async (signal) => {
      const volume = `idle-${signal.toLowerCase()}`
      await create(volume)
      await world.cluster.node(1).end(signal)
      await world.cluster.node(1).start()
      await one.sh(volume, 'echo real > /data/x')
      expect(await two.sh(volume, 'cat /data/x')).toBe('real')
    },
  )

  test('the node daemon is killed while Docker mounts: the container starts when it is asked again', async () => {
    await create('mid-mount')
    const command = ['sh', '-c', 'echo fine > /data/x; cat /data/x']
    await one.ok('create', '--name=mid-mount', '--network=none', '-v', 'mid-mount:/data', 'busybox', ...command)
    const started = one.run('start', '--attach', 'mid-mount')
    await until(async () => (await world.cluster.users('mid-mount'))['node-1'] === 1, { what: 'the claim', everyMs: 1 })
    await world.cluster.node(1).end('SIGKILL')
    await world.cluster.node(1).start()
    const first = await started
    // Docker repeats what it was not answered, but without its content: the second call is refused with what to do
    if (first.code !== 0) expect(first.stderr).toMatch(/without its content.*try again/)
    expect(await one.ok('start', '--attach', 'mid-mount')).toBe('fine')
    await one.ok('rm', 'mid-mount')
    await free('mid-mount')
    expect(await two.sh('mid-mount', 'cat /data/x')).toBe('fine')
  })

  test('a call that finds no node daemon is repeated by Docker until there is one', async () => {
    await create('not-yet')
    await world.cluster.node(1).end('SIGTERM')
    const started = one.sh('not-yet', 'echo fine')
    await world.cluster.node(1).start()
    expect(await started).toBe('fine')
  })

  test('the controller is killed while a container writes: a second container joins it meanwhile', async () => {
    await create('no-controller')
    await counter('no-controller', 'no-controller')
    await world.cluster.controller.end('SIGKILL')
    await counts('no-controller')
    await one.sleeper('no-controller-2', 'no-controller')
    expect(await one.ok('exec', 'no-controller-2', 'test', '-s', '/data/count')).toBe('')
    const refused = await one.run('volume', 'inspect', 'some-other')
    expect(refused.code).toBe(1)
    await world.cluster.controller.start()
    await until(async () => (await world.cluster.users('no-controller'))['node-1'] === 2, {
      what: 'both to be counted',
    })
    await one.ok('rm', '--force', 'no-controller', 'no-controller-2')
    await free('no-controller')
  })

  test('a container ends while the controller is away: its volume is free when that is back', async () => {
    await create('ends-unheard')
    await counter('ends-unheard', 'ends-unheard')
    await world.cluster.controller.end('SIGKILL')
    await one.ok('rm', '--force', 'ends-unheard')
    await world.cluster.controller.start()
    await free('ends-unheard')
    await two.sh('ends-unheard', 'test -s /data/count')
  })

  test('the controller is killed while Docker creates and mounts: both wait for it, and happen once', async () => {
    await world.cluster.controller.end('SIGKILL')
    const created = create('awaits')
    const run = create('awaits-too').then(() => one.sh('awaits-too', 'echo fine'))
    await world.cluster.controller.start()
    await created
    expect(await run).toBe('fine')
    const { items } = await world.cluster.rest.rest<{ items: unknown[] }>('GET', '/v1/volumes?name=awaits')
    expect(items).toHaveLength(1)
  })

  test('Docker is restarted: its container comes back with its data', async () => {
    await create('docker-restart')
    await counter('docker-restart', 'docker-restart', '--restart=always')
    await one.stopDaemon()
    await one.startDaemon()
    await counts('docker-restart')
    expect(await world.cluster.users('docker-restart')).toEqual({ 'node-1': 1 })
    await one.ok('rm', '--force', 'docker-restart')
    await free('docker-restart')
  })

  test.each(['always', 'no'])('Docker is killed while a container (restart=%s) writes', async (restart) => {
    const volume = `docker-killed-${restart}`
    await create(volume)
    await counter(volume, volume, `--restart=${restart}`)
    await one.kill9()
    expect(await world.cluster.users(volume)).toEqual({ 'node-1': 1 })
    await one.startDaemon()
    if (restart === 'always') {
      await counts(volume)
      await until(async () => (await world.cluster.users(volume))['node-1'] === 1, { what: 'one user' })
      await one.ok('rm', '--force', volume)
    }
    await free(volume)
    await two.sh(volume, 'test -s /data/count')
  })

  test('a mount that Docker has forgotten is let go; those of running containers stay', async () => {
    await create('forgotten')
    await create('remembered')
    await counter('remembered', 'remembered')
    const door = new PluginClient(world.cluster.node(1).socket)
    await door.mount('forgotten', 'f'.repeat(64))
    expect(await world.cluster.users('forgotten')).toEqual({ 'node-1': 1 })
    await free('forgotten')
    await two.sh('forgotten', 'echo moved > /data/x')
    await counts('remembered')
    await one.ok('rm', '--force', 'remembered')
  })

  test('nothing is let go while Docker is down, however long its containers go on', async () => {
    await create('docker-down')
    await counter('docker-down', 'docker-down')
    await one.kill9()
    const door = new PluginClient(world.cluster.node(1).socket)
    const before = await door.get('docker-down')
    // several looks pass; that nothing happens can only be shown by waiting
    await new Promise((wake) => setTimeout(wake, 3500))
    expect(await door.get('docker-down')).toEqual(before)
    expect(await world.cluster.users('docker-down')).toEqual({ 'node-1': 1 })
    await one.startDaemon()
    await free('docker-down')
  })

  test('a container that ends while the node daemon is down is let go later', async () => {
    await create('missed')
    await counter('missed', 'missed')
    await world.cluster.node(1).end('SIGKILL')
    await one.ok('rm', '--force', 'missed')
    await world.cluster.node(1).start()
    await free('missed')
  }, 120_000)
})
