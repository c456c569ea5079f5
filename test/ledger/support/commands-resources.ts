import type { NodeUpdate } from '../../../src/ledger/nodes.ts'
import type { PoolUpdate } from '../../../src/ledger/pools.ts'
import type { Node } from '../../../src/model/node.ts'
import type { Makers } from './commands.ts'
import { poolMesos } from './commands-mesos.ts'
import type { Random } from './random.ts'
import { CAPABLE, MACHINES, NODES, POOLS, ROLES, type World } from './world.ts'

type Kinds =
  | `pool.${string}`
  | `node.${string}`
  | `role.${string}`
  | `hold.${string}`
  | `token.${string}`
  | `clock.${string}`
  | `keys.${string}`

type Own = Pick<Makers, Extract<keyof Makers, Kinds>>

/** Pools, nodes, roles, holds, tokens, the clock. */
export const RESOURCES: Own = {
  'pool.create': (world) => ({
    kind: 'pool.create',
    name: world.random.pick([...POOLS, 'ceph~a~extra', 'ceph~a']) ?? '',
    uuid: world.uuid(),
    driver: 'loop',
    settings: { directory: '/srv' },
    capacityMiB: world.random.int(0, 1000),
    iops: world.random.int(0, 3) * 100,
    overcommitThousandths: 1000,
    reserveMiB: world.random.int(0, 60),
    fence: 'manual',
    labels: {},
    markOn: world.random.chance(0.5) ? world.id('node') : undefined,
  }),
  'pool.update': (world) => ({ kind: 'pool.update', poolId: world.id('pool'), set: poolUpdate(world.random) }),
  'pool.mark': (world) => ({
    kind: 'pool.mark',
    poolId: world.id('pool', (pool) => !pool.marked),
    nodeId: world.id('node'),
  }),
  'pool.delete': (world) => ({
    kind: 'pool.delete',
    poolId: world.id(
      'pool',
      (pool) => world.state.volumesByPool.get(pool.id).size === 0 || pool.name.endsWith('extra'),
    ),
  }),
  'pool.report': (world) => {
    const node = world.some('node', isUp)
    const { random } = world
    return {
      kind: 'pool.report',
      poolId: world.id('pool'),
      nodeId: node?.id ?? 'node-none',
      session: sessionOf(world, node),
      capabilities: {
        ...CAPABLE,
        snapshot: random.pick(['reflink', 'reflink', 'reflink', 'copy', 'none']),
        grow: random.chance(0.1) ? 'none' : 'online',
        fence: random.pick(['any', 'any', 'same-machine', 'none']),
        idempotent: random.chance(0.8) ? CAPABLE.idempotent : [],
        maxObjectMiB: random.pick([500, 500, 300]),
        writersMany: random.chance(0.9),
        ...(random.chance(0.2) ? { unitMiB: random.pick([1, 10, 64]) } : {}),
      },
      storage: random.chance(0.8) ? { sizeMiB: 4000, freeMiB: random.int(0, 4000) } : undefined,
    }
  },
  'node.join': (world) => {
    const name = world.random.pick([...NODES, 'node-5'])
    const token = world.random.chance(0.3) ? world.some('token', (each) => each.tokenRole === 'join') : undefined
    return {
      kind: 'node.join',
      name,
      joinTokenId: token?.id ?? (world.random.chance(0.05) ? 'tok-none' : undefined),
      credentialHash: world.hash(),
      machineId: world.random.chance(0.1) ? 'machine-x' : machineOf(name),
      labels: {},
    }
  },
  'node.update': (world) => ({ kind: 'node.update', nodeId: world.id('node'), set: nodeUpdate(world.random) }),
  'node.session': (world) => {
    const node = world.some('node', (each) => each.state !== 'up')
    const { random } = world
    const rebooted = random.chance(0.4)
    return {
      kind: 'node.session',
      nodeId: node?.id ?? 'node-none',
      session: `session-${world.step}`,
      bootId: rebooted ? `boot-${world.step}` : (node?.bootId ?? `boot-${world.step}`),
      machineId: random.chance(0.08) ? 'machine-x' : (node?.machineId ?? 'machine-y'),
      version: '0.1.0',
      watchdog: random.chance(0.8),
      leased: node?.state === 'up',
    }
  },
  'node.reach': (world) => {
    const node = world.some('node', isUp)
    const all = [...world.state.all('pool').keys()]
    return {
      kind: 'node.reach',
      nodeId: node?.id ?? 'node-none',
      session: sessionOf(world, node),
      reach: [...all.filter(() => world.random.chance(0.9)), ...(world.random.chance(0.2) ? ['pool-none'] : [])],
    }
  },
  'node.lost': (world) => {
    const node = world.some('node', isUp)
    return { kind: 'node.lost', nodeId: node?.id ?? 'node-none', session: sessionOf(world, node) }
  },
  'node.alarm': (world) => {
    const node = world.some('node', isUp)
    const volumeId = world.some('volume', () => true)?.id ?? 'vol-none'
    return {
      ...{ kind: 'node.alarm', nodeId: node?.id ?? 'node-none', session: sessionOf(world, node), volumeId },
      ...{ alarm: 'moved', message: 'it is elsewhere' },
    }
  },
  'node.remove': (world) => ({
    kind: 'node.remove',
    nodeId: world.id('node', (node) => node.name === 'node-5' || world.state.attachmentsByNode.get(node.id).size === 0),
  }),
  'role.set': (world) => ({
    kind: 'role.set',
    role: world.random.chance(0.04) ? 'ads//web' : world.random.pick(ROLES),
    quota: {
      ...(world.random.chance(0.6) ? { sizeMiB: world.random.pick([200, 600, 1200, 2500]) } : {}),
      ...(world.random.chance(0.6) ? { iops: world.random.pick([50, 300, 900]) } : {}),
    },
  }),
  'role.delete': (world) => ({ kind: 'role.delete', role: world.some('role')?.id ?? 'ads' }),
  'hold.create': (world) => ({
    kind: 'hold.create',
    poolId: world.id('pool'),
    role: world.random.chance(0.04) ? '*' : world.random.pick(ROLES),
    sizeMiB: world.random.int(1, 300),
    iops: world.random.pick([0, 0, 30, 100]),
    expiresAt: world.random.chance(0.5) ? world.now + world.random.int(-10, 600_000) : undefined,
    labels: {},
  }),
  'hold.release': (world) => ({
    kind: 'hold.release',
    holdId: world.id('hold', (hold) => (hold.expiresAt ?? 0) <= world.now),
    reason: world.random.chance(0.6) ? 'expired' : 'asked',
  }),
  'token.create': (world) => ({
    kind: 'token.create',
    hash: world.hash(),
    tokenRole: world.random.pick(['join', 'framework', 'reader']),
    roles: world.random.chance(0.5) ? [world.random.pick(ROLES)] : undefined,
    nodeId: undefined,
    note: 'made up',
    expiresAt: world.random.chance(0.6) ? world.now + world.random.int(1, 600_000) : undefined,
  }),
  'token.revoke': (world) => ({
    kind: 'token.revoke',
    tokenId: world.id('token', (token) => token.tokenRole !== 'node'),
    reason: world.random.chance(0.5) ? 'expired' : 'asked',
  }),
  'clock.tick': () => ({ kind: 'clock.tick' }),
  'clock.suspend': (world) => ({ kind: 'clock.suspend', from: world.state.at, to: world.now }),
  'clock.confirm': () => ({ kind: 'clock.confirm' }),
  'keys.expire': (world) => ({ kind: 'keys.expire', ids: [...world.state.all('key').keys()].slice(0, 50) }),
  'keys.forget': (world) => ({ kind: 'keys.forget', ids: [world.id('key'), 'key-none'] }),
}

function poolUpdate(random: Random): PoolUpdate {
  switch (random.int(0, 7)) {
    case 7:
      return { mesos: random.chance(0.15) ? null : poolMesos(random) }
    case 0:
    case 1:
      return { capacityMiB: random.pick([100, 700, 1500, 2000, 2500]) }
    case 2:
      return { iops: random.pick([0, 200, 800, 1500]) }
    case 3:
      return { overcommitThousandths: random.pick([500, 1000, 1333, 2000]) }
    case 4:
      return { reserveMiB: random.pick([0, 60, 200]) }
    case 5:
      return { fence: random.pick(['driver', 'manual', 'self', 'self']) }
    default:
      return { state: random.chance(0.2) ? 'draining' : 'active' }
  }
}

function nodeUpdate(random: Random): NodeUpdate {
  switch (random.int(0, 3)) {
    case 0:
      return { attachmentLimit: random.pick([1, 3, 5, 8]) }
    case 1:
      return { bandwidth: random.pick([10, 100, 400]) }
    case 2:
      return { cordoned: random.chance(0.25) }
    default:
      return { labels: { rack: 'r1' }, attachmentLimit: 8 }
  }
}

export function isUp(node: Node): boolean {
  return node.state === 'up'
}

/** The node's session; now and then one that is over. */
export function sessionOf(world: World, node: Node | undefined): string {
  return world.random.chance(0.06) ? 'session-old' : (node?.session ?? 'session-none')
}

export function machineOf(node: string): string {
  return MACHINES[node] ?? node
}
