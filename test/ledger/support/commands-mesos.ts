import type { MesosWish } from '../../../src/ledger/volume-create.ts'
import type { PoolMesos, Provider, Reservation } from '../../../src/model/mesos.ts'
import type { Makers } from './commands.ts'
import type { Random } from './random.ts'
import { POOLS, ROLES, type World } from './world.ts'

type Own = Pick<Makers, Extract<keyof Makers, `profile.${string}` | `provider.${string}` | `guard.${string}`>>

export const PRINCIPAL = 'holdfast'

/** Profiles, the providers of agents, the guard. */
export const MESOS: Own = {
  'profile.set': (world) => {
    const { random } = world
    return {
      kind: 'profile.set',
      name: random.chance(0.03) ? 'no good' : random.pick(['fast', 'slow', 'none']),
      set: {
        fs: random.pick(['ext4', 'xfs', 'xfs', 'btrfs', 'raw']),
        access: random.pick(['single-writer', 'single-writer', 'many-readers', 'read-only']),
        iops: random.pick([0, 0, 10, 60]),
        iopsPerGiB: random.pick([0, 0, 5, 50]),
        ...(random.chance(0.3) ? { pools: [random.pick(POOLS)] } : {}),
      },
    }
  },
  'profile.delete': (world) => ({ kind: 'profile.delete', name: world.id('profile') }),
  'provider.set': (world) => ({
    kind: 'provider.set',
    nodeId: world.id('node'),
    poolId: world.id('pool'),
    agentId: `agent-${world.random.int(1, 3)}`,
    providerId: `provider-${world.random.int(1, 9)}`,
  }),
  'provider.reserve': (world) => {
    const provider = world.some('provider')
    return {
      kind: 'provider.reserve',
      nodeId: provider?.nodeId ?? 'node-none',
      poolId: provider?.poolId ?? 'pool-none',
      from: world.random.pick(provider?.reserved ?? [])?.reservations ?? [],
      to: world.random.chance(0.3) ? [] : stack(world.random),
      sizeMiB: world.random.int(0, 300),
    }
  },
  'provider.bandwidth': (world) => {
    const provider = world.some('provider')
    return {
      kind: 'provider.bandwidth',
      nodeId: provider?.nodeId ?? 'node-none',
      poolId: provider?.poolId ?? 'pool-none',
      bandwidth: world.random.pick([0, 5, 60, 300]),
    }
  },
  'provider.forget': (world) => {
    const provider = world.some('provider', (each) => isOrphan(world, each))
    return { kind: 'provider.forget', nodeId: provider?.nodeId ?? 'none', poolId: provider?.poolId ?? 'none' }
  },
  'guard.set': (world) => ({
    kind: 'guard.set',
    state: world.random.pick(['verified', 'verified', 'verified', 'absent', 'unverified']),
    why: world.random.chance(0.5) ? [] : ['a master has no ACLs'],
  }),
}

export function poolMesos(random: Random): PoolMesos {
  return {
    roles: ROLES.filter((role) => role === 'ads' || random.chance(0.5)),
    reservation: random.chance(0.9) ? 'dynamic' : 'static',
    unreserved: random.chance(0.2),
    ...(random.chance(0.5) ? {} : { shrink: random.pick(['prompt', 'on-exhaustion', 'never']) }),
    spread: random.pick([0, 0, 1, 2]),
    float: random.chance(0.8),
    block: random.chance(0.5),
    bandwidth: random.chance(0.5),
  }
}

export function stack(random: Random): Reservation[] {
  const role = random.pick(['ads', 'ads/web', 'ops'])
  const labels = random.chance(0.5) ? {} : { labels: { labels: [{ key: 'a', value: 'b' }] } }
  const first: Reservation = { type: 'DYNAMIC', role, principal: PRINCIPAL, ...labels }
  return random.chance(0.3) ? [first, { type: 'DYNAMIC', role: `${role}/eu` }] : [first]
}

/** What a disk that a framework asks for has. */
export function mesosWish(world: World, target: 'MOUNT' | 'BLOCK', poolId: string): MesosWish {
  const { random } = world
  const float = target === 'MOUNT' && random.chance(0.6)
  const provider = world.some('provider', (each) => each.poolId === poolId)
  const reserved = random.pick(provider?.reserved ?? [])?.reservations
  return {
    ...(random.chance(0.8) ? { profile: random.pick(['fast', 'slow']) } : {}),
    target,
    float,
    home: provider?.nodeId ?? world.id('node'),
    reservations: reserved ?? [{ type: 'DYNAMIC', role: random.pick(ROLES), principal: PRINCIPAL }],
    ...(float ? { persistAs: PRINCIPAL, containerPath: 'data' } : {}),
    ...(random.chance(0.6) ? { givesBack: true } : {}),
  }
}

function isOrphan(world: World, { nodeId, poolId }: Provider): boolean {
  return world.state.get('node', nodeId) === undefined || world.state.get('pool', poolId) === undefined
}
