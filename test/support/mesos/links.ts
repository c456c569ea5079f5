/**
 * The ways between the processes. What is sent arrives later, in order, and a test may hold a link to bring about a
 * race on purpose.
 */
export type LinkName =
  | 'master->agent'
  | 'agent->master'
  /** Offers on their way out of the allocator; nobody has been told of them. No id. */
  | 'allocator->master'
  /** What an agent's provider manager has taken from providers and its agent has not yet seen. */
  | 'manager->agent'
  /** Events for the providers of an agent. */
  | 'agent->provider'

interface Letter {
  readonly due: number
  readonly deliver: () => void
}

interface Link {
  readonly letters: Letter[]
  held: boolean
  timer: NodeJS.Timeout | undefined
}

export class Links {
  readonly #links = new Map<string, Link>()
  readonly #latencyMs: number

  /** @param latencyMs how long every message takes at least */
  constructor(latencyMs: number) {
    this.#latencyMs = latencyMs
  }

  #link(name: LinkName, id: string): Link {
    const key = `${name} ${id}`
    const found = this.#links.get(key)
    if (found !== undefined) return found
    const link: Link = { letters: [], held: false, timer: undefined }
    this.#links.set(key, link)
    return link
  }

  send(name: LinkName, id: string, deliver: () => void): void {
    const link = this.#link(name, id)
    link.letters.push({ due: performance.now() + this.#latencyMs, deliver })
    this.#arrange(link)
  }

  #arrange(link: Link): void {
    const first = link.letters[0]
    if (first === undefined || link.held || link.timer !== undefined) return
    link.timer = setTimeout(() => this.#deliver(link), Math.max(0, first.due - performance.now()))
  }

  #deliver(link: Link): void {
    link.timer = undefined
    if (link.held) return
    link.letters.shift()?.deliver()
    this.#arrange(link)
  }

  /** From now on nothing arrives over this link. */
  hold(name: LinkName, id = ''): void {
    this.#link(name, id).held = true
  }

  /** Lets everything through that was held, in order. With `count`: only so many messages, and the link stays held. */
  release(name: LinkName, id = '', count?: number): void {
    const link = this.#link(name, id)
    if (count === undefined) {
      link.held = false
      this.#arrange(link)
      return
    }
    for (const letter of link.letters.splice(0, count)) letter.deliver()
  }

  /** How many messages wait on this link. */
  waiting(name: LinkName, id = ''): number {
    return this.#link(name, id).letters.length
  }

  stop(): void {
    for (const link of this.#links.values()) {
      clearTimeout(link.timer)
      link.letters.length = 0
      link.held = true
    }
  }
}
