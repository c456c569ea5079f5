import type { Command } from '../../../src/ledger/commands.ts'
import { type Decision, execute } from '../../../src/ledger/decide.ts'
import { freeOf } from '../../../src/ledger/limits.ts'
import type { StepOutcome } from '../../../src/ledger/operation-results.ts'
import type { VolumeRequest } from '../../../src/ledger/volume-create.ts'
import { HoldfastError } from '../../../src/model/errors.ts'
import type { Reservation } from '../../../src/model/mesos.ts'
import type { Operation } from '../../../src/model/operation.ts'
import type { Change } from '../../../src/model/records.ts'
import { placeVolumes, type Wish } from '../../../src/placement/pools.ts'
import { CAPABLE, emptyState, Ids, START } from './world.ts'

type Words = Readonly<Record<string, string>>

/**
 * Runs scenario scripts: `verb subject key=value…` a line. Ids are counted, so a script can name what it made; volumes,
 * pools and nodes go by name too. What a command did comes back as lines: its event and every record it changed.
 */
export class Script {
  readonly #state = emptyState()
  readonly #ids = new Ids()
  #now = START

  run(line: string): string[] {
    const [verb = '', ...rest] = line.split(/\s+/)
    const words: Words = Object.fromEntries(
      rest.map((word, index) => {
        const equals = word.indexOf('=')
        return equals < 0 ? [`${index}`, word] : [word.slice(0, equals), word.slice(equals + 1)]
      }),
    )
    const handler = this.#verbs[verb]
    if (handler === undefined) throw new Error(`no such verb: ${verb}`)
    return handler(words)
  }

  readonly #verbs: Record<string, (words: Words) => string[]> = {
    pool: (words) =>
      this.#do({
        kind: 'pool.create',
        name: words[0] ?? '',
        uuid: '00000000-0000-4000-8000-000000000000',
        driver: 'loop',
        settings: {},
        capacityMiB: amount(words.size),
        iops: amount(words.iops),
        overcommitThousandths: amount(words.overcommit ?? '1000'),
        reserveMiB: amount(words.reserve),
        fence: (words.fence ?? 'driver') as 'driver',
        labels: {},
        markOn: undefined,
      }),
    capacity: (words) =>
      this.#do({ kind: 'pool.update', poolId: this.#id(words[0]), set: { capacityMiB: amount(words.size) } }),
    node: (words) => this.#node(words[0] ?? '', words.machine ?? words[0] ?? '', words.unit),
    session: (words) => this.#session(this.#id(words[0]), words),
    lost: (words) => {
      const id = this.#id(words[0])
      return this.#do({ kind: 'node.lost', nodeId: id, session: this.#state.get('node', id)?.session ?? '' })
    },
    quota: (words) =>
      this.#do({
        kind: 'role.set',
        role: words[0] ?? '',
        quota: {
          ...(words.size === undefined ? {} : { sizeMiB: amount(words.size) }),
          ...(words.iops === undefined ? {} : { iops: amount(words.iops) }),
        },
      }),
    hold: (words) =>
      this.#do({
        kind: 'hold.create',
        poolId: this.#id(words[0]),
        role: words.role ?? 'default',
        sizeMiB: amount(words.size),
        iops: amount(words.iops),
        expiresAt: words.for === undefined ? undefined : this.#now + amount(words.for) * 1000,
        labels: {},
      }),
    release: (words) => this.#do({ kind: 'hold.release', holdId: this.#id(words[0]), reason: 'asked' }),
    place: (words) => {
      try {
        const { requests } = placeVolumes(this.#state, [
          wish(words, words.hold === undefined ? undefined : this.#id(words.hold)),
        ])
        return requests.flatMap((volume) => this.#do({ kind: 'volume.create', volume }))
      } catch (thrown) {
        return [refusal(thrown)]
      }
    },
    group: (words) => {
      const names = (words.names ?? '').split(',')
      const volumes = names.map((name): VolumeRequest => {
        const { pool, poolLabels: _, ...request } = wish({ ...words, 0: name }, undefined)
        return { ...request, poolId: this.#id(pool) }
      })
      const onFailure = words.onFailure === 'keep' ? 'keep' : 'rollback'
      return this.#do({ kind: 'group.create', name: undefined, onFailure, volumes })
    },
    disk: (words) => this.#do(this.#disk(words)),
    destroy: (words) => {
      const volumeId = this.#id(words[0])
      const mesos = this.#state.get('volume', volumeId)?.mesos
      return this.#do({ kind: 'volume.delete', volumeId, trashMs: 0, ...(mesos === undefined ? {} : { mesos }) })
    },
    provider: (words) =>
      this.#do({
        kind: 'provider.set',
        ...this.#provider(words),
        agentId: `agent-of-${words.node}`,
        providerId: `provider-of-${words.node}`,
      }),
    reserve: (words) =>
      this.#do({
        kind: 'provider.reserve',
        ...this.#provider(words),
        from: stack(words.from),
        to: stack(words.to),
        sizeMiB: amount(words.size),
      }),
    bandwidth: (words) =>
      this.#do({ kind: 'provider.bandwidth', ...this.#provider(words), bandwidth: amount(words.take) }),
    budget: (words) =>
      this.#do({ kind: 'node.update', nodeId: this.#id(words[0]), set: { bandwidth: amount(words.bandwidth) } }),
    resize: (words) => this.#do({ kind: 'volume.resize', volumeId: this.#id(words[0]), sizeMiB: amount(words.size) }),
    delete: (words) =>
      this.#do({ kind: 'volume.delete', volumeId: this.#id(words[0]), trashMs: amount(words.trash) * 1000 }),
    undelete: (words) => this.#do({ kind: 'volume.undelete', volumeId: this.#id(words[0]), name: words.name }),
    snapshot: (words) =>
      this.#do({ kind: 'snapshot.create', volumeId: this.#id(words[0]), name: words.name ?? 's', labels: {} }),
    purge: (words) => this.#do({ kind: 'volume.purge', volumeId: this.#id(words[0]) }),
    assign: (words) => this.#assign(this.#id(words[0]), this.#id(words.node)),
    done: (words) => this.#result(words, { ok: true, facts: facts(words) }),
    fail: (words) =>
      this.#result(words, {
        ok: false,
        code: words.code ?? 'storage_failed',
        message: 'it failed',
        facts: facts(words),
      }),
    make: (words) => this.#make(this.#id(words[0]), this.#id(words.node)),
    requeue: (words) => this.#do({ kind: 'operation.requeue', operationId: this.#id(words[0]) }),
    cancel: (words) => this.#do({ kind: 'operation.cancel', operationId: this.#id(words[0]) }),
    claim: (words) =>
      this.#do({
        kind: 'attachment.claim',
        volumeId: this.#id(words[0]),
        nodeId: this.#id(words.node),
        user: { door: 'docker', id: words.user ?? 'container-1' },
        mode: words.mode === 'ro' ? 'ro' : 'rw',
        bandwidth: undefined,
        mountAt: undefined,
      }),
    unclaim: (words) =>
      this.#do({
        kind: 'attachment.unclaim',
        volumeId: this.#id(words[0]),
        nodeId: this.#id(words.node),
        user: { door: 'docker', id: words.user ?? 'container-1' },
      }),
    report: (words) => this.#report(words),
    force: (words) => this.#do({ kind: 'attachment.force', attachmentId: this.#id(words[0]), reason: 'scrapped' }),
    'lease-ended': (words) => this.#do({ kind: 'attachment.lease-ended', attachmentId: this.#id(words[0]) }),
    fence: (words) => this.#do({ kind: 'fence.start', attachmentId: this.#id(words[0]) }),
    'fence-stop': (words) => this.#do({ kind: 'fence.stop', operationId: this.#id(words[0]) }),
    wait: (words) => {
      this.#now += amount(words[0]) * 1000
      return []
    },
    free: (words) => {
      const id = this.#id(words[0])
      const iops = freeOf(this.#state, `pool/${id}/iops`)
      const counted = Number.isFinite(iops) ? `, ${iops} IOPS` : ''
      return [`${freeOf(this.#state, `pool/${id}/mib`)} MiB${counted} free`]
    },
    used: (words) => {
      const role = words[0] ?? ''
      return [`${this.#state.sum(`role/${role}/mib`)} MiB, ${this.#state.sum(`role/${role}/iops`)} IOPS used`]
    },
  }

  #provider(words: Words): { nodeId: string; poolId: string } {
    return { nodeId: this.#id(words.node), poolId: this.#id(words.pool) }
  }

  /** A disk that a framework asks for on an agent. */
  #disk(words: Words): Command {
    const { pool, poolLabels: _, ...request } = wish(words, undefined)
    const persistence = words.float === 'no' ? {} : { persistAs: 'holdfast' }
    const mesos = {
      target: 'MOUNT' as const,
      float: words.float !== 'no',
      home: this.#id(words.node),
      reservations: stack(words.stack ?? words.role),
      ...(words.stack === undefined ? {} : { givesBack: true }),
      ...persistence,
    }
    return { kind: 'volume.create', volume: { ...request, poolId: this.#id(pool), ownHolds: true, mesos } }
  }

  #node(name: string, machineId: string, unit: string | undefined): string[] {
    const credentialHash = name.padStart(64, '0').replaceAll(/[^0-9a-f]/g, 'a')
    this.#do({ kind: 'node.join', name, joinTokenId: undefined, credentialHash, machineId, labels: {} })
    return this.#session(this.#id(name), {
      boot: `boot-${machineId}`,
      machine: machineId,
      ...(unit === undefined ? {} : { unit }),
    })
  }

  #session(nodeId: string, words: Words): string[] {
    const before = this.#state.get('node', nodeId)
    const session = `session-${this.#state.revision}`
    const lines = this.#do({
      kind: 'node.session',
      nodeId,
      session,
      bootId: words.boot ?? before?.bootId ?? '',
      machineId: words.machine ?? before?.machineId ?? '',
      version: '0.1.0',
      watchdog: words.watchdog !== 'no',
      leased: false,
    })
    const pools = [...this.#state.all('pool').keys()]
    this.#do({ kind: 'node.reach', nodeId, session, reach: pools })
    for (const poolId of pools) {
      const unit = words.unit === undefined ? {} : { unitMiB: amount(words.unit) }
      const capabilities = { ...CAPABLE, maxObjectMiB: 2 ** 43, ...unit }
      this.#do({ kind: 'pool.report', poolId, nodeId, session, capabilities, storage: undefined })
    }
    return lines
  }

  #assign(operationId: string, nodeId: string): string[] {
    const session = this.#state.get('node', nodeId)?.session ?? ''
    const uuid = `00000000-0000-4000-8000-${String(this.#state.revision).padStart(12, '0')}`
    return this.#do({ kind: 'operation.assign', operationId, nodeId, session, uuid, deadlineAt: this.#now + 60_000 })
  }

  #result(words: Words, outcome: StepOutcome): string[] {
    const operation = this.#state.get('operation', this.#id(words[0]))
    const nodeId = operation?.nodeId ?? ''
    const used = [...this.#state.all('attachment').values()].filter((each) =>
      each.users.some((user) => user.id === operation?.id),
    )
    return this.#do({
      kind: 'operation.result',
      operationId: this.#id(words[0]),
      attempt: words.attempt === undefined ? (operation?.attempt ?? 0) : amount(words.attempt),
      nodeId,
      session: this.#state.get('node', nodeId)?.session ?? '',
      outcome,
      detached: words.detached === 'no' ? [] : used.map(({ id, claims }) => ({ attachmentId: id, claims })),
    })
  }

  /** Does all the work that makes a volume, and says nothing of it. */
  #make(volumeId: string, nodeId: string): string[] {
    for (;;) {
      const [operationId] = this.#state.operationsBySubject.get(volumeId)
      if (operationId === undefined) return []
      this.#assign(operationId, nodeId)
      const lines = this.#result({ 0: operationId }, { ok: true, facts: {} })
      if (lines[0]?.startsWith('refused') === true) return lines
    }
  }

  #report(words: Words): string[] {
    const attachment = this.#state.get('attachment', this.#id(words[0]))
    const node = this.#state.get('node', attachment?.nodeId ?? '')
    return this.#do({
      kind: 'attachment.report',
      attachmentId: this.#id(words[0]),
      epoch: words.epoch === undefined ? (attachment?.epoch ?? 0) : amount(words.epoch),
      claims: attachment?.claims ?? 1,
      nodeId: node?.id ?? '',
      bootId: words.boot ?? node?.bootId ?? '',
      session: words.session ?? node?.session ?? '',
      state: (words[1] ?? 'mounted') as 'mounted',
      path: undefined,
      reason: words.reason,
    })
  }

  #do(command: Command): string[] {
    this.#now += 1
    const decision = execute(this.#state, command, { now: this.#now, newId: this.#ids.next, actor: 'script' })
    return describe(decision)
  }

  /**
   * Volumes, pools and nodes by name; `op(v)`, `att(v)` and `fence(v)`: the open operation, the attachment and the fence
   * of volume `v`; `hold(r)`: the hold of role `r`; anything else is an id already.
   */
  #id(name = ''): string {
    const [, kind, of = ''] = /^(op|att|fence|hold)\((.+)\)$/.exec(name) ?? []
    if (kind === 'op') return first(this.#state.operationsBySubject.get(this.#id(of)))
    if (kind === 'att') return first(this.#state.attachmentsByVolume.get(this.#id(of)))
    if (kind === 'fence') return first(this.#state.operationsBySubject.get(this.#id(`att(${of})`)))
    if (kind === 'hold') return [...this.#state.all('hold').values()].find((each) => each.role === of)?.id ?? name
    const { volumeByName, poolByName, nodeByName } = this.#state
    return volumeByName.get(name) ?? poolByName.get(name) ?? nodeByName.get(name) ?? name
  }
}

function first(ids: ReadonlySet<string>): string {
  const [id = 'nothing'] = ids
  return id
}

function wish(words: Words, holdId: string | undefined): Wish {
  return {
    name: words[0] ?? '',
    pool: words.pool,
    poolLabels: {},
    role: words.role ?? 'default',
    sizeMiB: amount(words.size),
    iops: amount(words.iops),
    fs: (words.fs ?? 'ext4') as 'ext4',
    access: (words.access ?? 'single-writer') as 'single-writer',
    source: undefined,
    holdId,
    protected: false,
    labels: {},
    bandwidth: 0,
    fingerprint: undefined,
  }
}

/** Reservations to a role, `a/b` refined from `a`; nothing: not reserved. */
function stack(text: string | undefined): Reservation[] {
  const roles = (text ?? '').split('+').filter((role) => role !== '')
  return roles.map((role) => ({ type: 'DYNAMIC', role, principal: 'holdfast' }))
}

function amount(text: string | undefined): number {
  const value = Number((text ?? '0').replaceAll(',', ''))
  if (!Number.isSafeInteger(value)) throw new Error(`not a whole number: ${text}`)
  return value
}

function facts(words: Words): { sizeMiB?: number } {
  return words.real === undefined ? {} : { sizeMiB: amount(words.real) }
}

function describe(decision: Decision): string[] {
  if (!decision.ok) return [refusal(decision.error)]
  const { event, changes } = decision
  if (event === undefined) return ['nothing changed']
  const proof = event.data.proof === undefined ? '' : `, proof: ${String(event.data.proof)}`
  return [`${event.type}${proof}`, ...changes.map((change) => `  ${changeLine(change)}`)]
}

function refusal(thrown: unknown): string {
  if (!(thrown instanceof HoldfastError)) throw thrown
  return `refused ${thrown.code}: ${thrown.message}`
}

/** What matters of a record, on one line. */
function changeLine({ kind, id, record }: Change): string {
  if (record === undefined) return `${kind} ${id} gone`
  const shown = SHOWN[kind] ?? []
  const values = shown
    .map((field) => [field, (record as Record<string, unknown>)[field]] as const)
    .filter(([, value]) => value !== undefined && value !== false && value !== '')
    .map(([field, value]) => `${field}=${shownValue(value)}`)
  return [kind, id, ...values].join(' ')
}

const SHOWN: Partial<Record<Change['kind'], readonly string[]>> = {
  pool: ['name', 'capacityMiB', 'iops', 'reserveMiB'],
  node: ['name', 'state', 'bootId'],
  role: ['quota'],
  hold: ['role', 'sizeMiB', 'iops', 'drawnMiB', 'drawnIops'],
  volume: ['name', 'state', 'poolId', 'sizeMiB', 'iops', 'epoch', 'format', 'draws'],
  snapshot: ['name', 'state', 'sizeMiB'],
  group: ['state', 'volumeIds', 'reason'],
  attachment: ['volumeId', 'nodeId', 'epoch', 'mode', 'state', 'users'],
  operation: [
    'kind',
    'step',
    'state',
    'nodeId',
    'attempt',
    'failures',
    'recreate',
    'cancelRequested',
  ] satisfies (keyof Operation)[],
  deficit: ['used', 'limit'],
  provider: ['providerId', 'bandwidth', 'reserved'],
}

function shownValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(shownValue).join(' ')}]`
  if (typeof value !== 'object' || value === null) return String(value)
  if ('door' in value && 'id' in value) return `${String(value.door)}:${String(value.id)}`
  if ('role' in value) return String(value.role)
  return Object.values(value).map(shownValue).join('/')
}
