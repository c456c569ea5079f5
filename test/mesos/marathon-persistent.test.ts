import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Marathon } from '../support/mesos/marathon.ts'
import type { MarathonApp } from '../support/mesos/marathon-app.ts'
import { MESOS_WORLD_NEEDS, type MesosWorld, startWorld } from '../support/mesos-world.ts'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'

interface Volume {
  readonly id: string
  readonly mesos?: { readonly persistence?: { readonly id: string; readonly principal: string } }
}

needs(...MESOS_WORLD_NEEDS).describe("an app of Marathon's with a persistent volume of a profile", () => {
  let world: MesosWorld
  let marathon: Marathon

  beforeEach(async () => {
    world = await startWorld()
    marathon = await Marathon.connect(world.mesos.master.url)
    await world.link.rest('PUT', '/v1/profiles/fast', { fs: 'ext4' })
    await world.showPool({ roles: ['marathon'], unreserved: true, float: false })
  }, 60_000)

  afterEach(async () => {
    await marathon?.stop()
    await world?.stop()
  }, 60_000)

  /** The last app of docs/mesos-frameworks.md, with another command. */
  function documented(cmd: string): MarathonApp {
    const page = readFileSync(join(import.meta.dirname, '../../docs/mesos-frameworks.md'), 'utf8')
    const shown = /```json\n(\{ "id": "\/kept"[\s\S]*?)```/.exec(page)?.[1] ?? ''
    return { ...(JSON.parse(shown) as MarathonApp), cmd }
  }

  async function makeDisk(name: string, sizeMiB: number): Promise<void> {
    await world.link.rest('POST', '/v1/volumes', { name, sizeMiB, role: 'marathon', profile: 'fast' })
  }

  test('takes a disk that was made in advance, and a later task finds its data there', async () => {
    await makeDisk('too-small', 1024)
    await makeDisk('marathon-1', 20_480)
    const first = await marathon.deploy(documented('echo one >> data/journal; sleep 3600'))
    const volume = await world.link.rest<Volume>('GET', '/v1/volumes/marathon-1')
    expect(marathon.volumeIds('/kept')).toEqual([volume.mesos?.persistence?.id])
    expect(volume.mesos?.persistence?.principal).toBe('marathon')
    const journal = join(world.directory, 'd', first.hostname, 'mnt', volume.id, 'target', 'journal')
    await until(() => readFileSync(journal, 'utf8') === 'one\n', { what: 'the task to write' })

    const second = await marathon.restart('/kept')
    expect(second.agentId).toBe(first.agentId)
    expect(second.taskId).not.toBe(first.taskId)
    await until(() => readFileSync(journal, 'utf8') === 'one\none\n', { what: 'the second task to write' })
    expect(world.mesos.aborts).toEqual([])
  }, 60_000)
})
