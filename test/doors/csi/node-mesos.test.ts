import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fromJson } from '@bufbuild/protobuf'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { UnaryClient } from '../../../src/csi/client.ts'
import { Node } from '../../../src/csi/generated/csi/v1/csi_pb.js'
import { needs } from '../../support/missing.ts'
import { until } from '../../support/until.ts'
import { mount, mountOptions, NodeWorld, outcome, type Paths } from './support/node-world.ts'

/** Calls of the isolator volume/csi of Mesos 1.11, for several containers, a restart of its agent in between. */
const RECORDING = new URL('./testdata/volume-csi-isolator.jsonl', import.meta.url)
const ROOT = '/var/lib/mesos-test/a1'

interface Recorded {
  readonly rpc: string
  readonly request: Record<string, unknown>
}

needs('root', 'loop-devices', 'mkfs.xfs').describe('the Node service, used by Mesos', () => {
  let world: NodeWorld

  beforeAll(async () => {
    world = await NodeWorld.start()
  })
  afterAll(() => world?.dispose())

  function mesosPaths(volume: string): Paths {
    const { staging } = world.paths(volume)
    return { staging, target: join(dirname(staging), 'target') }
  }

  test('what its agent was recorded to call succeeds, with every volume at its target', async () => {
    await world.create('cv1', { fs: 'xfs', sizeMiB: 320 })
    const { plugin } = await world.door({ mesos: true })
    const lines = readFileSync(RECORDING, 'utf8').trim().split('\n')
    const mounts = 'csi/org.acme.csi/inst1/mounts/cv1'
    world.paths(join('..', mounts))
    const target = join(world.dir, mounts, 'target')
    for (const line of lines) {
      const { rpc, request }: Recorded = JSON.parse(line.replaceAll(ROOT, world.dir))
      const method = Node.methods.find(({ name }) => name === rpc)
      if (method === undefined) throw new Error(`the recording has a call ${rpc}`)
      const call = plugin.node[method.localName as keyof UnaryClient<typeof Node>] as (
        request: unknown,
        options: object,
      ) => Promise<unknown>
      expect([rpc, await outcome(call(fromJson(method.input, request as never), { deadlineMs: 60_000 }))]).toEqual([
        rpc,
        'OK',
      ])
      const readOnly = request.readonly === true
      if (rpc === 'NodePublishVolume') {
        expect(mountOptions(target)).toEqual(expect.arrayContaining([readOnly ? 'ro' : 'rw', 'noatime']))
      }
      if (rpc === 'NodeUnpublishVolume') expect(mountOptions(target)).toBeUndefined()
    }
    expect(await world.users('cv1')).toEqual([])
  })

  test('one target serves containers that read and containers that write', async () => {
    await world.create('both')
    const { plugin } = await world.door({ mesos: true })
    const paths = mesosPaths('both')
    const publish = async (readonly: boolean) => {
      await plugin.stage('both', paths)
      await plugin.publish('both', paths, mount(), { readonly })
      return mountOptions(paths.target)?.[0]
    }
    expect(await publish(true)).toBe('ro')
    expect(await publish(false)).toBe('rw')
    expect(await publish(true)).toBe('rw')
    await plugin.leave('both', paths)
    expect(await world.users('both')).toEqual([])
  })

  test('after a reboot, a volume that has moved is an empty directory that fails every write, and an alarm', async () => {
    const volume = await world.create('moved')
    const paths = mesosPaths('moved')
    const before = await world.door({ mesos: true, journal: 'reboot.db' })
    await before.plugin.stage('moved', paths)
    await before.plugin.publish('moved', paths)
    // the machine is reset: its mounts and users are gone, the orchestrator's files are not
    await before.plugin.unpublish('moved', paths)
    await before.close()
    const [here, there] = world.dev.running.map(({ daemon }) => daemon)
    for (const user of here?.table.find(volume)?.entry?.users ?? []) await here?.unmount(volume, user)
    await there?.mount({ volume, user: { door: 'mesos', id: 'task' } })

    const { plugin } = await world.door({ mesos: true, journal: 'reboot.db', bootId: 'boot-2' })
    await plugin.stage('moved', paths)
    await plugin.publish('moved', paths)
    await plugin.publish('moved', paths)
    expect(readdirSync(paths.target)).toEqual([])
    expect(() => writeFileSync(join(paths.target, 'file'), 'x')).toThrow(/EROFS/)
    expect(await world.users('moved')).toEqual(['node-2 rw mesos'])
    expect((await plugin.stats('moved', paths.target)).volumeCondition).toMatchObject({ abnormal: true })
    expect(world.logged).toContainEqual(
      expect.objectContaining({ event: 'csi.volume-moved', volume, message: expect.stringContaining('node-2') }),
    )
    const alarm = await until(
      async () => {
        const headers = { accept: 'application/json' }
        const page = await world.rest.rest<{ items: object[] }>('GET', '/v1/events?type=node.alarm', undefined, headers)
        return page.items[0]
      },
      { what: 'the alarm to be in the history' },
    )
    expect(alarm).toMatchObject({ data: { alarm: 'csi.volume-moved', volume: 'moved' } })
    await plugin.leave('moved', paths)
    expect(mountOptions(paths.target)).toBeUndefined()

    // it has been taken back: whoever comes now is a task, and is told
    expect(await outcome(plugin.stage('moved', paths))).toMatch(/^FAILED_PRECONDITION .*node-2/)
    await there?.unmount(volume, { door: 'mesos', id: 'task' })
    await plugin.stage('moved', paths)
    await plugin.publish('moved', paths)
    await plugin.leave('moved', paths)
  })

  test('after a reboot, other orchestrators and other paths are told the truth', async () => {
    const volume = await world.create('truth')
    const user = { door: 'mesos', id: 'task' }
    for (const [round, mesos] of [true, false].entries()) {
      const mesosLike = mesosPaths('truth')
      const paths = mesos ? world.paths('somewhere') : mesosLike
      const journal = `truth-${round}.db`
      const before = await world.door({ mesos, journal })
      await before.plugin.stage('truth', paths)
      await before.close()
      const [here, there] = world.dev.running.map(({ daemon }) => daemon)
      for (const each of here?.table.find(volume)?.entry?.users ?? []) await here?.unmount(volume, each)
      await there?.mount({ volume, user })
      const { plugin } = await world.door({ mesos, journal, bootId: 'boot-2' })
      expect(await outcome(plugin.stage('truth', paths))).toMatch(/^FAILED_PRECONDITION .*node-2/)
      await plugin.leave('truth', paths)
      await there?.unmount(volume, user)
    }
  })

  test('after a reboot, a volume that has been deleted keeps nothing from working', async () => {
    const volume = await world.create('deleted')
    const paths = mesosPaths('deleted')
    const before = await world.door({ mesos: true, journal: 'deleted.db' })
    await before.plugin.stage('deleted', paths)
    await before.close()
    const daemon = world.dev.running[0]?.daemon
    for (const user of daemon?.table.find(volume)?.entry?.users ?? []) await daemon?.unmount(volume, user)
    await world.rest.rest('DELETE', `/v1/volumes/${volume}?trash=0&wait=20`)
    const { plugin } = await world.door({ mesos: true, journal: 'deleted.db', bootId: 'boot-2' })
    await plugin.stage('deleted', paths)
    await plugin.publish('deleted', paths)
    expect(mountOptions(paths.target)).toContain('ro')
    await plugin.leave('deleted', paths)
    expect(await outcome(plugin.stage('deleted', paths))).toMatch(/^NOT_FOUND/)
    await plugin.leave('deleted', paths)
  })
})
