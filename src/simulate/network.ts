import type { World } from './world.ts'

/** Who cannot hear whom, and how bad the rest is. */
export class Network {
  readonly #world: World
  readonly #cuts = new Map<string, number>()
  #slowUntil = 0
  /** Chance that a message is lost on its way. */
  loss = 0
  /** Chance that a message arrives a second time, at some time. */
  repeat = 0
  /** Usual delay of a message in ms. */
  slowness = 5

  constructor(world: World) {
    this.#world = world
  }

  /** Nothing passes between the two until `ms` from now. */
  cut(a: string, b: string, ms: number): void {
    const key = pair(a, b)
    this.#cuts.set(key, Math.max(this.#cuts.get(key) ?? 0, this.#world.time + ms))
  }

  isCut(a: string, b: string): boolean {
    return (this.#cuts.get(pair(a, b)) ?? 0) > this.#world.time
  }

  heal(): void {
    this.#cuts.clear()
    this.#slowUntil = 0
    this.loss = 0
    this.repeat = 0
    this.slowness = 5
  }

  /** For a while everything takes seconds. */
  slowDown(ms: number): void {
    this.#slowUntil = this.#world.time + ms
  }

  get delay(): number {
    const { random } = this.#world
    if (this.#slowUntil > this.#world.time) return random.int(100, 8000)
    return random.chance(0.02) ? random.int(1, this.slowness * 60) : random.int(1, this.slowness)
  }

  /** When the copies of a message arrive, in ms from now; none when it is lost. */
  arrivals(from: string, to: string): number[] {
    const { random } = this.#world
    if (this.isCut(from, to) || random.chance(this.loss)) return []
    if (!random.chance(this.repeat)) return [this.delay]
    const far = random.weighted({ soon: 3, later: 4, late: 3 })
    return [this.delay, random.int(1, { soon: 200, later: 8000, late: 60_000 }[far])]
  }
}

function pair(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}
