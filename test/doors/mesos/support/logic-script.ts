/** Plays the holder, the agent, the controller and the node daemon to the logic, in virtual time, and writes down what it does. */
import type { CallResult, Hello, JournalWrite, StreamEvent } from '../../../../src/doors/mesos/holder/protocol.ts'
import type { Effects, Reply, Request } from '../../../../src/doors/mesos/logic/desk.ts'
import { type Input, Logic } from '../../../../src/doors/mesos/logic/logic.ts'
import { uuidBase64 } from '../../../../src/doors/mesos/logic/uuids.ts'
import type { ProjectedDisk, Projection, ProjectionLine } from '../../../../src/mesos/projection.ts'
import type { ProviderCall, ProviderEvent } from '../../../../src/mesos/provider-protocol.ts'
import type { Resource } from '../../../../src/mesos/resource.ts'
import { type ErrorCode, HoldfastError } from '../../../../src/model/errors.ts'

export const POOL = 'pool-1'
export const PROVIDER = 'provider-1'
export const MOUNT_ROOT = '/mnt'
export const HELD = [{ type: 'DYNAMIC', role: 'ads', principal: 'holdfast' }] as const

type Answer = (request: Request) => Reply | undefined

export class LogicScript {
  readonly journal = new Map<string, unknown>()
  readonly transcript: string[] = []
  /** Requests without an answer. */
  readonly open = new Map<string, Request>()
  readonly calls: ProviderCall[] = []
  now = 0
  /** What is answered by itself; undefined leaves it open. */
  answer: Answer = () => undefined
  /** The agent's answer to a call. */
  result: (body: ProviderCall) => CallResult = () => ({ status: 202, text: '' })
  stopped: readonly string[] | undefined
  #logic = this.#made()
  #wakeAt: number | undefined
  #uuids = 0
  #seq = 0
  #kept = new Map<number, StreamEvent>()
  #stream: 'opening' | 'open' | undefined
  /** As the holder has it: the agent has accepted the last UPDATE_STATE. */
  #updated = false

  #made(): Logic {
    return new Logic({
      agentUrl: 'http://agent:5051',
      newUuid: () => {
        this.#uuids += 1
        return uuidBase64(uuid(this.#uuids))
      },
      wallClock: () => '2026-01-01T00:00:00Z',
      publishMs: 55_000,
    })
  }

  get streamState() {
    return this.#stream
  }

  /** A line between the lines. */
  note(text: string): void {
    this.transcript.push('', `# ${text}`)
  }

  start(fresh = true): void {
    const view = { key: POOL, providerId: PROVIDER, updated: this.#updated }
    const streams = this.#stream === undefined ? [] : [{ ...view, state: this.#stream }]
    this.step({
      kind: 'hello',
      protocol: 1,
      settings: {},
      fresh,
      streams,
      journal: [...this.journal] as JournalWrite[],
      events: [...this.#kept.values()],
    } satisfies Hello)
  }

  /**
   * The logic is killed and begins anew from what was written.
   * @param updated whether the agent has answered the last UPDATE_STATE; as it is, if not given
   */
  restart(updated = this.#updated): void {
    this.#updated = updated
    this.open.clear()
    this.#logic = this.#made()
    this.start(false)
  }

  event(event: ProviderEvent, ageMs = 0): void {
    if (event.type === 'SUBSCRIBED') this.#stream = 'open'
    this.#seq += 1
    const kept: StreamEvent = { kind: 'event', seq: this.#seq, key: POOL, ageMs, event }
    this.#kept.set(kept.seq, kept)
    this.step(kept)
  }

  closed(reason: 'ended' | 'unknown-id' | 'refused'): void {
    this.#stream = undefined
    this.#updated = false
    this.#seq += 1
    // nobody waits for what the stream asked for
    for (const [seq, each] of this.#kept)
      if (each.kind === 'event' && each.event.type === 'PUBLISH_RESOURCES') this.#kept.delete(seq)
    const kept: StreamEvent = { kind: 'closed', seq: this.#seq, key: POOL, ageMs: 0, reason }
    this.#kept.set(kept.seq, kept)
    this.step(kept)
  }

  line(line: ProjectionLine): void {
    this.step({ kind: 'line', line })
  }

  reply(id: string, value: unknown): void {
    this.#reply(id, { ok: true, value })
  }

  refuse(id: string, code: ErrorCode, message: string): void {
    this.#reply(id, { ok: false, error: new HoldfastError(code, message) })
  }

  /** Lets time pass, and the logic wake when it wants to. */
  pass(ms: number): void {
    const end = this.now + ms
    while (this.#wakeAt !== undefined && this.#wakeAt <= end) {
      this.now = Math.max(this.now, this.#wakeAt)
      this.step({ kind: 'tick' })
    }
    this.now = end
  }

  step(input: Input): void {
    const { id, effects } = this.#logic.step(this.now, input)
    this.#wakeAt = effects.wakeAt
    this.#writeDown(effects)
    for (const [key, value] of effects.writes) {
      if (value === null) this.journal.delete(key)
      else this.journal.set(key, JSON.parse(JSON.stringify(value)))
    }
    for (const seq of effects.consumed) this.#kept.delete(seq)
    for (const { id: asked, request } of effects.requests) this.open.set(asked, request)
    if (effects.stopped !== undefined) this.stopped = effects.stopped
    if (effects.subscribes.length > 0) this.#stream = 'opening'
    this.calls.push(...effects.calls.map(({ body }) => body))
    if (effects.calls.length > 0) {
      const results = effects.calls.map(
        ({ body }): CallResult => (this.#stream === 'open' ? this.result(body) : { closed: true }),
      )
      const last = effects.calls.findLastIndex(({ body }) => body.type === 'UPDATE_STATE')
      const answered = results[last]
      if (answered !== undefined) this.#updated = 'status' in answered && answered.status === 202
      this.step({ kind: 'done', id, results })
    }
    if (effects.closes.length > 0 && this.#stream !== undefined) this.closed('ended')
    for (const { id: asked, request } of effects.requests) {
      const reply = this.open.has(asked) ? this.answer(request) : undefined
      if (reply !== undefined) this.#reply(asked, reply)
    }
  }

  #reply(id: string, reply: Reply): void {
    if (!this.open.delete(id)) throw new Error(`nobody asked ${id}; asked are: ${[...this.open.keys()].join(', ')}`)
    this.step({ kind: 'reply', id, reply })
  }

  #writeDown({ writes, calls, requests, subscribes, closes, stopped }: Effects): void {
    const say = (text: string) => this.transcript.push(`${String(this.now).padStart(6)}  ${text}`)
    for (const [id, value] of writes) say(`write ${id}${value === null ? ' away' : ''}`)
    for (const { info } of subscribes) say(`subscribe ${info.id?.value ?? 'anew'} ${info.type} ${info.name}`)
    for (const { body } of calls) say(`call ${callText(body)}`)
    for (const { id, request } of requests) {
      if (id !== 'report') say(`ask ${id}: ${requestText(request)}`)
    }
    if (closes.length > 0) say('close')
    if (stopped !== undefined) say(`stopped ${JSON.stringify(stopped)}`)
  }
}

/** What most scenarios begin with: an agent, a node daemon, a controller that answers, a pool of 1000 MiB, a stream. */
export function begun(more: Partial<Projection> = {}): LogicScript {
  const script = new LogicScript()
  script.answer = usual
  script.start()
  script.line({ kind: 'pool', revision: 1, projection: { ...PROJECTION, ...more } })
  script.line({ kind: 'complete', revision: 1, node: 'node-1' })
  script.event({ type: 'SUBSCRIBED', subscribed: { provider_id: { value: PROVIDER } } })
  script.pass(5000)
  script.transcript.length = 0
  return script
}

/** Answers what has only one answer. */
export function usual(request: Request): Reply | undefined {
  if (request.kind === 'node') return { ok: true, value: { mountRoot: MOUNT_ROOT } }
  if (request.kind === 'agent') return { ok: true, value: { id: 'agent-1' } }
  const isWord = request.kind === 'rest' && /report|acknowledged|providers|record/.test(request.path)
  return isWord ? { ok: true, value: {} } : undefined
}

export const PROJECTION: Projection = {
  poolId: POOL,
  pool: 'scaleio~row8~pool-hdd',
  vendor: 'scaleio',
  metadata: { labels: [{ key: 'pool', value: 'pool-hdd' }] },
  principal: 'holdfast',
  guarded: true,
  shrink: 'prompt',
  block: false,
  raw: [{ reservations: HELD, sizeMiB: 1000 }],
  disks: [],
}

export function projectedDisk(volumeId: string, more: Partial<ProjectedDisk> = {}): ProjectedDisk {
  return {
    volumeId,
    sizeMiB: 100,
    target: 'MOUNT',
    profile: 'fast',
    metadata: {},
    reservations: HELD,
    persistence: { id: volumeId, principal: 'holdfast' },
    usedHere: false,
    ...more,
  }
}

export function rawResource(sizeMiB: number): Resource {
  return {
    provider_id: { value: PROVIDER },
    name: 'disk',
    type: 'SCALAR',
    scalar: { value: sizeMiB },
    allocation_info: { role: 'ads' },
    reservations: HELD,
    disk: { source: { type: 'RAW', vendor: 'scaleio', metadata: PROJECTION.metadata } },
  }
}

export function volumeResource(volumeId: string): Resource {
  return {
    provider_id: { value: PROVIDER },
    name: 'disk',
    type: 'SCALAR',
    scalar: { value: 100 },
    allocation_info: { role: 'ads' },
    reservations: HELD,
    disk: {
      persistence: { id: volumeId, principal: 'holdfast' },
      volume: { mode: 'RW', container_path: 'data' },
      source: { type: 'MOUNT', vendor: 'scaleio', id: volumeId, profile: 'fast', mount: { root: MOUNT_ROOT } },
    },
  }
}

/** The version under which the last UPDATE_STATE was sent. */
export function versionOf(script: LogicScript): string {
  const last = script.calls.findLast((each) => each.type === 'UPDATE_STATE')
  return last?.type === 'UPDATE_STATE' ? last.update_state.resource_version_uuid.value : ''
}

export function createDisk(
  script: LogicScript,
  number: number,
  sizeMiB = 100,
  version = versionOf(script),
): ProviderEvent {
  return {
    type: 'APPLY_OPERATION',
    apply_operation: {
      framework_id: { value: 'framework-1' },
      info: {
        type: 'CREATE_DISK',
        id: { value: `create-${number}` },
        create_disk: { source: rawResource(sizeMiB), target_type: 'MOUNT', target_profile: 'fast' },
      },
      operation_uuid: { value: uuidBase64(uuid(1000 + number)) },
      resource_version_uuid: { value: version },
    },
  }
}

export function acknowledge(script: LogicScript): ProviderEvent {
  const last = script.calls.findLast((each) => each.type === 'UPDATE_OPERATION_STATUS')
  if (last?.type !== 'UPDATE_OPERATION_STATUS') throw new Error('no status was sent')
  const { operation_uuid, status } = last.update_operation_status
  return {
    type: 'ACKNOWLEDGE_OPERATION_STATUS',
    acknowledge_operation_status: { operation_uuid, status_uuid: status.uuid ?? { value: '' } },
  }
}

export function publish(name: string, ...resources: Resource[]): ProviderEvent {
  return { type: 'PUBLISH_RESOURCES', publish_resources: { uuid: { value: name }, resources } }
}

/** A UUID of version 4 that a person can tell from another. */
export function uuid(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
}

function callText(body: ProviderCall): string {
  if (body.type === 'UPDATE_STATE') {
    const { resources, operations } = body.update_state
    const version = Buffer.from(body.update_state.resource_version_uuid.value, 'base64').toString('hex').slice(-4)
    const states = operations.map(
      ({ info, latest_status, agent_id }) => `${info.id?.value} ${latest_status.state} at ${agent_id?.value}`,
    )
    return `UPDATE_STATE ${version} [${resources.map(resourceText).join(', ')}]${states.map((each) => ` (${each})`).join('')}`
  }
  if (body.type === 'UPDATE_OPERATION_STATUS') {
    const { status } = body.update_operation_status
    const message = status.message === undefined ? '' : ` "${status.message}"`
    const converted = (status.converted_resources ?? []).map(resourceText).join(', ')
    return `${status.state} ${status.operation_id?.value ?? 'unknown'}${message}${converted === '' ? '' : ` -> ${converted}`}${status.uuid === undefined ? ', not to be acknowledged' : ''}`
  }
  const { uuid: asked, status } = body.update_publish_resources_status
  return `PUBLISH ${asked.value} ${status}`
}

function resourceText({ name, scalar, reservations = [], disk }: Resource): string {
  const stack = reservations.map(({ role }) => role).join('>')
  const source = disk?.source
  const what = source === undefined ? name : source.type === 'RAW' ? 'RAW' : `${source.type} ${source.id}`
  return `${what} ${scalar?.value}${stack === '' ? '' : ` for ${stack}`}${disk?.persistence === undefined ? '' : ` as ${disk.persistence.id}`}`
}

function requestText(request: Request): string {
  if (request.kind === 'rest')
    return `${request.method} ${request.path}${request.body === undefined ? '' : ` ${JSON.stringify(request.body)}`}`
  return 'volumeId' in request ? `${request.kind} ${request.volumeId} as ${request.user}` : request.kind
}
