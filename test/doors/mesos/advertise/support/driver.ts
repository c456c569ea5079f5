import {
  type AgentState,
  newAgent,
  type Phase,
  type PoolState,
  poolOf,
  type Update,
} from '../../../../../src/doors/mesos/advertise/agent-state.ts'
import { accepted, plan } from '../../../../../src/doors/mesos/advertise/plan.ts'
import { amountIn, type Shown } from '../../../../../src/doors/mesos/advertise/shown.ts'

export interface Batch {
  readonly at: number
  readonly updates: readonly Update[]
}

/**
 * An agent in virtual time. It answers each update after some milliseconds, is asked for a plan after whatever happens
 * and when the last plan said so, and every batch is held against the rules that hold whatever happens.
 */
export class Driver {
  readonly agent: AgentState = newAgent()
  readonly batches: Batch[] = []
  now = 1000
  /** Whether a figure may fall without an operation, by the pool's policy. */
  mayFall: (poolId: string, reservations: Shown['raw'][number]['reservations']) => boolean = () => true
  readonly #answerAfter: () => number
  #answers: { readonly at: number; readonly update: Update }[] = []
  #wakeAt: number | undefined
  /** Per pool: what the agent has, when it got its last new version. */
  readonly #told = new Map<string, { shown: Shown; at: number }>()

  constructor(answerAfter: () => number = () => 5) {
    this.#answerAfter = answerAfter
  }

  pool(poolId: string): PoolState {
    return poolOf(this.agent, poolId)
  }

  /** What the agent has of a pool. */
  told(poolId: string): Shown {
    const told = this.#told.get(poolId)
    if (told === undefined) throw new Error(`the agent was told nothing of ${poolId}`)
    return told.shown
  }

  phases(): Phase[] {
    return this.batches.flatMap(({ updates }) => updates.map(({ phase }) => phase))
  }

  /** Something happens, and the plan is made anew. */
  do<T>(what: () => T): T {
    const result = what()
    this.#plan()
    return result
  }

  /** The stream of a pool ends: answers that are on their way are lost. */
  lose(poolId: string): void {
    this.#answers = this.#answers.filter(({ update }) => update.poolId !== poolId)
    this.#told.delete(poolId)
  }

  /** An operation that agent and master do by themselves. */
  speculate(poolId: string, change: (shown: Shown) => Shown): void {
    const told = this.#told.get(poolId)
    if (told !== undefined) told.shown = change(told.shown)
  }

  advance(ms: number): void {
    this.advanceTo(this.now + ms)
  }

  advanceTo(end: number): void {
    for (;;) {
      const answer = this.#answers[0]
      const next = Math.min(answer?.at ?? Number.POSITIVE_INFINITY, this.#wakeAt ?? Number.POSITIVE_INFINITY)
      if (next > end) break
      this.now = Math.max(this.now, next)
      if (answer !== undefined && answer.at <= this.now) this.#answer()
      this.#plan()
    }
    this.now = end
  }

  #answer(): void {
    const answer = this.#answers.shift()
    if (answer === undefined) return
    const { update } = answer
    this.#told.set(update.poolId, { shown: update.shown, at: this.now })
    accepted(this.agent, update, this.now)
  }

  #plan(): void {
    const { updates, wakeAt } = plan(this.agent, this.now)
    if (wakeAt !== undefined && wakeAt <= this.now) throw new Error(`asked to wake at ${wakeAt}, it is ${this.now}`)
    this.#wakeAt = wakeAt
    if (updates.length === 0) return
    const batch = { at: this.now, updates }
    this.#holdToRules(batch)
    this.batches.push(batch)
    for (const update of updates) this.#answers.push({ at: this.now + this.#answerAfter(), update })
    this.#answers.sort((a, b) => a.at - b.at)
  }

  #holdToRules(batch: Batch): void {
    const free = batch.updates.some(({ phase, finished }) => finished.length > 0 || phase === 'repeat')
    const recent = this.batches.filter(({ at }) => at >= batch.at - 2000)
    if (!free && recent.length >= 2) {
      throw new Error(`a third batch within 2 s: ${[...recent, batch].map(({ at }) => at).join()}`)
    }
    for (const update of batch.updates) this.#holdUpdateToRules(update)
  }

  #holdUpdateToRules({ poolId, shown, phase, finished }: Update): void {
    this.#keepsWhatIsHeld(poolId, shown, finished)
    const told = this.#told.get(poolId)
    if (told === undefined) return
    const same = JSON.stringify({ ...shown, version: 0 }) === JSON.stringify({ ...told.shown, version: 0 })
    if (phase === 'repeat') {
      if (!same || shown.version !== told.shown.version) throw new Error('a repetition says something else')
      return
    }
    if (shown.version <= told.shown.version) throw new Error(`version ${shown.version} is not a new one`)
    if (same && phase !== 'before-shrink' && phase !== 'finished' && phase !== 'subscribe') {
      throw new Error(`a ${phase} that changes nothing`)
    }
    if (phase === 'before-shrink' && !same) throw new Error('the first phase changes something')
    this.#fallsInTwoPhases(poolId, shown, finished, told)
  }

  #keepsWhatIsHeld(poolId: string, shown: Shown, finished: readonly string[]): void {
    const sums = new Map<string, { reservations: Shown['raw'][number]['reservations']; sum: number }>()
    for (const [key, piece] of this.pool(poolId).held) {
      if (finished.includes(key)) continue
      if (piece.kind === 'disk') {
        if (!shown.disks.some((disk) => disk.volumeId === piece.volumeId)) throw new Error(`${piece.volumeId} is held`)
        continue
      }
      const name = JSON.stringify(piece.reservations)
      const sum = (sums.get(name)?.sum ?? 0) + piece.sizeMiB
      sums.set(name, { reservations: piece.reservations, sum })
    }
    for (const { reservations, sum } of sums.values()) {
      const amount = amountIn(shown.raw, reservations)
      if (amount < sum) throw new Error(`${amount} MiB are shown, ${sum} MiB are held: ${JSON.stringify(reservations)}`)
    }
  }

  #fallsInTwoPhases(
    poolId: string,
    shown: Shown,
    finished: readonly string[],
    told: { shown: Shown; at: number },
  ): void {
    const pool = this.pool(poolId)
    for (const { reservations, amount } of told.shown.raw) {
      let taken = 0
      for (const key of finished) {
        const done = pool.finishing.get(key)
        const [mine, theirs] = [
          JSON.stringify(reservations),
          JSON.stringify(done?.kind === 'made' && done.reservations),
        ]
        if (done?.kind === 'made' && mine === theirs) taken += done.sizeMiB
      }
      const fell = amount - taken > amountIn(shown.raw, reservations)
      if (fell && !this.mayFall(poolId, reservations)) throw new Error('a figure fell against its policy')
      if (fell && this.now - told.at < 60) throw new Error(`a figure fell ${this.now - told.at} ms after a new version`)
    }
  }
}
