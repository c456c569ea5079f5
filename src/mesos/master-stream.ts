import type { Clock } from '../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'
import { Backoff } from './backoff.ts'
import type { MesosHttp } from './http.ts'
import { isObject } from './json.ts'
import { type Leader, unexpectedAnswer } from './leader.ts'
import type { MasterEvent } from './master-protocol.ts'
import { readRecords } from './record-io.ts'
import { Waker } from './waker.ts'

export interface StreamWatcher<Event> {
  /** In order. The first one of each connection is SUBSCRIBED, with the whole state; what came before is void then. */
  onEvent(event: Event): void
  /** The stream has ended, or could not be opened; it is opened again by itself. */
  onLost(reason: HoldfastError): void
}

/** Where a master does not say how often it sends heartbeats (Mesos src/master/constants.hpp). */
const HEARTBEAT_SECONDS = 15
/** Heartbeats that may be missed. */
const MISSED = 3
const MAX_RECORD = 256 * 1024 * 1024

/** The events of the leading master. Ends and begins again when the master changes, falls silent or breaks off. */
export class MasterStream {
  readonly #http: MesosHttp
  readonly #leader: Leader
  readonly #clock: Clock
  readonly #watcher: StreamWatcher<MasterEvent>
  readonly #backoff = new Backoff(250, 15_000)
  readonly #waker: Waker
  readonly #loop: Promise<void>
  #connection = new AbortController()
  #closed = false

  constructor(http: MesosHttp, leader: Leader, clock: Clock, watcher: StreamWatcher<MasterEvent>) {
    this.#http = http
    this.#leader = leader
    this.#clock = clock
    this.#watcher = watcher
    this.#waker = new Waker(clock)
    this.#loop = this.#run()
  }

  /** The leading master may be another one now: lets go of the present one and connects anew. */
  reconnect(): void {
    this.#connection.abort(new HoldfastError('mesos_unreachable', 'the leading master has changed'))
    this.#waker.wake()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#connection.abort(new HoldfastError('cancelled', 'the stream was closed'))
    this.#waker.wake()
    await this.#loop
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const reason = await this.#follow()
      if (this.#closed) return
      this.#watcher.onLost(reason)
      this.#leader.recheck()
      await this.#waker.sleep(this.#backoff.next())
    }
  }

  /** Until the stream ends; gives the reason. */
  async #follow(): Promise<HoldfastError> {
    const base = this.#leader.url
    if (base === undefined) return new HoldfastError('mesos_unreachable', 'no leading master is known')
    const url = `${base}/api/v1`
    const connection = new AbortController()
    this.#connection = connection
    const watchdog = new Watchdog(this.#clock, () =>
      connection.abort(new HoldfastError('mesos_unreachable', `${url} has sent nothing for ${watchdog.seconds} s`)),
    )
    try {
      const answer = await this.#http.stream(url, { type: 'SUBSCRIBE' }, connection.signal)
      if (!('body' in answer)) return unexpectedAnswer(this.#leader, url, 'SUBSCRIBE', answer)
      const where = `the events of ${url}`
      let isFirst = true
      for await (const record of readRecords(answer.body, { where, maxBytes: MAX_RECORD })) {
        watchdog.feed()
        this.#deliver(readEvent(where, record, isFirst), watchdog)
        isFirst = false
      }
      return new HoldfastError('mesos_unreachable', `${url} has ended the stream of events`)
    } catch (thrown) {
      return asHoldfastError(connection.signal.aborted ? connection.signal.reason : thrown)
    } finally {
      watchdog.stop()
      connection.abort()
    }
  }

  #deliver(event: MasterEvent, watchdog: Watchdog): void {
    if (event.type === 'SUBSCRIBED') {
      this.#backoff.reset()
      const seconds = event.subscribed?.heartbeat_interval_seconds
      if (typeof seconds === 'number' && seconds > 0) watchdog.expect(Math.min(seconds, 60) * MISSED)
    }
    if (event.type !== 'HEARTBEAT') this.#watcher.onEvent(event)
  }
}

function readEvent(where: string, record: string, isFirst: boolean): MasterEvent {
  let event: unknown
  try {
    event = JSON.parse(record)
  } catch {
    event = undefined
  }
  if (!isObject(event) || typeof event.type !== 'string') {
    throw new HoldfastError('mesos_protocol', `${where}: a record is no event: ${quote(record)}`)
  }
  if (isFirst && event.type !== 'SUBSCRIBED') {
    throw new HoldfastError('mesos_protocol', `${where}: the first one should be SUBSCRIBED, not ${quote(event.type)}`)
  }
  return event as unknown as MasterEvent
}

/** Barks when it was not fed for so long. */
class Watchdog {
  seconds = HEARTBEAT_SECONDS * MISSED
  readonly #clock: Clock
  readonly #bark: () => void
  #cancel: () => void

  constructor(clock: Clock, bark: () => void) {
    this.#clock = clock
    this.#bark = bark
    this.#cancel = clock.after(this.seconds * 1000, bark)
  }

  expect(seconds: number): void {
    this.seconds = seconds
    this.feed()
  }

  feed(): void {
    this.stop()
    this.#cancel = this.#clock.after(this.seconds * 1000, this.#bark)
  }

  stop(): void {
    this.#cancel()
  }
}
