import type { Clock } from '../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { Assignment, AttachmentReport, AttachmentSpec, VolumeSpec } from '../model/node-protocol.ts'
import { deadline } from './deadline.ts'
import type { Hands } from './hands.ts'
import type { Journal, SlotEntry } from './journal.ts'
import { type LocalUsers, mergeUsers, type NodeUser } from './local-users.ts'
import { mountUsers, type Slot } from './slot.ts'
import { SlotBook } from './slot-book.ts'

const RETRY_BASE_MS = 1000
const RETRY_CAP_MS = 30_000
/** What keeps a device for so long is not just a mount namespace that is about to go. */
const KEPT_BY_OTHERS_MS = 2500

export interface VolumeTableParts {
  readonly hands: Hands
  readonly journal: Journal
  readonly clock: Clock
  readonly bootId: string
  /** Where a volume is mounted. @throws mount_root_not_allowed */
  readonly targetOf: (volumeId: string, mountAt: string | undefined) => string
  readonly users: LocalUsers
  /** Tells the controller; kept and repeated by the caller while there is no connection. */
  readonly report: (report: AttachmentReport) => void
  /** Whether I/O may begin now on a volume of this pool: not when the lease that it depends on is running out. */
  readonly mayStart: (poolId: string) => boolean
  readonly log: (event: string, data: Record<string, unknown>) => void
}

/**
 * The volumes of this node: brings up what the controller assigned and has users, takes down what has not, and
 * reports what is. It only ever moves towards the newest assignment.
 */
export class VolumeTable {
  readonly #parts: VolumeTableParts
  readonly #book: SlotBook
  /** The newest word as it came, and without users that are none. */
  #given: Assignment | undefined
  #assignment: Assignment | undefined
  #stopped = false

  constructor(parts: VolumeTableParts) {
    this.#parts = parts
    this.#book = new SlotBook(parts.journal)
  }

  get slots(): IterableIterator<Slot> {
    return this.#book.all
  }

  /** A slot by volume name or id, if this node has or had it. */
  find(nameOrId: string): Slot | undefined {
    return this.#book.find(nameOrId)
  }

  /** Takes the controller's newest word. */
  assign(assignment: Assignment): void {
    this.#given = assignment
    const attachments = assignment.attachments.map((spec) => this.#withoutStrays(spec))
    this.#assignment = { ...assignment, attachments }
    this.#reconcile(this.#assignment)
  }

  /** A caller has stopped waiting: a user for whom it did may be a stray by now. */
  review(): void {
    const { users } = this.#parts
    const strays = (spec: AttachmentSpec) => users.strays(spec, this.#book.get(spec.volume.id)?.entry)
    if (this.#given?.attachments.some((spec) => strays(spec).length > 0) === true) this.assign(this.#given)
  }

  #withoutStrays(spec: AttachmentSpec): AttachmentSpec {
    return this.#parts.users.withoutStrays(spec, this.#book.get(spec.volume.id)?.entry)
  }

  /** Ends retries; what is mounted stays mounted. */
  stop(): void {
    this.#stopped = true
  }

  #reconcile(assignment: Assignment): void {
    const wanted = new Map(assignment.attachments.map((spec) => [spec.volume.id, spec]))
    for (const [volumeId, spec] of wanted) this.#follow(this.#book.slot(volumeId), spec, assignment.revision)
    for (const slot of this.#book.all) {
      if (!wanted.has(slot.volumeId) && slot.revision <= assignment.revision) this.#drop(slot, assignment.revision)
    }
  }

  /** One attachment that the ledger has for this node. */
  #follow(slot: Slot, spec: AttachmentSpec, revision: number): void {
    if (revision < slot.revision || spec.state === 'fencing') return
    if (slot.isReleased(spec)) {
      // the word of it may have been lost: it is said again for as long as the controller does not know
      if (spec.users.length === 0 || spec.bootId !== this.#parts.bootId) this.#reportReleased(slot, spec)
      return
    }
    const isNews = revision > slot.revision
    slot.revision = revision
    const deadUsers = spec.bootId !== this.#parts.bootId
    if (deadUsers || mountUsers(spec).length === 0) {
      void slot.run(() => this.#takeDown(slot, spec)).catch((thrown) => this.#failed(slot, spec, thrown))
    } else if (slot.actual !== 'up' || slot.entry?.epoch !== spec.epoch || slot.stopped) {
      void slot.run(() => this.#bringUp(slot, spec, revision)).catch((thrown) => this.#failed(slot, spec, thrown))
    } else {
      // users that came since while the controller was away are not in an old word
      if (isNews) this.#keepUsers(slot, spec)
      // the controller does not know it as it is: a word came late, or a fence that was called off was at it
      if (spec.state !== upState(spec.volume)) {
        void slot.run(() => this.#verify(slot, spec, revision)).catch((thrown) => this.#failed(slot, spec, thrown))
      }
    }
  }

  async #verify(slot: Slot, spec: AttachmentSpec, revision: number): Promise<void> {
    const { entry } = slot
    if (entry === undefined || slot.actual !== 'up') return
    if (entry.volume.fs !== 'raw' && (await this.#parts.hands.isMounted(entry.target))) {
      this.#reportUp(slot)
      return
    }
    slot.actual = 'unknown'
    await this.#bringUp(slot, spec, revision)
  }

  #keepUsers(slot: Slot, spec: AttachmentSpec): void {
    if (slot.entry === undefined) return
    const users = this.#parts.users.all(spec, slot.entry)
    if (JSON.stringify(users) === JSON.stringify(slot.entry.users) && spec.claims === slot.entry.claims) return
    this.#book.write(slot, { ...slot.entry, users, claims: spec.claims, volume: spec.volume })
  }

  /** An attachment that the ledger has no more: its epoch is gone, whatever is left of it must go. */
  #drop(slot: Slot, revision: number): void {
    if (slot.entry === undefined) {
      if (slot.idle) this.#book.remove(slot)
      return
    }
    slot.revision = revision
    void slot
      .run(async () => {
        const { entry } = slot
        if (entry === undefined || slot.revision > revision) return
        await this.#down(slot, entry.volume, entry.target, 120_000).catch((thrown) =>
          this.#isOthers(slot, entry, thrown),
        )
        this.#book.forget(slot)
        this.#parts.log('volume.dropped', { volume: entry.volume.name, epoch: entry.epoch })
      })
      .catch((thrown) => this.#retryLater(slot, thrown))
  }

  /**
   * The ledger has its proof already. A device that is kept for long by a mount which is not at our target is that one's
   * (another node's of this machine, say), and goes with it.
   */
  async #isOthers(slot: Slot, entry: SlotEntry, thrown: unknown): Promise<void> {
    const kept = asHoldfastError(thrown).code === 'still_mounted' && entry.volume.fs !== 'raw'
    if (!kept || (await this.#parts.hands.isMounted(entry.target))) throw thrown
    const now = this.#parts.clock.boottime()
    slot.keptSince ??= now
    if (now - slot.keptSince < KEPT_BY_OTHERS_MS) throw thrown
  }

  /**
   * Brings a volume up for a caller who waits for it. Runs in the slot's order.
   * @returns its mount point or device
   */
  mount(spec: AttachmentSpec, revision: number): Promise<string> {
    const slot = this.#book.slot(spec.volume.id)
    slot.revision = Math.max(slot.revision, revision)
    return slot.run(() => this.#bringUp(slot, spec, revision))
  }

  async #bringUp(slot: Slot, spec: AttachmentSpec, revision: number): Promise<string> {
    this.#checkEpoch(slot, spec)
    this.#checkCurrent(spec, revision)
    if (slot.isReleased(spec)) throw new HoldfastError('stale_epoch', `volume ${spec.volume.name} was given up here`)
    // those who waited when the word came may have given up since
    const wanted = mountUsers(this.#withoutStrays(spec))
    if (wanted.length === 0) throw new HoldfastError('stale_epoch', `volume ${spec.volume.name} has no user here`)
    const users = mergeUsers(slot.entry?.epoch === spec.epoch ? slot.entry.users : [], wanted)
    if (slot.actual === 'up' && slot.entry?.epoch === spec.epoch && slot.path !== undefined && !slot.stopped) {
      if (users.length !== slot.entry.users.length || spec.claims > slot.entry.claims) {
        this.#book.write(slot, { ...slot.entry, users, claims: Math.max(spec.claims, slot.entry.claims) })
      }
      return slot.path
    }
    if (!this.#parts.mayStart(spec.volume.poolId)) {
      const text = `volume ${spec.volume.name}: the controller has not answered for so long that no I/O may begin`
      throw new HoldfastError('unreachable', text)
    }
    const target = this.#parts.targetOf(spec.volume.id, spec.mountAt)
    const { volume, id: attachmentId, epoch, claims, mode } = spec
    const entry = { volume, attachmentId, epoch, claims, mode, target, users }
    this.#book.write(slot, { ...entry, ...(slot.stopped ? { stopped: true } : {}) })
    try {
      if (slot.stopped || slot.halfDown) await this.#clear(slot, entry)
      const current = () => this.#checkCurrent(spec, revision)
      const limit = deadline(this.#parts.clock, 90_000)
      slot.path = await this.#parts.hands.up(volume, mode === 'ro', target, current, limit)
    } catch (thrown) {
      slot.actual = 'failed'
      throw thrown
    }
    slot.actual = 'up'
    slot.failures = 0
    this.#reportUp(slot)
    return slot.path
  }

  /**
   * What is half taken down, or the emergency stop shut down, must be gone before it can be mounted anew, and then be
   * watched over again.
   */
  async #clear(slot: Slot, entry: SlotEntry): Promise<void> {
    await this.#down(slot, entry.volume, entry.target, 60_000)
    slot.stopped = false
    slot.halfDown = false
    this.#book.write(slot, entry)
  }

  /** The emergency stop has shut a volume down. */
  markStopped(slot: Slot): void {
    slot.stopped = true
    if (slot.entry !== undefined) this.#book.write(slot, { ...slot.entry, stopped: true })
  }

  /** Never follows an epoch lower than one it has seen for the volume. @throws stale_epoch */
  #checkEpoch(slot: Slot, spec: AttachmentSpec): void {
    if (spec.epoch < this.#book.epochOf(slot)) {
      throw new HoldfastError('stale_epoch', `volume ${spec.volume.name}: epoch ${spec.epoch} is over`)
    }
  }

  /** The controller's word may have waited long for its turn: what it has taken back since is void. @throws stale_epoch */
  #checkCurrent(spec: AttachmentSpec, revision: number): void {
    const newest = this.#assignment
    if (newest === undefined || newest.revision < revision) return
    if (newest.attachments.some((each) => each.id === spec.id && each.epoch === spec.epoch)) return
    throw new HoldfastError('stale_epoch', `volume ${spec.volume.name}: epoch ${spec.epoch} is over`)
  }

  /** Nobody uses it here any more: take it down, and prove it. */
  async #takeDown(slot: Slot, spec: AttachmentSpec): Promise<void> {
    if (slot.entry !== undefined && slot.entry.epoch > spec.epoch) return
    const newest = this.#assignment?.attachments.find((each) => each.id === spec.id)
    const rebooted = spec.bootId !== this.#parts.bootId
    if (newest !== undefined && mountUsers(newest).length > 0 && !rebooted) return
    // what an operation alone uses, it lets go of itself; and once that is proven another may have the object
    const operations = spec.users.length > 0 && !rebooted
    if (slot.entry === undefined && (newest === undefined || operations)) return
    // without an entry nothing was mounted where a caller wished: that is written down before
    const target = slot.entry?.target ?? this.#parts.targetOf(spec.volume.id, undefined)
    await this.#down(slot, spec.volume, target, 120_000)
    this.#book.forget(slot, spec.epoch)
    // an operation still works on the object: it gives the proof itself when it has ended
    if (spec.users.length > 0 && !rebooted) return
    slot.released = { epoch: spec.epoch, claims: spec.claims }
    this.#reportReleased(slot, spec)
  }

  #reportReleased({ released }: Slot, spec: AttachmentSpec): void {
    if (released?.epoch !== spec.epoch || released.claims !== spec.claims) return
    this.#parts.report({ attachmentId: spec.id, ...released, state: 'detached' })
  }

  /** Once this has begun nobody may be told that it is up, even if it fails halfway. */
  async #down(slot: Slot, volume: VolumeSpec, target: string, ms: number): Promise<void> {
    if (slot.actual === 'up') slot.actual = 'unknown'
    if (slot.entry !== undefined && slot.entry.leaving !== true)
      this.#book.write(slot, { ...slot.entry, leaving: true })
    await this.#parts.hands.down(volume, target, deadline(this.#parts.clock, ms))
  }

  /**
   * A user goes. The last one takes the volume down.
   * @returns the proof to be given to the controller with the user's release, if it was the last
   */
  unmount(slot: Slot, user: NodeUser): Promise<AttachmentReport | undefined> {
    return slot.run(async () => {
      const { entry } = slot
      if (entry === undefined) return undefined
      const users = entry.users.filter((each) => each.door !== user.door || each.id !== user.id)
      if (users.length > 0) {
        this.#book.write(slot, { ...entry, users })
        return undefined
      }
      try {
        await this.#down(slot, entry.volume, entry.target, 90_000)
      } catch (thrown) {
        // it has gone all the same, and the controller is told so; the rest is done without it
        this.#book.write(slot, { ...entry, users, leaving: true })
        throw thrown
      }
      const { attachmentId, epoch, claims } = entry
      this.#book.forget(slot)
      slot.released = { epoch, claims }
      return { attachmentId, epoch, claims, state: 'detached' }
    })
  }

  /**
   * One more user of a volume that is up, without asking the controller; it is told in the next session.
   * @throws unreachable when the volume went down in the meantime
   */
  addUser(slot: Slot, user: NodeUser): Promise<string> {
    return slot.run(async () => {
      const { entry, path } = slot
      if (entry === undefined || path === undefined || slot.actual !== 'up') {
        throw new HoldfastError('unreachable', 'the controller does not answer, and the volume is not mounted here')
      }
      this.#book.write(slot, { ...entry, users: mergeUsers(entry.users, [user]) })
      return path
    })
  }

  /**
   * Work on a volume's object, between whatever else is done to it. `target` is set while it is mounted here, and
   * `inUse` while somebody uses it here, mounted or raw.
   */
  exclusive<T>(volumeId: string, work: (target: string | undefined, inUse: boolean) => Promise<T>): Promise<T> {
    const slot = this.#book.slot(volumeId)
    return slot.run(async () => {
      const target = await this.#mountedAt(slot)
      return work(target, target !== undefined || (slot.entry !== undefined && slot.entry.users.length > 0))
    })
  }

  /** Where a volume is mounted; looked up in the kernel's table unless it was we who mounted it. */
  async #mountedAt(slot: Slot): Promise<string | undefined> {
    const { entry, actual } = slot
    if (entry === undefined || entry.volume.fs === 'raw' || actual === 'down') return undefined
    if (actual === 'up') return entry.target
    return (await this.#parts.hands.isMounted(entry.target)) ? entry.target : undefined
  }

  /** After a start of the daemon: what is really mounted of what the journal knows. */
  async recover(): Promise<void> {
    for (const slot of this.#book.all) {
      const { entry } = slot
      // a raw volume has no mount: bringing it up again finds its device, if it is there
      if (entry === undefined || slot.actual !== 'unknown' || entry.volume.fs === 'raw' || slot.halfDown) continue
      const mounted = await this.#parts.hands.isMounted(entry.target).catch(() => false)
      if (!mounted || slot.actual !== 'unknown' || entry.users.length === 0) continue
      slot.actual = 'up'
      slot.path = entry.target
    }
  }

  /** The controller has recorded a user of whom it was told late, at that revision: older words do not know of it. */
  heard(volumeId: string, revision: number): void {
    const slot = this.#book.get(volumeId)
    if (slot !== undefined) slot.revision = Math.max(slot.revision, revision)
  }

  /** Tells the controller again what is up: after a new session. */
  reportAll(): void {
    for (const slot of this.#book.all) if (slot.actual === 'up') this.#reportUp(slot)
  }

  #reportUp(slot: Slot): void {
    const { entry, path } = slot
    if (entry === undefined || path === undefined) return
    const { attachmentId, epoch, claims } = entry
    this.#parts.report({ attachmentId, epoch, claims, state: upState(entry.volume), path })
  }

  #failed(slot: Slot, spec: AttachmentSpec, thrown: unknown): void {
    const error = asHoldfastError(thrown)
    if (error.code !== 'stale_epoch') {
      const reason = error.message.slice(0, 1000)
      this.#parts.report({ attachmentId: spec.id, epoch: spec.epoch, claims: spec.claims, state: 'stuck', reason })
    }
    this.#retryLater(slot, error)
  }

  #retryLater(slot: Slot, thrown: unknown): void {
    const error = asHoldfastError(thrown)
    slot.failures += 1
    this.#parts.log('volume.failed', { volume: slot.volumeId, code: error.code, message: error.message })
    // one retry follows the newest word; more of them would only multiply
    if (slot.retrying) return
    slot.retrying = true
    const wait = Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** Math.min(slot.failures - 1, 10))
    this.#parts.clock.after(wait, () => {
      slot.retrying = false
      if (!this.#stopped && this.#assignment !== undefined) this.#retry(slot, this.#assignment)
    })
  }

  #retry(slot: Slot, assignment: Assignment): void {
    const spec = assignment.attachments.find((each) => each.volume.id === slot.volumeId)
    if (spec !== undefined) this.#follow(slot, spec, assignment.revision)
    else if (slot.revision <= assignment.revision) this.#drop(slot, assignment.revision)
  }
}

function upState({ fs }: VolumeSpec): 'attached' | 'mounted' {
  return fs === 'raw' ? 'attached' : 'mounted'
}
