import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Engine } from '../src/controller/engine.ts'
import { createIds } from '../src/runtime/ids.ts'
import { systemClock } from '../src/runtime/system-clock.ts'
import { openSqliteStore } from '../src/store/sqlite/open.ts'
import { type Line, median } from './figures.ts'

const ROUNDS = 7
const ROUND_MS = 400
/** A hold is one record and one event. */
const ROWS_PER_HOLD = 2

/**
 * Durable holds per second, decided, serialised and committed, by so many callers at once; against raw SQLite
 * transactions that insert the very rows, serialised beforehand, in transactions of the same size.
 */
export async function benchHolds(callers: number): Promise<Line> {
  const directory = mkdtempSync(join(tmpdir(), 'hf-bench-'))
  const store = await openSqliteStore({ directory: join(directory, 'state') })
  const engine = new Engine({ store, clock: systemClock, newId: createIds(systemClock) })
  await engine.start()
  const poolId = await createPool(engine)
  const raw = new RawInserts(join(directory, 'raw.db'))
  const ours: number[] = []
  const reference: number[] = []
  try {
    const batches = await sampleBatches(engine, poolId, callers)
    const batch = ROWS_PER_HOLD * Math.max(1, Math.round(batches.flat().length / batches.length / ROWS_PER_HOLD))
    const rows = batches.flat()
    for (let round = 0; round < ROUNDS; round += 1) {
      ours.push(await holdsPerSecond(engine, poolId, callers))
      reference.push(raw.rowsPerSecond(rows, batch) / ROWS_PER_HOLD)
    }
    return {
      name: `holds, ${callers} callers`,
      ours: median(ours),
      reference: median(reference),
      unit: 'holds/s',
      against: `raw SQLite inserts of the same rows, ${batch / ROWS_PER_HOLD} holds a transaction`,
    }
  } finally {
    raw.close()
    await engine.stop()
    await store.close()
    rmSync(directory, { recursive: true })
  }
}

/** A first round, not measured: which rows are written, and how many together. */
async function sampleBatches(engine: Engine, poolId: string, callers: number): Promise<string[][]> {
  const batches: string[][] = []
  const stop = engine.onCommitted(({ changes, events }) => {
    if (batches.length < 500)
      batches.push([
        ...changes.map((change) => JSON.stringify(change.record)),
        ...events.map((event) => JSON.stringify(event)),
      ])
  })
  await holdsPerSecond(engine, poolId, callers)
  stop()
  return batches
}

async function createPool(engine: Engine): Promise<string> {
  const { answer } = await engine.submit({
    actor: 'bench',
    command: {
      kind: 'pool.create',
      name: 'loop~bench~pool',
      uuid: '00000000-0000-4000-8000-000000000000',
      driver: 'loop',
      settings: { directory: '/nowhere' },
      capacityMiB: 2 ** 43,
      iops: 0,
      overcommitThousandths: 1000,
      reserveMiB: 0,
      fence: 'manual',
      labels: {},
      markOn: undefined,
    },
  })
  return (answer as { id: string }).id
}

async function holdsPerSecond(engine: Engine, poolId: string, callers: number): Promise<number> {
  const start = performance.now()
  let count = 0
  const caller = async () => {
    while (performance.now() - start < ROUND_MS) {
      await engine.submit({
        actor: 'bench',
        command: { kind: 'hold.create', poolId, role: 'bench', sizeMiB: 1, iops: 0, expiresAt: undefined, labels: {} },
      })
      count += 1
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  return (count * 1000) / (performance.now() - start)
}

/** The floor: prepared inserts of two texts, in a write-ahead log with full durability, on this thread. */
class RawInserts {
  readonly #database: DatabaseSync
  #id = 0

  constructor(path: string) {
    this.#database = new DatabaseSync(path)
    this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    this.#database.exec('CREATE TABLE records (kind TEXT, id TEXT, json TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID')
  }

  rowsPerSecond(rows: readonly string[], batch: number): number {
    const insert = this.#database.prepare('INSERT INTO records VALUES (?, ?, ?)')
    const start = performance.now()
    let count = 0
    while (performance.now() - start < ROUND_MS) {
      this.#database.exec('BEGIN IMMEDIATE')
      for (let index = 0; index < batch; index += 1) {
        this.#id += 1
        insert.run('hold', `hold-${String(this.#id).padStart(20, '0')}`, rows[this.#id % rows.length] as string)
        count += 1
      }
      this.#database.exec('COMMIT')
    }
    return (count * 1000) / (performance.now() - start)
  }

  close(): void {
    this.#database.close()
  }
}
