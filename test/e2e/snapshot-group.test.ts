import { closeSync, fsyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { type Cluster, launchCluster } from './support/node-cluster.ts'
import type { NodeProcess } from './support/node-daemon.ts'

const XFS = 'loop~test~xfs'
const ME = { door: 'test', id: 'writer' }

interface GroupView {
  id: string
  name: string
  state: string
  size: number
  snapshots: { id: string; name: string; volumeId: string; state: string }[]
}

let cluster: Cluster
let node: NodeProcess
let other: NodeProcess

beforeAll(async () => {
  cluster = await launchCluster({ nodes: ['a', 'b'] })
  ;[node, other] = cluster.nodes as [NodeProcess, NodeProcess]
  await cluster.addPool({ name: XFS, on: { type: 'xfs', sizeMiB: 2048 } })
}, 60_000)
afterAll(() => cluster?.dispose(), 60_000)

/** Writes the same number to one file after the other, each durably, for as long as it is let. */
async function count(paths: readonly string[], stop: AbortSignal): Promise<number> {
  const files = paths.map((path) => openSync(join(path, 'count'), 'w'))
  let number = 0
  while (!stop.aborted) {
    number += 1
    for (const file of files) {
      writeSync(file, String(number).padStart(8), 0)
      fsyncSync(file)
    }
    await turn()
  }
  for (const file of files) closeSync(file)
  return number
}

const take = (name: string, volumes: readonly string[]) =>
  cluster.rest<GroupView>('POST', '/v1/snapshot-groups?wait=60', { name, volumes })
const groups = async () => (await cluster.rest<{ items: GroupView[] }>('GET', '/v1/snapshot-groups')).items
const snapshots = async () =>
  (await cluster.rest<{ items: { id: string; name: string; object: string }[] }>('GET', '/v1/snapshots')).items

needs('root', 'loop-devices', 'mkfs.xfs').describe('snapshots of several volumes', () => {
  test('are of one moment: what was written first is never missing from the first alone', async () => {
    const names = ['log', 'index', 'data']
    const paths: string[] = []
    for (const name of names) {
      await cluster.addVolume(name, { pool: XFS, sizeMiB: 64 })
      paths.push(await node.mount(name, ME))
    }
    const stop = new AbortController()
    const counting = count(paths, stop.signal)
    await until(() => Number(readFileSync(join(paths[2] as string, 'count'), 'utf8')) > 20, { what: 'some numbers' })
    for (let round = 0; round < 3; round++) {
      const { state, size, snapshots } = await take(`moment-${round}`, names)
      expect({ state, size, names: snapshots.map((each) => each.name) }).toEqual({
        state: 'complete',
        size: 3,
        names: names.map((name) => `moment-${round}-${name}`),
      })
    }
    stop.abort()
    await counting
    for (let round = 0; round < 3; round++) {
      const found: number[] = []
      for (const name of names) {
        const clone = `clone-${round}-${name}`
        await cluster.addVolume(clone, {
          pool: XFS,
          sizeMiB: 64,
          from: { snapshot: `moment-${round}-${name}` },
        })
        const path = await node.mount(clone, ME)
        found.push(Number(readFileSync(join(path, 'count'), 'utf8')))
        await node.unmount(clone, ME)
      }
      const [log, index, data] = found as [number, number, number]
      expect(log).toBeGreaterThanOrEqual(index)
      expect(index).toBeGreaterThanOrEqual(data)
      expect(log - data).toBeLessThanOrEqual(1)
    }
  })

  test('are listed, shown and deleted together', async () => {
    const [first] = await groups()
    expect(first).toMatchObject({ state: 'complete', size: 3 })
    expect(await cluster.rest<GroupView>('GET', `/v1/snapshot-groups/${first?.name}`)).toEqual(first)
    const name = 'moment-2'
    await cluster.rest('DELETE', `/v1/snapshot-groups/${name}`)
    await until(async () => !(await groups()).some((group) => group.name === name), { what: 'them to be gone' })
    expect((await snapshots()).filter((each) => each.name.startsWith(name))).toEqual([])
  })

  test('are refused when no node has all of the volumes, and when the name is taken', async () => {
    await cluster.addVolume('elsewhere', { pool: XFS, sizeMiB: 64 })
    await other.mount('elsewhere', ME)
    await expect(take('far', ['log', 'elsewhere'])).rejects.toMatchObject({
      code: 'held_elsewhere',
      message: expect.stringMatching(/log on a, elsewhere on b/),
    })
    await expect(take('moment-0', ['log'])).rejects.toMatchObject({ code: 'name_taken' })
    await expect(take('twice', ['log', 'log'])).rejects.toMatchObject({ code: 'invalid_request' })
    await other.unmount('elsewhere', ME)
  })

  test('are all unmade when one of them cannot be made', async () => {
    const volumes: string[] = []
    for (const name of ['whole', 'broken']) {
      const volume = await cluster.addVolume(name, { pool: XFS, sizeMiB: 64 })
      volumes.push(volume.id)
      if (name === 'broken') rmSync(cluster.file(volume))
    }
    await expect(take('none', volumes)).rejects.toMatchObject({ code: 'object_missing' })
    await until(async () => !(await snapshots()).some((each) => each.name === 'none-whole'), {
      what: 'the other to go',
    })
    // users go on: nothing is left frozen
    expect(await node.mount('whole', ME)).toContain('target')
    await node.unmount('whole', ME)
  })
})
