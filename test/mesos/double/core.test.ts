import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { startMesos } from '../../support/mesos/cluster.ts'
import { TestFramework } from '../../support/mesos/framework.ts'
import { needs } from '../../support/missing.ts'
import { testDir } from '../../support/temp-dir.ts'
import { until } from '../../support/until.ts'
import { ScriptedProvider } from './scripted-provider.ts'
import { hasAllFor } from './world.ts'

needs('root', 'unshare').describe('a double of Mesos', () => {
  const { test } = needs('root', 'unshare')

  test('offers what a provider has, makes a disk of it, and runs a task on it', async () => {
    const dir = testDir()
    const mesos = await startMesos({ workDir: dir })
    onTestFinished(() => mesos.stop())
    const [agent] = mesos.agents
    if (agent === undefined) throw new Error('no agent')
    const root = join(dir, 'mnt')
    const reservations = [{ type: 'DYNAMIC', role: 'R', principal: 'holdfast' }] as const
    const raw = {
      name: 'disk',
      type: 'SCALAR',
      scalar: { value: 500 },
      reservations,
      disk: { source: { type: 'RAW', vendor: 'acme' } },
    } as const
    const provider = await ScriptedProvider.connect(agent.url)
    onTestFinished(() => provider.close())
    await provider.updateState([raw])
    const framework = await TestFramework.connect(mesos.master.url, { name: 'f', roles: ['R'] })
    const offer = await framework.waitOffer(({ resources }) =>
      resources.some(({ disk }) => disk?.source?.type === 'RAW'),
    )
    const source = { ...provider.own(raw), scalar: { value: 100 }, allocation_info: { role: 'R' } }
    await framework.accept(
      [offer],
      [
        {
          type: 'CREATE_DISK',
          id: { value: 'c1' },
          create_disk: { source, target_type: 'MOUNT', target_profile: 'gold' },
        },
      ],
    )
    const operation = await provider.waitApply('c1')
    mkdirSync(join(root, 'v1', 'target'), { recursive: true })
    const made = {
      ...source,
      disk: {
        source: { type: 'MOUNT', vendor: 'acme', id: 'v1', profile: 'gold', mount: { root } },
        persistence: { id: 'v1', principal: 'holdfast' },
        volume: { mode: 'RW', container_path: 'data' },
      },
    } as const
    await provider.end(operation, 'OPERATION_FINISHED', { converted_resources: [made] })
    expect(await framework.operationStatus('c1')).toMatchObject({
      state: 'OPERATION_FINISHED',
      agent_id: { value: agent.id },
    })
    await until(() => provider.events.some(({ type }) => type === 'ACKNOWLEDGE_OPERATION_STATUS'), {
      what: 'the acknowledgement',
    })
    // the disk may be in an offer of its own while cpus and memory are in another
    const offers = await framework.waitTogether(agent.id, hasAllFor('v1'))
    const volume = offers.flatMap(({ resources }) => resources).find((resource) => resource.disk?.source?.id === 'v1')
    const scalar = (name: string, value: number) => ({ name, type: 'SCALAR', scalar: { value } }) as const
    const task = {
      name: 't',
      task_id: { value: 't1' },
      agent_id: { value: agent.id },
      resources: [scalar('cpus', 0.1), scalar('mem', 32), ...(volume === undefined ? [] : [volume])],
      command: { value: 'echo hello > data/hello.txt; sleep 0.2' },
    }
    await framework.accept(offers, [{ type: 'LAUNCH', launch: { task_infos: [task] } }])
    const end = await framework.taskStatus('t1', ['TASK_FINISHED', 'TASK_FAILED', 'TASK_ERROR', 'TASK_DROPPED'])
    expect(end).toMatchObject({ state: 'TASK_FINISHED', message: 'Command exited with status 0' })
    expect(framework.statuses('t1').map(({ state }) => state)).toEqual([
      'TASK_STARTING',
      'TASK_RUNNING',
      'TASK_FINISHED',
    ])
    expect(readFileSync(join(root, 'v1', 'target', 'hello.txt'), 'utf8')).toBe('hello\n')
    expect(provider.published).toHaveLength(2)
    expect(provider.published[0]).toEqual([volume])
    expect(mesos.aborts).toEqual([])
  })
})
