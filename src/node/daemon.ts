import type { Driver } from '../drivers/driver.ts'
import type { Clock } from '../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { Assignment, AttachmentSpec, CallBody } from '../model/node-protocol.ts'
import { quote } from '../model/units.ts'
import type { Filesystems } from './filesystems.ts'
import { Hands } from './hands.ts'
import type { Journal } from './journal.ts'
import type { ControllerLink } from './link.ts'
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
  #installation = ''
  #recovered: Promise<void> | undefined

  constructor(parts: NodeDaemonParts) {
    this.#parts = parts
    const { clock, journal, log, bootId } = parts
    this.#pools = new NodePools(parts.drivers)
    const hands = new Hands(this.#pools, parts.filesystems, clock)
    this.#session = new Session({
      ...parts,
      watchdog: () => watchdogServes(parts.watchdog, parts.leaseMs),
      onSession: (hello) => this.#greet(hello.installation),
      onAssignment: (assignment) => this.#assign(assignment),
    })
    this.#reports = new Reports(this.#session, journal)
    this.table = new VolumeTable({
      hands,
      journal,
      clock,
      bootId,
      log,
      targetOf: (volumeId, mountAt) => parts.mountPoints.targetOf(volumeId, mountAt),
      report: (report) => this.#reports.attachment(report),
    })
    this.#worker = new Worker({
      steps: new Steps({ pools: this.#pools, hands, locks: this.table, clock }),
      journal,
      log,
      tell: async (result) => void (await this.#session.call('result', result)),
      progress: (operationId, attempt, done) => this.#progress({ operationId, attempt, done }),
    })
    this.reach = new Reach({
      pools: this.#pools,
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
      leaseUntil: () => this.#session.leaseUntil,
    })
  }

  start(): void {
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

  async #greet(installation: string): Promise<void> {
    this.#installation = installation
    await this.#reports.settle()
    this.reach.refresh()
  }

  #assign(assignment: Assignment): void {
    if (assignment.pools !== undefined) {
      this.#pools.set(this.#installation, assignment.pools)
      this.reach.refresh()
    }
    // what is really mounted is looked up once, when the pools are known for the first time
    this.#recovered ??= this.table.recover().then(() => this.table.reportAll())
    void this.#recovered.then(() => {
      this.table.assign(assignment)
      this.#worker.assign(assignment)
    })
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
    const local = this.#local(request)
    if (local !== undefined && this.#isUser(local, request.user)) return local.path as string
    let reply: { attachment: AttachmentSpec; revision: number }
    try {
      reply = await this.#claim(request)
    } catch (thrown) {
      if (asHoldfastError(thrown).code !== 'unreachable' || local?.path === undefined) throw thrown
      return this.#mountUnheard(local, request)
    }
    try {
      return await this.table.mount(reply.attachment, reply.revision)
    } catch (thrown) {
      await this.unmount(reply.attachment.volume.id, request.user).catch(() => undefined)
      throw thrown
    }
  }

  #claim({ volume, user, mode = 'rw', mountAt, roles }: MountRequest) {
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
    const readable = request.mode === 'ro' || slot?.entry?.mode === 'rw'
    return usable && readable && request.mountAt === undefined ? slot : undefined
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

  /** Where a volume is mounted on this node. @throws not_found when it is not */
  path(volume: string): string {
    const slot = this.table.find(volume)
    if (slot?.actual === 'up' && slot.path !== undefined) return slot.path
    throw new HoldfastError('not_found', `volume ${quote(volume)} is not mounted on this node`)
  }
}
