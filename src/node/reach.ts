import type { Clock } from '../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import { handleId } from '../model/fields.ts'
import type { CallBody, PoolReport } from '../model/node-protocol.ts'
import { deadline } from './deadline.ts'
import type { NodePools } from './pools.ts'

const PROBE_EVERY_MS = 10_000
/** A pool that is not reached is looked at more often: it may be marked, or its share mounted, any moment. */
const RETRY_EVERY_MS = 1000
const PROBE_DEADLINE_MS = 8_000
/** What is reached is said again this often, whatever became of the words before. */
const TELL_EVERY_MS = 30_000
const INVENTORY_EVERY_MS = 60_000

export interface ReachParts {
  readonly pools: NodePools
  readonly clock: Clock
  /** How often a pool that is reached is looked at, ms; 10,000 if not given. */
  readonly probeEveryMs?: number | undefined
  readonly reportPools: (reports: PoolReport[]) => Promise<void>
  readonly reportInventory: (inventory: CallBody<'inventory'>) => Promise<void>
  readonly log: (event: string, data: Record<string, unknown>) => void
}

/**
 * Finds out which pools this node reaches, by reading their markers, and what is on them. Each pool is looked at by
 * itself: one that hangs delays no other.
 */
export class Reach {
  readonly #parts: ReachParts
  readonly #reports = new Map<string, PoolReport>()
  readonly #probing = new Set<string>()
  readonly #probedAt = new Map<string, number>()
  readonly #inventoried = new Map<string, number>()
  #cancelTimer: (() => void) | undefined
  #stopped = true
  #said = ''
  #saidAt = 0
  #telling = false

  constructor(parts: ReachParts) {
    this.#parts = parts
  }

  start(): void {
    this.#stopped = false
    this.#tick()
  }

  stop(): void {
    this.#stopped = true
    this.#cancelTimer?.()
  }

  /** The pools that are reached as of the last look. */
  get reached(): string[] {
    return [...this.#reports.values()].filter((report) => report.ok).map((report) => report.poolId)
  }

  /** Looks at once: the pools changed, or a new session must be told. */
  refresh(): void {
    this.#said = ''
    if (this.#stopped) return
    for (const poolId of this.#reports.keys())
      if (this.#parts.pools.spec(poolId) === undefined) this.#reports.delete(poolId)
    for (const poolId of this.#parts.pools.ids) void this.#probe(poolId)
    this.#tell()
  }

  #tick(): void {
    if (this.#stopped) return
    this.#probeDue()
    this.#cancelTimer = this.#parts.clock.after(RETRY_EVERY_MS, () => this.#tick())
  }

  #probeDue(): void {
    const { clock, probeEveryMs = PROBE_EVERY_MS } = this.#parts
    const now = clock.boottime()
    for (const poolId of this.#parts.pools.ids) {
      const wait = this.#reports.get(poolId)?.ok === true ? probeEveryMs : RETRY_EVERY_MS
      const last = this.#probedAt.get(poolId)
      if (last === undefined || now - last >= wait) void this.#probe(poolId)
    }
  }

  async #probe(poolId: string): Promise<void> {
    if (this.#probing.has(poolId)) return
    this.#probing.add(poolId)
    this.#probedAt.set(poolId, this.#parts.clock.boottime())
    const report = await this.#look(poolId)
    this.#probing.delete(poolId)
    if (this.#stopped || this.#parts.pools.spec(poolId) === undefined) return
    const before = this.#reports.get(poolId)
    this.#reports.set(poolId, report)
    if (before?.ok !== report.ok) {
      const why = report.ok ? {} : { code: report.code, message: report.message }
      this.#parts.log(report.ok ? 'pool.reached' : 'pool.not-reached', { pool: poolId, ...why })
    }
    this.#tell()
    if (report.ok) await this.#inventory(poolId)
  }

  async #look(poolId: string): Promise<PoolReport> {
    const abort = deadline(this.#parts.clock, PROBE_DEADLINE_MS)
    try {
      const { driver, target } = this.#parts.pools.access(poolId)
      const { capabilities, sizeMiB, freeMiB } = await driver.probe(target, abort)
      const storage = sizeMiB === undefined || freeMiB === undefined ? {} : { storage: { sizeMiB, freeMiB } }
      const { filesystems, idempotent, ...rest } = capabilities
      return {
        poolId,
        ok: true,
        capabilities: { ...rest, filesystems: [...filesystems], idempotent: [...idempotent] },
        ...storage,
      }
    } catch (thrown) {
      const late = abort.aborted
      const { code, message } = late
        ? new HoldfastError('storage_timeout', `pool ${poolId} did not answer within ${PROBE_DEADLINE_MS / 1000} s`)
        : asHoldfastError(thrown)
      return { poolId, ok: false, code, message }
    }
  }

  /** Says what is reached, one word after the other: two on their way at once could arrive in the wrong order. */
  #tell(): void {
    const reports = [...this.#reports.values()]
    const text = JSON.stringify(reports)
    const now = this.#parts.clock.boottime()
    if (this.#telling || (text === this.#said && now - this.#saidAt < TELL_EVERY_MS)) return
    this.#said = text
    this.#saidAt = now
    this.#telling = true
    void this.#parts
      .reportPools(reports)
      .then(() => true)
      .catch(() => false)
      .then((told) => {
        this.#telling = false
        if (told) this.#tell()
        else this.#said = ''
      })
  }

  async #inventory(poolId: string): Promise<void> {
    const now = this.#parts.clock.boottime()
    if (now - (this.#inventoried.get(poolId) ?? -INVENTORY_EVERY_MS) < INVENTORY_EVERY_MS) return
    this.#inventoried.set(poolId, now)
    try {
      const { driver, target } = this.#parts.pools.access(poolId)
      const signal = deadline(this.#parts.clock, 30_000)
      const attached = new Set((await driver.attached(target, signal)).map((each) => each.object))
      const found = await driver.inventory(target, signal)
      const objects = found.slice(0, 10_000).map(({ name, sizeMiB, usedMiB, handle }) => ({
        name,
        sizeMiB,
        // storage may have cut the name off, or given another one
        ...(handle === undefined ? {} : { handle: handleId(handle) }),
        ...(usedMiB === undefined ? {} : { usedMiB }),
        attached: attached.has(name),
      }))
      const report = this.#reports.get(poolId)
      const canList = report?.ok === true && report.capabilities.list !== false
      const complete = canList && objects.length === found.length
      await this.#parts.reportInventory({ poolId, objects, complete })
    } catch (thrown) {
      this.#parts.log('inventory.failed', { pool: poolId, message: asHoldfastError(thrown).message })
      this.#inventoried.delete(poolId)
    }
  }
}
