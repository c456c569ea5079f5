import type { Logger } from 'pino'
import { type Guard, verifyGuard } from '../../mesos/guard.ts'
import type { Clock } from '../../model/clock.ts'
import { asHoldfastError } from '../../model/errors.ts'
import type { Committed, Engine } from '../engine.ts'
import { nextGuard, verdictOf } from './guard-verdict.ts'
import type { MasterWatch } from './master-watch.ts'
import type { AskedMasters } from './masters.ts'
import { type NeededAcls, neededAcls } from './needed-acls.ts'

export interface GuardWatchParts {
  readonly engine: Engine
  readonly clock: Clock
  readonly masters: Pick<MasterWatch, 'client' | 'leader' | 'problem' | 'askAll'>
  readonly principal: string
  readonly log: Logger
}

/** Between two looks at a guard that is clear, and at one that is not, ms. */
const EVERY_MS = 60_000
const UNCLEAR_MS = 5000
/** Several things that happen together are looked at once, ms. */
const SOON_MS = 100

/**
 * Looks whether the masters' ACLs forbid what a provider cannot refuse, at start, for each new leader, when the pools'
 * settings change and every minute, and tells the ledger when that is another answer than before.
 */
export class GuardWatch {
  readonly #parts: GuardWatchParts
  readonly #unsubscribe: () => void
  #cancelTimer: (() => void) | undefined
  #looking: Promise<void> | undefined
  #again = false
  /** A look is about to begin. */
  #soon = false
  /** The last look did not find the guard verified. */
  #unclear = true
  #stopped = false
  #verifiedAt: number
  #asked: AskedMasters = { leading: undefined, others: [] }
  #needed: NeededAcls | undefined

  constructor(parts: GuardWatchParts) {
    this.#parts = parts
    this.#verifiedAt = parts.clock.boottime()
    this.#unsubscribe = parts.engine.onCommitted((committed) => {
      if (changesPools(committed)) this.look()
    })
  }

  start(): void {
    this.look()
  }

  /** What was found when the masters were asked last. */
  get asked(): AskedMasters {
    return this.#asked
  }

  get conflicts(): readonly string[] {
    return this.#needed?.conflicts ?? []
  }

  /** Looks soon; a look that is under way may have looked before what happened, and is done again. */
  look(): void {
    if (this.#looking !== undefined || this.#soon) this.#again = true
    else this.#after(SOON_MS)
  }

  /** An agent has come, without which a look may not be able to try. */
  agentCame(): void {
    if (this.#unclear) this.look()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelTimer?.()
    this.#unsubscribe()
    await this.#looking
  }

  #after(ms: number): void {
    this.#cancelTimer?.()
    if (this.#stopped) return
    this.#soon = ms === SOON_MS
    this.#cancelTimer = this.#parts.clock.after(ms, () => {
      this.#soon = false
      this.#again = false
      this.#looking = this.#look().then((pause) => {
        this.#looking = undefined
        this.#after(this.#again ? SOON_MS : pause)
      })
    })
  }

  /** @returns the time after which to look again */
  async #look(): Promise<number> {
    const { engine, masters, principal, log } = this.#parts
    try {
      const needed = await engine.read((state) => neededAcls(state, principal))
      this.#needed = needed
      // whoever looks for the leader says when it knows more
      if (masters.leader === undefined && masters.problem === undefined) return UNCLEAR_MS
      const [leading, asked] = await Promise.all([this.#askLeader(needed), masters.askAll()])
      if (this.#stopped) return EVERY_MS
      this.#asked = asked
      const found = verdictOf(leading, asked.others, needed.required)
      this.#unclear = found.state !== 'verified'
      await this.#record(found)
      return found.state === 'unverified' ? UNCLEAR_MS : EVERY_MS
    } catch (thrown) {
      // the controller does not lead at this moment
      log.debug({ event: 'mesos.guard', message: asHoldfastError(thrown).message }, 'mesos.guard')
      return UNCLEAR_MS
    }
  }

  async #askLeader({ required }: NeededAcls): Promise<Guard> {
    const { masters, principal } = this.#parts
    if (masters.leader !== undefined) return verifyGuard(masters.client, { principal, required })
    return { state: 'unverified', why: [`no master leads: ${masters.problem?.message ?? ''}`] }
  }

  async #record(found: Guard): Promise<void> {
    const { engine, clock } = this.#parts
    const now = clock.boottime()
    if (found.state === 'verified') this.#verifiedAt = now
    const before = await engine.read((state) => state.get('guard', 'mesos'))
    const guard = nextGuard(before, found, this.#verifiedAt, now)
    if (guard === undefined) return
    const command = { kind: 'guard.set', state: guard.state, why: [...guard.why] } as const
    await engine.submit({ actor: 'mesos master watch', command, internal: true })
  }
}

/** A change of what a pool may show, or to whom. */
function changesPools({ changes }: Committed): boolean {
  return changes.some(({ kind, record, before }) => {
    return kind === 'pool' && JSON.stringify(record?.mesos) !== JSON.stringify(before?.mesos)
  })
}

/** Nobody looks at the masters: a guard that somebody has seen once may not be there any more. */
export async function forgetGuard(engine: Engine): Promise<void> {
  const before = await engine.read((state) => state.get('guard', 'mesos'))
  if (before === undefined || before.state === 'unverified') return
  const why = ['no masters are configured (controller.mesos.masters), so nobody looks at their ACLs']
  await engine.submit({ actor: 'controller', command: { kind: 'guard.set', state: 'unverified', why }, internal: true })
}
