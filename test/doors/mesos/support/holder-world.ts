/** A real holder with a logic that does what the test says. */
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import {
  Holder,
  type HolderLimits,
  type HolderParts,
  type LogicProcess,
} from '../../../../src/doors/mesos/holder/holder.ts'
import { HolderJournal } from '../../../../src/doors/mesos/holder/holder-journal.ts'
import type {
  Hello,
  HolderMessage,
  JournalWrite,
  LogicMessage,
  StreamEvent,
} from '../../../../src/doors/mesos/holder/protocol.ts'
import { testDir } from '../../../support/temp-dir.ts'
import { until } from '../../../support/until.ts'

type Call = Extract<LogicMessage, { kind: 'ready' }>['calls'][number]

/** Stands where the child is: messages go through JSON, as over its channel. */
export class ScriptedLogic implements LogicProcess {
  readonly said: HolderMessage[] = []
  restarts = 0
  #events: Parameters<HolderParts['logic']>[0] | undefined
  #lastId = 0

  attach(events: Parameters<HolderParts['logic']>[0]): this {
    this.#events = events
    return this
  }

  start(): void {
    this.#events?.onStart()
  }

  send(message: object): void {
    this.said.push(JSON.parse(JSON.stringify(message)))
  }

  restart(): void {
    this.restarts += 1
    this.#events?.onStart()
  }

  async close(): Promise<void> {}

  say(message: LogicMessage): void {
    this.#events?.onMessage(JSON.parse(JSON.stringify(message)))
  }

  ready(what: { writes?: JournalWrite[]; consumed?: number[]; calls?: Call[] }): number {
    this.#lastId += 1
    this.say({ kind: 'ready', id: this.#lastId, writes: [], consumed: [], calls: [], ...what })
    return this.#lastId
  }

  get hellos(): Hello[] {
    return this.said.filter((each): each is Hello => each.kind === 'hello')
  }

  get events(): StreamEvent[] {
    return this.said.filter((each): each is StreamEvent => each.kind === 'event' || each.kind === 'closed')
  }

  async done(id: number) {
    return until(
      () =>
        this.said.find((each) => each.kind === 'done' && each.id === id) as
          | Extract<HolderMessage, { kind: 'done' }>
          | undefined,
      {
        what: `the results of ${id}`,
      },
    )
  }

  async event(type: string) {
    const isIt = (each: StreamEvent) => each.kind === 'event' && each.event.type === type
    return until(() => this.events.find(isIt), { what: `the event ${type}` })
  }

  async closed() {
    return this.ended()
  }

  /** The end of the stream under that key, or of the first one. */
  async ended(key?: string) {
    const isIt = (each: StreamEvent) => each.kind === 'closed' && (key === undefined || each.key === key)
    const found = await until(() => this.events.find(isIt), { what: 'the end of the stream' })
    return found as Extract<StreamEvent, { kind: 'closed' }>
  }
}

export interface HolderWorld {
  readonly holder: Holder
  readonly logic: ScriptedLogic
  readonly journal: HolderJournal
  readonly logs: { event: string; data: Record<string, unknown> }[]
}

export function holderWorld(
  limits: Partial<HolderLimits> = {},
  journal?: HolderParts['journal'],
  access?: HolderParts['access'],
): HolderWorld {
  const logic = new ScriptedLogic()
  const logs: HolderWorld['logs'] = []
  const real = new HolderJournal(join(testDir(), 'journal.db'))
  const holder = new Holder({
    journal: journal ?? real,
    logic: (events) => logic.attach(events),
    settings: { some: 'settings' },
    limits,
    ...(access === undefined ? {} : { access }),
    log: (event, data) => logs.push({ event, data }),
  })
  holder.start()
  onTestFinished(async () => {
    await holder.close()
    real.close()
  })
  return { holder, logic, journal: real, logs }
}

/** Subscribes under the key `p`. */
export function subscribe(logic: ScriptedLogic, agent: string, id?: string, key = 'p'): void {
  const info = { type: 'org.holdfast.loop', name: key, ...(id === undefined ? {} : { id: { value: id } }) }
  logic.say({ kind: 'subscribe', key, agent, info })
}

export function updateState(version: string): Call['body'] {
  return {
    type: 'UPDATE_STATE',
    resource_provider_id: { value: 'id-of-p' },
    update_state: { resources: [], operations: [], resource_version_uuid: { value: version } },
  }
}

export function answer(uuid: string, status: 'OK' | 'FAILED'): Call['body'] {
  return {
    type: 'UPDATE_PUBLISH_RESOURCES_STATUS',
    resource_provider_id: { value: 'id-of-p' },
    update_publish_resources_status: { uuid: { value: uuid }, status },
  }
}
