/** The driver csi and plugins that behave, each in its own way, or do not. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { VolumeCapability_AccessMode_Mode as Mode } from '../../src/csi/generated/csi/v1/csi_pb.js'
import type { PluginTimes } from '../../src/csi/plugin-call.ts'
import type { ObjectInfo, PoolTarget } from '../../src/drivers/driver.ts'
import { type CsiFault, hang, once, refuse } from '../support/csi-proxy.ts'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { isDirectory, readFrom, writeTo } from './content.ts'
import { expectCode, signal } from './contract-subject.ts'
import { type CsiFixture, CsiStorage, makeCsiFixture } from './csi-fixture.ts'
import { mountsBelow } from './docker-fixture.ts'

const NAME = 'hf-01234567-vol-1'
const nothing = () => undefined

needs('root', 'loop-devices', 'mkfs.ext4', 'mkfs.xfs').describe('the driver csi', () => {
  let storage: CsiStorage
  let fixture: CsiFixture
  let pool: PoolTarget
  const handles = new Map<string, string>()
  const faults = () => fixture.proxy.faults
  const requests = (method: string) => fixture.proxy.calls.filter((call) => call.method === method)

  beforeAll(async () => {
    storage = await CsiStorage.start()
  })
  afterAll(() => storage?.dispose())
  afterEach(async () => {
    await fixture?.dispose()
  })

  async function start(settings: Record<string, string> = {}, times: Partial<PluginTimes> = {}): Promise<void> {
    handles.clear()
    fixture = await makeCsiFixture(storage, settings, times)
    const handle = await fixture.driver.mark(fixture.pool, signal)
    pool = { ...fixture.pool, handle, handleOf: (object) => handles.get(object) }
  }

  function keep(info: ObjectInfo): ObjectInfo {
    if (info.handle !== undefined) handles.set(info.name, info.handle)
    return info
  }

  const create = async (object = NAME) => keep(await fixture.driver.create(pool, object, 8, signal))
  const attach = (object = NAME, readOnly = false) => fixture.driver.attach(pool, object, readOnly, signal)
  const detach = (object = NAME) => fixture.driver.detach(pool, object, signal)
  const copy = async (from: string, to: string, kind: 'volume' | 'snapshot') =>
    keep(await fixture.driver.copy(pool, from, to, kind, nothing, signal))

  /** A plugin that has less than ours. */
  function without(...names: number[]): CsiFault {
    return async (_request, pass) => {
      const { capabilities } = (await pass()) as { capabilities: { type: { value: { type: number } } }[] }
      return { capabilities: capabilities.filter(({ type }) => !names.includes(type.value.type)) }
    }
  }

  test('a plugin that is restarted in the middle, or busy for a moment, is asked again', async () => {
    await start()
    await fixture.proxy.stop()
    const creating = create()
    await fixture.proxy.start()
    await creating
    faults().set('nodeStageVolume', once(refuse('ABORTED')))
    faults().set('nodePublishVolume', once(refuse('UNAVAILABLE')))
    await attach()
    expect([fixture.proxy.count('nodeStageVolume'), fixture.proxy.count('nodePublishVolume')]).toEqual([2, 2])
  })

  test('a plugin that stays away is told as such', async () => {
    await start({}, { awayMs: 300 })
    await fixture.proxy.stop()
    await expectCode(fixture.driver.probe(pool, signal), 'storage_failed')
    await fixture.proxy.start()
    await until(
      () =>
        fixture.driver.probe(pool, signal).then(
          () => true,
          () => false,
        ),
      { what: 'the plugin to be back' },
    )
  })

  test('a call that hangs ends in time, and holds up nothing else', async () => {
    await start({}, { longMs: 1500 })
    await create('other')
    faults().set('createVolume', hang)
    const creating = expectCode(create(), 'storage_timeout')
    await attach('other')
    expect(fixture.proxy.count('nodePublishVolume')).toBe(1)
    await creating
  })

  test('a volume whose making was answered to nobody is found by the same request, also after a restart', async () => {
    await start({}, { longMs: 1000 })
    const answerLost: CsiFault = async (request, pass, aborted) => {
      await pass()
      return await hang(request, pass, aborted)
    }
    faults().set('createVolume', answerLost)
    await expectCode(create(), 'storage_timeout')
    faults().clear()
    const driver = fixture.again()
    const info = await driver.create(pool, NAME, 8, signal)
    expect((await storage.leftovers()).sort()).toEqual([NAME])
    await driver.delete(pool, NAME, signal)
    expect(info.sizeMiB).toBe(8)
    expect(await storage.leftovers()).toEqual([])
  })

  test('a clone and a snapshot that were answered to nobody are removed all the same', async () => {
    await start({}, { longMs: 2000 })
    await create()
    const lost: CsiFault = async (_request, pass) => {
      await pass()
      return await refuse('INTERNAL')(undefined as never, pass, signal)
    }
    faults().set('createVolume', lost)
    faults().set('createSnapshot', lost)
    await expectCode(copy(NAME, 'clone', 'volume'), 'storage_failed')
    await expectCode(copy(NAME, 'cut', 'snapshot'), 'storage_failed')
    faults().clear()
    expect((await storage.leftovers()).sort()).toEqual(['clone', 'cut', NAME])
    for (const object of ['clone', 'cut']) await fixture.driver.delete(pool, object, signal)
    expect(await storage.leftovers()).toEqual([NAME])
  })

  test('another node, which was told nothing, removes a volume by its name', async () => {
    await start()
    await create()
    const { driver, pool: there } = fixture.elsewhere()
    await driver.delete({ ...there, handle: pool.handle }, NAME, signal)
    expect(await storage.leftovers()).toEqual([])
  })

  test('a volume that was made anew is removed, also by those who know it by its older id', async () => {
    await start()
    const first = await create()
    await fixture.driver.delete(pool, NAME, signal)
    await create()
    handles.set(NAME, first.handle ?? '')
    const { driver, pool: there } = fixture.elsewhere()
    await driver.delete({ ...there, handle: pool.handle, handleOf: pool.handleOf }, NAME, signal)
    expect(await storage.leftovers()).toEqual([])
    await create()
    handles.set(NAME, first.handle ?? '')
    await fixture.driver.delete(pool, NAME, signal)
    expect(await storage.leftovers()).toEqual([])
  })

  test.each<[string, CsiFault, RegExp]>([
    ['no id', async () => ({ volume: { capacityBytes: 8n << 20n } }), /no volume_id/],
    ['no volume', async () => ({}), /no volume_id/],
    ['too little', async () => ({ volume: { volumeId: 'v', capacityBytes: 1n << 20n } }), /1 MiB where 8 MiB/],
    ['an endless id', async () => ({ volume: { volumeId: 'v'.repeat(10_000), capacityBytes: 8n << 20n } }), /too long/],
  ])('an answer with %s makes no volume', async (_what, fault, message) => {
    await start()
    faults().set('createVolume', fault)
    const error = await create().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'storage_failed', message: expect.stringMatching(message) })
  })

  test.each<[Parameters<typeof refuse>[0], string]>([
    ['RESOURCE_EXHAUSTED', 'storage_full'],
    ['OUT_OF_RANGE', 'invalid_size'],
    ['ALREADY_EXISTS', 'object_exists'],
    ['UNIMPLEMENTED', 'unsupported'],
    ['PERMISSION_DENIED', 'storage_failed'],
  ])('%s is %s', async (status, code) => {
    await start()
    faults().set('createVolume', refuse(status))
    await expect(create()).rejects.toMatchObject({ code, data: { status } })
  })

  test('what was not really published is not used, and is taken back', async () => {
    await start()
    await create()
    faults().set('nodePublishVolume', async () => ({}))
    await expect(attach()).rejects.toMatchObject({ code: 'storage_failed', message: expect.stringMatching(/no block/) })
    expect(await fixture.driver.attached(pool, signal)).toEqual([])
    expect(fixture.proxy.count('controllerUnpublishVolume')).toBe(1)
  })

  test('what was not really taken back is still attached', async () => {
    await start()
    await create()
    const attached = await attach()
    faults().set('nodeUnpublishVolume', async () => ({}))
    await expectCode(detach(), 'still_mounted')
    expect(await fixture.driver.attached(pool, signal)).toEqual([attached])
    expect(fixture.proxy.count('nodeUnstageVolume')).toBe(0)
  })

  test('the next life of a daemon knows what is attached, also what was only half so', async () => {
    await start({}, { longMs: 1500 })
    await create()
    await create('half')
    const attached = await attach()
    faults().set('nodePublishVolume', hang)
    await expectCode(attach('half'), 'storage_timeout')
    faults().clear()
    const driver = fixture.again()
    expect((await driver.attached(pool, signal)).map(({ object }) => object)).toEqual(['half', NAME])
    expect(await driver.attach(pool, NAME, false, signal)).toEqual(attached)
    await expectCode(driver.delete(pool, 'half', signal), 'in_use')
    for (const object of ['half', NAME]) await driver.detach(pool, object, signal)
    expect(await driver.attached(pool, signal)).toEqual([])
    expect(mountsBelow(fixture.directory)).toEqual([])
    expect(existsSync(join(fixture.directory, 'places', pool.uuid))).toBe(false)
  })

  test('a device is read-only where the plugin knows no readers, and writable again afterwards', async () => {
    await start()
    await create()
    faults().set('validateVolumeCapabilities', async () => ({ message: 'only SINGLE_NODE_WRITER' }))
    const { device } = await attach(NAME, true)
    expect(() => writeTo(device, 0, Buffer.from('x'))).toThrow()
    const { request } = requests('nodeStageVolume').at(-1) ?? {}
    expect(request).toMatchObject({ volumeCapability: { accessMode: { mode: Mode.SINGLE_NODE_WRITER } } })
    await detach()
    writeTo((await attach()).device, 0, Buffer.from('x'))
  })

  test('an id that another object has already is not taken for a new one', async () => {
    await start()
    const { handle = '' } = await create('other')
    const [volumeId] = handle.split('\n')
    faults().set('createVolume', async () => ({ volume: { volumeId, capacityBytes: 8n << 20n } }))
    await expect(create()).rejects.toThrow(/which other has/)
    faults().set('createVolume', async () => ({
      volume: { volumeId: pool.handle?.split('\n')[0], capacityBytes: 8n << 20n },
    }))
    await expect(create('third')).rejects.toThrow(/the marker of the pool has/)
  })

  test('a plugin with snapshots alone makes clones of them, and keeps none', async () => {
    await start()
    const [CLONE, GET, GET_SNAPSHOT] = [7, 12, 15]
    faults().set('controllerGetCapabilities', without(CLONE, GET, GET_SNAPSHOT))
    const driver = fixture.again()
    await create()
    writeTo((await attach()).device, 0, Buffer.from('content'))
    await detach()
    faults().set('createVolume', refuse('INTERNAL'))
    faults().set('deleteSnapshot', once(refuse('INTERNAL')))
    await expectCode(driver.copy(pool, NAME, 'clone', 'volume', nothing, signal), 'storage_failed')
    faults().delete('createVolume')
    expect((await storage.leftovers()).sort()).toEqual(['clone-source', NAME])
    await driver.delete(pool, 'clone', signal)
    expect(await storage.leftovers()).toEqual([NAME])
    keep(await driver.copy(pool, NAME, 'clone', 'volume', nothing, signal))
    keep(await driver.copy(pool, NAME, 'cut', 'snapshot', nothing, signal))
    expect((await storage.leftovers()).sort()).toEqual(['clone', 'cut', NAME])
    expect(readFrom((await attach('clone')).device, 0, 7).toString()).toBe('content')
    // such a plugin is asked what is there in the one way that all have
    expect(await driver.inspect(pool, NAME, signal)).toMatchObject({ sizeMiB: 8 })
    expect(requests('validateVolumeCapabilities').length).toBeGreaterThan(0)
    await driver.delete(pool, 'cut', signal)
    expect(await driver.inspect(pool, 'cut', signal)).toBeUndefined()
  })

  test('what a plugin does not have is refused', async () => {
    await start()
    const [SNAPSHOTS, CLONE, EXPAND] = [5, 7, 9]
    faults().set('controllerGetCapabilities', without(SNAPSHOTS, CLONE, EXPAND))
    const driver = fixture.again()
    await create()
    const { capabilities } = await driver.probe(pool, signal)
    expect(capabilities).toMatchObject({ snapshot: 'none', clone: false, grow: 'none', fence: 'none', list: false })
    await expectCode(driver.copy(pool, NAME, 's', 'snapshot', nothing, signal), 'unsupported')
    await expectCode(driver.grow(pool, NAME, 16, signal), 'unsupported')
  })

  test('a node that has to be told of a new size is told, wherever the volume is', async () => {
    await start()
    await create()
    faults().set('controllerExpandVolume', async (_request, pass) => {
      return { ...((await pass()) as object), nodeExpansionRequired: true }
    })
    await fixture.driver.grow(pool, NAME, 16, signal)
    expect(await fixture.driver.attached(pool, signal)).toEqual([])
    await attach()
    await fixture.driver.grow(pool, NAME, 24, signal)
    expect(fixture.proxy.count('nodeExpandVolume')).toBe(2)
  })

  test('a pool whose marker was removed is not reached', async () => {
    await start()
    const marker = (await storage.list('volumes')).find(({ name }) => /-pool-/.test(name))
    await storage.rest.rest('DELETE', `/v1/volumes/${marker?.id}?wait=20`)
    await expectCode(fixture.again().probe(pool, signal), 'no_marker')
  })

  test('secrets go with the calls, and into nothing else', async () => {
    const file = join(storage.temp.path, 'secrets')
    writeFileSync(file, '{"password": "hunter2", "nodeStage": {"key": "opensesame"}}', { mode: 0o600 })
    await start({ secretsFile: file })
    await create()
    await attach()
    expect(requests('createVolume').at(-1)?.request.secrets).toEqual({ password: 'hunter2' })
    expect(requests('nodeStageVolume').at(-1)?.request.secrets).toEqual({ password: 'hunter2', key: 'opensesame' })
    await detach()
    faults().set('nodeStageVolume', refuse('INTERNAL', 'login with hunter2 and opensesame failed'))
    await expect(attach()).rejects.toThrow(/login with \(secret\) and \(secret\) failed/)
    const kept = readFileSync(join(fixture.directory, 'asked', pool.uuid, `${NAME}.json`), 'utf8')
    expect(kept + [...handles.values()].join()).not.toMatch(/hunter2|opensesame/)
  })

  test('a lost node loses a volume where the plugin says so, and only then', async () => {
    await start({ fence: 'unpublish' })
    await create()
    const lost = { id: 'node-2', bootId: 'gone' }
    const published = ['their-name-of-node-2']
    const tell: CsiFault = async (_request, pass) => {
      const answer = (await pass()) as { status?: { publishedNodeIds: string[] } }
      if (answer.status !== undefined) answer.status.publishedNodeIds = [...published]
      return answer
    }
    faults().set('controllerGetVolume', tell)
    faults().set('controllerUnpublishVolume', refuse('INTERNAL'))
    await expectCode(fixture.driver.fence(pool, NAME, lost, signal), 'storage_failed')
    faults().set('controllerUnpublishVolume', async (request) => {
      published.splice(published.indexOf((request as { nodeId: string }).nodeId), 1)
      return {}
    })
    await fixture.driver.fence(pool, NAME, lost, signal)
    expect(published).toEqual([])
    expect((await fixture.driver.probe(pool, signal)).capabilities.fence).toBe('any')
  })

  test('in mode mount the plugin makes the filesystem, and a volume is a directory', async () => {
    await start({ mode: 'mount', fsType: 'ext4' })
    const { driver, filesystems, scratch } = fixture
    expect((await driver.probe(pool, signal)).capabilities).toMatchObject({
      ...{ formats: 'backend', filesystems: ['directory'], block: false, snapshot: 'copy' },
    })
    await create()
    expect(await driver.isBlank(pool, NAME, signal)).toBe(true)
    const { device } = await attach()
    expect(isDirectory(device)).toBe(true)
    const uuid = '6f2c6ab4-6b53-4d0e-8d5c-0d1d6a3a7f10'
    await filesystems.make(device, 'directory', uuid, signal)
    const target = join(scratch, 'mounted')
    await filesystems.mount(device, target, { type: 'directory', readOnly: false, flags: [] }, signal)
    writeFileSync(join(target, 'file'), 'kept')
    await expectCode(detach(), 'still_mounted')
    await filesystems.unmount(target, signal)
    await detach()
    expect(await driver.isBlank(pool, NAME, signal)).toBe(false)
    await driver.grow(pool, NAME, 64, signal)
    keep(await driver.copy(pool, NAME, 'cut', 'snapshot', nothing, signal))
    keep(await driver.copy(pool, 'cut', 'copy', 'volume', nothing, signal))
    const copied = await attach('copy')
    expect(await filesystems.probe(copied.device, signal)).toEqual({ type: 'directory', uuid })
    expect(readFileSync(join(copied.device, 'data', 'file'), 'utf8')).toBe('kept')
    expect((await attach(NAME, true)).readOnly).toBe(true)
  })

  test('a directory of its own for staging is told apart by nodes', async () => {
    const stagingRoot = join(storage.temp.path, 'staging')
    await start({ stagingRoot })
    await create()
    await attach()
    expect(requests('nodeStageVolume').at(-1)?.request.stagingTargetPath).toBe(
      join(stagingRoot, pool.node.id, pool.uuid, NAME, 'staging'),
    )
  })
})
