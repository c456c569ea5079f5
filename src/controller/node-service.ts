import type { LedgerState } from '../ledger/state.ts'
import type { Attachment } from '../model/attachment.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { AttachmentReport, CallBody, CallReply, Envelope, NodeCall } from '../model/node-protocol.ts'
import { PROTOCOL_VERSION } from '../model/node-protocol.ts'
import { quote } from '../model/units.ts'
import { attachmentSpec } from './assignment.ts'
import type { Engine } from './engine.ts'
import type { Inventories } from './inventories.ts'
import type { ProgressBoard } from './progress.ts'
import type { Sessions } from './sessions.ts'

export interface NodeServiceParts {
  readonly engine: Engine
  readonly sessions: Sessions
  readonly progress: ProgressBoard
  readonly inventories: Inventories
  /** Makes the id of a session. */
  readonly newSession: () => string
}

type Handlers = {
  [K in NodeCall]: (
    nodeId: string,
    envelope: Envelope & { session: string },
    body: CallBody<K>,
  ) => Promise<CallReply<K>>
}

/** Answers the calls of nodes. Which node it is has been established by its credential. */
export class NodeService {
  readonly #parts: NodeServiceParts
  readonly #handlers: Handlers

  constructor(parts: NodeServiceParts) {
    this.#parts = parts
    this.#handlers = {
      hello: (nodeId, envelope, body) => this.#hello(nodeId, envelope, body),
      renew: (nodeId, envelope) => this.#renew(nodeId, envelope),
      pools: (nodeId, envelope, body) => this.#pools(nodeId, envelope, body),
      attachments: (nodeId, envelope, body) => this.#attachments(nodeId, envelope, body),
      result: (nodeId, envelope, body) => this.#result(nodeId, envelope, body),
      progress: (nodeId, _envelope, body) => this.#progress(nodeId, body),
      claim: (nodeId, envelope, body) => this.#claim(nodeId, envelope, body),
      release: (nodeId, envelope, body) => this.#release(nodeId, envelope, body),
      alarm: (nodeId, envelope, body) => this.#alarm(nodeId, envelope, body),
      inventory: (nodeId, _envelope, body) => this.#inventory(nodeId, body),
    }
  }

  /**
   * @throws invalid_request for another protocol or installation; stale_session when the node must say hello again;
   *   fenced when the node has seen a later leader
   */
  async call<K extends NodeCall>(
    nodeId: string,
    name: K,
    envelope: Envelope,
    body: CallBody<K>,
  ): Promise<CallReply<K>> {
    await this.#checkEnvelope(envelope)
    const session = envelope.session ?? ''
    if (name !== 'hello' && !this.#parts.sessions.isCurrent(nodeId, session)) {
      throw new HoldfastError('stale_session', 'this session has ended; say hello again')
    }
    return this.#handlers[name](nodeId, { ...envelope, session }, body)
  }

  async #checkEnvelope(envelope: Envelope): Promise<void> {
    const { engine } = this.#parts
    if (envelope.protocol !== PROTOCOL_VERSION) {
      throw new HoldfastError(
        'invalid_request',
        `node protocol ${envelope.protocol} is not spoken here (${PROTOCOL_VERSION} is); bring both to one version`,
      )
    }
    if (envelope.term > engine.term) {
      throw new HoldfastError('fenced', `the node has seen leader ${envelope.term}, this is ${engine.term}`)
    }
    const installation = await engine.read((state) => state.installation)
    if (envelope.installation !== undefined && envelope.installation !== installation) {
      throw new HoldfastError('invalid_request', 'the node belongs to another installation; join it to this one')
    }
  }

  async #hello(nodeId: string, envelope: Envelope, body: CallBody<'hello'>): Promise<CallReply<'hello'>> {
    const { engine, sessions, newSession } = this.#parts
    const session = newSession()
    const { answer } = await engine.submit({
      actor: `node ${nodeId}`,
      command: {
        kind: 'node.session',
        nodeId,
        session,
        bootId: envelope.bootId,
        machineId: body.machineId,
        version: body.version,
        watchdog: body.watchdog,
        leased: sessions.isLeased(nodeId),
      },
    })
    sessions.open(nodeId, session)
    const installation = await engine.read((state) => state.installation)
    const { name } = answer as { name: string }
    return { session, installation, term: engine.term, leaseMs: sessions.leaseMs, nodeId, name }
  }

  async #renew(nodeId: string, envelope: { session: string }): Promise<CallReply<'renew'>> {
    const { engine, sessions } = this.#parts
    // only a leader may renew: another one may count on it that this lease runs out
    await engine.confirm()
    if (!sessions.renew(nodeId, envelope.session)) {
      throw new HoldfastError('stale_session', 'this session has ended; say hello again')
    }
    return { leaseMs: sessions.leaseMs, term: engine.term }
  }

  async #pools(nodeId: string, { session }: { session: string }, body: CallBody<'pools'>): Promise<CallReply<'pools'>> {
    const { engine } = this.#parts
    const actor = `node ${nodeId}`
    const reached = body.pools.filter((report) => report.ok)
    const reports = reached.map(({ poolId, capabilities, storage }) =>
      engine
        .submit({ actor, command: { kind: 'pool.report', poolId, nodeId, session, capabilities, storage } })
        // a pool that was deleted meanwhile does not keep the others from being told
        .catch((thrown) => unlessGone(thrown)),
    )
    const reach = reached.map((report) => report.poolId)
    await Promise.all([...reports, engine.submit({ actor, command: { kind: 'node.reach', nodeId, session, reach } })])
    return {}
  }

  async #attachments(
    nodeId: string,
    envelope: Envelope & { session: string },
    body: CallBody<'attachments'>,
  ): Promise<CallReply<'attachments'>> {
    const refusals = await Promise.all(
      body.reports.map(async (report) => {
        try {
          await this.#report(nodeId, envelope, report)
          return null
        } catch (thrown) {
          return asHoldfastError(thrown).code
        }
      }),
    )
    return { refusals }
  }

  #report(nodeId: string, envelope: Envelope & { session: string }, report: AttachmentReport): Promise<unknown> {
    return this.#parts.engine.submit({
      actor: `node ${nodeId}`,
      command: {
        kind: 'attachment.report',
        nodeId,
        bootId: envelope.bootId,
        session: envelope.session,
        attachmentId: report.attachmentId,
        epoch: report.epoch,
        claims: report.claims,
        state: report.state,
        path: report.path,
        reason: report.reason,
      },
    })
  }

  async #result(
    nodeId: string,
    { session }: { session: string },
    body: CallBody<'result'>,
  ): Promise<CallReply<'result'>> {
    const { engine, progress } = this.#parts
    const { operationId, attempt, outcome, detached } = body
    await engine.submit({
      actor: `node ${nodeId}`,
      command: { kind: 'operation.result', operationId, attempt, nodeId, session, outcome, detached },
    })
    progress.forget(operationId)
    return {}
  }

  async #progress(nodeId: string, body: CallBody<'progress'>): Promise<CallReply<'progress'>> {
    const { engine, progress } = this.#parts
    const running = await engine.read((state) => state.get('operation', body.operationId)?.nodeId === nodeId)
    if (running) progress.set(body.operationId, body.attempt, body.done)
    return {}
  }

  async #claim(nodeId: string, _envelope: Envelope, body: CallBody<'claim'>): Promise<CallReply<'claim'>> {
    const { engine } = this.#parts
    const { answer, revision } = await engine.submit({
      actor: `node ${nodeId}`,
      command: (state) => ({
        kind: 'attachment.claim',
        volumeId: findVolume(state, body.volume, body.roles),
        nodeId,
        user: body.user,
        mode: body.mode,
        bandwidth: body.bandwidth,
        mountAt: body.mountAt,
      }),
    })
    const attachment = await engine.read((state) => {
      const now = state.get('attachment', (answer as Attachment).id)
      return now === undefined ? undefined : attachmentSpec(state, now)
    })
    if (attachment === undefined) throw new HoldfastError('stale_epoch', 'the attachment has gone in the meantime')
    return { revision, attachment }
  }

  async #release(
    nodeId: string,
    envelope: Envelope & { session: string },
    body: CallBody<'release'>,
  ): Promise<CallReply<'release'>> {
    const { engine } = this.#parts
    const { volumeId, user } = body
    const actor = `node ${nodeId}`
    const unclaimed = engine.submit({ actor, command: { kind: 'attachment.unclaim', volumeId, nodeId, user } })
    if (body.report === undefined) return { revision: (await unclaimed).revision }
    // decided in this order, and as a rule in one batch
    const reported = this.#report(nodeId, envelope, body.report)
    const [{ revision }] = await Promise.all([unclaimed, reported])
    return { revision }
  }

  async #alarm(nodeId: string, { session }: { session: string }, body: CallBody<'alarm'>): Promise<CallReply<'alarm'>> {
    const command = { kind: 'node.alarm', nodeId, session, ...body } as const
    await this.#parts.engine.submit({ actor: `node ${nodeId}`, command })
    return {}
  }

  async #inventory(nodeId: string, body: CallBody<'inventory'>): Promise<CallReply<'inventory'>> {
    await this.#parts.inventories.take(nodeId, body)
    return {}
  }
}

function unlessGone(thrown: unknown): void {
  if (asHoldfastError(thrown).code !== 'not_found') throw thrown
}

/** @throws not_found, role_not_allowed */
function findVolume(state: LedgerState, nameOrId: string, roles: readonly string[] | undefined): string {
  const volume = state.get('volume', nameOrId) ?? state.get('volume', state.volumeByName.get(nameOrId) ?? '')
  if (volume === undefined) throw new HoldfastError('not_found', `no such volume ${quote(nameOrId)}`)
  if (roles !== undefined && !roles.includes(volume.role)) {
    throw new HoldfastError('role_not_allowed', `volume ${volume.name} belongs to role ${volume.role}`)
  }
  return volume.id
}
