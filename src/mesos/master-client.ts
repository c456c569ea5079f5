import type { Clock } from '../model/clock.ts'
import { HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'
import type { Answer, MesosHttp } from './http.ts'
import { isObject, readJson } from './json.ts'
import { type Leader, unexpectedAnswer } from './leader.ts'
import type { MasterChange, MasterEvent, MasterQueries } from './master-protocol.ts'
import { MasterStream, type StreamWatcher } from './master-stream.ts'

/** What became of a change: accepted, or why not, in the master's words. */
export type ChangeResult =
  | { readonly kind: 'accepted' }
  /** 403: an ACL forbids it. */
  | { readonly kind: 'denied'; readonly why: string }
  /** 409: it was allowed, but the resources are not as it says. */
  | { readonly kind: 'conflict'; readonly why: string }
  /** 400: it is not valid. */
  | { readonly kind: 'invalid'; readonly why: string }

const CHANGE_RESULTS: Readonly<Record<number, Exclude<ChangeResult['kind'], 'accepted'>>> = {
  400: 'invalid',
  403: 'denied',
  409: 'conflict',
}

/** The operator API of the leading master. */
export class MasterClient {
  readonly #http: MesosHttp
  readonly #leader: Leader
  readonly #clock: Clock

  /** @param http carries credentials; the caller closes it */
  constructor(http: MesosHttp, leader: Leader, clock: Clock) {
    this.#http = http
    this.#leader = leader
    this.#clock = clock
  }

  /** @throws mesos_unreachable (no master, or one that does not lead any more), mesos_refused, mesos_protocol */
  async query<K extends keyof MasterQueries>(type: K): Promise<MasterQueries[K]> {
    const { url, answer } = await this.#call({ type })
    if (answer.status !== 200) throw this.#unexpected(url, type, answer)
    const content = readJson(url, type, answer.text)[type.toLowerCase()] ?? {}
    if (!isObject(content))
      throw new HoldfastError('mesos_protocol', `${url} answers ${type} with ${quote(answer.text)}`)
    return content as MasterQueries[K]
  }

  /** The flags with which the master was started, by name. @throws as `query` */
  async flags(): Promise<ReadonlyMap<string, string>> {
    const { flags = [] } = await this.query('GET_FLAGS')
    return new Map(flags.map(({ name, value = '' }) => [name, value]))
  }

  /** @throws mesos_unreachable, after which the outcome is not known; mesos_refused for 401 and what is not expected */
  async change(change: MasterChange): Promise<ChangeResult> {
    const { url, answer } = await this.#call(change)
    if (answer.status === 202 || answer.status === 200) return { kind: 'accepted' }
    const kind = CHANGE_RESULTS[answer.status]
    if (kind === undefined) throw this.#unexpected(url, change.type, answer)
    return { kind, why: answer.text }
  }

  /** Follows the events of whichever master leads, until closed. */
  subscribe(watcher: StreamWatcher<MasterEvent>): MasterStream {
    return new MasterStream(this.#http, this.#leader, this.#clock, watcher)
  }

  async #call(call: { readonly type: string }): Promise<{ url: string; answer: Answer }> {
    const base = this.#leader.url
    if (base === undefined) throw new HoldfastError('mesos_unreachable', 'no leading master is known')
    const url = `${base}/api/v1`
    try {
      return { url, answer: await this.#http.post(url, call) }
    } catch (thrown) {
      this.#leader.recheck()
      throw thrown
    }
  }

  #unexpected(url: string, type: string, answer: Answer): HoldfastError {
    return unexpectedAnswer(this.#leader, url, type, answer)
  }
}
