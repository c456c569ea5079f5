/** Whatever happens in whatever order, and however often the logic is killed: the rules of the protocol hold. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ProviderCall } from '../../../src/mesos/provider-protocol.ts'
import { scaled } from '../../support/scale.ts'
import {
  acknowledge,
  begun,
  createDisk,
  type LogicScript,
  POOL,
  PROJECTION,
  PROVIDER,
  projectedDisk,
  publish,
  usual,
  versionOf,
  volumeResource,
} from './support/logic-script.ts'

type Move =
  | { kind: 'create'; size: number; stale: boolean }
  | { kind: 'publish'; volume: number }
  | { kind: 'answer'; which: number; how: 'yes' | 'later' | 'no' }
  | { kind: 'acknowledge' }
  | { kind: 'pass'; ms: number }
  | { kind: 'raw'; size: number }
  | { kind: 'kill'; updated: boolean }
  | { kind: 'disconnect' }

const move: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('create' as const),
      size: fc.integer({ min: 1, max: 400 }),
      stale: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('publish' as const), volume: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('answer' as const),
      which: fc.nat(5),
      how: fc.constantFrom('yes' as const, 'yes' as const, 'later' as const, 'no' as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('acknowledge' as const) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 8000 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('raw' as const), size: fc.integer({ min: 0, max: 1000 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kill' as const), updated: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('disconnect' as const) }) },
)

/** What was asked of the provider, and what has come of it. */
class Walk {
  readonly script: LogicScript = begun({ disks: [1, 2, 3].map((each) => projectedDisk(`vol-${each}`)) })
  /** Sizes of operations that were asked for and have no status yet. */
  readonly under = new Map<string, number>()
  readonly published = new Map<string, 'waiting' | 'answered'>()
  #created = 0
  #published = 0
  #read = this.script.calls.length

  constructor() {
    this.script.answer = (request) => (request.kind === 'look' ? { ok: true, value: EMPTY } : usual(request))
  }

  do(each: Move): void {
    const { script } = this
    if (script.streamState !== 'open' && each.kind !== 'pass' && each.kind !== 'answer' && each.kind !== 'kill') return
    if (each.kind === 'create') this.#create(each.size, each.stale)
    else if (each.kind === 'publish') this.#publish(each.volume)
    else if (each.kind === 'answer') this.#answer(each.which, each.how)
    else if (each.kind === 'acknowledge') {
      if (script.calls.some(({ type }) => type === 'UPDATE_OPERATION_STATUS')) script.event(acknowledge(script))
    } else if (each.kind === 'pass') script.pass(each.ms)
    else if (each.kind === 'raw')
      script.line({ kind: 'raw', revision: 1, poolId: POOL, raw: [{ ...PROJECTION.raw[0]!, sizeMiB: each.size }] })
    else if (each.kind === 'kill') script.restart(each.updated)
    else this.#disconnect()
    if (script.streamState === 'opening')
      script.event({ type: 'SUBSCRIBED', subscribed: { provider_id: { value: PROVIDER } } })
    this.check()
  }

  #create(size: number, stale: boolean): void {
    this.#created += 1
    if (!stale) this.under.set(`create-${this.#created}`, size)
    this.script.event(createDisk(this.script, this.#created, size, stale ? 'c3RhbGU=' : versionOf(this.script)))
  }

  #publish(volume: number): void {
    this.#published += 1
    const name = `publish-${this.#published}`
    this.published.set(name, 'waiting')
    this.script.event(publish(name, volumeResource(`vol-${volume}`)))
  }

  #answer(which: number, how: 'yes' | 'later' | 'no'): void {
    const { open } = this.script
    const found = [...open].filter(([id]) => id.startsWith('disk ') || id.startsWith('volume '))
    const [id, request] = found[which % Math.max(1, found.length)] ?? []
    if (id === undefined || request === undefined) return
    const isDisk = id.startsWith('disk ')
    const volumeId = `made-${id.slice(-4)}`
    if (how === 'later') this.script.refuse(id, isDisk ? 'unreachable' : 'node_unreachable', 'away')
    else if (how === 'no') this.script.refuse(id, isDisk ? 'does_not_fit' : 'held_elsewhere', 'no')
    else if (request.kind === 'mount') this.script.reply(id, { path: `/mnt/${request.volumeId}/target` })
    else if (request.kind === 'unmount') this.script.reply(id, {})
    else this.script.reply(id, { volumeId, state: 'ready', disk: projectedDisk(volumeId, { sizeMiB: 1 }) })
  }

  /** The agent restarts: nobody there waits for an answer to PUBLISH any more. */
  #disconnect(): void {
    for (const name of this.published.keys()) this.published.delete(name)
    this.script.closed('ended')
  }

  check(): void {
    for (const call of this.script.calls.slice(this.#read)) this.#checkCall(call)
    this.#read = this.script.calls.length
  }

  #checkCall(call: ProviderCall): void {
    if (call.type === 'UPDATE_PUBLISH_RESOURCES_STATUS') {
      const name = call.update_publish_resources_status.uuid.value
      expect(this.published.get(name), `${name} is answered`).toBe('waiting')
      this.published.set(name, 'answered')
    } else if (call.type === 'UPDATE_OPERATION_STATUS') {
      const { status } = call.update_operation_status
      expect(status.uuid).toBeDefined()
      this.under.delete(status.operation_id?.value ?? '')
    } else {
      const { resources, operations } = call.update_state
      const raw = resources.reduce(
        (sum, { disk, scalar }) => sum + (disk?.source?.type === 'RAW' ? (scalar?.value ?? 0) : 0),
        0,
      )
      const pending = operations.filter(({ latest_status }) => latest_status.state === 'OPERATION_PENDING')
      for (const { info, agent_id } of operations) {
        expect(agent_id).toEqual({ value: 'agent-1' })
        expect(info.id).toBeDefined()
      }
      // what unfinished operations consume is in the totals, and all of them are in the list
      const held = pending.reduce((sum, { info }) => sum + (info.create_disk?.source.scalar?.value ?? 0), 0)
      expect(raw).toBeGreaterThanOrEqual(held)
      const listed = new Set(operations.map(({ info }) => info.id?.value))
      for (const id of this.under.keys()) expect(listed, `${id} is listed`).toContain(id)
    }
  }

  /** Everything that is asked is answered now, and time passes: nothing may be left. */
  end(): void {
    for (let round = 0; round < 40; round += 1) {
      while ([...this.script.open.keys()].some((id) => id.startsWith('disk ') || id.startsWith('volume '))) {
        this.#answer(0, 'yes')
        if (this.script.streamState === 'opening') this.do({ kind: 'pass', ms: 0 })
        this.check()
      }
      this.do({ kind: 'pass', ms: 5000 })
      for (const status of statusesOf(this.script)) this.script.event(status)
      this.check()
    }
  }
}

/** Acknowledgements of every status that was sent. */
function statusesOf(script: LogicScript) {
  return script.calls.flatMap((call) =>
    call.type === 'UPDATE_OPERATION_STATUS'
      ? [
          {
            type: 'ACKNOWLEDGE_OPERATION_STATUS' as const,
            acknowledge_operation_status: {
              operation_uuid: call.update_operation_status.operation_uuid,
              status_uuid: call.update_operation_status.status.uuid ?? { value: '' },
            },
          },
        ]
      : [],
  )
}

const EMPTY = {
  state: {
    pendingTasks: [],
    queuedTasks: [],
    launchedTasks: [],
    terminatedTasks: [],
    completedTasks: [],
    executors: [],
    completedExecutors: [],
  },
  containers: [],
}

test('every publish is answered once, what is consumed stays, every operation ends, all is given back', () => {
  fc.assert(
    fc.property(fc.array(move, { minLength: 1, maxLength: 60, size: 'max' }), (moves) => {
      const walk = new Walk()
      for (const each of moves) walk.do(each)
      walk.end()
      expect([...walk.published.values()].filter((state) => state === 'waiting')).toEqual([])
      expect([...walk.under.keys()]).toEqual([])
      const left = [...walk.script.journal.keys()].filter((id) => !/^(agent|node|provider\/|shown\/)/.test(id))
      expect(left).toEqual([])
    }),
    { numRuns: scaled(300) },
  )
})
