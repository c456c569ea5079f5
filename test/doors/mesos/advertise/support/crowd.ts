import { type AgentState, newAgent, type Update } from '../../../../../src/doors/mesos/advertise/agent-state.ts'
import { converted, heard, hold } from '../../../../../src/doors/mesos/advertise/operations.ts'
import { accepted, plan } from '../../../../../src/doors/mesos/advertise/plan.ts'
import { amountIn } from '../../../../../src/doors/mesos/advertise/shown.ts'
import { subscribed } from '../../../../../src/doors/mesos/advertise/subscription.ts'
import { wantDisks, wantPool, wantRaw } from '../../../../../src/doors/mesos/advertise/wanted.ts'
import type { ProjectedRaw } from '../../../../../src/mesos/projection.ts'
import { Random } from '../../../../ledger/support/random.ts'
import { ADS, disk, projection, shownDisk } from './wanted.ts'

const POOL = 'pool-1'
const ANSWER_MS = 10
/** The controller gathers changes for so long before it writes the next line. */
const TICK_MS = 200
const HEARTBEAT_MS = 5000

export interface CrowdOptions {
  readonly agents: number
  readonly takesPerSecond: number
  readonly capacityMiB: number
  /** How long a volume lives, about. */
  readonly livesMs: number
  readonly seed: number
}

interface Member {
  readonly agent: AgentState
  answers: { readonly at: number; readonly update: Update }[]
  wakeAt: number
  /** When its last two batches were sent. */
  last: number
  before: number
}

interface Volume {
  readonly id: string
  readonly member: Member
  readonly sizeMiB: number
  readonly at: number
}

/** Many agents on one pool in virtual time: each take on one of them changes what all may show. */
export class Crowd {
  readonly members: Member[]
  now = 0
  free: number
  batches = 0
  takes = 0
  refused = 0
  /** Batches beyond two in a closed window of 2 s that carried no end of an operation. */
  broken = 0
  readonly #options: CrowdOptions
  readonly #random: Random
  #making: Volume[] = []
  #living: Volume[] = []

  constructor(options: CrowdOptions) {
    this.#options = options
    this.#random = new Random(options.seed)
    this.free = options.capacityMiB
    const wanted = projection({ raw: this.#wanted() })
    this.members = Array.from({ length: options.agents }, () => {
      const member = { agent: newAgent(), answers: [], wakeAt: Number.POSITIVE_INFINITY, last: -1e9, before: -1e9 }
      subscribed(member.agent, POOL)
      wantPool(member.agent, wanted, 0)
      this.#plan(member, 0)
      return member
    })
  }

  /** @param busy whether anybody takes and gives */
  run(ms: number, busy: boolean): void {
    const end = this.now + ms
    while (this.now < end) {
      const before = this.free
      this.now += TICK_MS
      this.#finish()
      if (busy) this.#takeAndGive()
      const line = this.free === before ? undefined : this.#wanted()
      const heartbeat = this.now % HEARTBEAT_MS === 0
      for (const member of this.members) this.#tick(member, line, heartbeat)
    }
  }

  shown(member: Member): number {
    return amountIn(member.agent.pools.get(POOL)?.shown?.raw ?? [], ADS)
  }

  #wanted(): ProjectedRaw[] {
    return [{ reservations: ADS, sizeMiB: this.free }]
  }

  #tick(member: Member, line: ProjectedRaw[] | undefined, heartbeat: boolean): void {
    this.#advance(member, this.now)
    if (heartbeat) heard(member.agent, this.now)
    if (line !== undefined) wantRaw(member.agent, POOL, line, this.now)
    if (line !== undefined || heartbeat) this.#plan(member, this.now)
  }

  #advance(member: Member, to: number): void {
    for (;;) {
      const answer = member.answers[0]
      const next = Math.min(answer?.at ?? Number.POSITIVE_INFINITY, member.wakeAt)
      if (next > to) return
      if (answer !== undefined && answer.at <= next) {
        member.answers.shift()
        accepted(member.agent, answer.update, next)
      }
      this.#plan(member, next)
    }
  }

  #plan(member: Member, now: number): void {
    const { updates, wakeAt } = plan(member.agent, now)
    member.wakeAt = wakeAt ?? Number.POSITIVE_INFINITY
    if (updates.length === 0) return
    this.batches += 1
    const carriesAnEnd = updates.some(({ finished }) => finished.length > 0)
    if (!carriesAnEnd && now - member.before <= 2000) this.broken += 1
    member.before = member.last
    member.last = now
    for (const update of updates) member.answers.push({ at: now + ANSWER_MS, update })
  }

  /** Disks that were asked for a second ago are there, and are used where they were made. */
  #finish(): void {
    const ready = this.#making.filter(({ at }) => at + 1000 <= this.now)
    if (ready.length === 0) return
    this.#making = this.#making.filter(({ at }) => at + 1000 > this.now)
    for (const volume of ready) {
      const { id, member, sizeMiB } = volume
      this.#advance(member, this.now)
      const made = { kind: 'made', reservations: ADS, sizeMiB, disk: shownDisk(id, { sizeMiB }) } as const
      converted(member.agent, POOL, id, made, this.now)
      wantDisks(member.agent, POOL, [disk(id, { sizeMiB })], [])
      this.#plan(member, this.now)
      this.#living.push(volume)
    }
  }

  #takeAndGive(): void {
    const each = this.#options.takesPerSecond * (TICK_MS / 1000)
    for (let index = 0; index < each; index += 1) this.#take()
    const gone = this.#living.filter(({ at }) => at + this.#options.livesMs <= this.now)
    if (gone.length > 0) this.#living = this.#living.filter(({ at }) => at + this.#options.livesMs > this.now)
    for (const { id, member, sizeMiB } of gone) {
      this.free += sizeMiB
      this.#advance(member, this.now)
      wantDisks(member.agent, POOL, [], [id])
    }
  }

  #take(): void {
    const member = this.#random.pick(this.members)
    const { capacityMiB, takesPerSecond, livesMs } = this.#options
    // so that about half of the pool is taken
    const mean = capacityMiB / 2 / (takesPerSecond * (livesMs / 1000))
    const sizeMiB = this.#random.int(1, 2 * Math.round(mean))
    const id = `vol-${this.takes + this.refused}`
    if (member === undefined) return
    this.#advance(member, this.now)
    const piece = { kind: 'raw', reservations: ADS, sizeMiB } as const
    if (this.free < sizeMiB || !hold(member.agent, POOL, id, piece)) {
      this.refused += 1
      return
    }
    this.takes += 1
    this.free -= sizeMiB
    this.#making.push({ id, member, sizeMiB, at: this.now })
  }
}
