import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { PluginVolumes } from '../../src/docker-plugin/volumes.ts'
import { testDir } from '../support/temp-dir.ts'
import { type Fault, VolumePlugin, type VolumePluginOptions } from '../support/volume-plugin.ts'

const signal = AbortSignal.timeout(1_000_000_000)
const NAME = 'hf-12345678-vol-1'
const ODD = { status: 500, text: '{"Err":"credentials not found"}' }

async function start(options: Partial<VolumePluginOptions> = {}) {
  const dir = testDir()
  const socket = join(dir, 'p.sock')
  const plugin = new VolumePlugin({ dir: join(dir, 'plugin'), socket, ...options })
  await plugin.start()
  onTestFinished(() => plugin.dispose())
  const nowhere = { sockets: join(dir, 'none'), specs: [] }
  const volumes = new PluginVolumes({ socket }, nowhere, { longMs: 3000, shortMs: 3000, waitMs: 2000 })
  mkdirSync(join(plugin.options.dir, 'store', NAME))
  return {
    plugin,
    volumes,
    find: () => volumes.get(NAME, signal),
    lose: () => rmSync(join(plugin.options.dir, 'store', NAME), { recursive: true }),
    answer: (method: string, fault: Fault) => plugin.faults.set(method, () => fault),
  }
}

test('an error of Get is not taken for absence: the list is asked', async () => {
  const { find, lose, answer } = await start()
  answer('Get', ODD)
  expect(await find()).toEqual({ name: NAME, mountpoint: undefined })
  lose()
  expect(await find()).toBeUndefined()
})

const ABSENT = [
  '{"Volume":null,"Err":""}',
  `{"Err":"no such volume: ${NAME}"}`,
  '{"Error":"volume not found"}',
  `docker-legacy: Get: ${NAME}: failed: resource not found`,
]
test.each(ABSENT)('%s is absence, and nothing else is asked', async (text) => {
  const { find, answer, plugin } = await start()
  answer('Get', { status: text.startsWith('{') ? 200 : 500, text })
  expect(await find()).toBeUndefined()
  expect(plugin.calls).toEqual([`Get ${NAME}`])
})

test('half an answer is asked for again elsewhere, and one about another volume refused', async () => {
  const { find, answer } = await start()
  answer('Get', { status: 200, text: '{}' })
  expect(await find()).toMatchObject({ name: NAME })
  answer('Get', { status: 200, text: '{"Volume":{"Name":"other"}}' })
  await expect(find()).rejects.toThrow(/was asked for .* and told of "other"/)
})

test('a plugin without Get and List is asked for a path; one that tells nothing is an error', async () => {
  const { find, lose, answer, volumes } = await start({ without: ['Get', 'List', 'Capabilities'] })
  expect(await volumes.list(signal)).toBeUndefined()
  expect(await volumes.scope(signal)).toBeUndefined()
  expect(await find()).toMatchObject({ name: NAME })
  answer('Path', ODD)
  await expect(find()).rejects.toThrow(/does not tell whether it has the volume/)
  answer('Path', { status: 200, text: `{"Err":"no such volume: ${NAME}"}` })
  lose()
  expect(await find()).toBeUndefined()
})

test('a list is taken as it comes: null is none, what has no name is left out, no list is an error', async () => {
  const { volumes, answer } = await start()
  answer('List', { status: 200, text: '{"Volumes":null}' })
  expect(await volumes.list(signal)).toEqual([])
  answer('List', { status: 200, text: '{"Volumes":[{"Name":"a","Mountpoint":"/m"},{},null,{"Name":7},{"Name":"b"}]}' })
  expect(await volumes.list(signal)).toEqual([
    { name: 'a', mountpoint: '/m' },
    { name: 'b', mountpoint: undefined },
  ])
  answer('List', { status: 200, text: '{"Volumes":"a, b"}' })
  await expect(volumes.list(signal)).rejects.toThrow(/Volumes is no list/)
  answer('List', ODD)
  await expect(volumes.list(signal)).rejects.toMatchObject({ code: 'storage_failed' })
})

test('a plugin that is restarted is waited for, and one that cut the line asked again', async () => {
  const { find, plugin } = await start()
  await plugin.stop()
  const found = find()
  await plugin.start()
  expect(await found).toMatchObject({ name: NAME })
  plugin.faults.set('Get', () => {
    plugin.faults.clear()
    return 'cut'
  })
  expect(await find()).toMatchObject({ name: NAME })
})

test('a plugin that does not come back is told of', async () => {
  const { find, plugin } = await start()
  await plugin.stop()
  await expect(find()).rejects.toThrow(/plugin .*p\.sock does not answer VolumeDriver\.Get: ENOENT/)
  await expect(find()).rejects.toMatchObject({ code: 'storage_failed' })
})
