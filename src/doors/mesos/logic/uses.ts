import type { HoldfastError } from '../../../model/errors.ts'
import { type Findings, findings, type Look } from './agent-look.ts'
import type { Book } from './book.ts'
import { isPassing, type Reply } from './desk.ts'

/** A volume that this machine may have claimed for the agent, under `use/<volume id>`: written before it is claimed. */
export interface UseEntry {
  readonly volumeId: string
  readonly poolId: string
  /** As whom it was claimed: the agent's id then. */
  readonly user: string
  /** Executors and containers that had it. */
  readonly users: readonly string[]
}

/** Who waits for a volume to be mounted. */
export interface Waiting {
  readonly onMounted: (path: string) => void
  readonly onRefused: (error: HoldfastError) => void
}

interface Use {
  entry: UseEntry
  readonly waiting: Set<Waiting>
  /** PUBLISH_RESOURCES that name it and are not answered. */
  open: number
  /** When the last of those was answered. */
  answeredAt: number
  /** Looks in a row that found nothing. */
  clean: number
  failures: number
  /** When the first of those who wait came. */
  mountingSince: number
}

/** A task may be on its way that the agent does not list yet. */
const SETTLE_MS = 2000
const LOOK_MS = 1000
const SECOND_LOOK_MS = 250
/** Two looks may be wrong in the same way only if they are the same look. */
const CLEAN_LOOKS = 2
/** What a node sees only while it starts, or somebody else has just let go. */
const BRIEF: ReadonlySet<string> = new Set(['no_reach', 'still_mounted'])
const BRIEF_MS = 10_000
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 2000
const LONGEST_RELEASE_PAUSE_MS = 30_000

export interface UsesParts {
  readonly book: Book
  /** What was found at a look that was begun at that time. */
  readonly onFindings: (found: Findings, askedAt: number) => void
  /** Whether somebody else needs the looks. */
  readonly isWatching: () => boolean
}

/**
 * Volumes that tasks of the agent use. Mesos tells when one is needed, never when it is not any more: it is given back
 * only when the agent itself, asked after the last PUBLISH_RESOURCES that named it, shows nothing that had it. No answer
 * means that it is still held.
 */
export class Uses {
  readonly #parts: UsesParts
  readonly #uses = new Map<string, Use>()
  /** Why the last look failed; it is told once. */
  #blind = ''

  constructor(parts: UsesParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#uses.size
  }

  has(volumeId: string): boolean {
    return this.#uses.has(volumeId)
  }

  /** After a restart: when it was last published is not known any more. */
  restore(entry: UseEntry): void {
    this.#uses.set(entry.volumeId, { ...fresh(entry), answeredAt: this.#parts.book.desk.now })
  }

  /** Claims and mounts it for a task that is about to start. */
  claim(volumeId: string, poolId: string, waiting: Waiting): void {
    const use = this.#use(volumeId, poolId)
    if (use.waiting.size === 0) use.mountingSince = this.#parts.book.desk.now
    use.waiting.add(waiting)
    use.open += 1
    use.clean = 0
    this.#mount(use)
    this.watch()
  }

  /** The PUBLISH_RESOURCES has been answered, whatever with. */
  answered(volumeId: string, waiting: Waiting): void {
    const use = this.#uses.get(volumeId)
    if (use === undefined) return
    use.waiting.delete(waiting)
    use.open -= 1
    use.answeredAt = this.#parts.book.desk.now
  }

  /** Looks again and again for as long as there is something to be seen. */
  watch(): void {
    const { desk } = this.#parts.book
    if (!desk.isDue('look') && !desk.isAsked('look')) desk.after(LOOK_MS, 'look', () => this.#look())
  }

  #use(volumeId: string, poolId: string): Use {
    const known = this.#uses.get(volumeId)
    if (known !== undefined) return known
    const { book } = this.#parts
    const use = fresh({ volumeId, poolId, user: book.agentId ?? 'agent', users: [] })
    this.#uses.set(volumeId, use)
    book.desk.write(`use/${volumeId}`, use.entry)
    return use
  }

  #mount(use: Use): void {
    const { volumeId, user } = use.entry
    // while it is being unmounted this does nothing: the end of that mounts again
    this.#parts.book.desk.ask(`volume ${volumeId}`, { kind: 'mount', volumeId, user }, (reply) => {
      if (reply.ok) this.#mounted(use, (reply.value as { path: string }).path)
      else if (this.#resolves(use, reply.error)) this.#mountLater(use)
      else this.#refused(use, reply.error)
    })
  }

  /** Whether it is worth trying again for those who wait. */
  #resolves({ mountingSince }: Use, error: HoldfastError): boolean {
    const isBrief = BRIEF.has(error.code) && this.#parts.book.desk.now - mountingSince < BRIEF_MS
    return isPassing(error) || isBrief
  }

  #mounted(use: Use, path: string): void {
    use.failures = 0
    const all = [...use.waiting]
    use.waiting.clear()
    for (const each of all) each.onMounted(path)
  }

  #refused(use: Use, error: HoldfastError): void {
    use.failures = 0
    const all = [...use.waiting]
    use.waiting.clear()
    for (const each of all) each.onRefused(error)
  }

  #mountLater(use: Use): void {
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(use.failures, 10))
    use.failures += 1
    this.#parts.book.desk.after(pause, `volume ${use.entry.volumeId}`, () => {
      if (use.waiting.size > 0) this.#mount(use)
    })
  }

  #look(): void {
    const { desk } = this.#parts.book
    if (this.#uses.size === 0 && !this.#parts.isWatching()) return
    const askedAt = desk.now
    desk.ask('look', { kind: 'look' }, (reply) => {
      this.#looked(reply, askedAt)
      const soon = [...this.#uses.values()].some(
        ({ clean, entry }) => clean > 0 && !desk.isAsked(`volume ${entry.volumeId}`),
      )
      desk.after(soon ? SECOND_LOOK_MS : LOOK_MS, 'look', () => this.#look())
    })
  }

  #looked(reply: Reply, askedAt: number): void {
    if (!reply.ok) {
      const { message } = reply.error
      if (message !== this.#blind) this.#parts.book.desk.log('look.failed', { message })
      this.#blind = message
      for (const use of this.#uses.values()) use.clean = 0
      return
    }
    this.#blind = ''
    const found = findings(reply.value as Look)
    for (const use of this.#uses.values()) this.#judge(use, found, askedAt)
    this.#parts.onFindings(found, askedAt)
  }

  #judge(use: Use, found: Findings, askedAt: number): void {
    const { volumeId, users } = use.entry
    const seen = [...(found.users.get(volumeId) ?? [])].filter((each) => !users.includes(each))
    if (seen.length > 0) {
      use.entry = { ...use.entry, users: [...users, ...seen] }
      this.#parts.book.desk.write(`use/${volumeId}`, use.entry)
    }
    const isUsed = found.volumes.has(volumeId) || use.entry.users.some((each) => found.alive.has(each))
    const isEarly = use.open > 0 || askedAt < use.answeredAt + SETTLE_MS
    use.clean = isUsed || isEarly ? 0 : use.clean + 1
    if (use.clean >= CLEAN_LOOKS) this.#release(use)
  }

  #release(use: Use): void {
    const { desk } = this.#parts.book
    const { volumeId, user } = use.entry
    if (desk.isDue(`release ${volumeId}`)) return
    desk.ask(`volume ${volumeId}`, { kind: 'unmount', volumeId, user }, (reply) => {
      // a task came for it in the meantime
      if (use.waiting.size > 0) return this.#mount(use)
      if (use.open > 0) return
      if (reply.ok) return this.#released(use)
      use.failures += 1
      use.clean = 0
      desk.log('release.failed', { volume: volumeId, code: reply.error.code, message: reply.error.message })
      const pause = Math.min(LONGEST_RELEASE_PAUSE_MS, 500 * 2 ** Math.min(use.failures, 10))
      desk.after(pause, `release ${volumeId}`, () => undefined)
    })
  }

  #released({ entry }: Use): void {
    const { desk } = this.#parts.book
    this.#uses.delete(entry.volumeId)
    desk.write(`use/${entry.volumeId}`, null)
    desk.log('volume.released', { volume: entry.volumeId })
  }
}

function fresh(entry: UseEntry): Use {
  return {
    entry,
    waiting: new Set(),
    open: 0,
    answeredAt: Number.NEGATIVE_INFINITY,
    clean: 0,
    failures: 0,
    mountingSince: 0,
  }
}
