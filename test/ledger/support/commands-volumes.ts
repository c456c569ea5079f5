import type { VolumeRequest } from '../../../src/ledger/volume-create.ts'
import type { Source, Volume } from '../../../src/model/volume.ts'
import type { Makers } from './commands.ts'
import { mesosWish, stack } from './commands-mesos.ts'
import { NAMES, ROLES, type World } from './world.ts'

type Own = Pick<Makers, Extract<keyof Makers, `volume.${string}` | `group.${string}` | `snapshot.${string}`>>

/** Volumes, groups, snapshots. */
export const VOLUMES: Own = {
  'volume.create': (world) => ({
    kind: 'volume.create',
    volume: world.random.chance(0.35) ? disk(world) : request(world, freeName(world)),
  }),
  'group.create': (world) => {
    const { random } = world
    const count = random.chance(0.06) ? random.pick([0, 16, 17]) : random.int(1, 4)
    const prefix = count > 4 ? `big${world.step}-` : random.chance(0.6) ? `g${world.step}-` : ''
    const volumes = Array.from({ length: count }, (_, index) => {
      const name = prefix === '' ? freeName(world) : `${prefix}${index}`
      const each = request(world, name)
      return count > 4 ? { ...each, sizeMiB: random.int(1, 8), iops: 0, source: undefined, fs: 'ext4' as const } : each
    })
    return {
      kind: 'group.create',
      name: random.chance(0.5) ? random.pick(['set', 'set-2', 'no good']) : undefined,
      onFailure: random.chance(0.6) ? 'rollback' : 'keep',
      volumes,
    }
  },
  'volume.update': (world) => ({
    kind: 'volume.update',
    volumeId: world.id('volume', (each) => each.protected || world.random.chance(0.3)),
    set: world.random.pick([
      { protected: false },
      { protected: world.random.chance(0.2) },
      { protected: false },
      { labels: { a: 'b' } },
      { access: access(world) },
      { bandwidth: world.random.int(0, 40) },
    ]),
  }),
  'volume.mesos': (world) => {
    const volume = world.some('volume', (each) => each.mesos !== undefined)
    const { persistence: _, ...kept } = volume?.mesos ?? { target: 'MOUNT', float: false, reservations: [] }
    const persistence = world.random.chance(0.5) ? {} : { persistence: { id: `p-${world.random.int(1, 3)}` } }
    return {
      kind: 'volume.mesos',
      volumeId: volume?.id ?? 'vol-none',
      set: { ...kept, reservations: stack(world.random), ...persistence },
    }
  },
  'volume.resize': (world) => {
    const volume = world.some('volume', (each) => each.state === 'available' && !isBusy(world, each))
    return {
      kind: 'volume.resize',
      volumeId: volume?.id ?? 'vol-none',
      sizeMiB: Math.max(1, (volume?.sizeMiB ?? 1) + world.random.int(-2, 60)),
    }
  },
  'volume.delete': (world) => ({
    kind: 'volume.delete',
    volumeId: world.id('volume', (each) => isIdle(world, each) && !each.protected && each.state === 'available'),
    trashMs: world.random.chance(0.6) ? world.random.int(1, 60_000) : 0,
  }),
  'volume.undelete': (world) => ({
    kind: 'volume.undelete',
    volumeId: world.id('volume', (each) => each.state === 'trash'),
    name: world.random.chance(0.4) ? freeName(world) : undefined,
  }),
  'volume.purge': (world) => ({
    kind: 'volume.purge',
    volumeId: world.id('volume', (each) => each.state === 'trash' && (each.purgeAt ?? 0) <= world.now),
  }),
  'volume.import': (world) => ({
    kind: 'volume.import',
    poolId: world.id('pool'),
    object:
      (world.random.chance(0.1) ? world.some('volume')?.object : undefined) ?? `foreign-${world.random.int(1, 20)}`,
    name: freeName(world),
    role: world.random.pick(ROLES),
    sizeMiB: world.random.int(1, 200),
    access: access(world),
  }),
  'volume.release': (world) => ({
    kind: 'volume.release',
    volumeId: world.id('volume', (each) => isIdle(world, each) && (each.imported || each.state === 'error')),
  }),
  'volume.missing': (world) => ({
    kind: 'volume.missing',
    volumeId: world.id('volume', (each) => each.state === 'available'),
  }),
  'volume.found': (world) => ({
    kind: 'volume.found',
    volumeId: world.id('volume', (each) => each.state === 'missing'),
  }),
  'snapshot.create': (world) => ({
    kind: 'snapshot.create',
    volumeId: world.id('volume', (each) => each.state === 'available'),
    name: world.random.pick(['s1', 's2', 's3', 's4', 's5', '.']),
    labels: {},
  }),
  'snapshot.group': (world) => ({
    kind: 'snapshot.group',
    name: world.random.pick(['g1', 'g2', '.']),
    members: Array.from({ length: world.random.int(1, 3) }, (_, index) => ({
      volumeId: world.id('volume', (each) => each.state === 'available'),
      name: `${world.random.pick(['g1', 'g2', 'g3'])}-${index}`,
    })),
    labels: {},
  }),
  'snapshot.delete-group': (world) => ({
    kind: 'snapshot.delete-group',
    groupId: world.some('snapshot', (each) => each.group !== undefined)?.group?.id ?? 'group-none',
  }),
  'snapshot.delete': (world) => ({
    kind: 'snapshot.delete',
    snapshotId: world.id('snapshot', (each) => world.state.operationsBySubject.get(each.id).size === 0),
  }),
}

function request(world: World, name: string): VolumeRequest {
  const { random } = world
  const copied = random.chance(0.25) ? origin(world) : undefined
  const hold = random.chance(0.25) ? world.some('hold', (each) => each.drawnMiB < each.sizeMiB) : undefined
  const anyFs = copied === undefined || random.chance(0.1)
  const poolId = copied?.poolId ?? hold?.poolId ?? world.id('pool', (pool) => pool.state === 'active')
  const left = hold === undefined ? 150 : hold.sizeMiB - hold.drawnMiB
  return {
    name,
    poolId,
    role: copied?.role ?? hold?.role ?? (random.chance(0.02) ? 'no good' : random.pick(ROLES)),
    sizeMiB:
      copied === undefined || random.chance(0.05)
        ? random.int(1, Math.max(1, left))
        : copied.sizeMiB + random.int(0, 20),
    iops:
      hold === undefined ? random.pick([0, 0, 20, 50, 150]) : random.int(0, Math.max(0, hold.iops - hold.drawnIops)),
    fs: anyFs
      ? random.chance(0.04)
        ? 'btrfs'
        : random.pick(['ext4', 'xfs', 'raw', 'directory', 'directory'])
      : (copied?.fs ?? 'ext4'),
    access: access(world),
    source: copied === undefined ? undefined : copied.source,
    holdId: hold?.id,
    protected: random.chance(0.05),
    labels: {},
    bandwidth: random.pick([0, 5, 30]),
    fingerprint: random.chance(0.3) ? random.pick(['p1', 'p2']) : undefined,
  }
}

/** A disk that a framework makes: it draws on whatever its role holds. */
function disk(world: World): VolumeRequest {
  const plain = request(world, `mesos-${world.step}`)
  const target = plain.fs === 'raw' ? 'BLOCK' : 'MOUNT'
  return {
    ...plain,
    holdId: undefined,
    ownHolds: true,
    source: undefined,
    mesos: mesosWish(world, target, plain.poolId),
  }
}

function origin(world: World) {
  const kind = world.random.pick(['volume', 'snapshot'])
  const record =
    kind === 'volume'
      ? world.some('volume', (each) => each.state === 'available')
      : world.some('snapshot', (each) => each.state === 'available')
  if (record === undefined) return undefined
  const { id, poolId, role, sizeMiB, fs } = record
  const source: Source = { kind, id }
  return { poolId, role, sizeMiB, fs, source }
}

function access(world: World): Volume['access'] {
  return world.random.pick([
    ...(['single-writer', 'single-writer', 'many-readers', 'many-readers', 'read-only'] as const),
    ...(['many-writers', 'many-writers'] as const),
  ])
}

/** Mostly a name that nobody has; else any, good or not. */
function freeName(world: World): string {
  const free = NAMES.filter((name) => !world.state.volumeByName.has(name))
  if (free.length > 0 && world.random.chance(0.85)) return world.random.pick(free) ?? 'a'
  return world.random.chance(0.1) ? '../etc' : world.random.pick([...NAMES, `n${world.step}`])
}

function isBusy(world: World, volume: Volume): boolean {
  return world.state.operationsBySubject.get(volume.id).size > 0
}

function isIdle(world: World, volume: Volume): boolean {
  return !isBusy(world, volume) && world.state.attachmentsByVolume.get(volume.id).size === 0
}
