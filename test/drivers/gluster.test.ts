import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createGlusterDriver } from '../../src/drivers/gluster.ts'
import { createFilesystemTools } from '../../src/programs/filesystem-tools.ts'
import { clientCommand } from '../../src/programs/gluster-process.ts'
import { glusterSettings } from '../../src/programs/gluster-settings.ts'
import { createPrograms } from '../../src/programs/run.ts'
import { endSurvivors } from '../../src/programs/survivors.ts'
import { mountsUnder } from '../e2e/support/node-cleanup.ts'
import { GLUSTER_NEEDS, VOLUME } from '../support/gluster.ts'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { readFrom, writeTo } from './content.ts'
import { expectCode } from './contract.ts'
import { tool } from './disk.ts'
import { type GlusterFixture, GlusterFixtures } from './gluster-fixture.ts'

const signal = AbortSignal.timeout(1_000_000_000)
const nothing = (): void => undefined
const PLACE = { target: '/state/u', pidFile: '/state/u.pid', logFile: '/state/u.log' }

test('settings are checked before anything is touched', () => {
  const programs = createPrograms()
  const driver = createGlusterDriver({
    ...{ programs, filesystems: createFilesystemTools({ programs }) },
    directory: '/nowhere',
  })
  driver.checkSettings({ volume: 'server1:/vol' })
  driver.checkSettings({
    volume: '[fd00::1]:vol_1',
    servers: 'b.example, 10.0.0.3',
    directory: '/a/b',
    directIo: 'off',
  })
  driver.checkSettings({ volume: 'a:/v', mountOptions: 'log-level=INFO,acl,address-family=inet6' })
  const bad: [Record<string, string>, string][] = [
    [{}, 'volume'],
    ...['server1', '/vol', 'server1:/', 'server1:/a/b', '-o:/vol', 'a b:/vol', 'a:/-v', 'a:/v\n', '$(id):/v'].map(
      (volume): [Record<string, string>, string] => [{ volume }, 'volume'],
    ),
    [{ volume: 'a:/v', servers: 'b,,c' }, 'servers'],
    [{ volume: 'a:/v', servers: '--help' }, 'servers'],
    [{ volume: 'a:/v', servers: Array(17).fill('b').join() }, 'servers'],
    [{ volume: 'a:/v', directory: 'pool' }, 'directory'],
    [{ volume: 'a:/v', directory: '/pool/' }, 'directory'],
    [{ volume: 'a:/v', directory: '/../etc' }, 'directory'],
    [{ volume: 'a:/v', directory: '/a\0' }, 'directory'],
    [{ volume: 'a:/v', mountOptions: 'log-file=/etc/passwd' }, 'mountOptions'],
    [{ volume: 'a:/v', mountOptions: 'log-level=INFO=x' }, 'mountOptions'],
    [{ volume: 'a:/v', mountOptions: 'attribute-timeout=600' }, 'mountOptions'],
    [{ volume: 'a:/v', directIo: 'yes' }, 'directIo'],
    [{ volume: 'a:/v', password: 'secret' }, 'password'],
  ]
  for (const [settings, setting] of bad) {
    expect(() => driver.checkSettings(settings), JSON.stringify(settings)).toThrow(
      expect.objectContaining({ code: 'invalid_option', data: { setting } }),
    )
  }
})

test('under systemd a client gets a scope of its own, and never the mark of a daemon’s children', () => {
  const settings = glusterSettings({ volume: '[fd00::1]:/v', servers: 'b', mountOptions: 'log-level=INFO' })
  const plain = clientCommand(PLACE, settings, 'a pool', false)
  expect(plain.slice(0, 5)).toEqual([
    '--unset=HOLDFAST_CHILD_OF',
    'glusterfs',
    '--volfile-server=fd00::1',
    '--volfile-server=b',
    '--volfile-id=/v',
  ])
  expect(plain.filter((word) => word.startsWith('--log-level'))).toEqual(['--log-level=INFO'])
  expect(plain.at(-1)).toBe('/state/u')
  const scope = ['systemd-run', '--scope', '--quiet', '--collect', '--description=a pool', '--']
  expect(clientCommand(PLACE, settings, 'a pool', true)).toEqual([plain[0], ...scope, ...plain.slice(1)])
})

needs(...GLUSTER_NEEDS, 'mkfs.ext4').describe('the driver gluster on a real server', () => {
  let fixtures: GlusterFixtures
  beforeAll(async () => {
    fixtures = await GlusterFixtures.start()
  })
  afterAll(() => fixtures?.dispose())

  async function marked(): Promise<GlusterFixture> {
    const fixture = await fixtures.make()
    onTestFinished(() => fixture.dispose())
    await fixture.driver.mark(fixture.pool, signal)
    return fixture
  }

  /** An image and a directory, attached, formatted and mounted, with a durable file in each. */
  async function mounted({ driver, filesystems, pool, scratch }: GlusterFixture) {
    const targets: Record<'image' | 'shared', string> = { image: '', shared: '' }
    for (const object of ['image', 'shared'] as const) {
      const type = object === 'image' ? 'ext4' : 'directory'
      await driver.create(pool, object, 64, signal, object === 'image' ? 'device' : 'directory')
      const { device } = await driver.attach(pool, object, false, signal)
      await filesystems.make(device, type, randomUUID(), signal)
      targets[object] = join(scratch, object)
      await filesystems.mount(device, targets[object], { type, readOnly: false, flags: [] }, signal)
      writeTo(targets[object], 0, Buffer.from('kept'))
    }
    return targets
  }

  function killClient({ clientPid, pool }: GlusterFixture): number {
    const pid = clientPid(pool)
    if (pid === undefined) throw new Error('there is no client')
    process.kill(pid, 'SIGKILL')
    return pid
  }

  test('both kinds of objects live in one pool, and none takes the name of the other', async () => {
    const { driver, pool } = await marked()
    const { capabilities } = await driver.probe(pool, signal)
    expect(capabilities).toMatchObject({ formats: 'holdfast', writersMany: true, snapshot: 'copy', fence: 'none' })
    expect(capabilities.filesystems).toContain('directory')
    await driver.create(pool, 'b', 8, signal)
    await driver.create(pool, 'a', 16, signal, 'directory')
    expect(await driver.inventory(pool, signal)).toMatchObject([
      { name: 'a', sizeMiB: 16 },
      { name: 'b', sizeMiB: 8 },
    ])
    await expectCode(driver.create(pool, 'a', 16, signal), 'object_exists')
    await expectCode(driver.create(pool, 'b', 8, signal, 'directory'), 'object_exists')
    await expectCode(driver.copy(pool, 'a', 'b', 'volume', nothing, signal), 'object_exists')
    await expectCode(driver.copy(pool, 'b', 'a', 'volume', nothing, signal), 'object_exists')
  })

  test('several nodes write to a directory, and each sees at once what the others wrote', async () => {
    const { driver, node, pool } = await marked()
    const other = node('other').driver
    await driver.create(pool, 'shared', 64, signal, 'directory')
    const here = (await driver.attach(pool, 'shared', false, signal)).device
    const there = (await other.attach(pool, 'shared', false, signal)).device
    expect(there).not.toBe(here)
    for (let round = 0; round < 20; round++) {
      const [from, to] = round % 2 === 0 ? [here, there] : [there, here]
      writeFileSync(join(from, 'file'), `round ${round}`)
      expect(readFileSync(join(to, 'file'), 'utf8')).toBe(`round ${round}`)
      mkdirSync(join(from, `d${round}`))
      expect(existsSync(join(to, `d${round}`))).toBe(true)
    }
    // what one of them attached says nothing of the other
    await other.detach(pool, 'shared', signal)
    expect(await driver.attached(pool, signal, 'shared')).toHaveLength(1)
    expect(await other.attached(pool, signal, 'shared')).toEqual([])
  })

  test('the size and the content of an image are known at once on another node', async () => {
    const { driver, node, pool } = await marked()
    const other = node('other').driver
    await driver.create(pool, 'a', 8, signal)
    expect(await other.inspect(pool, 'a', signal)).toMatchObject({ sizeMiB: 8 })
    expect(await other.isBlank(pool, 'a', signal)).toBe(true)
    await driver.grow(pool, 'a', 16, signal)
    expect(await other.inspect(pool, 'a', signal)).toMatchObject({ sizeMiB: 16 })
    writeTo((await driver.attach(pool, 'a', false, signal)).device, 4096, Buffer.from('from here'))
    await driver.detach(pool, 'a', signal)
    expect(await other.isBlank(pool, 'a', signal)).toBe(false)
    expect(readFrom((await other.attach(pool, 'a', false, signal)).device, 4096, 9).toString()).toBe('from here')
    await other.detach(pool, 'a', signal)
    await driver.delete(pool, 'a', signal)
    expect(await other.inspect(pool, 'a', signal)).toBeUndefined()
  })

  test('a client that died while nothing used it is replaced by the next call', async () => {
    const fixture = await marked()
    const { clientPid, driver, pool } = fixture
    await driver.create(pool, 'a', 8, signal)
    const pid = killClient(fixture)
    const all = await Promise.all([1, 2, 3].map(() => driver.inspect(pool, 'a', signal)))
    expect(all.map((info) => info?.sizeMiB)).toEqual([8, 8, 8])
    expect(clientPid(pool)).not.toBe(pid)
    expect(mountsUnder(fixture.clients).filter(({ target }) => target.endsWith(pool.uuid))).toHaveLength(1)
  })

  test('a client that died under volumes is replaced when the last of them is taken down', async () => {
    const fixture = await marked()
    const { clientPid, driver, filesystems, pool } = fixture
    const targets = await mounted(fixture)
    killClient(fixture)
    const users = expect.arrayContaining(['/pools/one/image.img', '/pools/one/shared.dir/volume/data'])
    await expect(driver.probe(pool, signal)).rejects.toMatchObject({ code: 'storage_failed', data: { users } })
    expect(() => readdirSync(targets.shared)).toThrow(/ENOTCONN/)
    expect((await driver.attached(pool, signal)).map(({ object }) => object).sort()).toEqual(['image', 'shared'])
    await expectCode(driver.detach(pool, 'shared', signal), 'still_mounted')
    for (const object of ['image', 'shared'] as const) {
      await filesystems.unmount(targets[object], signal)
      await driver.detach(pool, object, signal)
    }
    expect(await driver.attached(pool, signal)).toEqual([])
    await driver.probe(pool, signal)
    expect(clientPid(pool)).toBeDefined()
    for (const [object, type] of [
      ['image', 'ext4'],
      ['shared', 'directory'],
    ] as const) {
      const { device } = await driver.attach(pool, object, false, signal)
      await filesystems.mount(device, targets[object], { type, readOnly: false, flags: [] }, signal)
      expect(readFrom(targets[object], 0, 4).toString()).toBe('kept')
    }
  })

  test('a client outlives its driver, even a killed one, and the next life finds what is in use', async () => {
    const fixture = await marked()
    const { clientPid, filesystems, node, pool } = fixture
    const { driver } = node('life', 'a-killed-daemon')
    const own = clientPid(pool)
    await driver.create(pool, 'image', 64, signal)
    const { device } = await driver.attach(pool, 'image', false, signal)
    await driver.create(pool, 'shared', 64, signal, 'directory')
    const { device: directory } = await driver.attach(pool, 'shared', false, signal)
    await filesystems.make(directory, 'directory', randomUUID(), signal)
    const target = join(fixture.scratch, 'shared')
    await filesystems.mount(directory, target, { type: 'directory', readOnly: false, flags: [] }, signal)
    const first = node('life').clientPid(pool)
    expect(first).not.toBe(own)
    await driver.close()
    // as a starting daemon does with the children of the life before
    expect(await endSurvivors('a-killed-daemon')).toEqual([])
    const next = node('life')
    expect(next.clientPid(pool)).toBe(first)
    expect(await next.driver.attached(pool, signal)).toEqual([
      { object: 'image', device, readOnly: false },
      { object: 'shared', device: directory, readOnly: false },
    ])
    await expectCode(next.driver.delete(pool, 'shared', signal), 'in_use')
    writeTo(device, 0, Buffer.from('served'))
    await filesystems.unmount(target, signal)
    await next.driver.detach(pool, 'image', signal)
    await next.driver.probe(pool, signal)
    await next.driver.close()
    // nothing used it any more
    await until(() => next.clientPid(pool) === undefined, { what: 'the client to end' })
    expect(mountsUnder(next.clients)).toEqual([])
  })

  test('a mount point that somebody took away hides nothing', async () => {
    const fixture = await marked()
    const { clients, driver, node, pool } = fixture
    await driver.create(pool, 'a', 8, signal)
    const { device } = await driver.attach(pool, 'a', false, signal)
    tool('umount', '--lazy', join(clients, pool.uuid))
    expect(await driver.attached(pool, signal)).toEqual([{ object: 'a', device, readOnly: false }])
    // the old client still serves it, so it is not ended and there is no other one
    await expect(driver.probe(pool, signal)).rejects.toMatchObject({ code: 'storage_failed' })
    writeTo(device, 0, Buffer.from('x'))
    // another node's are another matter
    expect(await node('other').driver.attached(pool, signal)).toHaveLength(1)
    await driver.detach(pool, 'a', signal)
    await until(() => driver.probe(pool, signal), { what: 'the client to be mounted again' })
  })

  test('servers that cannot be reached, and volumes that are not there, are named', async () => {
    const fixture = await marked()
    const { node, pool } = fixture
    const { driver } = node('lost')
    const { volume = '' } = pool.settings
    const fails = (settings: Record<string, string>, why: RegExp) =>
      expect(driver.probe({ ...pool, uuid: randomUUID(), settings }, signal)).rejects.toThrow(why)
    const nobody = fails({ volume: '127.255.0.9:/v' }, /The volume v of 127\.255\.0\.9 .* mounted: no server answers/)
    const none = fails({ volume: volume.replace(VOLUME, 'none') }, /The volume none of 127\..* be mounted: .*none/)
    // of the servers here the first one is away, the second one is not
    const [there = ''] = volume.split(':')
    const second = { volume: `127.255.0.9:/${VOLUME}`, servers: there, directory: '/pools/one' }
    const [found] = await Promise.all([driver.probe({ ...pool, settings: second }, signal), nobody, none])
    expect(found.freeMiB).toBeGreaterThan(0)
  })

  test('bricks that are away are told from a dead client, and are waited for', async () => {
    const fixture = await marked()
    const { clientPid, driver, pool, server } = fixture
    await driver.create(pool, 'a', 8, signal)
    const { device } = await driver.attach(pool, 'a', false, signal)
    const before = clientPid(pool)
    for (const pid of server.peer.daemons('glusterfsd')) process.kill(pid, 'SIGKILL')
    await until(
      async () =>
        /does not answer/.test(
          await driver.probe(pool, signal).then(
            () => '',
            (error: Error) => error.message,
          ),
        ),
      { what: 'the loss to be seen' },
    )
    // what is in use is told, and can be let go, without them
    expect(await driver.attached(pool, signal)).toEqual([{ object: 'a', device, readOnly: false }])
    await driver.detach(pool, 'a', signal)
    await until(
      async () => {
        await server.peer.gluster('volume', 'start', VOLUME, 'force')
        await driver.probe(pool, signal)
        return true
      },
      { what: 'the brick to be back', deadlineMs: 20_000, everyMs: 300 },
    )
    expect(clientPid(pool)).toBe(before)
    expect(await driver.inspect(pool, 'a', signal)).toMatchObject({ sizeMiB: 8 })
  })

  test('what interrupted work left goes with the object', async () => {
    const { directory, driver, node, pool } = await marked()
    await driver.create(pool, 'a', 8, signal, 'directory')
    const { device } = await driver.attach(pool, 'a', false, signal)
    for (let file = 0; file < 10; file++) writeFileSync(join(device, `file-${file}`), 'x'.repeat(5000))
    const cut = new AbortController()
    const copying = driver.copy(pool, 'a', 'b', 'volume', nothing, cut.signal)
    await until(() => readdirSync(directory).some((name) => name.startsWith('.b~.')), { what: 'the copy', everyMs: 1 })
    cut.abort()
    await expectCode(copying, 'cancelled')
    expect(await driver.inspect(pool, 'b', signal)).toBeUndefined()
    // as a killed daemon leaves it
    mkdirSync(join(directory, '.b~.0123456789ab.partial/volume/deep'), { recursive: true })
    await driver.delete(pool, 'b', signal)
    await driver.copy(pool, 'a', 'b', 'volume', nothing, signal)
    expect((await driver.attach(pool, 'b', false, signal)).device).toMatch(/b\.dir\/volume$/)
    await driver.detach(pool, 'a', signal)
    await driver.delete(pool, 'a', signal)
    const names = () => readdirSync(directory).filter((name) => !name.startsWith('.holdfast-pool'))
    expect(names()).toEqual(['b.dir'])
    expect(await node('other').driver.inspect(pool, 'b', signal)).toMatchObject({ sizeMiB: 8 })
  })

  test('what hangs is given up after a while, and holds up no detaching', async () => {
    const { clientPid, driver, pool } = await marked()
    await driver.create(pool, 'a', 8, signal)
    await driver.attach(pool, 'a', false, signal)
    const client = clientPid(pool) ?? 0
    const go = () => process.kill(client, 'SIGCONT')
    onTestFinished(() => void go())
    process.kill(client, 'SIGSTOP')
    const hanging = expect(driver.probe(pool, signal)).rejects.toMatchObject({
      code: expect.stringMatching(/storage_timeout|stuck/),
    })
    expect(await driver.attached(pool, signal)).toHaveLength(1)
    await driver.detach(pool, 'a', signal)
    expect(await driver.attached(pool, signal)).toEqual([])
    await hanging
    go()
    await until(() => driver.probe(pool, signal), { what: 'the client to be back', everyMs: 100 })
  })
})
