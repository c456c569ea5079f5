import type { Command } from '../../../src/ledger/commands.ts'
import { LedgerState } from '../../../src/ledger/state.ts'
import type { IdKind, NewId } from '../../../src/model/ids.ts'
import { ID_PREFIX } from '../../../src/model/ids.ts'
import type { PoolCapabilities } from '../../../src/model/pool.ts'
import type { RecordKind, RecordTypes } from '../../../src/model/records.ts'
import type { Random } from './random.ts'

/** A world so small that its commands collide all the time. */
export const INSTALLATION = '0f0e0d0c-0b0a-4908-8706-050403020100'
export const POOLS = ['ceph~a~fast', 'ceph~a~slow', 'loop~b~one'] as const
export const NODES = ['node-1', 'node-2', 'node-3', 'node-4'] as const
export const ROLES = ['ads', 'ads/web', 'ads/web/eu', 'ops'] as const
export const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'] as const
export const START = 1_700_000_000_000

/** Two daemons on one machine share its boot id, as node-1 and node-4 do. */
export const MACHINES: Readonly<Record<string, string>> = {
  'node-1': 'machine-1',
  'node-2': 'machine-2',
  'node-3': 'machine-3',
  'node-4': 'machine-1',
}

export const CAPABLE: PoolCapabilities = {
  snapshot: 'reflink',
  grow: 'online',
  block: true,
  readOnlyMany: true,
  formats: 'holdfast',
  filesystems: ['ext4', 'xfs', 'directory'],
  writersMany: true,
  fence: 'any',
  idempotent: ['create', 'snapshot', 'delete'],
  maxObjectMiB: 500,
}

/** What a step may use to make up its command: the records as they are, a seed, and numbers that never repeat. */
export class World {
  readonly state: LedgerState
  readonly random: Random
  readonly now: number
  /** The step's number; what must be unique is made of it. */
  readonly step: number

  constructor(state: LedgerState, random: Random, now: number, step: number) {
    this.state = state
    this.random = random
    this.now = now
    this.step = step
  }

  /** A record of the kind, mostly one that fits the wish, or undefined when there is none. */
  some<K extends RecordKind>(kind: K, wish?: (record: RecordTypes[K]) => boolean): RecordTypes[K] | undefined {
    const all = [...this.state.all(kind).values()]
    const wished = wish === undefined || this.random.chance(0.08) ? all : all.filter(wish)
    return this.random.pick(wished.length > 0 ? wished : all)
  }

  /** Like `some`, but an id; now and then, and when there is nothing, one that does not exist. */
  id<K extends RecordKind>(kind: K, wish?: (record: RecordTypes[K]) => boolean): string {
    const record = this.random.chance(0.02) ? undefined : this.some(kind, wish)
    return record?.id ?? `${kind}-none`
  }

  uuid(): string {
    return `00000000-0000-4000-8000-${this.step.toString(16).padStart(12, '0')}`
  }

  /** Like a SHA-256. */
  hash(): string {
    return this.step.toString(16).padStart(64, '0')
  }
}

/** Ids in order; a copy made at some point gives the same ids again. */
export class Ids {
  #made: number

  constructor(made = 0) {
    this.#made = made
  }

  fork(): Ids {
    return new Ids(this.#made)
  }

  readonly next: NewId = (kind: IdKind) => {
    this.#made += 1
    return `${ID_PREFIX[kind]}-${this.#made}`
  }
}

/** What makes the world: pools, nodes that are up and reach them, quotas and a few holds. */
export function founding(): Command[] {
  const commands: Command[] = []
  for (const [index, name] of POOLS.entries()) {
    commands.push({
      kind: 'pool.create',
      name,
      uuid: `00000000-0000-4000-9000-00000000000${index}`,
      driver: 'loop',
      settings: {},
      capacityMiB: [1500, 1000, 2000][index] ?? 0,
      iops: [1000, 400, 0][index] ?? 0,
      overcommitThousandths: [1000, 1500, 1000][index] ?? 1000,
      reserveMiB: index * 50,
      fence: (['driver', 'self', 'manual'] as const)[index] ?? 'manual',
      labels: { tier: name },
      markOn: undefined,
    })
  }
  for (const [index, name] of NODES.entries()) {
    commands.push({
      kind: 'node.join',
      name,
      joinTokenId: undefined,
      credentialHash: `f${index}`.padStart(64, 'f'),
      machineId: MACHINES[name] ?? name,
      labels: {},
    })
  }
  return commands
}

/** Brings every node up, with reach of all pools. */
export function connecting(state: LedgerState): Command[] {
  const pools = [...state.all('pool').keys()]
  return [...state.all('node').values()].flatMap((node): Command[] => {
    const session = `session-${node.name}`
    const machineId = MACHINES[node.name] ?? node.name
    return [
      {
        kind: 'node.session',
        nodeId: node.id,
        session,
        bootId: `boot-${machineId}`,
        machineId,
        version: '0.1.0',
        watchdog: true,
        leased: false,
      },
      { kind: 'node.reach', nodeId: node.id, session, reach: pools },
      ...pools.map(
        (poolId): Command => ({
          kind: 'pool.report',
          poolId,
          nodeId: node.id,
          session,
          capabilities: CAPABLE,
          storage: { sizeMiB: 4000, freeMiB: 4000 },
        }),
      ),
    ]
  })
}

export function emptyState(): LedgerState {
  return new LedgerState(INSTALLATION)
}
