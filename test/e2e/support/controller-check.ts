/** Looks at a controller from outside, after a restart: does all of it agree with itself, and with what was answered? */
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import { ask, type Client, type Item } from './controller-book.ts'
import type { Http } from './controller-http.ts'

interface Shown extends Item {
  readonly pool: string
  readonly role: string
  readonly sizeMiB: number
  readonly iops: number
  readonly drawnMiB: number
  readonly drawnIops: number
  readonly draws?: { holdId: string; sizeMiB: number; iops: number }[]
  readonly operations: string[]
}

interface ShownEvent {
  readonly revision: number
  readonly type: string
  readonly actor: string
  readonly subject: { id: string; name?: string }
  readonly data: { iops?: number }
}

interface Amounts {
  sizeMiB: number
  iops: number
}

/** Everything that one read of the lists shows. */
export interface Seen {
  readonly pools: Item[]
  readonly roles: Item[]
  readonly holds: Shown[]
  readonly volumes: Shown[]
  readonly operations: Item[]
}

export async function look(http: Http): Promise<Seen> {
  return {
    pools: await http.all('/v1/pools'),
    roles: await http.all('/v1/roles'),
    holds: await http.all('/v1/holds'),
    volumes: await http.all('/v1/volumes'),
    operations: await http.all('/v1/operations'),
  }
}

/** Counts everything anew, from the records alone (invariants I1 and I3, and what is drawn from holds). */
export function checkSums({ pools, roles, holds, volumes, operations }: Seen): void {
  const drawn = Map.groupBy(
    volumes.flatMap(({ draws }) => draws ?? []),
    ({ holdId }) => holdId,
  )
  for (const hold of holds) {
    const draws = drawn.get(hold.id) ?? []
    expect({ sizeMiB: hold.drawnMiB, iops: hold.drawnIops }).toEqual(sum(draws))
    expect(hold.drawnMiB).toBeLessThanOrEqual(hold.sizeMiB)
  }
  const rests = holds.map((hold) => ({
    ...hold,
    sizeMiB: hold.sizeMiB - hold.drawnMiB,
    iops: hold.iops - hold.drawnIops,
  }))
  for (const pool of pools) {
    const inPool = (each: Shown) => each.pool === pool.name
    const usage = pool.usage as { usedMiB: number; heldMiB: number; limitMiB: number; freeMiB: number }
    const used = sum(volumes.filter(inPool)).sizeMiB
    const held = sum(rests.filter(inPool)).sizeMiB
    expect(used + held).toBeLessThanOrEqual(Number(pool.capacityMiB))
    expect(usage).toMatchObject({ usedMiB: used, heldMiB: held, freeMiB: Number(pool.capacityMiB) - used - held })
  }
  for (const role of roles) {
    const mine = (each: Shown) => each.role === role.role || each.role.startsWith(`${String(role.role)}/`)
    const used = sum([...volumes.filter(mine), ...rests.filter(mine)])
    const quota = (role.quota as Partial<Amounts>).sizeMiB ?? Number.POSITIVE_INFINITY
    const deficits = (role.deficit ?? []) as { used: number; limit: number }[]
    // a quota may be lowered below what is used: that is recorded, with the true figures
    if (used.sizeMiB > quota) expect(deficits).toMatchObject([{ used: used.sizeMiB, limit: quota }])
    else expect(deficits).toEqual([])
  }
  // a volume and the work that makes it are one command's
  const open = operations.filter(({ state }) => state === 'pending').map(({ id }) => id)
  expect(volumes.flatMap((volume) => volume.operations).sort()).toEqual(open.sort())
  expect(volumes.filter((volume) => volume.operations.length !== 1)).toEqual([])
}

function sum(all: readonly Amounts[]): Amounts {
  let [sizeMiB, iops] = [0, 0]
  for (const each of all) {
    sizeMiB += each.sizeMiB
    iops += each.iops
  }
  return { sizeMiB, iops }
}

/** What every client was told is there, as it was told; nothing else is, but for what nobody knows yet. */
export function checkAnswers(seen: Seen, clients: readonly Client[]): void {
  const shown = new Map([...seen.pools, ...seen.holds, ...seen.volumes].map((item) => [item.id, item]))
  for (const { items, leaving, asked, quota, role } of clients) {
    const told = [...items.values()].map((item) => item.shown)
    for (const item of [...told, ...leaving.values()]) {
      const now = shown.get(item.id)
      shown.delete(item.id)
      // whether it is gone nobody knows yet
      if (asked?.id === item.id && (now === undefined || now.state === 'deleting')) continue
      // the matcher takes ten times as long, and there are thousands
      if (!isDeepStrictEqual(steady(now), steady(item))) expect(steady(now)).toEqual(steady(item))
    }
    const found = seen.roles.find((each) => each.role === role)?.quota ?? {}
    if (asked?.noun === 'quota') expect([quota, (asked.body as { quota: unknown }).quota]).toContainEqual(found)
    else expect(found).toEqual(quota)
  }
  const unknown = clients.flatMap(({ asked }) => (asked?.method === 'POST' ? [asked.effect] : []))
  for (const item of shown.values()) {
    if (item.name === 'loop~kill~a' || item.name === 'loop~kill~b') continue
    expect(unknown).toContain(effectOf(item))
  }
}

/** Without what other commands may change: what is drawn from a hold. */
function steady(item: Item | undefined): unknown {
  const {
    drawnMiB: _1,
    drawnIops: _2,
    remainingMiB: _3,
    remainingIops: _4,
    ...rest
  }: Record<string, unknown> = item ?? {}
  return rest
}

function effectOf(item: Item): string {
  if (item.driver !== undefined) return `pool.created ${String(item.name)}`
  return `${item.object === undefined ? 'hold' : 'volume'}.created ${String(item.iops)}`
}

/** The history as it is read step by step: without gaps, each effect at most once. */
export class History {
  readonly effects = new Map<string, number>()
  #revision = 0

  get revision(): number {
    return this.#revision
  }

  async read(http: Http): Promise<void> {
    for (;;) {
      const page = await http.get(`/v1/events?after=${this.#revision}&limit=1000`)
      const events = page.items as ShownEvent[]
      for (const event of events) {
        if (event.revision !== this.#revision + 1) expect(event.revision).toBe(this.#revision + 1)
        this.#revision = event.revision
        const mark = event.type.endsWith('created') || event.type === 'role.set' ? event.data.iops : event.subject.id
        const effect = `${event.type} ${event.type === 'pool.created' ? event.subject.name : mark}`
        if (event.actor === 'admin') this.effects.set(effect, (this.effects.get(effect) ?? 0) + 1)
      }
      if (events.length < 1000) return
    }
  }

  /** Everything accepted happened once, nothing refused did, and of the rest only what nobody knows may have. */
  check(clients: readonly Client[], others: number): void {
    let counted = others
    for (const { accepted, refused, asked } of clients) {
      expect([...accepted].filter((effect) => this.effects.get(effect) !== 1)).toEqual([])
      expect([...refused].filter((effect) => this.effects.has(effect))).toEqual([])
      const maybe = asked === undefined ? 0 : (this.effects.get(asked.effect) ?? 0)
      expect(maybe).toBeLessThanOrEqual(1)
      counted += accepted.size + maybe
    }
    expect(this.effects.size).toBe(counted)
  }
}

/**
 * Repeats what a client does not know the outcome of, twice: one answer, and the first one if it had been done.
 * @returns whether it had been done before
 */
export async function settleUnanswered(http: Http, client: Client, history: History): Promise<boolean> {
  const { asked } = client
  if (asked === undefined) return false
  const done = history.effects.get(asked.effect) === 1
  const first = await ask(http, asked)
  if (done) expect([asked.effect, first.status, first.body.code]).toEqual([asked.effect, first.status, undefined])
  if (first.status < 400) expect(await ask(http, asked)).toEqual(first)
  client.settle(asked, first)
  client.asked = undefined
  return done
}
