import type { ServerResponse } from 'node:http'
import { HoldfastError } from '../../model/errors.ts'
import type { LedgerEvent } from '../../model/event.ts'
import type { Store } from '../../store/store.ts'
import type { Committed, Engine } from '../engine.ts'
import { withTimes } from './rest-schema.ts'

/** Bytes that may wait for a slow reader; beyond that its connection is dropped, and it resumes where it was. */
export const MAX_UNSENT = 1024 * 1024
const HEARTBEAT_MS = 15_000
const REPLAY_PAGE = 500

export type EventFilter = (event: LedgerEvent) => boolean

export interface EventSource {
  readonly engine: Engine
  readonly store: Store
}

/** An event as it is shown: times of its data too. */
export function showEvent(event: LedgerEvent): unknown {
  return withTimes(event)
}

/**
 * The events after a revision, none beyond what is durable. @throws gone when some of them are no longer kept, or the
 * revision is beyond the history (it was another's)
 */
export async function eventsAfter(source: EventSource, after: number, limit: number): Promise<LedgerEvent[]> {
  const head = await source.engine.read((state) => state.revision)
  const { events, oldest } = await source.store.events(after, limit)
  if (after > head) throw gone(after, `the history ends at ${head}`, head)
  if (after + 1 < oldest) throw gone(after, `the oldest event kept is ${oldest}`, oldest - 1)
  return events.filter((event) => event.revision <= head).map((event) => JSON.parse(event.json) as LedgerEvent)
}

function gone(after: number, why: string, restartFrom: number): HoldfastError {
  const advice = 'list what you need anew, then follow from there'
  return new HoldfastError('gone', `revision ${after}: ${why}; ${advice} (after=${restartFrom})`, { restartFrom })
}

/** Sends events to one reader: first those of the past, then each as it becomes durable, none twice, none left out. */
export class EventStream {
  readonly #source: EventSource
  readonly #response: ServerResponse
  readonly #wanted: EventFilter
  #sent: number
  /** Last revision that the engine has told of since this began. */
  #announced = 0
  #live = false
  #ended = false
  #cleanups: (() => void)[] = []

  constructor(source: EventSource, response: ServerResponse, after: number, wanted: EventFilter) {
    this.#source = source
    this.#response = response
    this.#sent = after
    this.#wanted = wanted
  }

  /** @throws gone, before anything was written */
  async run(): Promise<void> {
    const { engine } = this.#source
    this.#cleanups.push(
      engine.onCommitted((committed) => this.#committed(committed)),
      // after a step down nobody knows what the next leader's history says until it is loaded
      engine.onDown(() => this.end()),
    )
    try {
      let events = await eventsAfter(this.#source, this.#sent, REPLAY_PAGE)
      this.#open()
      for (;;) {
        for (const event of events) {
          this.#send(event)
          await this.#drained()
        }
        if (this.#ended || this.#follow(events.length)) return
        events = await eventsAfter(this.#source, this.#sent, REPLAY_PAGE)
      }
    } catch (thrown) {
      this.#ended ||= !this.#response.headersSent
      this.#cleanUp()
      if (!this.#response.headersSent) throw thrown
      // the history cannot be read now: the reader comes back and resumes
      this.end()
    }
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#cleanUp()
    if (this.#response.headersSent) this.#response.end()
  }

  #cleanUp(): void {
    for (const cleanup of this.#cleanups.splice(0)) cleanup()
  }

  #open(): void {
    const response = this.#response
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    })
    response.write(': holdfast events\n\n')
    const heartbeat = setInterval(() => this.#heartbeat(), HEARTBEAT_MS)
    this.#cleanups.push(() => clearInterval(heartbeat))
    response.on('close', () => this.end())
    // the reader may have gone before this was listening
    if (response.destroyed) this.end()
  }

  /**
   * Switches to live events when the past is told up to the last batch that was announced: whatever comes after that
   * one is announced, so nothing is lost between the two.
   */
  #follow(replayed: number): boolean {
    this.#live = replayed < REPLAY_PAGE && this.#sent >= this.#announced
    return this.#live
  }

  #committed({ events, revision }: Committed): void {
    this.#announced = revision
    if (!this.#live) return
    for (const event of events) this.#send(event)
    if (this.#response.writableLength > MAX_UNSENT) this.#drop()
  }

  #send(event: LedgerEvent): void {
    if (event.revision <= this.#sent || this.#ended) return
    this.#sent = event.revision
    if (!this.#wanted(event)) return
    this.#response.write(`id: ${event.revision}\nevent: ${event.type}\ndata: ${JSON.stringify(showEvent(event))}\n\n`)
  }

  /** Carries the revision, so that a reader whose filter lets little through does not fall out of the history. */
  #heartbeat(): void {
    this.#response.write(this.#live ? `: heartbeat\nid: ${this.#sent}\n\n` : ': heartbeat\n\n')
    if (this.#response.writableLength > MAX_UNSENT) this.#drop()
  }

  #drop(): void {
    this.#response.destroy()
    this.end()
  }

  async #drained(): Promise<void> {
    const response = this.#response
    if (!response.writableNeedDrain || this.#ended) return
    await new Promise<void>((resolve) => {
      response.once('drain', resolve)
      response.once('close', resolve)
    })
  }
}
