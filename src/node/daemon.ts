import type { Driver } from '../drivers/driver.ts'
import type { Clock } from '../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { Assignment, AttachmentSpec, CallBody, CallReply, WorkOrder } from '../model/node-protocol.ts'
import { quote } from '../model/units.ts'
import { forgetEarlierBoot } from './boot.ts'
import type { Filesystems } from './filesystems.ts'
import { Hands } from './hands.ts'
import type { Journal, KnownPools } from './journal.ts'
import type { ControllerLink } from './link.ts'
import { LocalUsers, type NodeUser } from './local-users.ts'
import type { MountPoints } from './mount-points.ts'
import { NodePools } from './pools.ts'
import { Reach } from './reach.ts'
import { Reports } from './reports.ts'
import { SelfFence, type Watchdog, watchdogServes } from './self-fence.ts'
import { Session } from './session.ts'
import type { Slot } from './slot.ts'
import { Steps } from './steps.ts'
import { VolumeTable } from './volume-table.ts'
import { Worker } from './worker.ts'

export interface NodeDaemonParts {
  readonly link: ControllerLink
  readonly journal: Journal
  readonly clock: Clock
  readonly drivers: ReadonlyMap<string, Driver>
  readonly filesystems: Filesystems
  readonly mountPoints: Pick<MountPoints, 'targetOf'>
  readonly bootId: string
  readonly machineId: string
  readonly version: string
  readonly watchdog?: Watchdog | undefined
  /** The lease that the controller gives, in ms: a watchdog must act well within it. */
  readonly leaseMs: number
  /** How often a pool that is reached is looked at, ms; 10,000 if not given. */
  readonly probeEveryMs?: number | undefined
  readonly log: (event: string, data: Record<string, unknown>) => void
}

export interface MountRequest {
  /** Name or id. */
  readonly volume: string
  readonly user: { readonly door: string; readonly id: string }
  readonly mode?: 'rw' | 'ro'
  readonly mountAt?: string | undefined
  /** Roles that the door acts for; undefined: any. */
  readonly roles?: readonly string[] | undefined
}

/** The node without any transport: what the doors on this machine ask for, and what the controller orders. */
export class NodeDaemon {
  readonly table: VolumeTable
  readonly reach: Reach
  readonly #parts: NodeDaemonParts
  readonly #session: Session
  readonly #reports: Reports
  readonly #worker: Worker
  readonly #pools: NodePools
  readonly #selfFence: SelfFence
  /** Users for whom somebody waits, with how many. */
  readonly #awaited = new Map<string, number>()
  /** Strays whose release is on its way. */
  readonly #straying = new Set<string>()
  #installation = ''
  #nodeId = ''
  /** Since its lease began, or began anew, the controller has said what this node is to do. */
  #told = false
  /** What was mounted when the daemon started is known; and what stood in the way then is cleared. */
  #lookedUp: Promise<void> = Promise.resolve()
  #recovered: Promise<void> = Promise.resolve()

  constructor(parts: NodeDaemonParts) {
    this.#parts = parts
    const { clock, journal, log, bootId } = parts
    forgetEarlierBoot(journal, bootId)
    this.#pools = new NodePools(parts.drivers, bootId)
    const hands = new Hands(this.#pools, parts.filesystems, clock, () => this.#requireLease())
    this.#session = new Session({
      ...parts,
      watchdog: () => watchdogServes(parts.watchdog, parts.leaseMs),
      onSession: (hello) => this.#greet(hello),
      onLapse: () => {
        this.#told = false
      },
      onAssignment: (assignment) => this.#assign(assignment),
    })
    this.#reports = new Reports(this.#session, journal, clock, (volumeId, revision) =>
      this.table.heard(volumeId, revision),
    )
    this.table = new VolumeTable({
      hands,
      journal,
      clock,
      bootId,
      log,
      mayStart: (poolId) => this.#selfFence.mayStart(poolId),
      targetOf: (volumeId, mountAt) => parts.mountPoints.targetOf(volumeId, mountAt),
      users: new LocalUsers({
        bootId,
        isAwaited: (user) => this.#awaited.has(`${user.door}/${user.id}`),
        isOwed: (volumeId, user) => this.#reports.owesClaim(volumeId, user),
        release: (volumeId, user) => this.#release(volumeId, user),
      }),
      report: (report) => this.#reports.attachment(report),
    })
    this.#worker = new Worker({
      steps: new Steps({ pools: this.#pools, hands, locks: this.table, clock, leased: () => this.#requireLease() }),
      journal,
      clock,
      log,
      tell: async (result) => void (await this.#session.call('result', result)),
      progress: (operationId, attempt, done) => this.#progress({ operationId, attempt, done }),
    })
    this.reach = new Reach({
      pools: this.#pools,
      probeEveryMs: parts.probeEveryMs,
      clock,
      log,
      reportPools: async (pools) => void (await this.#session.call('pools', { pools })),
      reportInventory: async (inventory) => void (await this.#session.call('inventory', inventory)),
    })
    this.#selfFence = new SelfFence({
      clock,
      hands,
      log,
      pools: this.#pools,
      table: this.table,
      watchdog: parts.watchdog,
      leaseMs: parts.leaseMs,
      leaseUntil: () => this.#session.leaseUntil,
      breakOff: (pool) => this.#worker.breakOff(pool),
    })
    const known = journal.entries('pools').get('pools')
    if (known !== undefined) this.#setPools(known)
    for (const { volume } of journal.entries('slot').values()) this.#pools.learn(volume)
    for (const { order } of journal.entries('work').values()) this.#learnFrom(order)
  }

  start(): void {
    this.#lookedUp = this.table.recover()
    this.#recovered = this.#lookedUp.then(() => this.#worker.recover())
    void this.#lookedUp.then(() => this.table.reportAll())
    this.reach.start()
    this.#selfFence.start()
    this.#session.start()
  }

  /** Stops without touching what is mounted. */
  stop(): void {
    this.#session.stop()
    this.reach.stop()
    this.#selfFence.stop()
    this.#worker.stop()
    this.table.stop()
  }

  /** Whether what is mounted here relies on the machine being reset should this daemon not go on. */
  get reliesOnWatchdog(): boolean {
    return this.#selfFence.relied
  }

  /** Boottime until which the controller surely counts this node as up; 0 before the first session. */
  get leaseUntil(): number {
    return this.#session.leaseUntil
  }

  get connected(): boolean {
    return this.#session.connected
  }

  /** What this node holds and owes, for its status page. */
  status() {
    const volumes = [...this.table.slots].flatMap((slot) =>
      slot.entry === undefined
        ? []
        : [
            {
              name: slot.entry.volume.name,
              id: slot.volumeId,
              state: slot.actual,
              path: slot.path,
              users: slot.entry.users,
            },
          ],
    )
    const { connected } = this
    return { connected, volumes, work: this.#worker.running, owed: this.#reports.owed, reached: this.reach.reached }
  }

  /**
   * @throws interrupted when the lease has run out: this node may be taken for lost, and its volumes given away. Then
   *   it begins nothing until it has been told anew what is its own.
   */
  #requireLease(): void {
    if (this.#told && this.#parts.clock.boottime() < this.#session.leaseUntil) return
    throw new HoldfastError('interrupted', 'the lease of this node has run out; nothing is begun until it is renewed')
  }

  async #greet({ installation, nodeId }: CallReply<'hello'>): Promise<void> {
    this.#installation = installation
    this.#nodeId = nodeId
    await this.#reports.settle()
    this.reach.refresh()
  }

  #setPools({ installation, nodeId = '', specs }: KnownPools): void {
    this.#installation = installation
    this.#nodeId = nodeId
    this.#pools.set(installation, nodeId, specs)
  }

  #learnFrom({ poolId, object, handle, source }: WorkOrder): void {
    if (object !== undefined) this.#pools.learn({ poolId, object, handle })
    if (source !== undefined) this.#pools.learn({ poolId, ...source })
  }

  #assign(assignment: Assignment): void {
    const { pools: specs } = assignment
    if (specs !== undefined) {
      const value = { installation: this.#installation, nodeId: this.#nodeId, specs }
      this.#setPools(value)
      this.#parts.journal.write({ kind: 'pools', id: 'pools', value })
      this.reach.refresh()
    }
    for (const { volume } of assignment.attachments) this.#pools.learn(volume)
    for (const order of assignment.work) this.#learnFrom(order)
    void this.#recovered.then(() => {
      this.table.assign(assignment)
      this.#worker.assign(assignment)
      this.#told = true
    })
  }

  /** Says that somebody should look at something. It is in the log of this node as well, should it not be heard. */
  alarm(body: CallBody<'alarm'>): void {
    this.#session.call('alarm', body).catch(() => undefined)
  }

  #progress(body: CallBody<'progress'>): void {
    // worth nothing when it is late: a lost word is not repeated
    this.#session.call('progress', body).catch(() => undefined)
  }

  /**
   * Claims a volume for a user, attaches and mounts it. The same user again gets the same answer.
   * @returns the mount point, or the device of a raw volume
   * @throws held_elsewhere, awaiting_proof, not_found, no_reach, foreign_content, …; unreachable when the controller is
   *   away and the volume is not mounted here already
   */
  async mount(request: MountRequest): Promise<string> {
    await this.#lookedUp
    const known = this.#isKnown(request)
    const endWait = this.#waitFor(request.user)
    try {
      return await this.#mount(request, known)
    } catch (thrown) {
      // who is told of an error is no user, whether the controller or an assignment has made it one meanwhile
      endWait()
      const slot = this.table.find(request.volume)
      const undo = slot !== undefined && !known
      if (undo) await this.unmount(slot.volumeId, request.user).catch(() => undefined)
      throw thrown
    } finally {
      endWait()
      this.table.review()
    }
  }

  /** Somebody waits for a volume on behalf of a user. @returns what ends that; harmless when called again */
  #waitFor(user: NodeUser): () => void {
    const key = `${user.door}/${user.id}`
    this.#awaited.set(key, (this.#awaited.get(key) ?? 0) + 1)
    let waiting = true
    return () => {
      if (!waiting) return
      waiting = false
      const left = (this.#awaited.get(key) ?? 1) - 1
      if (left > 0) this.#awaited.set(key, left)
      else this.#awaited.delete(key)
    }
  }

  #isKnown({ volume, user }: MountRequest): boolean {
    const slot = this.table.find(volume)
    return slot !== undefined && this.#isUser(slot, user)
  }

  async #mount(request: MountRequest, known: boolean): Promise<string> {
    // refused before anything is asked of the controller
    if (request.mountAt !== undefined) this.#parts.mountPoints.targetOf(request.volume, request.mountAt)
    const local = this.#local(request)
    if (local?.path !== undefined && known) return local.path
    let reply: { attachment: AttachmentSpec; revision: number }
    try {
      reply = await this.#claim(request)
    } catch (thrown) {
      if (asHoldfastError(thrown).code !== 'unreachable' || local?.path === undefined) throw thrown
      return this.#mountUnheard(local, request)
    }
    this.#pools.learn(reply.attachment.volume)
    return this.table.mount(reply.attachment, reply.revision)
  }

  async #claim({ volume, user, mode = 'rw', mountAt, roles }: MountRequest) {
    await this.#reports.settled
    return this.#session.call('claim', {
      volume,
      user,
      mode,
      ...(mountAt === undefined ? {} : { mountAt }),
      ...(roles === undefined ? {} : { roles: [...roles] }),
    })
  }

  /** The controller is away, and the volume is mounted here under a live epoch: one more user changes nothing. */
  async #mountUnheard(slot: Slot, request: MountRequest): Promise<string> {
    const path = await this.table.addUser(slot, request.user)
    this.#reports.claimed({ volume: slot.volumeId, user: { ...request.user }, mode: request.mode ?? 'rw' })
    this.#parts.log('mount.unheard', { volume: slot.entry?.volume.name, user: request.user })
    return path
  }

  #local(request: MountRequest): Slot | undefined {
    const slot = this.table.find(request.volume)
    const usable = slot?.actual === 'up' && slot.path !== undefined && !slot.stopped
    // what is about to be shut down takes no new user
    const dying = slot?.entry !== undefined && !this.#selfFence.mayStart(slot.entry.volume.poolId)
    const readable = request.mode === 'ro' || slot?.entry?.mode === 'rw'
    return usable && readable && !dying && request.mountAt === undefined ? slot : undefined
  }

  #isUser(slot: Slot, user: { door: string; id: string }): boolean {
    return slot.entry?.users.some((each) => each.door === user.door && each.id === user.id) === true
  }

  /** A user goes; the last one unmounts and detaches. Not being a user is a success. */
  async unmount(volume: string, user: { door: string; id: string }): Promise<void> {
    const slot = this.table.find(volume)
    if (slot === undefined) return
    const volumeId = slot.volumeId
    let report: CallBody<'release'>['report']
    try {
      report = await this.table.unmount(slot, user)
    } catch (thrown) {
      await this.#reports.release({ volumeId, user })
      throw thrown
    }
    await this.#reports.release({ volumeId, user, ...(report === undefined ? {} : { report }) })
  }

  #release(volumeId: string, user: { door: string; id: string }): void {
    const key = `${volumeId} ${user.door}/${user.id}`
    if (this.#straying.has(key)) return
    this.#straying.add(key)
    this.#parts.log('user.stray', { volume: volumeId, user })
    this.#reports
      .release({ volumeId, user })
      .catch(() => undefined)
      .finally(() => this.#straying.delete(key))
  }

  /** Where a volume is mounted on this node. @throws not_found when it is not */
  path(volume: string): string {
    const slot = this.table.find(volume)
    if (slot?.actual === 'up' && slot.path !== undefined) return slot.path
    throw new HoldfastError('not_found', `volume ${quote(volume)} is not mounted on this node`)
  }
}
