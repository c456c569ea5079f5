import type { World } from './world.ts'

/** Who cannot hear whom, and how bad the rest is. */
export class Network {
  readonly #world: World
  readonly #cuts = new Map<string, number>()
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
    this.loss = 0
    this.repeat = 0
    this.slowness = 5
  }

  get delay(): number {
    const { random } = this.#world
    return random.chance(0.02) ? random.int(1, this.slowness * 60) : random.int(1, this.slowness)
  }

  /** When the copies of a message arrive, in ms from now; none when it is lost. */
  arrivals(from: string, to: string): number[] {
    const { random } = this.#world
    if (this.isCut(from, to) || random.chance(this.loss)) return []
    if (!random.chance(this.repeat)) return [this.delay]
    return [this.delay, random.chance(0.3) ? random.int(1000, 60_000) : random.int(1, 200)]
  }
}

function pair(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}
