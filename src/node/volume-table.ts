import type { Clock } from '../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { Assignment, AttachmentReport, AttachmentSpec } from '../model/node-protocol.ts'
import { deadline } from './deadline.ts'
import type { Hands } from './hands.ts'
import type { Journal, JournalChange, SlotEntry } from './journal.ts'
import { mountUsers, Slot } from './slot.ts'

const RETRY_BASE_MS = 1000
const RETRY_CAP_MS = 30_000

export interface VolumeTableParts {
  readonly hands: Hands
  readonly journal: Journal
  readonly clock: Clock
  readonly bootId: string
  /** Where a volume is mounted. @throws mount_root_not_allowed */
  readonly targetOf: (volumeId: string, mountAt: string | undefined) => string
  /** Tells the controller; kept and repeated by the caller while there is no connection. */
  readonly report: (report: AttachmentReport) => void
  readonly log: (event: string, data: Record<string, unknown>) => void
}

/**
 * The volumes of this node: brings up what the controller assigned and has users, takes down what has not, and
 * reports what is. It only ever moves towards the newest assignment.
 */
export class VolumeTable {
  readonly #parts: VolumeTableParts
  readonly #slots = new Map<string, Slot>()
  /** Highest epoch seen of volumes that are not here now. */
  readonly #epochs: Map<string, number>
  #assignment: Assignment | undefined
  #stopped = false

  constructor(parts: VolumeTableParts) {
    this.#parts = parts
    this.#epochs = parts.journal.entries('epoch')
    for (const [volumeId, entry] of parts.journal.entries('slot')) {
      const slot = this.slot(volumeId)
      slot.entry = entry
      slot.actual = 'unknown'
    }
  }

  slot(volumeId: string): Slot {
    let slot = this.#slots.get(volumeId)
    if (slot === undefined) {
      slot = new Slot(volumeId)
      this.#slots.set(volumeId, slot)
    }
    return slot
  }

  get slots(): IterableIterator<Slot> {
    return this.#slots.values()
  }

  /** A slot by volume name or id, if this node has or had it. */
  find(nameOrId: string): Slot | undefined {
    const byId = this.#slots.get(nameOrId)
    if (byId !== undefined) return byId
    for (const slot of this.#slots.values()) if (slot.entry?.volume.name === nameOrId) return slot
    return undefined
  }

  /** Takes the controller's newest word. */
  assign(assignment: Assignment): void {
    this.#assignment = assignment
    this.#reconcile(assignment)
  }

  /** Ends retries; what is mounted stays mounted. */
  stop(): void {
    this.#stopped = true
  }

  #reconcile(assignment: Assignment): void {
    const wanted = new Map(assignment.attachments.map((spec) => [spec.volume.id, spec]))
    for (const [volumeId, spec] of wanted) this.#follow(this.slot(volumeId), spec, assignment.revision)
    for (const slot of this.#slots.values()) {
      if (!wanted.has(slot.volumeId) && slot.revision <= assignment.revision) this.#drop(slot, assignment.revision)
    }
  }

  /** One attachment that the ledger has for this node. */
  #follow(slot: Slot, spec: AttachmentSpec, revision: number): void {
    if (revision < slot.revision || spec.state === 'fencing' || slot.isReleased(spec)) return
    slot.revision = revision
    const deadUsers = spec.bootId !== this.#parts.bootId
    if (deadUsers || mountUsers(spec).length === 0) {
      void slot.run(() => this.#takeDown(slot, spec)).catch((thrown) => this.#failed(slot, spec, thrown))
    } else if (slot.actual !== 'up' || slot.entry?.epoch !== spec.epoch || slot.stopped) {
      void slot.run(() => this.#bringUp(slot, spec)).catch((thrown) => this.#failed(slot, spec, thrown))
    } else {
      this.#keepUsers(slot, spec)
      if (spec.state === 'attaching' || spec.state === 'attached') this.#reportUp(slot)
    }
  }

  #keepUsers(slot: Slot, spec: AttachmentSpec): void {
    if (slot.entry === undefined) return
    const users = mountUsers(spec)
    if (JSON.stringify(users) === JSON.stringify(slot.entry.users) && spec.claims === slot.entry.claims) return
    this.#write(slot, { ...slot.entry, users, claims: spec.claims, volume: spec.volume })
  }

  /** An attachment that the ledger has no more: its epoch is gone, whatever is left of it must go. */
  #drop(slot: Slot, revision: number): void {
    if (slot.entry === undefined) {
      if (slot.idle) this.#slots.delete(slot.volumeId)
      return
    }
    slot.revision = revision
    void slot
      .run(async () => {
        const { entry } = slot
        if (entry === undefined || slot.revision > revision) return
        await this.#parts.hands.down(entry.volume, entry.target, deadline(this.#parts.clock, 120_000))
        this.#forget(slot)
        this.#parts.log('volume.dropped', { volume: entry.volume.name, epoch: entry.epoch })
      })
      .catch((thrown) => this.#retryLater(slot, thrown))
  }

  /**
   * Brings a volume up for a caller who waits for it. Runs in the slot's order.
   * @returns its mount point or device
   */
  mount(spec: AttachmentSpec, revision: number): Promise<string> {
    const slot = this.slot(spec.volume.id)
    slot.revision = Math.max(slot.revision, revision)
    return slot.run(() => this.#bringUp(slot, spec))
  }

  async #bringUp(slot: Slot, spec: AttachmentSpec): Promise<string> {
    this.#checkEpoch(slot, spec)
    if (slot.isReleased(spec)) throw new HoldfastError('stale_epoch', `volume ${spec.volume.name} was given up here`)
    const users = merge(slot.entry?.epoch === spec.epoch ? slot.entry.users : [], mountUsers(spec))
    if (slot.actual === 'up' && slot.entry?.epoch === spec.epoch && slot.path !== undefined && !slot.stopped) {
      if (users.length !== slot.entry.users.length || spec.claims > slot.entry.claims) {
        this.#write(slot, { ...slot.entry, users, claims: Math.max(spec.claims, slot.entry.claims) })
      }
      return slot.path
    }
    const target = this.#parts.targetOf(spec.volume.id, spec.mountAt)
    const { volume, id: attachmentId, epoch, claims, mode } = spec
    this.#write(slot, { volume, attachmentId, epoch, claims, mode, target, users })
    try {
      // what the emergency stop shut down must be gone before it can be mounted anew
      if (slot.stopped) await this.#parts.hands.down(volume, target, deadline(this.#parts.clock, 60_000))
      slot.path = await this.#parts.hands.up(volume, mode === 'ro', target, deadline(this.#parts.clock, 90_000))
    } catch (thrown) {
      slot.actual = 'failed'
      throw thrown
    }
    slot.actual = 'up'
    slot.failures = 0
    slot.stopped = false
    this.#reportUp(slot)
    return slot.path
  }

  /** Never follows an epoch lower than one it has seen for the volume. @throws stale_epoch */
  #checkEpoch(slot: Slot, spec: AttachmentSpec): void {
    const seen = this.#epochs.get(slot.volumeId) ?? 0
    if (spec.epoch < Math.max(seen, slot.entry?.epoch ?? 0)) {
      throw new HoldfastError('stale_epoch', `volume ${spec.volume.name}: epoch ${spec.epoch} is over`)
    }
  }

  /** Nobody uses it here any more: take it down, and prove it. */
  async #takeDown(slot: Slot, spec: AttachmentSpec): Promise<void> {
    if (slot.entry !== undefined && slot.entry.epoch > spec.epoch) return
    const newest = this.#assignment?.attachments.find((each) => each.id === spec.id)
    const rebooted = spec.bootId !== this.#parts.bootId
    if (newest !== undefined && mountUsers(newest).length > 0 && !rebooted) return
    const target = slot.entry?.target ?? this.#parts.targetOf(spec.volume.id, spec.mountAt)
    await this.#parts.hands.down(spec.volume, target, deadline(this.#parts.clock, 120_000))
    this.#forget(slot, spec.epoch)
    // an operation still works on the object: it gives the proof itself when it has ended
    if (spec.users.length > 0 && !rebooted) return
    slot.released = { epoch: spec.epoch, claims: spec.claims }
    this.#parts.report({ attachmentId: spec.id, epoch: spec.epoch, claims: spec.claims, state: 'detached' })
  }

  /**
   * A user goes. The last one takes the volume down.
   * @returns the proof to be given to the controller with the user's release, if it was the last
   */
  unmount(slot: Slot, user: { door: string; id: string }): Promise<AttachmentReport | undefined> {
    return slot.run(async () => {
      const { entry } = slot
      if (entry === undefined) return undefined
      const users = entry.users.filter((each) => each.door !== user.door || each.id !== user.id)
      if (users.length > 0) {
        this.#write(slot, { ...entry, users })
        return undefined
      }
      await this.#parts.hands.down(entry.volume, entry.target, deadline(this.#parts.clock, 90_000))
      const { attachmentId, epoch, claims } = entry
      this.#forget(slot)
      slot.released = { epoch, claims }
      return { attachmentId, epoch, claims, state: 'detached' }
    })
  }

  /**
   * One more user of a volume that is up, without asking the controller; it is told in the next session.
   * @throws unreachable when the volume went down in the meantime
   */
  addUser(slot: Slot, user: { door: string; id: string }): Promise<string> {
    return slot.run(async () => {
      const { entry, path } = slot
      if (entry === undefined || path === undefined || slot.actual !== 'up') {
        throw new HoldfastError('unreachable', 'the controller does not answer, and the volume is not mounted here')
      }
      this.#write(slot, { ...entry, users: merge(entry.users, [user]) })
      return path
    })
  }

  /** Work on a volume's object, between whatever else is done to it. `target` is set while it is mounted here. */
  exclusive<T>(volumeId: string, work: (target: string | undefined) => Promise<T>): Promise<T> {
    const slot = this.slot(volumeId)
    return slot.run(() =>
      work(slot.actual === 'up' && slot.entry?.volume.fs !== 'raw' ? slot.entry?.target : undefined),
    )
  }

  /** After a start of the daemon: what is really mounted of what the journal knows. */
  async recover(): Promise<void> {
    for (const slot of this.#slots.values()) {
      const { entry } = slot
      if (entry === undefined || slot.actual !== 'unknown') continue
      const up = await this.#parts.hands
        .isUp(entry.volume, entry.target, deadline(this.#parts.clock, 10_000))
        .catch(() => undefined)
      if (slot.actual !== 'unknown' || up === undefined) continue
      slot.actual = up && entry.users.length > 0 ? 'up' : 'unknown'
      if (slot.actual === 'up' && entry.volume.fs !== 'raw') slot.path = entry.target
      if (slot.path === undefined) slot.actual = 'unknown'
    }
  }

  /** Tells the controller again what is up: after a new session. */
  reportAll(): void {
    for (const slot of this.#slots.values()) if (slot.actual === 'up') this.#reportUp(slot)
  }

  #reportUp(slot: Slot): void {
    const { entry, path } = slot
    if (entry === undefined || path === undefined) return
    const state = entry.volume.fs === 'raw' ? 'attached' : 'mounted'
    const { attachmentId, epoch, claims } = entry
    this.#parts.report({ attachmentId, epoch, claims, state, path })
  }

  #write(slot: Slot, entry: SlotEntry): void {
    this.#parts.journal.write({ kind: 'slot', id: slot.volumeId, value: entry })
    slot.entry = entry
  }

  #forget(slot: Slot, epoch: number = slot.entry?.epoch ?? 0): void {
    const seen = Math.max(epoch, slot.entry?.epoch ?? 0)
    const changes: JournalChange[] = [{ kind: 'epoch', id: slot.volumeId, value: seen }]
    if (slot.entry !== undefined) changes.push({ kind: 'slot', id: slot.volumeId, value: undefined })
    this.#parts.journal.write(...changes)
    this.#epochs.set(slot.volumeId, seen)
    slot.entry = undefined
    slot.path = undefined
    slot.actual = 'down'
    slot.failures = 0
    slot.stopped = false
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
    const wait = Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** Math.min(slot.failures - 1, 10))
    this.#parts.clock.after(wait, () => {
      if (!this.#stopped && this.#assignment !== undefined) this.#retry(slot, this.#assignment)
    })
  }

  #retry(slot: Slot, assignment: Assignment): void {
    const spec = assignment.attachments.find((each) => each.volume.id === slot.volumeId)
    if (spec !== undefined) this.#follow(slot, spec, assignment.revision)
    else if (slot.revision <= assignment.revision) this.#drop(slot, assignment.revision)
  }
}

function merge(
  a: readonly { door: string; id: string }[],
  b: readonly { door: string; id: string }[],
): { door: string; id: string }[] {
  const merged = [...a]
  for (const user of b) if (!merged.some((each) => each.door === user.door && each.id === user.id)) merged.push(user)
  return merged
}
