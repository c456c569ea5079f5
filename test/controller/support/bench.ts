/** An engine on a disk in memory whose way there can be held, so that what happens in between can be looked at. */
import { type Answer, Engine, type Request } from '../../../src/controller/engine.ts'
import type { Command } from '../../../src/ledger/commands.ts'
import type { Hold } from '../../../src/model/hold.ts'
import type { Pool } from '../../../src/model/pool.ts'
import { createIds } from '../../../src/runtime/ids.ts'
import { type CommitFault, MemoryDisk, MemoryStore } from '../../../src/store/memory.ts'
import type { Batch } from '../../../src/store/store.ts'
import { TestClock } from './test-clock.ts'

export const INSTALLATION = '11111111-2222-4333-8444-555555555555'

/** Something on the way to the disk waits here while it is shut. */
export class Gate {
  #shut: PromiseWithResolvers<void> | undefined

  shut(): void {
    this.#shut ??= Promise.withResolvers<void>()
  }

  open(): void {
    this.#shut?.resolve()
    this.#shut = undefined
  }

  readonly pass = async (): Promise<void> => {
    await this.#shut?.promise
  }
}

export interface Bench {
  readonly engine: Engine
  readonly store: MemoryStore
  readonly disk: MemoryDisk
  readonly clock: TestClock
  readonly gate: Gate
  /** Every batch that reached the disk. */
  readonly batches: Batch[]
  /** What becomes of the next batches; `ok` when there are none. */
  readonly faults: CommitFault[]
}

export function bench(clock = new TestClock(), disk = new MemoryDisk(INSTALLATION), trustClock = false): Bench {
  const gate = new Gate()
  const batches: Batch[] = []
  const faults: CommitFault[] = []
  const beforeCommit = (batch: Batch) => {
    batches.push(batch)
    return faults.shift() ?? 'ok'
  }
  const store = new MemoryStore(disk, { faults: { beforeCommit }, delay: gate.pass })
  const engine = new Engine({ store, clock, newId: createIds(clock), trustClock })
  return { engine, store, disk, clock, gate, batches, faults }
}

export function poolCommand(name: string, capacityMiB: number): Command {
  return {
    kind: 'pool.create',
    name: `loop~test~${name}`,
    uuid: crypto.randomUUID(),
    driver: 'loop',
    settings: {},
    capacityMiB,
    iops: 0,
    overcommitThousandths: 1000,
    reserveMiB: 0,
    fence: 'manual',
    labels: {},
    markOn: undefined,
  }
}

export interface HoldWish {
  readonly sizeMiB?: number
  readonly expiresAt?: number | undefined
  readonly labels?: Record<string, string>
}

export function holdCommand(poolId: string, { sizeMiB = 1, expiresAt, labels = {} }: HoldWish = {}): Command {
  return { kind: 'hold.create', poolId, role: 'ads', sizeMiB, iops: 0, expiresAt, labels }
}

export function ask(engine: Engine, command: Request['command'], key?: string, expiresAt = 10 ** 15): Promise<Answer> {
  const known = key === undefined ? {} : { key: { id: key, fingerprint: 'same', expiresAt } }
  return engine.submit({ actor: 'test', command, ...known })
}

export async function addPool(engine: Engine, capacityMiB = 1_000_000): Promise<string> {
  return ((await ask(engine, poolCommand('one', capacityMiB))).answer as Pool).id
}

export function holdsOf(engine: Engine): Promise<Hold[]> {
  return engine.read((state) => [...state.all('hold').values()])
}

/** `waiting`, `done`, or the code it was refused with, at this moment. */
export function watch(asked: Promise<unknown>): { readonly now: string } {
  const seen = { now: 'waiting' }
  asked.then(
    () => {
      seen.now = 'done'
    },
    (error: { code: string }) => {
      seen.now = error.code
    },
  )
  return seen
}
