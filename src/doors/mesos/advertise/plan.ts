import { type AgentState, afterFinishing, forgetLike, type Phase, type PoolState, type Update } from './agent-state.ts'
import { type Due, dueOf, nextOf } from './due.ts'

/**
 * Every new version rescinds all offers of the agent that contain anything of any provider, so what is due in all of
 * its pools goes together, and at most two of these batches fall into a closed window of this length, in ms.
 */
export const WINDOW_MS = 2000
/** How long the master takes to rescind what it offered of the old version, with a good reserve: 8-20 ms were seen. */
export const RESCIND_MS = 60

export interface Plan {
  /** To be sent now, each on its stream; in flight until `accepted` or `unsubscribed`. */
  readonly updates: readonly Update[]
  /** When to ask again if nothing happens before; absent: not at all. */
  readonly wakeAt?: number
}

const NOTHING: Plan = { updates: [] }

/**
 * What the agent is to be told now. To be asked after whatever changes its state, and at `wakeAt`. The rules:
 * - the end of an operation goes at once and takes along all that is due; everything else waits for its turn;
 * - what repeats what is shown is not sent; growth is followed lazily;
 * - figures fall in two phases, and what becomes due between them rides with the second one. The first phase starts
 *   only when the second one can follow; it may ride with the end of an operation.
 */
export function plan(agent: AgentState, now: number): Plan {
  const looks: Look[] = []
  let growAt = Number.POSITIVE_INFINITY
  let quiet = true
  for (const pool of agent.pools.values()) {
    if (pool.sent !== undefined) return NOTHING
    if (!pool.subscribed) continue
    const look = lookAt(pool, now)
    looks.push(look)
    growAt = Math.min(growAt, look.due.growAt)
    if (pool.repeat || look.due.shrink || isDue(look)) quiet = false
  }
  if (quiet) return growAt === Number.POSITIVE_INFINITY ? NOTHING : { updates: [], wakeAt: growAt }
  const repeats = looks.flatMap(({ pool }) => repetition(pool))
  if (repeats.length > 0) return send(agent, repeats, now)
  const turn = turnOf(agent, looks, now)
  if (turn.batch === 'none') return turn.wakeAt === undefined ? NOTHING : { updates: [], wakeAt: turn.wakeAt }
  const all = turn.batch === 'all'
  const chosen = looks.filter((look) => (all ? isDue(look) : look.due.shrink || isFirst(look.pool)))
  return send(
    agent,
    chosen.map((look) => update(look, all, now)),
    now,
  )
}

/** The agent answered 202. */
export function accepted(agent: AgentState, update: Update, now: number): void {
  const pool = agent.pools.get(update.poolId)
  if (pool?.sent === undefined || pool.sent.shown.version !== update.shown.version) return
  const { shown, finished } = pool.sent
  delete pool.sent
  pool.shown = shown
  pool.fresh = false
  pool.repeat = false
  for (const operation of finished) {
    pool.finishing.delete(operation)
    pool.held.delete(operation)
  }
  if (pool.bumping) pool.bumpedAt = now
  else delete pool.bumpedAt
  pool.bumping = false
  forgetLike(pool, shown)
  // counted from here on, since it may have reached the agent only now
  if (agent.batches.length > 0) agent.batches[agent.batches.length - 1] = now
}

interface Look {
  readonly pool: PoolState
  readonly due: Due
  /** The first of the two phases of a shrink is over. */
  readonly ripe: boolean
}

function lookAt(pool: PoolState, now: number): Look {
  const due = dueOf(pool, now)
  if (!due.shrink) delete pool.bumpedAt
  return { pool, due, ripe: pool.bumpedAt !== undefined && now - pool.bumpedAt >= RESCIND_MS }
}

interface Turn {
  /** `first-phase`: new versions of what is shown, for the pools whose figures are to fall. */
  readonly batch: 'all' | 'first-phase' | 'none'
  readonly wakeAt?: number
}

/** Something is due in at least one pool. */
function turnOf(agent: AgentState, looks: readonly Look[], now: number): Turn {
  if (looks.some(({ pool }) => pool.finishing.size > 0)) return { batch: 'all' }
  const shrinking = looks.filter(({ due }) => due.shrink)
  if (shrinking.some(({ ripe }) => ripe)) return whenAllowed('all', oneMore(agent), now)
  const bumped = shrinking.flatMap(({ pool }) => (pool.bumpedAt === undefined ? [] : [pool.bumpedAt + RESCIND_MS]))
  if (bumped.length > 0) return { batch: 'none', wakeAt: Math.min(...bumped) }
  if (shrinking.length > 0) return whenAllowed('first-phase', twoMore(agent), now)
  return whenAllowed('all', oneMore(agent), now)
}

function whenAllowed(batch: 'all' | 'first-phase', from: number, now: number): Turn {
  return now >= from ? { batch } : { batch: 'none', wakeAt: from }
}

/** From when on one more batch is allowed, and two of them. */
function oneMore({ batches }: AgentState): number {
  return batches.length < 2 ? Number.NEGATIVE_INFINITY : (batches[0] ?? 0) + WINDOW_MS + 1
}

function twoMore({ batches }: AgentState): number {
  const last = batches.at(-1)
  return last === undefined ? Number.NEGATIVE_INFINITY : last + WINDOW_MS + 1
}

function isDue({ pool, due, ripe }: Look): boolean {
  if (pool.finishing.size > 0 || pool.bump || due.change || isFirst(pool)) return true
  return due.shrink && (ripe || pool.bumpedAt === undefined)
}

function isFirst(pool: PoolState): boolean {
  return pool.fresh && (pool.shown !== undefined || pool.projection !== undefined)
}

function update({ pool, due, ripe }: Look, everything: boolean, now: number): Update {
  const first = isFirst(pool)
  const next = everything || first ? nextOf(pool, now, ripe || first) : afterFinishing(pool)
  const shrinks = due.shrink && (ripe || first)
  // a batch that goes anyway is the first phase of a shrink that waits for one
  pool.bumping = due.shrink && !shrinks
  if (shrinks) pool.exhausted = []
  pool.bump = false
  pool.version += 1
  const shown = { ...(next ?? nextOf(pool, now, false)), version: pool.version }
  return {
    poolId: pool.poolId,
    shown,
    phase: phaseOf(pool, due, shrinks, everything),
    finished: [...pool.finishing.keys()],
  }
}

function phaseOf(pool: PoolState, due: Due, shrinks: boolean, everything: boolean): Phase {
  if (isFirst(pool)) return 'subscribe'
  if (pool.finishing.size > 0) return 'finished'
  if (shrinks) return 'shrink'
  return due.shrink && !(everything && due.change) ? 'before-shrink' : 'change'
}

function repetition({ poolId, repeat, shown }: PoolState): Update[] {
  return repeat && shown !== undefined ? [{ poolId, shown, phase: 'repeat', finished: [] }] : []
}

function send(agent: AgentState, updates: readonly Update[], now: number): Plan {
  for (const each of updates) {
    const pool = agent.pools.get(each.poolId)
    if (pool !== undefined) pool.sent = each
  }
  agent.batches.push(now)
  if (agent.batches.length > 2) agent.batches.shift()
  return { updates }
}
