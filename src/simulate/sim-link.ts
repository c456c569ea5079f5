import type { Controller } from '../controller/controller.ts'
import { HoldfastError } from '../model/errors.ts'
import type { Assignment, AttachmentReport, CallBody, CallReply, Envelope, NodeCall } from '../model/node-protocol.ts'
import type { ControllerLink } from '../node/link.ts'
import type { ControllerHost } from './controller-host.ts'
import type { Network } from './network.ts'
import type { Realm } from './world.ts'

const CALL_MS = 10_000
/** After so much silence both ends take a stream for broken. */
const SILENCE_MS = 20_000

export interface SimLinkParts {
  readonly nodeId: string
  /** The daemon's. */
  readonly realm: Realm
  readonly machine: string
  readonly hosts: readonly ControllerHost[]
  readonly network: Network
  readonly watch: SessionWatch
}

/** Tells whether a session is a node's current one, by what is durable. */
export interface SessionWatch {
  /** Undefined when that leader's word does not count. */
  isCurrent(nodeId: string, session: string | undefined, term: number): boolean | undefined
  /** Whether somebody has claimed an attachment since a node looked. */
  isVoid(proof: { attachmentId: string; epoch: number; claims: number }): boolean
  fail(message: string): void
}

/** A daemon's way to the controllers: it tries them in turn until one answers its hello. */
export class SimLink implements ControllerLink {
  readonly #parts: SimLinkParts
  #turn = 0
  readonly streams = new Set<SimStream>()

  constructor(parts: SimLinkParts) {
    this.#parts = parts
  }

  get #host(): ControllerHost {
    const { hosts } = this.#parts
    return hosts[this.#turn % hosts.length] as ControllerHost
  }

  async call<K extends NodeCall>(name: K, envelope: Envelope, body: CallBody<K>): Promise<CallReply<K>> {
    const sent = JSON.stringify({ envelope, body })
    try {
      return await this.#ask((controller) => {
        const request = JSON.parse(sent) as { envelope: Envelope; body: CallBody<K> }
        return this.#watched(name, request, controller, () =>
          controller.nodes.call(this.#parts.nodeId, name, request.envelope, request.body).then(copy),
        )
      })
    } catch (thrown) {
      if (name === 'hello') this.#turn += 1
      throw thrown
    }
  }

  /**
   * A call is answered only under the session that is the current one, before or after; and a proof is taken only of an
   * epoch that nobody has claimed since.
   */
  async #watched<K extends NodeCall>(
    name: K,
    { envelope, body }: { envelope: Envelope; body: CallBody<K> },
    { engine }: Controller,
    call: () => Promise<CallReply<K>>,
  ): Promise<CallReply<K>> {
    const { watch, nodeId } = this.#parts
    const isCurrent = () => watch.isCurrent(nodeId, envelope.session, engine.term)
    const before = isCurrent()
    const stale = proofsIn(name, body).filter((proof) => before !== undefined && watch.isVoid(proof))
    const reply = await call()
    if (name !== 'hello' && before === false && isCurrent() === false) {
      watch.fail(`a call (${name}) of ${nodeId} was answered under a session that had ended`)
    }
    const taken = stale.filter((proof) => 'refusals' in reply === false || reply.refusals[proof.index] === null)
    for (const { attachmentId } of taken) watch.fail(`I4: a proof for ${attachmentId} was taken that is void`)
    return reply
  }

  #ask<T>(work: (controller: Controller) => Promise<T>): Promise<T> {
    const { network, machine, realm } = this.#parts
    const host = this.#host
    const arrivals = network.arrivals(machine, host.name)
    return host.ask(realm, arrivals, () => network.arrivals(host.name, machine), CALL_MS, work)
  }

  async open(
    session: string,
    onAssignment: (assignment: Assignment) => void,
    onClose: () => void,
  ): Promise<{ close(): void }> {
    const { nodeId, realm, network, machine } = this.#parts
    const host = this.#host
    const stream = new SimStream({ client: realm, server: host, network, machine, onAssignment, onClose })
    this.streams.add(stream)
    const accepted = await this.#ask(async (controller) => {
      stream.onGone = () => controller.sessions.disconnect(nodeId, stream)
      return controller.sessions.connect(nodeId, session, stream)
    })
    if (!accepted) throw new HoldfastError('stale_session', 'this session has ended; say hello again')
    return { close: () => stream.leave() }
  }
}

type Proof = AttachmentReport & { readonly index: number }

/** The proofs in the body of a call, with their places. */
function proofsIn<K extends NodeCall>(name: K, body: CallBody<K>): Proof[] {
  const { report } = body as CallBody<'release'>
  const reports = name === 'attachments' ? (body as CallBody<'attachments'>).reports : []
  if (name === 'release' && report !== undefined) reports.push(report)
  return reports.map((each, index) => ({ ...each, index })).filter(({ state }) => state === 'detached')
}

interface StreamParts {
  readonly client: Realm
  readonly server: ControllerHost
  readonly network: Network
  readonly machine: string
  readonly onAssignment: (assignment: Assignment) => void
  readonly onClose: () => void
}

/** One stream of assignments: in order and without gaps, until it breaks. */
export class SimStream {
  readonly #parts: StreamParts
  readonly #server: Realm
  #last = 0
  #clientOpen = true
  #broken = false
  /** Tells the server that its client has gone. */
  onGone: () => void = () => {}

  constructor(parts: StreamParts) {
    this.#parts = parts
    this.#server = parts.server.realm
    this.#server.onDeath(() => this.breakOff(50))
    parts.client.onDeath(() => this.#tellServer(parts.client.world.random.int(1, SILENCE_MS)))
  }

  /** The server sends. */
  send(assignment: Assignment): void {
    if (this.#broken) return
    const { network, machine, server, client } = this.#parts
    if (network.isCut(machine, server.name)) {
      this.breakOff(SILENCE_MS)
      return
    }
    const { world } = client
    this.#last = Math.max(this.#last, world.time + network.delay)
    const json = JSON.stringify(assignment)
    client.after(this.#last - world.time, () => {
      if (this.#clientOpen) this.#parts.onAssignment(JSON.parse(json) as Assignment)
    })
  }

  /** The server closes. */
  close(): void {
    this.breakOff(5)
  }

  /** Breaks: what is sent from now on is lost; the ends find out within `ms`. */
  breakOff(ms: number): void {
    if (this.#broken) return
    this.#broken = true
    this.#parts.client.after(ms, () => {
      if (!this.#clientOpen) return
      this.#clientOpen = false
      this.#parts.onClose()
    })
    this.#tellServer(ms)
  }

  /** The client leaves. */
  leave(): void {
    this.#clientOpen = false
    this.#broken = true
    this.#tellServer(5)
  }

  #tellServer(ms: number): void {
    this.#server.after(ms, () => this.onGone())
  }
}

function copy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T
}
