import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Random } from '../../../src/simulate/random.ts'
import type { Abort } from '../../support/mesos/cluster.ts'
import { blame } from './attribution.ts'
import { Book } from './book.ts'
import { Chaos, type Kills, type Strike, surprises } from './chaos.ts'
import { checkLedger, taskTroubles } from './checks.ts'
import { deleteVolume } from './deletes.ts'
import { hostile, operator } from './hostile.ts'
import { createDisk, decline, destroyDisk, giveBack, killTask, launch, type Moving } from './moves.ts'
import { StormFramework } from './storm-framework.ts'
import type { System } from './system.ts'

export interface StormOptions {
  readonly seed: number
  readonly operations: number
  readonly kills: Kills
  /** How often each thing is done, where that is not as ever. */
  readonly moves?: Partial<typeof MOVES>
}

export const ROLES = ['ads', 'ads/web', 'web']

const FRAMEWORKS = [
  { name: 'one', roles: ['ads'] },
  { name: 'two', roles: ['ads/web'] },
  { name: 'three', roles: ['web'] },
  { name: 'four', roles: ROLES },
]

const MOVES = { create: 26, launch: 28, delete: 24, destroy: 14, hostile: 14, operator: 5, decline: 6, kill: 3 }
type Move = keyof typeof MOVES

/** Between two kills, in moves. */
const MOVES_PER_KILL = 18
const MOVES_PER_CHECK = 40

/** Random work and random deaths, on everything at once. */
export class Storm {
  readonly system: System
  readonly book: Book
  readonly frameworks: readonly StormFramework[]
  readonly chaos: Chaos
  readonly taskDirectory: string
  readonly #options: StormOptions
  readonly #random: Random
  readonly #moving: Moving
  #check: Promise<void> | undefined

  constructor(system: System, options: StormOptions) {
    this.system = system
    this.#options = options
    this.#random = new Random(options.seed)
    this.book = new Book(new Map(system.options.pools.map(({ name, capacityMiB }) => [name, capacityMiB])))
    const masterUrl = system.mesos.master.url
    this.frameworks = FRAMEWORKS.map((each) => new StormFramework({ ...each, masterUrl, book: this.book }))
    this.taskDirectory = join(system.directory, 'tasks')
    mkdirSync(this.taskDirectory)
    this.#moving = {
      random: this.#random,
      book: this.book,
      frameworks: this.frameworks,
      taskDirectory: this.taskDirectory,
    }
    this.chaos = new Chaos(this.#random, system, this.frameworks, this.book, options.kills)
  }

  /** Ends early when something is wrong that must not be. */
  async rage(): Promise<void> {
    for (let moves = 0; moves < this.#options.operations; ) {
      if (this.book.violations.length > 0) break
      await this.tend()
      if (!(await this.#move())) {
        await delay(5)
        continue
      }
      moves++
      if (this.#random.chance(1 / MOVES_PER_KILL)) this.chaos.strike()
      if (moves % MOVES_PER_CHECK === 0) {
        if (this.troubles().length > 0) break
        this.#look()
      }
      await delay(this.#random.int(0, 60))
    }
    await this.chaos.settle()
    await this.#check
  }

  /** Frameworks read what has come, ask again, and give back what they do not use. */
  async tend(): Promise<void> {
    for (const framework of this.frameworks) {
      framework.tend()
      await framework.reconcile(5000)
    }
    await giveBack(this.frameworks, 300)
  }

  #move(): Promise<boolean> {
    const { system, book } = this
    const moves: Record<Move, () => Promise<boolean>> = {
      create: () => createDisk(this.#moving),
      launch: () => launch(this.#moving),
      delete: () => deleteVolume(this.#random, book, system),
      destroy: () => destroyDisk(this.#moving),
      hostile: () => hostile(this.#moving),
      operator: () => operator(this.#moving, system.mesos.master.url),
      decline: () => decline(this.#moving),
      kill: () => killTask(this.#moving),
    }
    return moves[this.#random.weighted({ ...MOVES, ...this.#options.moves })]()
  }

  /** Beside the storm, not in its way; the controller may be down. */
  #look(): void {
    this.#check ??= checkLedger(this.system, this.book)
      .catch(() => this.book.count('CHECK', 'no controller'))
      .finally(() => {
        this.#check = undefined
      })
  }

  /** What we did that made an abort happen; undefined when it must not happen. */
  blame(abort: Abort): Strike | undefined {
    return blame(abort, this.chaos.strikes, this.book, this.system)
  }

  /** What must not be and is, so far. */
  troubles(): string[] {
    const { system, book, taskDirectory } = this
    const aborts = system.mesos.aborts.filter((abort) => this.blame(abort) === undefined)
    return [
      ...book.violations,
      ...taskTroubles(taskDirectory),
      ...surprises(system.daemons),
      ...aborts.map(({ who, number, message, cause }) => `abort ${number} of ${who}: ${message}, because of ${cause}`),
    ]
  }
}
