import assert from 'node:assert/strict'
import type { Command } from '../../../src/ledger/commands.ts'
import { type Accepted, type Decision, decide, execute, type Key } from '../../../src/ledger/decide.ts'
import type { LedgerState } from '../../../src/ledger/state.ts'
import type { LedgerEvent } from '../../../src/model/event.ts'
import { type Change, RECORD_KINDS } from '../../../src/model/records.ts'
import { COMMAND_RECORDS } from '../../../src/store/store.ts'
import { checkAccepted, checkMayBeFull, checkWhole } from './command-checks.ts'
import { makeCommand } from './commands.ts'
import { EpochWatch } from './epochs.ts'
import { checkState } from './invariants.ts'
import { Random } from './random.ts'
import { recordsOf } from './recompute.ts'
import { same } from './same.ts'
import { checkChange, deepFreeze } from './schemas.ts'
import { connecting, emptyState, founding, Ids, START, World } from './world.ts'

/** One step as fast-check makes it: what kind of command, and a seed for the rest. */
export interface Step {
  readonly kind: Command['kind']
  readonly seed: number
}

interface Remembered {
  readonly command: Command
  readonly key: Key
  readonly answer: unknown
}

/** A ledger in use: every step is decided, checked from all sides, executed, and checked again. */
export class LedgerRun {
  readonly state: LedgerState = emptyState()
  readonly #ids = new Ids()
  readonly #watch = new EpochWatch()
  readonly #history: Change[] = []
  readonly #events: LedgerEvent[] = []
  readonly #keys: Remembered[] = []
  readonly #onDecision: (kind: Command['kind'], decision: Decision) => void
  #clock = START
  #steps = 0

  constructor(onDecision: (kind: Command['kind'], decision: Decision) => void = () => {}) {
    this.#onDecision = onDecision
    for (const command of founding()) this.perform(command, undefined, START)
    for (const command of connecting(this.state)) this.perform(command, undefined, START)
  }

  step({ kind, seed }: Step): void {
    this.#steps += 1
    const random = new Random(seed)
    this.#clock += kind === 'clock.tick' ? random.int(0, 300_000) : random.int(0, 4000)
    const now = random.chance(0.05) ? this.#clock - random.int(0, 100_000) : this.#clock
    const world = new World(this.state, random, now, this.#steps)
    const command = makeCommand(kind, world)
    const key = random.chance(0.3)
      ? { id: `key-${this.#steps}`, fingerprint: `print-${seed}`, expiresAt: now + random.int(1, 200_000) }
      : undefined
    this.perform(command, key, now)
    if (random.chance(0.1)) this.#repeatOld(random, now)
  }

  perform(command: Command, key: Key | undefined, now: number): void {
    const { state } = this
    const { revision, at } = state
    const before = recordsOf(state)
    const untouched = picture(state)
    const after = this.#watch.before(state, command)
    const planned = decide(state, command, { now, newId: this.#ids.fork().next, actor: 'tester' }, key)
    same(picture(state), untouched, 'decide changes nothing')
    same([state.revision, state.at], [revision, at], 'decide counts nothing')
    const decision = execute(state, command, { now, newId: this.#ids.next, actor: 'tester' }, key)
    same(essence(planned), essence(decision), 'execute does what decide said')
    this.#onDecision(command.kind, decision)
    if (!decision.ok) {
      assert.notEqual(decision.error.code, 'internal', `${command.kind}: ${decision.error.stack}`)
      same(picture(state), untouched, 'what is refused leaves no trace')
      same([state.revision, state.at], [revision, at], 'what is refused counts nothing')
      checkMayBeFull(command, decision.error.code)
      checkState(state)
      return
    }
    deepFreeze(decision.answer)
    this.#accepted(decision, { revision, at })
    checkAccepted(command, before, recordsOf(state), state.at)
    after(state)
    checkState(state)
    if (command.kind === 'group.create') checkWhole(command, decision)
    if (key !== undefined) this.#checkKey({ command, key, answer: decision.answer })
  }

  #accepted(decision: Accepted, before: { revision: number; at: number }): void {
    const { state } = this
    assert.ok(decision.changes.length <= COMMAND_RECORDS, `${decision.changes.length} records in one command`)
    for (const change of decision.changes) {
      checkChange(change)
      assert.equal(state.get(change.kind, change.id), change.record, 'the state holds what was said to change')
    }
    this.#history.push(...decision.changes)
    assert.ok(state.at >= before.at, 'time never goes back')
    if (decision.event === undefined) {
      assert.equal(decision.changes.length, 0)
      assert.equal(state.revision, before.revision)
      return
    }
    this.#events.push(decision.event)
    assert.equal(state.revision, before.revision + 1)
    same([decision.event.revision, decision.event.at], [state.revision, state.at], 'event')
    same(JSON.parse(JSON.stringify(decision.event.data)), defined(decision.event.data), 'data survives JSON')
  }

  /** I7: again is the same answer and no change; with other parameters it is a conflict. */
  #checkKey(first: Remembered): void {
    this.#keys.push(first)
    this.#expectSame(first, this.#clock)
    const other = { ...first.key, fingerprint: 'other' }
    const context = { now: this.#clock, newId: this.#ids.fork().next, actor: 'tester' }
    if (isOver(this.state, first.key)) return
    const refused = execute(this.state, first.command, context, other)
    assert.equal(refused.ok ? 'accepted' : refused.error.code, 'key_conflict')
  }

  #repeatOld(random: Random, now: number): void {
    const old = random.pick(this.#keys)
    if (old !== undefined) this.#expectSame(old, now)
  }

  #expectSame({ command, key, answer }: Remembered, now: number): void {
    if (isOver(this.state, key) || this.state.get('key', key.id) === undefined) return
    const untouched = picture(this.state)
    const again = execute(this.state, command, { now, newId: this.#ids.fork().next, actor: 'tester' }, key)
    same(essence(again), { ok: true, answer, changes: [], event: undefined }, 'a repeat gives the first answer')
    same(picture(this.state), untouched, 'a repeat changes nothing')
  }

  /** What the store has is enough: the changes alone, in order, give the same ledger again. */
  finish(): void {
    const again = emptyState()
    for (const change of this.#history)
      again.apply(JSON.parse(JSON.stringify({ ...change, record: change.record ?? null }), dropNull) as Change)
    same(sorted(recordsOf(again)), sorted(recordsOf(this.state)), 'a replay gives the same records')
    same(again.sums(), this.state.sums(), 'a replay gives the same sums')
    checkState(again)
    same(
      this.#events.map((event) => event.revision),
      this.#events.map((_, index) => index + 1),
      'every accepted command has its revision',
    )
  }
}

/** Whether a key's time has passed; while expiry is suspended none has. */
function isOver(state: LedgerState, key: Key): boolean {
  return key.expiresAt <= state.at && state.get('clock', 'clock') === undefined
}

/** A decision without the function that takes it back. */
function essence(decision: Decision): unknown {
  if (!decision.ok) return { code: decision.error.code, message: decision.error.message, data: decision.error.data }
  const { undo: _, ...rest } = decision
  return rest
}

function dropNull(key: string, value: unknown): unknown {
  return key === 'record' && value === null ? undefined : value
}

function sorted(records: ReturnType<typeof recordsOf>) {
  return Object.fromEntries(
    Object.entries(records).map(([kind, list]) => [kind, new Map(list.map((record) => [record.id, record]))]),
  )
}

/** Records by identity (they are frozen), and the sums: enough to see any change. */
function picture(state: LedgerState) {
  return [...RECORD_KINDS.map((kind) => identities(state.all(kind))), new Map(state.sums())]
}

const numbers = new WeakMap<object, number>()
let made = 0

/** Every record object as a number of its own, so that comparing is cheap. */
function identities(records: ReadonlyMap<string, object>): Map<string, number> {
  const result = new Map<string, number>()
  for (const [id, record] of records) {
    let number = numbers.get(record)
    if (number === undefined) {
      made += 1
      number = made
      numbers.set(record, number)
    }
    result.set(id, number)
  }
  return result
}

function defined(data: Readonly<Record<string, unknown>>): unknown {
  return JSON.parse(JSON.stringify(data))
}
