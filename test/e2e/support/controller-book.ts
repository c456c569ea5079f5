/** What one client of the controller asks for, and what it has been told: the truth that a restart must not change. */
import { expect } from 'vitest'
import { Random } from '../../ledger/support/random.ts'
import type { Http, Response } from './controller-http.ts'

export const POOLS = ['loop~kill~a', 'loop~kill~b'] as const
/** Its quota is fixed; each client has a child of it with a quota of its own. */
export const PARENT = 'team'

export type Item = Readonly<Record<string, unknown>> & { readonly id: string }
type Noun = 'hold' | 'volume' | 'pool'

/** One request, repeatable under its key. */
export interface Ask {
  readonly key: string
  readonly method: string
  readonly path: string
  readonly body?: unknown
  /** How its event in the history is recognised: type and what is unique about it. */
  readonly effect: string
  /** What it makes or takes away. */
  readonly noun: Noun | 'quota'
  /** Of what is taken away. */
  readonly id?: string
}

/** Unlike any other number in one run: marks what a request makes, as its IOPS. */
let numbers = 0

export class Client {
  readonly role: string
  readonly items = new Map<string, { noun: Noun; shown: Item }>()
  /** Volumes that are being deleted, for ever, as no node takes the work. */
  readonly leaving = new Map<string, Item>()
  /** Effects of what was accepted, and of what was refused. */
  readonly accepted = new Set<string>()
  readonly refused = new Set<string>()
  quota: unknown = {}
  /** Sent, and not answered. */
  asked: Ask | undefined
  readonly #random: Random
  readonly #index: number

  constructor(index: number) {
    this.#index = index
    this.#random = new Random(index + 1)
    this.role = `${PARENT}/c${index}`
  }

  /** Asks for one thing after the other until the connection breaks; what was under way then stays in `asked`. */
  async run(http: Http): Promise<void> {
    for (;;) {
      this.asked = this.#next()
      const answer = await ask(http, this.asked).catch(() => undefined)
      if (answer === undefined) return
      this.settle(this.asked, answer)
      this.asked = undefined
    }
  }

  settle(asked: Ask, { status, body }: Response): void {
    if (status >= 400) {
      expect(status, JSON.stringify(body)).toBeLessThan(500)
      this.refused.add(asked.effect)
      return
    }
    this.accepted.add(asked.effect)
    if (asked.noun === 'quota') this.quota = body.quota
    else {
      const shown = (body.volume ?? body) as Item
      if (asked.id === undefined) this.items.set(shown.id, { noun: asked.noun, shown })
      else this.items.delete(asked.id)
      if (asked.id !== undefined && asked.noun === 'volume') this.leaving.set(asked.id, shown)
    }
  }

  #next(): Ask {
    numbers += 1
    const key = `client ${this.#index}, request ${numbers}`
    const dice = this.#random.int(1, 100)
    if (this.items.size > 12 || dice <= 25) {
      const found = this.#random.pick([...this.items.values()])
      if (found !== undefined) return remove(key, found.noun, found.shown)
    }
    if (dice <= 50) return this.#hold(key)
    if (dice <= 80) return this.#volume(key)
    return dice <= 90 ? this.#quota(key) : this.#pool(key)
  }

  #hold(key: string): Ask {
    const amounts = { sizeMiB: this.#random.int(1, 300), iops: numbers * 1000 }
    const body = { pool: this.#random.pick(POOLS), role: this.role, ...amounts, labels: { key } }
    return { key, method: 'POST', path: '/v1/holds', body, effect: `hold.created ${amounts.iops}`, noun: 'hold' }
  }

  #volume(key: string): Ask {
    const holds = [...this.items.values()].filter(({ noun }) => noun === 'hold')
    const hold = this.#random.chance(0.5) ? this.#random.pick(holds)?.shown : undefined
    const where = hold === undefined ? { pool: this.#random.pick(POOLS) } : { pool: hold.pool, hold: hold.id }
    // far fewer than holds have, so that several can draw on one
    const amounts = { sizeMiB: this.#random.int(1, 60), iops: numbers }
    const body = { name: `v${numbers}`, role: this.role, ...where, ...amounts }
    return { key, method: 'POST', path: '/v1/volumes', body, effect: `volume.created ${numbers}`, noun: 'volume' }
  }

  #quota(key: string): Ask {
    const quota = { sizeMiB: this.#random.int(100, 4000), iops: 10 ** 12 + numbers }
    const path = `/v1/roles/${encodeURIComponent(this.role)}`
    return { key, method: 'PUT', path, body: { quota }, effect: `role.set ${quota.iops}`, noun: 'quota' }
  }

  #pool(key: string): Ask {
    const body = { name: `loop~own~p${numbers}`, driver: 'loop', capacityMiB: 100 + numbers }
    return { key, method: 'POST', path: '/v1/pools', body, effect: `pool.created ${body.name}`, noun: 'pool' }
  }
}

const ENDS = { hold: 'hold.released', volume: 'volume.deleting', pool: 'pool.deleted' } as const

function remove(key: string, noun: Noun, { id }: Item): Ask {
  return { key, method: 'DELETE', path: `/v1/${noun}s/${id}`, effect: `${ENDS[noun]} ${id}`, noun, id }
}

export function ask(http: Http, { method, path, body, key }: Ask): Promise<Response> {
  return http.send(method, path, body, key)
}
