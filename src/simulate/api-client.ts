import type { Answer, Engine, Request } from '../controller/engine.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { MemoryDisk } from '../store/memory.ts'
import type { ControllerHost } from './controller-host.ts'
import type { Network } from './network.ts'
import { Realm, type World } from './world.ts'

const DAY_MS = 24 * 60 * 60_000

/** How a request ended, for good. */
export type Ended =
  | { readonly ok: true; readonly answer: unknown; readonly revision: number }
  | {
      readonly ok: false
      readonly error: HoldfastError
      /** No copy of the request is on its way any more: what was refused now can never be done. */
      readonly final: boolean
    }

/** What became of the copies of one request. */
interface Copies {
  readonly key: string
  sent: number
  ended: number
  accepted: number
}

export interface ApiClientParts {
  readonly world: World
  readonly hosts: readonly ControllerHost[]
  readonly network: Network
  readonly disk: MemoryDisk
}

/** A client of the REST interface: it repeats what it has no answer to, with the same key, until it has one. */
export class ApiClient {
  readonly #parts: ApiClientParts
  readonly #realm: Realm
  #turn = 0
  #keys = 0

  constructor(parts: ApiClientParts) {
    this.#parts = parts
    this.#realm = new Realm(parts.world, 'client')
  }

  async submit(command: Request['command'], actor = 'admin'): Promise<Ended> {
    const { world } = this.#parts
    this.#keys += 1
    const copies: Copies = { key: `client/${this.#keys}`, sent: 0, ended: 0, accepted: 0 }
    for (;;) {
      try {
        const { answer, revision } = await this.#ask(copies, command, actor)
        return { ok: true, answer, revision }
      } catch (thrown) {
        const error = asHoldfastError(thrown)
        if (error.code === 'internal') world.fail(`a request ended with ${error.stack}`)
        if (!isUndecided(error)) return { ok: false, error, final: isFinal(copies) }
        this.#turn += 1
        await world.sleep(world.random.int(50, 3000))
      }
    }
  }

  #ask(copies: Copies, command: Request['command'], actor: string): Promise<Answer> {
    const { hosts, network } = this.#parts
    // whoever says that it leads is asked, and not always the one that was asked before
    const leading = hosts.filter((each) => each.leads)
    const host = leading[this.#turn % Math.max(1, leading.length)] ?? hosts[0]
    if (host === undefined) return Promise.reject(new HoldfastError('unreachable', 'there is no controller'))
    const arrivals = network.arrivals('client', host.name)
    const answers = () => network.arrivals(host.name, 'client')
    copies.sent += host.up ? arrivals.length : 0
    return host.ask(this.#realm, arrivals, answers, 10_000, ({ engine }) =>
      this.#decided(engine, copies, command, actor),
    )
  }

  /** One copy of a request, at the controller that it came to. */
  async #decided(engine: Engine, copies: Copies, command: Request['command'], actor: string): Promise<Answer> {
    const { disk, world } = this.#parts
    const { accepted } = copies
    const key = { id: copies.key, fingerprint: copies.key, expiresAt: engine.now() + DAY_MS }
    try {
      const answer = await engine.submit({ actor, key, command })
      copies.accepted += 1
      if (answer.revision > disk.head.revision) {
        world.fail(`revision ${answer.revision} was answered, and ${disk.head.revision} is durable`)
      }
      return { ...answer, answer: JSON.parse(JSON.stringify(answer.answer)) as unknown }
    } catch (thrown) {
      const error = asHoldfastError(thrown)
      if (accepted > 0 && !isUndecided(error)) {
        world.fail(`I7: ${copies.key} was accepted, and then refused with ${error.code}`)
      }
      throw error
    } finally {
      copies.ended += 1
    }
  }
}

/** Whether no copy was, or can still be, accepted. */
function isFinal({ sent, ended, accepted }: Copies): boolean {
  return sent === ended && accepted === 0
}

/** Whether nobody knows yet what came of it. */
function isUndecided({ code }: HoldfastError): boolean {
  return code === 'unknown_outcome' || code === 'unreachable' || code === 'not_ready' || code === 'overloaded'
}
