import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { TestFramework } from '../support/mesos/framework.ts'
import { MESOS_WORLD_NEEDS, type MesosWorld, startWorld, type WorldOptions } from '../support/mesos-world.ts'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { ExampleProcess } from './example-process.ts'

const COMMAND = 'echo $(hostname) >> data/journal; sleep 3600'

needs(...MESOS_WORLD_NEEDS).describe('the example framework', () => {
  let world: MesosWorld
  let example: ExampleProcess

  async function begin(options: WorldOptions, flags: Record<string, string> = {}): Promise<void> {
    world = await startWorld(options)
    await world.link.rest('PUT', '/v1/profiles/default', { fs: 'ext4' })
    await world.showPool({ roles: ['ads'] })
    const master = world.mesos.master.url
    const all = { master, role: 'ads', size: '1024', profile: 'default', command: COMMAND, ...flags }
    example = new ExampleProcess(world.directory, all)
    example.start()
  }

  afterEach(async () => {
    await example?.end('SIGKILL')
    // nobody else would end its task: it has asked for a week
    const { frameworkId } = example?.state ?? {}
    if (frameworkId !== undefined && world.mesos.master.alive) await teardown(frameworkId)
    await world?.stop()
  }, 60_000)

  async function teardown(frameworkId: string): Promise<void> {
    const body = JSON.stringify({ type: 'TEARDOWN', teardown: { framework_id: { value: frameworkId } } })
    const headers = { 'content-type': 'application/json' }
    await fetch(`${world.mesos.master.url}/api/v1`, { method: 'POST', headers, body })
  }

  async function volumes(): Promise<{ id: string; sizeMiB: number; role: string }[]> {
    return (await world.link.rest<{ items: { id: string; sizeMiB: number; role: string }[] }>('GET', '/v1/volumes'))
      .items
  }

  /** What its tasks have written, seen on the machine of the one that runs. */
  function journal(): string[] {
    const { volumeId = '', task } = example.state
    const path = join(world.directory, 'd', task?.hostname ?? '', 'mnt', volumeId, 'target', 'journal')
    return readFileSync(path, 'utf8').trimEnd().split('\n')
  }

  async function wrote(lines: number): Promise<void> {
    await until(() => journal().length === lines, { what: `${lines} lines in the journal`, deadlineMs: 20_000 })
  }

  test('has its volume made, survives its own death, and makes no second volume', async () => {
    await begin({ guardedRoles: ['ads'] })
    await example.hears('task', ({ state }) => state === 'TASK_RUNNING')
    await wrote(1)
    const before = example.state
    expect(await volumes()).toMatchObject([{ id: before.volumeId, sizeMiB: 1024, role: 'ads' }])

    await example.end('SIGKILL')
    const heard = example.said.length
    example.start()
    const again = await example.hears('subscribed', undefined, heard)
    expect(again.framework).toBe(before.frameworkId)
    // the answer to its reconciliation: the task is still the same
    await example.hears('task', ({ id, state }) => id === before.task?.id && state === 'TASK_RUNNING', heard)
    expect(example.state).toEqual(before)
    expect(await volumes()).toHaveLength(1)
    expect(journal()).toHaveLength(1)
    expect(world.mesos.aborts).toEqual([])
  }, 90_000)

  test('goes on with its data on another agent when its own is lost', async () => {
    await begin({ guardedRoles: ['ads'], leaseMs: 3000 })
    await example.hears('task', ({ state }) => state === 'TASK_RUNNING')
    await wrote(1)
    const { task, volumeId } = example.state
    const lost = world.dev.nodes.findIndex(({ name }) => name === task?.hostname)
    // the machine is gone: its agent with its tasks, and its node daemon, which has no time to unmount anything
    await world.mesos.agents[lost]?.stop()
    await world.dev.running[lost]?.stop()
    world.mesos.master.markAgentUnreachable(world.mesos.agents[lost]?.id ?? '')

    const heard = example.said.length
    await example.hears('task', ({ id, state }) => state === 'TASK_RUNNING' && id !== task?.id, heard)
    expect(example.state.task?.hostname).not.toBe(task?.hostname)
    expect(example.state.volumeId).toBe(volumeId)
    await wrote(2)
    expect(await volumes()).toHaveLength(1)
  }, 90_000)

  test('tells why it gets no volume, and takes one when there is room', async () => {
    await begin({ guardedRoles: ['ads'] }, { profile: 'gold' })
    const refused = await example.hears('operation', ({ state }) => state === 'OPERATION_FAILED')
    expect(refused.message).toContain('profile "gold" does not exist; there is default')
    await world.link.rest('PUT', '/v1/profiles/gold', { fs: 'ext4' })
    await example.hears('task', ({ state }) => state === 'TASK_RUNNING')
  }, 90_000)

  test('reserves a bare disk and makes it persistent where the masters have no ACLs', async () => {
    await begin({})
    await example.hears('task', ({ state }) => state === 'TASK_RUNNING')
    await wrote(1)
    const { volumeId = '', task } = example.state
    const shown = await world.link.rest<{ mesos: object }>('GET', `/v1/volumes/${volumeId}`)
    expect(shown.mesos).toMatchObject({ float: false, reservations: [{ role: 'ads' }], persistence: { id: volumeId } })

    // its task ends, and the next one is started where the disk is
    await killTask(task?.hostname ?? '')
    await example.hears('task', ({ id, state }) => state === 'TASK_RUNNING' && id !== task?.id)
    await wrote(2)
    expect(example.state.task?.hostname).toBe(task?.hostname)
    const stranger = await TestFramework.connect(world.mesos.master.url, { name: 'stranger', roles: ['web'] })
    await stranger.waitOffer(({ hostname }) => hostname === task?.hostname)
    const seen = stranger.events.map(({ event }) => JSON.stringify(event)).join()
    expect(seen).not.toContain(volumeId)
    await stranger.teardown()
    expect(world.mesos.aborts).toEqual([])
  }, 90_000)

  /** The database crashes. */
  async function killTask(hostname: string): Promise<void> {
    const agent = world.mesos.agents.find((each) => each.hostname === hostname)
    for (const executor of agent?.state.executors ?? []) {
      for (const { process } of executor.tasks.values()) process?.terminate()
    }
  }
})
