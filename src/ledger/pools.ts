import { HoldfastError } from '../model/errors.ts'
import type { PoolMesos } from '../model/mesos.ts'
import { parsePoolName } from '../model/names.ts'
import type { Fence, Pool, PoolCapabilities } from '../model/pool.ts'
import { poolLimitMiB } from '../model/pool.ts'
import { startOperation } from './operation-start.ts'
import { about, type Outcome } from './outcome.ts'
import type { Transaction } from './transaction.ts'

export type PoolCommand =
  | {
      kind: 'pool.create'
      name: string
      /** UUID for the marker, made by the caller. */
      uuid: string
      driver: string
      settings: Record<string, string>
      capacityMiB: number
      iops: number
      overcommitThousandths: number
      reserveMiB: number
      fence: Fence
      labels: Record<string, string>
      mesos?: PoolMesos | undefined
      /** Node that is to write the marker; without it the pool stays unmarked. */
      markOn: string | undefined
    }
  | { kind: 'pool.update'; poolId: string; set: PoolUpdate }
  | { kind: 'pool.mark'; poolId: string; nodeId: string }
  | { kind: 'pool.delete'; poolId: string }
  | {
      kind: 'pool.report'
      poolId: string
      nodeId: string
      session: string
      capabilities: PoolCapabilities
      storage: { sizeMiB: number; freeMiB: number } | undefined
    }

export type PoolUpdate = Partial<
  Pick<
    Pool,
    | 'capacityMiB'
    | 'iops'
    | 'overcommitThousandths'
    | 'reserveMiB'
    | 'fence'
    | 'labels'
    | 'settings'
    | 'driver'
    | 'state'
  >
> & {
  /** Null: not shown to Mesos any more. */
  mesos?: PoolMesos | null
}

type Of<K extends PoolCommand['kind']> = Extract<PoolCommand, { kind: K }>

export function createPool(tx: Transaction, command: Of<'pool.create'>): Outcome<Pool> {
  const { type, instance, pool } = parsePoolName(command.name)
  const existing = tx.state.poolByName.get(command.name)
  if (existing !== undefined) {
    throw new HoldfastError('name_taken', `pool ${command.name} exists already`, { pool: existing })
  }
  const record: Pool = {
    id: tx.newId('pool'),
    name: command.name,
    type,
    instance,
    pool,
    uuid: command.uuid,
    driver: command.driver,
    settings: command.settings,
    capacityMiB: command.capacityMiB,
    iops: command.iops,
    overcommitThousandths: command.overcommitThousandths,
    reserveMiB: command.reserveMiB,
    fence: command.fence,
    labels: command.labels,
    ...(command.mesos === undefined ? {} : { mesos: command.mesos }),
    state: 'active',
    marked: false,
    createdAt: tx.now,
  }
  checkLimit(record)
  tx.put('pool', record)
  if (command.markOn !== undefined) mark(tx, record, command.markOn)
  return about('pool', record, 'pool.created', { capacityMiB: record.capacityMiB, iops: record.iops })
}

/** Capacity, IOPS and quotas are facts: lowering them is recorded, and may put the pool into deficit. */
export function updatePool(tx: Transaction, command: Of<'pool.update'>): Outcome<Pool> {
  const { mesos: before, ...kept } = tx.need('pool', command.poolId)
  const { mesos = before, ...set } = command.set
  const record: Pool = { ...kept, ...set, ...(mesos === undefined || mesos === null ? {} : { mesos }) }
  checkLimit(record)
  tx.isFact = true
  return about('pool', tx.put('pool', record), 'pool.updated', { ...command.set })
}

export function markPool(tx: Transaction, command: Of<'pool.mark'>): Outcome<Pool> {
  const pool = tx.need('pool', command.poolId)
  if (!pool.marked && tx.state.operationsBySubject.get(pool.id).size === 0) mark(tx, pool, command.nodeId)
  return about('pool', pool, 'pool.marking', { node: command.nodeId })
}

function mark(tx: Transaction, pool: Pool, nodeId: string): void {
  tx.need('node', nodeId)
  startOperation(tx, {
    kind: 'mark',
    step: 'mark',
    subject: { kind: 'pool', id: pool.id },
    poolId: pool.id,
    pinnedTo: nodeId,
  })
}

export function deletePool(tx: Transaction, command: Of<'pool.delete'>): Outcome<Pool> {
  const pool = tx.need('pool', command.poolId)
  const left = {
    volumes: tx.state.volumesByPool.get(pool.id).size,
    snapshots: tx.state.snapshotsByPool.get(pool.id).size,
    holds: tx.state.holdsByPool.get(pool.id).size,
    operations: tx.state.operationsBySubject.get(pool.id).size,
  }
  const what = Object.entries(left).filter(([, count]) => count > 0)
  if (what.length > 0) {
    const list = what.map(([name, count]) => `${count} ${name}`).join(', ')
    throw new HoldfastError('in_use', `pool ${pool.name} still has ${list} (the trash counts too)`, { ...left })
  }
  tx.remove('pool', pool.id)
  return about('pool', pool, 'pool.deleted')
}

/** What a node saw of the pool. Written only when it says something new, so that reports cost nothing. */
export function reportPool(tx: Transaction, command: Of<'pool.report'>): Outcome<Pool> {
  const pool = tx.need('pool', command.poolId)
  const node = tx.need('node', command.nodeId)
  if (node.session !== command.session) throw staleSession(node.name)
  const sameCapabilities = JSON.stringify(pool.capabilities) === JSON.stringify(command.capabilities)
  if (!sameCapabilities || storageMoved(pool.storage, command.storage)) {
    const storage = command.storage === undefined ? {} : { storage: { ...command.storage, at: tx.now } }
    tx.put('pool', { ...pool, marked: true, capabilities: command.capabilities, ...storage })
  }
  return about('pool', pool, 'pool.reported', { node: node.name, storage: command.storage })
}

export function staleSession(node: string): HoldfastError {
  return new HoldfastError('stale_session', `node ${node} has another session now; connect again`)
}

/** One percent of the size is worth a record. */
function storageMoved(
  before: { sizeMiB: number; freeMiB: number } | undefined,
  after: { sizeMiB: number; freeMiB: number } | undefined,
): boolean {
  if (after === undefined) return false
  if (before === undefined) return true
  return before.sizeMiB !== after.sizeMiB || Math.abs(before.freeMiB - after.freeMiB) * 100 >= after.sizeMiB
}

function checkLimit(pool: Pool): void {
  if (poolLimitMiB(pool) >= 0) return
  throw new HoldfastError(
    'invalid_size',
    `pool ${pool.name}: the reserve of ${pool.reserveMiB} MiB is more than capacity × over-commit`,
  )
}
