import type { Attached, ObjectInfo, ObjectKind, Progress } from '../drivers/driver.ts'
import type { StepFacts } from '../ledger/operation-results.ts'
import type { Clock } from '../model/clock.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import type { DetachProof, WorkOrder } from '../model/node-protocol.ts'
import { deadline } from './deadline.ts'
import type { FilesystemType } from './filesystems.ts'
import { Gatherings } from './gatherings.ts'
import type { Hands, ObjectRef } from './hands.ts'
import type { NodePools } from './pools.ts'

/** The part of the volume table that work needs: to stand in line with whatever else is done to a volume. */
export interface VolumeLocks {
  exclusive<T>(volumeId: string, work: (target: string | undefined, inUse: boolean) => Promise<T>): Promise<T>
}

type Source = NonNullable<WorkOrder['source']>

export interface StepsParts {
  readonly pools: NodePools
  readonly hands: Hands
  readonly locks: VolumeLocks
  /** Throws unless this node's lease runs: without one, its volumes may have been given away. */
  readonly leased: () => void
  readonly clock: Clock
}

/** What each step of an operation does on a node. */
export class Steps {
  readonly #parts: StepsParts
  /** Imports that found their object in use by somebody else: what is attached then is not ours to detach. */
  readonly #foreign = new Set<string>()
  readonly #gatherings: Gatherings

  constructor(parts: StepsParts) {
    this.#parts = parts
    this.#gatherings = new Gatherings(parts.clock)
  }

  /** Does a step. @throws what went wrong, coded; what is half done then is for `letGo` and the next attempt */
  async run(order: WorkOrder, progress: Progress, signal: AbortSignal): Promise<StepFacts> {
    this.#parts.leased()
    switch (order.step) {
      case 'create':
        return this.#create(order, signal)
      case 'format':
        return this.#inLine(order.volumeId, () => this.#format(order, signal))
      case 'copy':
        return this.#inLine(order.volumeId, () => this.#copy(order, progress, signal))
      case 'grow':
        return this.#grow(order, signal)
      case 'snapshot':
        return this.#snapshot(order, progress, signal)
      case 'import':
        return this.#inLine(order.volumeId, () => this.#import(order, signal))
      case 'delete':
      case 'delete-snapshot':
        return this.#delete(order, signal)
      case 'mark':
        return this.#mark(order, signal)
      case 'fence':
        return this.#fence(order, signal)
    }
  }

  #inLine<T>(volumeId: string | undefined, work: () => Promise<T>): Promise<T> {
    return volumeId === undefined ? work() : this.#parts.locks.exclusive(volumeId, work)
  }

  async #create(order: WorkOrder, signal: AbortSignal): Promise<StepFacts> {
    const { driver, target } = this.#parts.pools.access(order.poolId)
    return this.#known(order, await driver.create(target, object(order), size(order), signal, kind(order)))
  }

  async #format(order: WorkOrder, signal: AbortSignal): Promise<StepFacts> {
    const { driver, target } = this.#parts.pools.access(order.poolId)
    this.#parts.leased()
    if (order.recreate) {
      await this.#remove(order, signal)
      this.#parts.leased()
      this.#known(order, await driver.create(target, object(order), size(order), signal, kind(order)))
    }
    await this.#parts.hands.format(ref(order), filesystem(order), uuid(order), signal)
    return this.facts(order)
  }

  async #copy(order: WorkOrder, progress: Progress, signal: AbortSignal): Promise<StepFacts> {
    const { driver, target } = this.#parts.pools.access(order.poolId)
    const source = order.source
    if (source === undefined) throw new HoldfastError('internal', 'a copy without a source')
    this.#parts.leased()
    if (order.recreate) await this.#remove(order, signal)
    await this.#fromStill(source, signal, alone(), async () => {
      this.#parts.leased()
      this.#known(order, await driver.copy(target, source.object, object(order), 'volume', progress, signal))
    })
    const copied = await driver.inspect(target, object(order), signal)
    const larger = size(order) > (copied?.sizeMiB ?? 0)
    this.#parts.leased()
    if (larger) await driver.grow(target, object(order), size(order), signal)
    if (order.fs !== 'raw') {
      await this.#parts.hands.adaptCopy(ref(order), filesystem(order), uuid(order), larger, signal)
    }
    return this.facts(order)
  }

  async #snapshot(order: WorkOrder, progress: Progress, signal: AbortSignal): Promise<StepFacts> {
    const { driver, target } = this.#parts.pools.access(order.poolId)
    const source = order.source
    if (source === undefined) throw new HoldfastError('internal', 'a snapshot without a source')
    this.#parts.leased()
    await this.#inStep(order, async (arrive) => {
      if (order.recreate) await this.#remove(order, signal)
      await this.#fromStill(source, signal, arrive(signal), async () => {
        this.#parts.leased()
        this.#known(order, await driver.copy(target, source.object, object(order), 'snapshot', progress, signal))
      })
    })
    return this.facts(order)
  }

  /** With the others that are to be of the same moment, if there are any. */
  async #inStep(
    { together }: WorkOrder,
    work: (arrive: (signal: AbortSignal) => (point: string) => Promise<void>) => Promise<void>,
  ): Promise<void> {
    if (together === undefined) return work(alone)
    const { id, size } = together
    try {
      await work((signal) => (point) => this.#gatherings.meet(id, point, size, signal))
    } catch (thrown) {
      this.#gatherings.fail(id, asHoldfastError(thrown).message)
      throw thrown
    }
  }

  /**
   * Copies from a volume while nothing writes to it: in line with mounts, and frozen where it is mounted here.
   * @throws snapshot_needs_idle
   */
  #fromStill<T>(
    { volumeId, idleOnly, object }: Source,
    signal: AbortSignal,
    arrive: (point: string) => Promise<void>,
    copy: () => Promise<T>,
  ): Promise<T> {
    if (volumeId === undefined) return copy()
    return this.#parts.locks.exclusive(volumeId, async (mountedAt, inUse) => {
      if (idleOnly === true && inUse) {
        const text = `object ${object} is in use here, and this pool copies byte by byte: that needs it idle`
        throw new HoldfastError('snapshot_needs_idle', text)
      }
      // each has its volume to itself before the first one is stopped: users wait no longer than they must
      await arrive('held')
      return this.#parts.hands.frozen(mountedAt, signal, async () => {
        await arrive('still')
        return copy()
      })
    })
  }

  #grow(order: WorkOrder, signal: AbortSignal): Promise<StepFacts> {
    const { driver, target } = this.#parts.pools.access(order.poolId)
    return this.#parts.locks.exclusive(order.volumeId ?? '', async (mountedAt) => {
      this.#parts.leased()
      await driver.grow(target, object(order), size(order), signal)
      if (order.fs !== 'raw') await this.#parts.hands.growFilesystem(ref(order), filesystem(order), mountedAt, signal)
      return this.facts(order)
    })
  }

  /** Reads what an adopted object is. Anything but a filesystem that we can mount, or nothing at all, is refused. */
  async #import(order: WorkOrder, signal: AbortSignal): Promise<StepFacts> {
    const { driver, target } = this.#parts.pools.access(order.poolId)
    const info = await driver.inspect(target, object(order), signal)
    if (info === undefined)
      throw new HoldfastError('object_missing', `there is no object ${object(order)} on ${target.name}`)
    this.#foreign.delete(order.operationId)
    const [held] = await this.#attached(order)
    if (held !== undefined) {
      this.#foreign.add(order.operationId)
      const text = `object ${object(order)} is attached on this machine as ${held.device} already; detach it there first`
      throw new HoldfastError('in_use', text, { device: held.device })
    }
    const found = await this.#parts.hands.identify(ref(order), signal)
    const { type, uuid: fsUuid } = found
    if (type === undefined) return { sizeMiB: info.sizeMiB, fs: 'raw' }
    const known = type === 'ext4' || type === 'xfs' || type === 'btrfs'
    if (!known || fsUuid === undefined) {
      throw new HoldfastError(
        'foreign_content',
        `object ${object(order)} holds ${type}, which is none of ext4, xfs, btrfs and raw; it is left as it is`,
      )
    }
    return { sizeMiB: info.sizeMiB, fs: type, fsUuid }
  }

  async #attached(order: WorkOrder): Promise<Attached[]> {
    const { driver, target } = this.#parts.pools.access(order.poolId)
    const devices = await driver.attached(target, deadline(this.#parts.clock, 10_000), object(order))
    return devices.filter((each) => each.object === order.object)
  }

  async #delete(order: WorkOrder, signal: AbortSignal): Promise<StepFacts> {
    const { driver, target } = this.#parts.pools.access(order.poolId)
    await driver.detach(target, object(order), signal)
    await this.#remove(order, signal)
    return {}
  }

  async #remove(order: WorkOrder, signal: AbortSignal): Promise<void> {
    const { driver, target } = this.#parts.pools.access(order.poolId)
    await driver.delete(target, object(order), signal)
    this.#parts.pools.unlearn(order.poolId, object(order))
  }

  /** What the storage calls the object from now on is told to the controller with the step's result. */
  #known({ poolId, object }: WorkOrder, { sizeMiB, handle }: ObjectInfo): StepFacts {
    this.#parts.pools.learn({ poolId, ...(object === undefined ? {} : { object }), handle })
    return { sizeMiB, ...(handle === undefined ? {} : { handle }) }
  }

  async #mark(order: WorkOrder, signal: AbortSignal): Promise<StepFacts> {
    const { driver, target } = this.#parts.pools.access(order.poolId)
    const handle = await driver.mark(target, signal)
    return handle === undefined ? {} : { handle }
  }

  async #fence(order: WorkOrder, signal: AbortSignal): Promise<StepFacts> {
    const { driver, target } = this.#parts.pools.access(order.poolId)
    for (const name of [object(order), ...(order.made ?? [])]) {
      await driver.fence(target, name, { id: order.nodeId ?? '', bootId: order.bootId ?? '' }, signal)
    }
    return {}
  }

  /** What is there by now. */
  async facts(order: WorkOrder): Promise<StepFacts> {
    if (order.object === undefined) return {}
    const { driver, target } = this.#parts.pools.access(order.poolId)
    const info = await driver.inspect(target, order.object, deadline(this.#parts.clock, 10_000))
    const handle = info?.handle ?? target.handleOf(order.object)
    return info === undefined ? {} : { sizeMiB: info.sizeMiB, ...(handle === undefined ? {} : { handle }) }
  }

  /**
   * Ends the step's own use of the volumes that it worked on.
   * @returns the proof for each attachment of which nothing is left here; none for those that a user has mounted
   */
  async letGo(order: WorkOrder): Promise<DetachProof[]> {
    const proofs: DetachProof[] = []
    const used = [
      { volumeId: order.volumeId, attachmentId: order.attachmentId, claims: order.claims, name: order.object },
      { ...order.source, name: order.source?.object },
    ]
    for (const { volumeId, attachmentId, claims, name } of used) {
      if (volumeId === undefined || attachmentId === undefined || claims === undefined || name === undefined) continue
      const gone = await this.#parts.locks.exclusive(volumeId, async (_, inUse) => {
        if (inUse) return false
        // not ours to detach; but as long as it is there nothing is proven
        if (this.#foreign.has(order.operationId)) return (await this.#attached(order)).length === 0
        await this.#parts.hands.down(
          { poolId: order.poolId, object: name, fs: order.fs },
          undefined,
          deadline(this.#parts.clock, 60_000),
        )
        return true
      })
      if (gone) proofs.push({ attachmentId, claims })
    }
    return proofs
  }

  /** After a start of the daemon: undoes what an interrupted step may have left in the kernel. */
  async recover(order: WorkOrder): Promise<void> {
    const frozen = order.step === 'snapshot' || order.step === 'copy' ? order.source?.volumeId : undefined
    if (frozen === undefined) return
    await this.#parts.locks.exclusive(frozen, async (mountedAt) => {
      if (mountedAt !== undefined) await this.#parts.hands.thawSurely(mountedAt)
    })
  }
}

/** Nobody is waited for. */
function alone(): () => Promise<void> {
  return () => Promise.resolve()
}

function ref(order: WorkOrder): ObjectRef {
  return { poolId: order.poolId, object: object(order), fs: order.fs }
}

function object(order: WorkOrder): string {
  if (order.object === undefined) throw new HoldfastError('internal', `a ${order.step} without an object`)
  return order.object
}

function size(order: WorkOrder): number {
  if (order.sizeMiB === undefined) throw new HoldfastError('internal', `a ${order.step} without a size`)
  return order.sizeMiB
}

function kind({ fs }: WorkOrder): ObjectKind {
  return fs === 'directory' ? 'directory' : 'device'
}

function filesystem(order: WorkOrder): FilesystemType {
  if (order.fs === undefined || order.fs === 'raw') {
    throw new HoldfastError('internal', `a ${order.step} of a filesystem without one`)
  }
  return order.fs
}

function uuid(order: WorkOrder): string {
  if (order.fsUuid === undefined) throw new HoldfastError('internal', `a ${order.step} without a UUID`)
  return order.fsUuid
}
