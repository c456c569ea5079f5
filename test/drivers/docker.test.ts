import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PoolTarget } from '../../src/drivers/driver.ts'
import type { ErrorCode } from '../../src/model/errors.ts'
import { needs } from '../support/missing.ts'
import type { Fault, VolumePlugin, VolumePluginOptions } from '../support/volume-plugin.ts'
import { expectCode } from './contract.ts'
import { type DockerFixture, makeDockerFixture, mountsBelow } from './docker-fixture.ts'

const signal = AbortSignal.timeout(1_000_000_000)
const NAME = 'hf-12345678-vol-1'

let fixture: DockerFixture
let plugin: VolumePlugin
let pool: PoolTarget

async function start(options: Partial<VolumePluginOptions> = {}, settings: Record<string, string> = {}): Promise<void> {
  fixture = await makeDockerFixture(options, settings)
  ;({ plugin, pool } = fixture)
  await fixture.driver.mark(pool, signal)
}

const create = (object = NAME, sizeMiB = 1024) => fixture.driver.create(pool, object, sizeMiB, signal)
const attach = (object = NAME) => fixture.driver.attach(pool, object, false, signal)
const detach = (object = NAME) => fixture.driver.detach(pool, object, signal)
const attached = (object?: string) => fixture.driver.attached(pool, signal, object)
/** The next call of a method goes wrong, once. */
const once = (method: string, fault: Fault) => {
  plugin.faults.set(method, () => {
    plugin.faults.delete(method)
    return fault
  })
}
const always = (method: string, fault: Fault) => plugin.faults.set(method, () => fault)

needs('root', 'mount').describe('the driver docker', () => {
  afterEach(async () => {
    await fixture?.dispose()
  })

  describe('what a plugin says when it refuses', () => {
    beforeEach(() => start())

    const refusals: [text: string, status: number, code: ErrorCode, words: RegExp][] = [
      ['{"Err":"the array is on fire"}', 200, 'storage_failed', /refused Create of .*: the array is on fire$/],
      ['{"Err":"the array is on fire"}', 500, 'storage_failed', /: the array is on fire$/],
      ['{"Error":"the array is on fire"}', 500, 'storage_failed', /: the array is on fire$/],
      ['{"Error":"it said "no" to me"}', 500, 'storage_failed', /: it said "no" to me$/],
      ['the array\n is on\tfire\n', 500, 'storage_failed', /: the array is on fire$/],
      ['', 503, 'storage_failed', /status 503 without a reason/],
      ['{"Err":"write: no space left on device"}', 500, 'storage_full', /no space left/],
      ['{"Err":"pool is too full [does_not_fit]"}', 500, 'storage_full', /too full/],
      ['{"Err":"mkdir: read-only file system"}', 200, 'storage_read_only', /read-only/],
    ]
    test.each(refusals)('%j with status %i is %s', async (text, status, code, words) => {
      always('Create', { status, text })
      await expectCode(create(), code)
      await expect(create()).rejects.toThrow(words)
      expect(await fixture.driver.inspect(pool, NAME, signal)).toBeUndefined()
    })

    test('the refused mount of a volume leaves nothing attached', async () => {
      await create()
      once('Mount', { status: 500, text: '{"Err":"no path to the array"}' })
      await expect(attach()).rejects.toThrow(/no path to the array/)
      expect(await attached()).toEqual([])
      expect((await attach()).device).toContain(NAME)
    })

    test('a volume that others use is not removed', async () => {
      await create()
      plugin.users.set(NAME, ['somebody else'])
      await expectCode(fixture.driver.delete(pool, NAME, signal), 'in_use')
      expect(plugin.volumes).toContain(NAME)
    })
  })

  describe('answers that are none', () => {
    beforeEach(() => start())

    const broken: [Fault, made: boolean][] = [
      ['cut', false],
      ['cut after', true],
      ['half', true],
      ['no http', false],
      [{ done: true, text: '{"Err":' }, true],
      [{ done: true, text: '<html>' }, true],
      [{ done: true, text: '[]' }, true],
    ]
    test.each(broken)('Create answered with %j: what was made is found, what was not is told', async (fault, made) => {
      once('Create', fault)
      if (made) expect(await create()).toMatchObject({ name: NAME, sizeMiB: 1024 })
      else await expectCode(create(), 'storage_timeout')
      expect(plugin.volumes.includes(NAME)).toBe(made)
      expect(plugin.calls.filter((call) => call === `Create ${NAME}`)).toHaveLength(1)
      await create()
    })

    test('a call that hangs ends at its deadline, and others do not wait for it', async () => {
      for (const object of ['a', 'b']) await create(object)
      plugin.faults.set('Mount', (body) => (body.Name === 'a' ? 'hang' : undefined))
      const hanging = expectCode(attach('a'), 'storage_timeout')
      let late = false
      void hanging.then(() => {
        late = true
      })
      await attach('b')
      await fixture.driver.probe(pool, signal)
      expect(late).toBe(false)
      await hanging
      // nobody knows what became of it
      expect((await attached()).map(({ object }) => object).sort()).toEqual(['a', 'b'])
      plugin.faults.clear()
      await detach('a')
      expect((await attached()).map(({ object }) => object)).toEqual(['b'])
    })

    test('a call that hangs is given up when the caller gives up', async () => {
      await create()
      always('Mount', 'hang')
      const given = new AbortController()
      const call = expectCode(fixture.driver.attach(pool, NAME, false, given.signal), 'cancelled')
      given.abort()
      await call
    })

    test('Create that hangs has an unknown outcome, and is repeated without harm', async () => {
      once('Create', 'hang')
      await expectCode(create(), 'storage_timeout')
      expect(await create()).toMatchObject({ sizeMiB: 1024 })
    })

    test('what a plugin claims to have done is looked at', async () => {
      always('Create', { status: 200, text: '{"Err":""}' })
      await expect(create()).rejects.toThrow(/says that it made .* and does not have it/)
      plugin.faults.clear()
      await create()
      always('Remove', { status: 200, text: '{}' })
      await expect(fixture.driver.delete(pool, NAME, signal)).rejects.toThrow(/says that it removed .* still has it/)
    })

    test('a plugin of another kind is none for volumes', async () => {
      always('Activate', { status: 200, text: '{"Implements":["NetworkDriver"]}' })
      await expect(fixture.driver.probe(pool, signal)).rejects.toThrow(/is no volume driver/)
    })
  })

  describe('the place that a plugin names', () => {
    beforeEach(async () => {
      await start()
      await create()
      writeFileSync(join(fixture.dir, 'file'), '')
      symlinkSync('/', join(fixture.dir, 'root'))
    })

    const lies: [string, (dir: string) => string, RegExp][] = [
      ['is not there', (dir) => join(dir, 'absent'), /no such directory on this machine/],
      ['is a file', (dir) => join(dir, 'file'), /no such directory on this machine/],
      ['is relative', () => 'srv/data', /no absolute path/],
      ['is the whole machine', () => '/', /files of Holdfast are in it/],
      ['leads to the whole machine', (dir) => join(dir, 'root'), /files of Holdfast are in it/],
      ['holds what is Holdfast’s own', (dir) => `${dir}/plugin/../`, /files of Holdfast are in it/],
      ['is the kernel’s', () => '/proc/self', /no volume can be there/],
      ['is empty', () => '', /has no Mountpoint/],
    ]
    test.each(lies)('is refused when it %s', async (_, lie, words) => {
      const text = JSON.stringify({ Mountpoint: lie(fixture.dir), Err: '' })
      once('Mount', { done: true, text })
      await expect(attach()).rejects.toThrow(words)
      expect(await attached()).toEqual([])
      expect(plugin.users.get(NAME)).toEqual([])
      expect(mountsBelow(fixture.dir)).toEqual([])
    })

    test('may have to be something mounted', async () => {
      const strict = { ...pool, settings: { ...pool.settings, requireMount: 'true' } }
      await expect(fixture.driver.attach(strict, NAME, false, signal)).rejects.toThrow(/nothing is mounted there/)
      expect(await attached()).toEqual([])
    })

    test('on another machine is no attachment here', async () => {
      plugin.users.set(NAME, ['a container over there'])
      expect(await attached(NAME)).toEqual([])
      expect(await attached()).toEqual([])
    })
  })

  describe('what is attached', () => {
    test('is known to the next life of the daemon, bound or not', async () => {
      await start({ mounts: true })
      for (const object of ['a', 'b']) await create(object)
      const before = await attach('a')
      writeFileSync(join(before.device, 'file'), 'kept')
      once('Mount', 'cut after')
      await expectCode(attach('b'), 'storage_timeout')
      const next = fixture.again()
      expect((await next.attached(pool, signal)).map(({ object }) => object).sort()).toEqual(['a', 'b'])
      expect(await next.attach(pool, 'a', false, signal)).toEqual(before)
      expect(plugin.users.get('a')).toEqual([`holdfast-${pool.installation.slice(0, 8)}-node-1`])
      for (const object of ['a', 'b']) await next.detach(pool, object, signal)
      expect(await next.attached(pool, signal)).toEqual([])
      expect(mountsBelow(fixture.dir)).toEqual([])
      expect(existsSync(join(fixture.places, pool.uuid))).toBe(false)
    })

    test('is given back as often as a plugin wants that counts calls and not users', async () => {
      await start({ mounts: true, countsCalls: true })
      await create()
      for (let time = 0; time < 3; time += 1) {
        once('Mount', 'cut after')
        await expectCode(attach(), 'storage_timeout')
      }
      await attach()
      expect(plugin.users.get(NAME)).toHaveLength(4)
      await detach()
      expect(plugin.users.get(NAME)).toEqual([])
      expect(mountsBelow(fixture.dir)).toEqual([])
    })

    test('counts as long as the kernel has it, whatever the plugin says', async () => {
      await start({ mounts: true })
      await create()
      await attach()
      always('Unmount', { status: 200, text: '{"Err":""}' })
      await expectCode(detach(), 'still_mounted')
      expect(await attached()).toMatchObject([{ object: NAME }])
      plugin.faults.clear()
      await detach()
      expect(await attached()).toEqual([])
    })

    test('counts as long as a part of it is mounted, also when the bind at its place is gone', async () => {
      await start()
      await create()
      const { device } = await attach()
      mkdirSync(join(device, 'data'))
      const target = join(fixture.scratch, 'target')
      mkdirSync(target)
      execFileSync('mount', ['--bind', join(device, 'data'), target])
      await expectCode(detach(), 'still_mounted')
      execFileSync('umount', [device])
      await expectCode(detach(), 'still_mounted')
      expect(await attached()).toMatchObject([{ object: NAME }])
      execFileSync('umount', [target])
      await detach()
      expect(await attached()).toEqual([])
    })

    test('is found by its name when others have mounted it', async () => {
      await start()
      await create()
      const place = join(fixture.scratch, NAME)
      mkdirSync(place)
      execFileSync('mount', ['--bind', join(plugin.options.dir, 'store', NAME), place])
      expect(await attached(NAME)).toEqual([{ object: NAME, device: place, readOnly: false }])
      await expectCode(fixture.driver.delete(pool, NAME, signal), 'in_use')
    })

    test('is let go of by a plugin that has forgotten its users', async () => {
      await start()
      await create()
      await attach()
      plugin.users.clear()
      once('Unmount', { status: 500, text: '{"Err":"invalid caller id"}' })
      await detach()
      expect(await attached()).toEqual([])
      await fixture.driver.delete(pool, NAME, signal)
    })

    test('stays attached while a plugin refuses to let go of it', async () => {
      await start()
      await create()
      await attach()
      always('Unmount', { status: 500, text: '{"Err":"try again"}' })
      await expect(detach()).rejects.toThrow(/try again/)
      expect(await attached()).toMatchObject([{ object: NAME }])
    })
  })

  describe('a plugin that is restarted', () => {
    test('in the middle of calls is waited for', async () => {
      await start()
      await plugin.stop()
      const made = create()
      const found = fixture.driver.probe(pool, signal)
      await plugin.start()
      expect(await made).toMatchObject({ name: NAME })
      expect((await found).capabilities.formats).toBe('backend')
      once('Get', 'cut')
      expect(await fixture.driver.inspect(pool, NAME, signal)).toMatchObject({ name: NAME })
    })

    test('and does not come back is told of', async () => {
      await start()
      await plugin.stop()
      await expect(fixture.driver.probe(pool, signal)).rejects.toThrow(
        /p\.sock does not answer Plugin\.Activate: ENOENT/,
      )
    })
  })

  describe('a pool', () => {
    test('is the only one of its plugin', async () => {
      await start()
      const other = { ...pool, uuid: randomUUID(), name: 'docker~test~other' }
      await expect(fixture.driver.mark(other, signal)).rejects.toThrow(/carries the marker of another pool/)
      mkdirSync(join(plugin.options.dir, 'store', `hf-87654321-pool-${other.uuid}`))
      await expectCode(fixture.driver.probe(pool, signal), 'marker_conflict')
    })

    test('that two nodes mark for two pools at the same moment is nobody’s', async () => {
      await start()
      rmSync(join(plugin.options.dir, 'store'), { recursive: true })
      mkdirSync(join(plugin.options.dir, 'store'))
      const rival = `hf-87654321-pool-${randomUUID()}`
      plugin.faults.set('Create', () => {
        mkdirSync(join(plugin.options.dir, 'store', rival))
        return undefined
      })
      await expectCode(fixture.driver.mark(pool, signal), 'marker_conflict')
      expect(plugin.volumes).toEqual([rival])
    })

    test('shows what could be a volume, and neither markers nor names that cannot be', async () => {
      await start()
      await create('mine')
      for (const name of ['others', 'of somebody', '-x']) mkdirSync(join(plugin.options.dir, 'store', name))
      const handle = (await create('mine')).handle
      const knowing = { ...pool, handleOf: (object: string) => (object === 'mine' ? handle : undefined) }
      expect(await fixture.driver.inventory(knowing, signal)).toEqual([
        { name: 'mine', sizeMiB: 1024, usedMiB: undefined, handle },
        { name: 'others', sizeMiB: 0, usedMiB: undefined, handle: undefined },
      ])
    })

    test('on a plugin that cannot list says so, and names nothing', async () => {
      await start({ without: ['List'] })
      await create()
      expect((await fixture.driver.probe(pool, signal)).capabilities.list).toBe(false)
      expect(await fixture.driver.inventory(pool, signal)).toEqual([])
      expect(await fixture.driver.inspect(pool, NAME, signal)).toMatchObject({ name: NAME })
    })

    test('may be used by several nodes at once where settings and plugin say so', async () => {
      await start({ scope: 'global' }, { sharing: 'many' })
      expect((await fixture.driver.probe(pool, signal)).capabilities).toMatchObject({ writersMany: true })
      await fixture.dispose()
      await start({ scope: 'local' }, { sharing: 'many' })
      expect((await fixture.driver.probe(pool, signal)).capabilities).toMatchObject({ writersMany: false })
    })
  })

  test('what is kept of a plugin is for root only', async () => {
    await start()
    await create()
    await attach()
    const place = join(fixture.places, pool.uuid, NAME)
    expect(readFileSync(join(place, 'mountpoint'), 'utf8')).toBe(join(plugin.options.dir, 'store', NAME))
    expect(statSync(place).mode & 0o777).toBe(0o700)
  })
})
