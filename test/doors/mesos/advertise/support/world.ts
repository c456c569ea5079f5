import { converted, failedForRoom, heard, hold, released } from '../../../../../src/doors/mesos/advertise/operations.ts'
import { amountIn, type Reservations } from '../../../../../src/doors/mesos/advertise/shown.ts'
import { forgotten, subscribed, unsubscribed } from '../../../../../src/doors/mesos/advertise/subscription.ts'
import { wantDisks, wantPool, wantRaw } from '../../../../../src/doors/mesos/advertise/wanted.ts'
import type { ProjectedDisk } from '../../../../../src/mesos/projection.ts'
import type { Shrink } from '../../../../../src/model/mesos.ts'
import type { Random } from '../../../../ledger/support/random.ts'
import { Driver } from './driver.ts'
import { ADS, disk, projection, raw, shownDisk, WEB } from './wanted.ts'

const CAPACITY = 10_000
const POOLS = ['pool-1', 'pool-2'] as const
const STACKS = [ADS, WEB] as const

export interface Policy {
  readonly shrink: Shrink
  readonly guarded: boolean
}

interface Truth {
  free: number
  /** The most that was ever free. */
  most: number
  readonly disks: Map<string, ProjectedDisk>
  /** Disks of others that are to be seen here. */
  readonly foreign: Set<string>
  /** What the agent's own operations have taken. */
  own: number
}

/** Pools of which others take and to which they give, and an agent that hears of it late and makes disks of its own. */
export class World {
  readonly driver: Driver
  /** Stacks of which a creation failed for lack of room, and when. */
  readonly #failed = new Map<string, number>()
  readonly truth = new Map<string, Truth>()
  readonly #random: Random
  readonly #policy: Policy
  #later: { readonly at: number; readonly what: () => void }[] = []
  #lineAt = 0
  #count = 0

  constructor(random: Random, policy: Policy) {
    this.#random = random
    this.#policy = policy
    this.driver = new Driver(() => random.int(1, 30))
    this.driver.mayFall = (poolId, reservations) => this.#mayFall(poolId, reservations)
    for (const poolId of POOLS) {
      const truth = {
        free: CAPACITY,
        most: CAPACITY,
        own: 0,
        disks: new Map<string, ProjectedDisk>(),
        foreign: new Set<string>(),
      }
      this.truth.set(poolId, truth)
      this.driver.do(() => subscribed(this.driver.agent, poolId))
      this.driver.do(() => this.#complete(poolId))
    }
  }

  step(): void {
    const { poolId, truth } = this.#pick()
    const kind = this.#random.int(0, 20)
    if (kind < 8) this.#set(poolId, truth.free - this.#random.int(0, Math.ceil(truth.free / this.#random.int(1, 40))))
    else if (kind < 12) this.#set(poolId, truth.free + this.#random.int(0, CAPACITY - truth.free - truth.own))
    else if (kind < 16) this.#create(poolId)
    else if (kind < 18) this.#destroy(poolId)
    else if (kind < 19) this.#foreignDisk(poolId)
    else if (this.#random.int(0, 4) === 0) this.#reconnect(poolId)
    this.advance(this.#random.int(0, this.#random.int(1, 1500)))
  }

  /** Until everything has been said and half a minute of quiet is over. */
  settle(): void {
    for (let index = 0; index < 10; index += 1) this.advance(5000)
  }

  advance(ms: number): void {
    const end = this.driver.now + ms
    for (;;) {
      this.#later.sort((a, b) => a.at - b.at)
      const next = this.#later[0]
      if (next === undefined || next.at > end) break
      this.#later.shift()
      this.driver.advanceTo(Math.max(next.at, this.driver.now))
      this.driver.do(next.what)
      this.#check()
    }
    this.driver.advanceTo(end)
    this.driver.do(() => heard(this.driver.agent, this.driver.now))
    this.#check()
  }

  /** What is shown of a pool, in the order of the stacks. */
  figures(poolId: string): number[] {
    const shown = this.driver.pool(poolId).shown
    return STACKS.map((stack) => amountIn(shown?.raw ?? [], stack))
  }

  /** Volumes that are shown of a pool, and those that should be. */
  disks(poolId: string): { shown: string[]; wanted: string[] } {
    const { disks, foreign } = this.#of(poolId)
    const shown = (this.driver.pool(poolId).shown?.disks ?? []).map(({ volumeId }) => volumeId)
    return { shown, wanted: [...disks.keys(), ...foreign].sort() }
  }

  /** The controller's stream starts anew and says everything again. */
  sayAgain(): void {
    for (const poolId of POOLS) this.driver.do(() => this.#complete(poolId))
  }

  #mayFall(poolId: string, reservations: Reservations): boolean {
    const { shrink, guarded } = this.#policy
    if (!guarded || shrink === 'never') return false
    const failedAt = this.#failed.get(`${poolId} ${reservations[0]?.role}`) ?? Number.NEGATIVE_INFINITY
    return shrink === 'prompt' || this.driver.now - failedAt <= 30_000
  }

  #pick(): { poolId: string; truth: Truth } {
    const poolId = this.#random.pick(POOLS) ?? 'pool-1'
    return { poolId, truth: this.#of(poolId) }
  }

  #of(poolId: string): Truth {
    const truth = this.truth.get(poolId)
    if (truth === undefined) throw new Error(`no ${poolId}`)
    return truth
  }

  #wanted(poolId: string) {
    // the second role has a quota of a third of the pool
    const { free } = this.#of(poolId)
    return [raw(free, ADS), raw(Math.min(free, Math.floor(CAPACITY / 3)), WEB)]
  }

  #set(poolId: string, free: number): void {
    this.#of(poolId).free = free
    const wanted = this.#wanted(poolId)
    this.#line(() => wantRaw(this.driver.agent, poolId, wanted, this.driver.now))
  }

  /** An operation of the agent takes or gives back. */
  #take(poolId: string, sizeMiB: number): void {
    const truth = this.#of(poolId)
    truth.own += sizeMiB
    this.#set(poolId, truth.free - sizeMiB)
  }

  /** Lines come in order, each up to 400 ms after what it tells of. */
  #line(what: () => void): void {
    this.#lineAt = Math.max(this.#lineAt, this.driver.now + this.#random.int(0, 400))
    this.#later.push({ at: this.#lineAt, what })
  }

  #complete(poolId: string): void {
    const { disks, foreign } = this.#of(poolId)
    const shown = [...disks.values(), ...[...foreign].map((volumeId) => disk(volumeId))]
    const wanted = projection({ poolId, ...this.#policy, raw: this.#wanted(poolId), disks: shown })
    wantPool(this.driver.agent, wanted, this.driver.now)
  }

  #create(poolId: string): void {
    const { agent } = this.driver
    const reservations = this.#random.pick(STACKS) ?? ADS
    const available = amountIn(this.driver.pool(poolId).shown?.raw ?? [], reservations)
    const sizeMiB = this.#random.int(1, 2 + Math.ceil(available / this.#random.int(1, 20)))
    const operation = `op-${this.#count++}`
    if (!this.driver.do(() => hold(agent, poolId, operation, { kind: 'raw', reservations, sizeMiB }))) return
    this.#after(200, () => {
      const truth = this.#of(poolId)
      if (truth.free < sizeMiB) {
        released(agent, poolId, operation)
        this.#failed.set(`${poolId} ${reservations[0]?.role}`, this.driver.now)
        failedForRoom(agent, poolId, reservations, this.driver.now)
        return
      }
      const volumeId = `vol-${operation}`
      this.#take(poolId, sizeMiB)
      this.#after(1500, () => {
        // the agent was wiped meanwhile
        if (!this.driver.pool(poolId).held.has(operation)) return this.#take(poolId, -sizeMiB)
        truth.disks.set(volumeId, disk(volumeId, { sizeMiB, reservations }))
        const made = shownDisk(volumeId, { sizeMiB, reservations })
        converted(agent, poolId, operation, { kind: 'made', reservations, sizeMiB, disk: made }, this.driver.now)
        this.#line(() => wantDisks(agent, poolId, [disk(volumeId, { sizeMiB, reservations })], []))
      })
    })
  }

  #destroy(poolId: string): void {
    const { agent } = this.driver
    const shown = this.#random.pick(this.driver.pool(poolId).shown?.disks ?? [])
    if (shown === undefined || !this.#of(poolId).disks.has(shown.volumeId)) return
    const { volumeId, sizeMiB, reservations } = shown
    const operation = `op-${this.#count++}`
    if (!this.driver.do(() => hold(agent, poolId, operation, { kind: 'disk', volumeId }))) return
    this.#after(800, () => {
      const truth = this.#of(poolId)
      truth.disks.delete(volumeId)
      this.#take(poolId, -sizeMiB)
      this.#line(() => wantDisks(agent, poolId, [], [volumeId]))
      const unmade = { kind: 'unmade', volumeId, reservations, sizeMiB } as const
      this.#after(500, () => {
        if (this.driver.pool(poolId).held.has(operation)) converted(agent, poolId, operation, unmade, this.driver.now)
      })
    })
  }

  /** A disk of somebody else appears here, or goes, and takes nothing of what is counted. */
  #foreignDisk(poolId: string): void {
    const volumeId = `foreign-${this.#random.int(0, 5)}`
    const appears = this.#random.int(0, 2) === 0
    const { foreign } = this.#of(poolId)
    if (appears) foreign.add(volumeId)
    else foreign.delete(volumeId)
    this.#line(() => wantDisks(this.driver.agent, poolId, appears ? [disk(volumeId)] : [], appears ? [] : [volumeId]))
  }

  #reconnect(poolId: string): void {
    const { agent } = this.driver
    const wiped = this.#random.int(0, 2) === 0
    this.driver.do(() => (wiped ? forgotten : unsubscribed)(agent, poolId))
    this.driver.lose(poolId)
    this.#after(2000, () => subscribed(agent, poolId))
  }

  #after(ms: number, what: () => void): void {
    this.#later.push({ at: this.driver.now + this.#random.int(1, ms), what })
  }

  #check(): void {
    for (const [poolId, truth] of this.truth) {
      truth.most = Math.max(truth.most, truth.free)
      for (const figure of this.figures(poolId)) {
        if (figure > truth.most)
          throw new Error(`${figure} MiB of ${poolId} are shown, at most ${truth.most} were free`)
      }
    }
  }
}
