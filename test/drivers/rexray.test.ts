import { randomUUID } from 'node:crypto'
import { Value } from 'typebox/value'
import { afterEach, expect, onTestFinished, test } from 'vitest'
import type { PoolTarget } from '../../src/drivers/driver.ts'
import { type CallBody, NODE_CALLS } from '../../src/model/node-protocol.ts'
import { NodePools } from '../../src/node/pools.ts'
import { Reach } from '../../src/node/reach.ts'
import { systemClock } from '../../src/runtime/system-clock.ts'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { expectCode } from './contract.ts'
import { makeRexrayFixture, type RexrayFixture, type RexrayFixtureOptions } from './rexray-fixture.ts'

const signal = AbortSignal.timeout(1_000_000_000)
const GIB = 1024
const open: RexrayFixture[] = []

afterEach(async () => {
  for (const fixture of open.splice(0)) await fixture.dispose()
})

/** A marked pool whose set-up is not among the calls. */
async function marked(options: RexrayFixtureOptions = {}): Promise<RexrayFixture> {
  const fixture = makeRexrayFixture({ within: true, ...options })
  open.push(fixture)
  await fixture.driver.mark(fixture.pool, signal)
  fixture.double.forgetCalls()
  return fixture
}

const JSON_END = '--format json'

needs('root', 'loop-devices', 'mkfs.ext4').describe('what is said to rexray', () => {
  test('volumes are named by id in every call but the one that makes them', async () => {
    const { driver, pool, double } = await marked()
    await driver.create(pool, 'a', GIB, signal)
    const { id } = double.volume('a')
    await driver.attach(pool, 'a', false, signal)
    await driver.detach(pool, 'a', signal)
    await driver.delete(pool, 'a', signal)
    expect(double.calls()).toEqual([
      `volume ls ${JSON_END}`,
      `volume create a --size 1 ${JSON_END}`,
      `volume ls ${JSON_END}`,
      `volume attach ${id} ${JSON_END}`,
      `volume ls ${JSON_END}`,
      `volume detach ${id} ${JSON_END}`,
      `volume ls ${JSON_END}`,
      `volume ls ${JSON_END}`,
      `volume rm ${id} ${JSON_END}`,
    ])
  })

  test('config, service, type and zone go with it, and sizes are rounded up to the unit', async () => {
    const settings = { config: '/etc/rexray/gold.yml', service: 'gold', unitGiB: '8' }
    const { driver, pool, double } = await marked({
      settings: { ...settings, volumeType: 'fast', availabilityZone: 'az1' },
    })
    expect(await driver.create(pool, 'a', 8 * GIB + 1, signal)).toMatchObject({ sizeMiB: 16 * GIB, handle: 'vfs-003' })
    const end = `${JSON_END} --config /etc/rexray/gold.yml --service gold`
    expect(double.changes()).toEqual([`volume create a --size 16 --volumeType fast --availabilityZone az1 ${end}`])
    expect((await driver.probe(pool, signal)).capabilities).toMatchObject({
      unitMiB: 8 * GIB,
      maxObjectMiB: 16_384 * GIB,
    })
  })

  test('the older grammar has flags, and tells from the instance where a volume is attached', async () => {
    const { driver, pool, double } = await marked({ settings: { grammar: '0.3' }, double: { grammar: '0.3' } })
    await driver.create(pool, 'a', GIB, signal)
    const { id } = double.volume('a')
    const { device } = await driver.attach(pool, 'a', false, signal)
    expect(await driver.attached(pool, signal, 'a')).toEqual([{ object: 'a', device, readOnly: false }])
    await driver.detach(pool, 'a', signal)
    await driver.delete(pool, 'a', signal)
    expect(double.changes()).toEqual([
      `volume create --volumename a --size 1 ${JSON_END}`,
      `volume attach --volumeid ${id} ${JSON_END}`,
      `volume detach --volumeid ${id} ${JSON_END}`,
      `volume remove --volumeid ${id} ${JSON_END}`,
    ])
    double.change((volumes) => void volumes.push(foreign('b', 'vfs-100')))
    await expectCode(driver.attach(pool, 'b', false, signal), 'in_use')
  })

  test('many who ask at once share lists, and a pool that was just seen is reached without asking', async () => {
    const { driver, pool, double } = await marked()
    await driver.create(pool, 'a', GIB, signal)
    double.forgetCalls()
    await Promise.all(Array.from({ length: 20 }, () => driver.inspect(pool, 'a', signal)))
    const lists = double.calls().length
    expect(lists).toBeLessThanOrEqual(2)
    await driver.probe(pool, signal)
    expect(double.calls()).toHaveLength(lists)
  })
})

needs('root', 'loop-devices', 'mkfs.ext4').describe('volumes that could be mistaken', () => {
  test('a volume whose name is the beginning of another one is the one that is meant', async () => {
    const { driver, pool, double } = await marked()
    await driver.create(pool, 'db1', GIB, signal)
    await expectCode(driver.attach(pool, 'db', false, signal), 'object_missing')
    await driver.delete(pool, 'db', signal)
    await driver.create(pool, 'db', GIB, signal)
    await driver.attach(pool, 'db', false, signal)
    expect(double.volumes.filter(({ attachments }) => attachments.length > 0).map(({ name }) => name)).toEqual(['db'])
    await driver.detach(pool, 'db', signal)
    await driver.delete(pool, 'db', signal)
    expect(double.volume('db1')).toBeDefined()
  })

  test('an id that rexray would take for another volume as well is not passed to it', async () => {
    const { driver, pool, double } = await marked()
    await driver.create(pool, 'a', GIB, signal)
    const { id } = double.volume('a')
    double.change((volumes) => void volumes.push({ ...free(`${id}-copy`, 'vfs-100') }))
    double.forgetCalls()
    for (const act of [() => driver.attach(pool, 'a', false, signal), () => driver.delete(pool, 'a', signal)]) {
      await expect(act()).rejects.toMatchObject({
        code: 'storage_failed',
        message: expect.stringMatching(/vfs-100.*rename/),
      })
    }
    expect(double.changes()).toEqual([])
  })

  test('of several volumes with one name the one that the ledger knows is meant', async () => {
    const { driver, pool, double } = await marked()
    await driver.create(pool, 'a', GIB, signal)
    const { id } = double.volume('a')
    double.change((volumes) => void volumes.push(free('a', 'vfs-000')))
    await expect(driver.inspect(pool, 'a', signal)).rejects.toMatchObject({
      code: 'storage_failed',
      message: `a is the name of several volumes (vfs-000, ${id}): rename all but one`,
    })
    const knowing: PoolTarget = { ...pool, handleOf: (object) => (object === 'a' ? id : undefined) }
    expect(await driver.inspect(knowing, 'a', signal)).toMatchObject({ name: 'a', handle: id })
    const names = (await driver.inventory(knowing, signal)).map(({ name }) => name)
    expect(names).toEqual(['a', 'a (vfs-000)'])
    await driver.delete(knowing, 'a', signal)
    expect(double.volumes.map((volume) => volume.id)).not.toContain(id)
    expect(double.volume('a').id).toBe('vfs-000')
  })

  test('an id that is gone stands for the volume with the same name only if Holdfast gave that name', async () => {
    const { driver, pool, double } = await marked()
    const own = `hf-${pool.installation.slice(0, 8)}-vol-1`
    for (const name of [own, 'adopted']) await driver.create(pool, name, GIB, signal)
    const knowing: PoolTarget = { ...pool, handleOf: () => 'vfs-000' }
    for (const name of [own, 'adopted']) await driver.delete(knowing, name, signal)
    expect(double.volumes.map(({ name }) => name)).toEqual([expect.stringMatching(/-pool-/), 'adopted'])
  })

  test('what is there is reported with its id: a name that was cut off is nobody else to the controller', async () => {
    const { driver, pool, double } = await marked({ settings: { nameLength: '31' }, double: { nameLength: 31 } })
    const object = 'hf-12345678-vol-01jabcdef0123456789ab'
    const { handle } = await driver.create(pool, object, GIB, signal)
    double.change((volumes) => void volumes.push(free('x'.repeat(300), 'vfs-100')))
    const pools = new NodePools(new Map([['rexray', driver]]), pool.node.bootId)
    const { id, name, uuid, settings } = pool
    pools.set(pool.installation, 'node-1', [{ id, name, uuid, driver: 'rexray', settings, fence: 'manual' }])
    const reported = Promise.withResolvers<CallBody<'inventory'>>()
    const reach = new Reach({
      ...{ pools, clock: systemClock, log: () => undefined },
      reportPools: () => Promise.resolve(),
      reportInventory: async (inventory) => reported.resolve(inventory),
    })
    reach.start()
    onTestFinished(() => reach.stop())
    const inventory = await reported.promise
    expect(Value.Check(NODE_CALLS.inventory.body, inventory)).toBe(true)
    expect(inventory).toMatchObject({
      complete: true,
      objects: [{ name: object.slice(0, 31), handle }, { handle: 'vfs-100' }],
    })
  })

  test('two pools of one service are told apart by type; one that has no type has them all, and is refused', async () => {
    const { driver, pool, double } = await marked({ settings: { volumeType: 'gold' } })
    const silver = { ...pool, uuid: randomUUID(), settings: { ...pool.settings, volumeType: 'silver' } }
    await driver.mark(silver, signal)
    await driver.create(pool, 'a', GIB, signal)
    await driver.create(silver, 'b', GIB, signal)
    expect((await driver.inventory(pool, signal)).map(({ name }) => name)).toEqual(['a'])
    expect((await driver.inventory(silver, signal)).map(({ name }) => name)).toEqual(['b'])
    const { volumeType: _, ...settings } = silver.settings
    await expectCode(driver.mark({ ...pool, uuid: randomUUID(), settings }, signal), 'marker_conflict')
    expect(double.volumes.filter(({ name }) => /-pool-/.test(name))).toHaveLength(2)
  })

  test('what markers of two machines at once leave is no marker of either', async () => {
    const fixture = makeRexrayFixture()
    open.push(fixture)
    const { driver, pool, double } = fixture
    const other = 'hf-00000000-pool-000000000000'
    // it comes to be after the first look and before the second
    const marking = driver.mark(pool, signal)
    await until(() => double.calls().some((call) => call.startsWith('volume create')), {
      what: 'the marker to be made',
    })
    double.change((volumes) => void volumes.push(free(other, 'vfs-100')))
    await expectCode(marking, 'marker_conflict')
    expect(double.volumes.map(({ name }) => name)).toEqual([other])
  })
})

needs('root', 'loop-devices', 'mkfs.ext4').describe('volumes of other machines', () => {
  test('what another machine has is neither attached, nor detached, nor removed', async () => {
    const { driver, pool, double, elsewhere } = await marked()
    await driver.create(pool, 'a', GIB, signal)
    await driver.attach(pool, 'a', false, signal)
    const other = elsewhere()
    double.forgetCalls()
    await expect(other.driver.attach(other.pool, 'a', false, signal)).rejects.toMatchObject({
      code: 'in_use',
      message: expect.stringMatching(/attached to vm: .*rexray volume detach --force vfs-003/),
    })
    expect(await other.driver.attached(other.pool, signal)).toEqual([])
    await other.driver.detach(other.pool, 'a', signal)
    await expectCode(other.driver.delete(other.pool, 'a', signal), 'in_use')
    await expectCode(other.driver.isBlank(other.pool, 'a', signal), 'in_use')
    await expectCode(other.driver.create(other.pool, 'a', GIB, signal), 'object_exists')
    expect(double.changes()).toEqual([])
    expect(await driver.attached(pool, signal, 'a')).toHaveLength(1)
  })

  test('a fence takes it away by force and reads back that nobody has it; a mount that is left is told', async () => {
    const { driver, pool, double, elsewhere } = await marked({ settings: { fence: 'detach' } })
    await driver.create(pool, 'a', GIB, signal)
    const { device } = await driver.attach(pool, 'a', false, signal)
    const other = elsewhere()
    double.forgetCalls()
    await other.driver.fence(other.pool, 'a', pool.node, signal)
    expect(double.changes()).toEqual([`volume detach ${double.volume('a').id} --force ${JSON_END}`])
    expect(await driver.attached(pool, signal)).toEqual([])
    await other.driver.fence(other.pool, 'a', pool.node, signal)
    const taken = await other.driver.attach(other.pool, 'a', false, signal)
    expect(taken.device).toMatch(/^\/dev\/loop/)
    await driver.detach(pool, 'a', signal)
    expect(double.volume('a').attachments).toMatchObject([{ instance: 'other' }])
    expect(device).toMatch(/^\/dev\/loop/)
  })

  test('storage that goes on listing it as attached has proven nothing', async () => {
    const settings = { fence: 'detach', timeoutSeconds: '1' }
    const { driver, pool, double } = await marked({ settings })
    await driver.create(pool, 'a', GIB, signal)
    const { id } = double.volume('a')
    double.change((volumes) => {
      for (const volume of volumes)
        if (volume.id === id) volume.attachments = [{ instance: 'lost', device: '/dev/xvda' }]
    })
    const text = `[{"attachmentState":3,"name":"a","size":1,"id":"${id}","type":""}]`
    double.fault({ match: '^volume detach', what: 'print', text })
    await expectCode(driver.fence(pool, 'a', { id: 'node-2', bootId: randomUUID() }, signal), 'still_mounted')
  })

  test('a volume that was torn from under a mount counts as attached until it is unmounted', async () => {
    const { driver, pool, double, filesystems, scratch } = await marked()
    await driver.create(pool, 'a', GIB, signal)
    const { device } = await driver.attach(pool, 'a', false, signal)
    await filesystems.make(device, 'ext4', randomUUID(), signal)
    await filesystems.mount(device, `${scratch}/a`, { type: 'ext4', readOnly: false, flags: [] }, signal)
    double.change((volumes) => {
      for (const volume of volumes) volume.attachments = []
    })
    expect(await driver.attached(pool, signal, 'a')).toEqual([{ object: 'a', device, readOnly: false }])
    await expectCode(driver.detach(pool, 'a', signal), 'still_mounted')
    await filesystems.unmount(`${scratch}/a`, signal)
    await driver.detach(pool, 'a', signal)
    expect(await driver.attached(pool, signal, 'a')).toEqual([])
  })
})

function free(name: string, id: string) {
  return { id, name, size: 1, type: '', zone: '', iops: 0, attachments: [] }
}

function foreign(name: string, id: string) {
  return { ...free(name, id), attachments: [{ instance: 'i-far', device: '/dev/xvdb' }] }
}
