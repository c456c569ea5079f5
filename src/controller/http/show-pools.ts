import { Type } from 'typebox'
import { poolHeldIops, poolHeldMiB, poolIops, poolMiB } from '../../ledger/accounts.ts'
import { freeOf, limitOf } from '../../ledger/limits.ts'
import type { LedgerState } from '../../ledger/state.ts'
import { isLowOnStorage, isThin, Pool } from '../../model/pool.ts'
import { Deficit } from '../../model/records.ts'
import { shownSchema, withTimes } from './rest-schema.ts'

const { overcommitThousandths: _, ...plain } = Pool.properties
const Amount = Type.Integer()

export const PoolUsage = Type.Object({
  /** capacity × over-commit − reserve */
  limitMiB: Amount,
  /** Volumes, snapshots and the trash. */
  usedMiB: Amount,
  /** What holds set aside and nobody has drawn. */
  heldMiB: Amount,
  freeMiB: Amount,
  /** Null: the pool counts no IOPS. */
  iopsLimit: Type.Union([Amount, Type.Null()]),
  iopsUsed: Amount,
  iopsHeld: Amount,
  iopsFree: Type.Union([Amount, Type.Null()]),
})

export const ShownPool = shownSchema(
  Type.Object({
    ...plain,
    overcommit: Type.Number(),
    usage: PoolUsage,
    thin: Type.Boolean(),
    lowOnStorage: Type.Boolean(),
    deficit: Type.Optional(Type.Array(Deficit)),
    /** How many nodes reach it. */
    nodes: Type.Integer(),
  }),
)

export function poolUsage(state: LedgerState, pool: Pool) {
  const heldMiB = state.sum(poolHeldMiB(pool.id))
  const iopsHeld = state.sum(poolHeldIops(pool.id))
  const counted = pool.iops > 0
  return {
    limitMiB: limitOf(state, poolMiB(pool.id)) ?? 0,
    usedMiB: state.sum(poolMiB(pool.id)) - heldMiB,
    heldMiB,
    freeMiB: finite(freeOf(state, poolMiB(pool.id))) ?? 0,
    iopsLimit: counted ? pool.iops : null,
    iopsUsed: state.sum(poolIops(pool.id)) - iopsHeld,
    iopsHeld,
    iopsFree: counted ? finite(freeOf(state, poolIops(pool.id))) : null,
  }
}

/** Null where nothing limits it. */
export function finite(amount: number): number | null {
  return Number.isFinite(amount) ? amount : null
}

/** The deficits of some accounts, if there are any. */
export function deficits(state: LedgerState, accounts: readonly string[]): { deficit?: Deficit[] } {
  const found = accounts.map((account) => state.get('deficit', account)).filter((each) => each !== undefined)
  return found.length === 0 ? {} : { deficit: found }
}

export function showPool(state: LedgerState, pool: Pool): unknown {
  const { overcommitThousandths, ...record } = pool
  return withTimes({
    ...record,
    overcommit: overcommitThousandths / 1000,
    usage: poolUsage(state, pool),
    thin: isThin(pool),
    lowOnStorage: isLowOnStorage(pool),
    ...deficits(state, [poolMiB(pool.id), poolIops(pool.id)]),
    nodes: state.nodesByPool.get(pool.id).size,
  })
}
