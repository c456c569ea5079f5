import { describe, expect, test } from 'vitest'
import type { AppVolume, MarathonApp } from '../support/mesos/marathon-app.ts'
import { violations } from '../support/mesos/marathon-rules.ts'
import { containerInfo } from '../support/mesos/marathon-volumes.ts'

const DVDI: AppVolume = {
  containerPath: 'data',
  mode: 'RW',
  external: { name: 'db-data', provider: 'dvdi', size: 20, options: { 'dvdi/driver': 'holdfast', 'dvdi/iops': '500' } },
}
const CSI: AppVolume = {
  containerPath: 'data',
  mode: 'RW',
  external: {
    name: 'vol-1',
    provider: 'csi',
    options: {
      pluginName: 'org.holdfast.csi',
      capability: { accessType: 'mount', accessMode: 'SINGLE_NODE_WRITER', fsType: 'ext4', mountFlags: ['noatime'] },
      nodeStageSecret: { token: 'holdfast/token' },
      volumeContext: { tier: 'fast' },
    },
  },
}
const PERSISTENT: AppVolume = { containerPath: 'data', mode: 'RW', persistent: { size: 1024, profileName: 'fast' } }

function app(volume: AppVolume, rest: Partial<MarathonApp> = {}): MarathonApp {
  return { id: '/db', cmd: 'true', container: { type: 'MESOS', volumes: [volume] }, ...rest }
}

function external(volume: AppVolume, change: object): AppVolume {
  return { ...volume, external: { ...volume.external, ...change } as never }
}

/** Where the rules are broken. */
function paths(refused: MarathonApp, others: readonly MarathonApp[] = []): string[] {
  return violations(refused, others).map(({ path }) => path)
}

describe("Marathon's rules", () => {
  test.each([
    ['a Docker volume', DVDI],
    ['a CSI volume', CSI],
    ['a persistent volume with a profile', PERSISTENT],
  ])('%s is accepted', (_, volume) => {
    expect(violations(app(volume))).toEqual([])
  })

  test.each([
    ['Holdfast under a name with a slash', { options: { 'dvdi/driver': 'hold/fast' } }],
    ['no driver', { options: {} }],
    ['an option that is no string', { options: { 'dvdi/driver': 'holdfast', 'dvdi/iops': 500 } }],
    ['an option without a prefix', { options: { 'dvdi/driver': 'holdfast', iops: '500' } }],
    ['another provider', { provider: 'ebs' }],
    ['no name', { name: '' }],
  ])('a Docker volume with %s is refused', (_, change) => {
    expect(violations(app(external(DVDI, change)))).not.toEqual([])
  })

  test('one instance at most has a Docker volume, even a shared one', () => {
    expect(paths(app(DVDI, { instances: 2 }))).toEqual(['/instances'])
    expect(paths(app(external(DVDI, { shared: true }), { instances: 2 }))).toEqual(['/instances'])
    expect(paths(app(DVDI, { instances: 0 }))).toEqual([])
  })

  test('a name is used by one app, unless all share it', () => {
    const other = app(DVDI, { id: '/other' })
    expect(paths(app(DVDI), [other])).toEqual(['/container/volumes'])
    const shared = external(DVDI, { shared: true })
    expect(paths(app(shared), [app(shared, { id: '/other' })])).toEqual([])
  })

  test('a Docker container has its size and options elsewhere', () => {
    const container = { type: 'DOCKER' as const, docker: { image: 'busybox' }, volumes: [DVDI] }
    const at = '/container/volumes(0)/external'
    expect(paths(app(DVDI, { container }))).toEqual([`${at}/size`, `${at}/options`])
  })

  test('the old instance ends before the new one starts', () => {
    expect(paths(app(DVDI, { upgradeStrategy: { maximumOverCapacity: 1 } }))).toEqual([
      '/upgradeStrategy/maximumOverCapacity',
    ])
  })

  test('a CSI volume says how it is used', () => {
    expect(paths(app(external(CSI, { options: { pluginName: 'org.holdfast.csi' } })))).toHaveLength(1)
    const readers = { pluginName: 'p', capability: { accessType: 'block', accessMode: 'MULTI_NODE_READER_ONLY' } }
    const many = external(CSI, { options: readers })
    expect(paths(app(many, { instances: 3 }))).toEqual(['/container/volumes(0)/mode'])
    expect(paths(app({ ...many, mode: 'RO' }, { instances: 3 }))).toEqual([])
    expect(paths(app(CSI, { instances: 2 }))).toEqual(['/instances'])
  })

  test('a persistent volume is writable, at a plain path, and stays when its agent is unreachable', () => {
    const at = '/container/volumes(0)'
    expect(paths(app({ ...PERSISTENT, mode: 'RO' }))).toEqual([`${at}/mode`])
    expect(paths(app({ ...PERSISTENT, containerPath: 'a/b' }))).toEqual([`${at}/containerPath`])
    expect(paths(app(PERSISTENT, { unreachableStrategy: {} }))).toEqual(['/unreachableStrategy'])
    const path = { ...PERSISTENT, persistent: { type: 'path' as const, size: 10, maxSize: 20 } }
    expect(paths(app(path))).toEqual([`${at}/persistent/maxSize`])
  })
})

describe('what Marathon tells Mesos', () => {
  test('of a Docker volume: its driver, its name, and the options without their prefix', () => {
    expect(containerInfo(app(external(DVDI, { options: { ...DVDI.external?.options, 'other/key': 'x' } })))).toEqual({
      type: 'MESOS',
      volumes: [
        {
          container_path: 'data',
          mode: 'RW',
          source: {
            type: 'DOCKER_VOLUME',
            docker_volume: {
              driver: 'holdfast',
              name: 'db-data',
              driver_options: {
                parameter: [
                  { key: 'iops', value: '500' },
                  { key: 'size', value: '20' },
                ],
              },
            },
          },
        },
      ],
    })
  })

  test('of a CSI volume: its id, and how to publish it', () => {
    expect(containerInfo(app(CSI))?.volumes).toEqual([
      {
        container_path: 'data',
        mode: 'RW',
        source: {
          type: 'CSI_VOLUME',
          csi_volume: {
            plugin_name: 'org.holdfast.csi',
            static_provisioning: {
              volume_id: 'vol-1',
              volume_capability: {
                mount: { fs_type: 'ext4', mount_flags: ['noatime'] },
                access_mode: { mode: 'SINGLE_NODE_WRITER' },
              },
              node_stage_secrets: { token: { type: 'REFERENCE', reference: { name: 'holdfast/token' } } },
              volume_context: { tier: 'fast' },
            },
          },
        },
      },
    ])
  })

  test('nothing of a persistent volume: that is a resource', () => {
    expect(containerInfo(app(PERSISTENT))).toBeUndefined()
  })
})
