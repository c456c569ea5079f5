import type { Clock } from '../model/clock.ts'
import { formatId, type NewId } from '../model/ids.ts'
import { Random } from './random.ts'

/** Wall-clock time at which every simulated world begins, ms since 1970. */
const BEGIN = 1_767_225_600_000
const KEPT_LINES = 400

/** Something that must never be so was so. */
export class Violation extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'Violation'
  }
}

interface Event {
  readonly at: number
  readonly order: number
  run: (() => void) | undefined
}

/**
 * One thread, one seed: virtual time, a queue of events, chance. Every event runs to its end, with all promises that
 * it settles, before the next begins; so the order of everything follows from the seed alone.
 */
export class World {
  readonly random: Random
  /** Virtual ms since the beginning. */
  time = 0
  events = 0
  violation: Violation | undefined
  readonly #queue = new EventQueue()
  readonly #watchers: (() => void)[] = []
  readonly #lines: string[] = []
  readonly #onLine: ((line: string) => void) | undefined
  #digest = 0x811c9dc5
  #order = 0
  #ids = 0

  constructor(seed: number, onLine?: (line: string) => void) {
    this.random = new Random(seed)
    this.#onLine = onLine
  }

  /** Runs after `ms`; returns what cancels it. */
  after(ms: number, run: () => void): () => void {
    this.#order += 1
    const event: Event = { at: this.time + Math.max(0, Math.round(ms)), order: this.#order, run }
    this.#queue.push(event)
    return () => {
      event.run = undefined
    }
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve))
  }

  /** Called after every event. */
  watch(watcher: () => void): void {
    this.#watchers.push(watcher)
  }

  /** Runs events until `done`, or until a time; false when the time came first. @throws Violation */
  async run(until: number, done: () => boolean = () => false): Promise<boolean> {
    while (!done()) {
      const event = this.#queue.pop()
      if (event === undefined || event.at > until) {
        if (event !== undefined) this.#queue.push(event)
        this.time = until
        return false
      }
      if (event.run === undefined) continue
      this.time = event.at
      this.events += 1
      event.run()
      await new Promise((resolve) => setImmediate(resolve))
      for (const watcher of this.#watchers) watcher()
      if (this.violation !== undefined) throw this.violation
    }
    return true
  }

  /** Records what must never be; the run ends with it after this event. */
  fail(message: string): void {
    this.trace('VIOLATION', message)
    this.violation ??= new Violation(message)
  }

  trace(who: string, what: string): void {
    const line = `${(this.time / 1000).toFixed(3).padStart(8)} ${who.padEnd(9)} ${what}`
    for (let index = 0; index < line.length; index += 1) {
      this.#digest = Math.imul(this.#digest ^ line.charCodeAt(index), 0x01000193)
    }
    this.#lines.push(line)
    if (this.#lines.length > KEPT_LINES * 2) this.#lines.splice(0, KEPT_LINES)
    this.#onLine?.(line)
  }

  get lines(): readonly string[] {
    return this.#lines
  }

  /** Of every line that was traced. */
  get digest(): string {
    return (this.#digest >>> 0).toString(16).padStart(8, '0')
  }

  /** The true wall-clock time. */
  get wall(): number {
    return BEGIN + this.time
  }

  readonly newId: NewId = (kind) => {
    this.#ids += 1
    return formatId(kind, this.wall, this.#ids.toString(32).padStart(12, '0'))
  }

  readonly newUuid = (): string => {
    this.#ids += 1
    const hex = this.#ids.toString(16).padStart(12, '0')
    return `${hex.slice(4)}-0000-4000-8000-${hex}`
  }
}

/**
 * A process, or the kernel of one boot of a machine: what it waits for comes to it only while it lives, and waits while
 * it is paused. A dead one never hears of anything again.
 */
export class Realm {
  readonly name: string
  readonly world: World
  readonly #parent: Realm | undefined
  #alive = true
  #pausedUntil = 0
  readonly #bornAt: number
  readonly #deathWatch = new Set<() => void>()

  constructor(world: World, name: string, parent?: Realm) {
    this.world = world
    this.name = name
    this.#parent = parent
    this.#bornAt = world.time
  }

  get alive(): boolean {
    return this.#alive && this.#parent?.alive !== false
  }

  die(): void {
    this.#alive = false
    for (const tell of [...this.#deathWatch]) tell()
    this.#deathWatch.clear()
  }

  /** Calls when this realm itself dies; returns what ends the watch. */
  onDeath(tell: () => void): () => void {
    this.#deathWatch.add(tell)
    return () => this.#deathWatch.delete(tell)
  }

  /** Stands still until then; nobody inside can tell but by the clock. */
  pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.world.time + ms)
  }

  get #wakesAt(): number {
    const parent: Realm | undefined = this.#parent
    return Math.max(this.#pausedUntil, parent === undefined ? 0 : parent.#wakesAt)
  }

  get paused(): boolean {
    return this.#wakesAt > this.world.time
  }

  after(ms: number, call: () => void): () => void {
    let cancelled = false
    const run = () => {
      if (cancelled || !this.alive) return
      if (this.paused) this.world.after(this.#wakesAt - this.world.time, run)
      else call()
    }
    const cancelEvent = this.world.after(ms, run)
    return () => {
      cancelled = true
      cancelEvent()
    }
  }

  /** The clocks as this realm sees them. @param skew ms by which its wall clock is off */
  clock(skew: () => number): Clock {
    return {
      now: () => this.world.wall + skew(),
      boottime: () => this.world.time - (this.#parent ?? this).#bornAt,
      after: (ms, call) => this.after(ms, call),
    }
  }
}

/** A binary heap: earliest first, and in the order of coming at the same time. */
class EventQueue {
  readonly #heap: Event[] = []

  push(event: Event): void {
    const heap = this.#heap
    let index = heap.length
    heap.push(event)
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!before(event, heap[parent] as Event)) break
      heap[index] = heap[parent] as Event
      index = parent
    }
    heap[index] = event
  }

  pop(): Event | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let index = 0
    for (;;) {
      let child = index * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child] as Event)) child += 1
      if (!before(heap[child] as Event, last)) break
      heap[index] = heap[child] as Event
      index = child
    }
    heap[index] = last
    return first
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
