/**
 * The driver `iscsi`: a block SAN. An object is a file in a directory of a storage server, and while it is attached a
 * disk of the server's iSCSI target daemon (tgt), which only the node that attached it may log in to. The node's side is
 * qemu-storage-daemon, which also holds the limit of IOPS, and a loop device on the file that it shows.
 */
import { HoldfastError } from '../model/errors.ts'
import { Lane } from '../programs/call-limits.ts'
import type { FileFacts } from '../programs/file-protocol.ts'
import { FileWorker } from '../programs/file-worker.ts'
import { IscsiDisks, type LocalDisk } from '../programs/iscsi-disks.ts'
import { accessName, type IscsiSettings, initiatorName, iscsiSettings } from '../programs/iscsi-settings.ts'
import { FIRST_LUN, IscsiTargets, SECOND_LUN, type TargetsOf } from '../programs/iscsi-targets.ts'
import { IscsiTender } from '../programs/iscsi-tender.ts'
import { isReadOnly, sizeOf } from '../programs/loop-devices.ts'
import { checkObjectName } from '../programs/pool-paths.ts'
import { portalAnswers } from '../programs/portal.ts'
import { limitIops, presentLun, type RunningDaemon, startDaemon, switchLun } from '../programs/storage-daemon.ts'
import type { Attached, Driver, NodeIdentity, ObjectInfo, PoolProbe, PoolTarget, Progress } from './driver.ts'
import { Locks } from './locks.ts'
import { createLoopDriver, type LoopDriverDeps } from './loop.ts'

const STAT_MS = 5000
const FILE_MS = 10_000
const FLUSH_MS = 60_000
const CLEAN_UP_MS = 30_000
/** The server may be what hangs, and is told again when the pool is looked at. */
const LET_OUT_MS = 2000
/** Objects of a pool that are attached or detached at the same time. */
const AT_ONCE = 4

export interface IscsiDriverDeps extends LoopDriverDeps {
  /** Where storage daemons show their disks: a directory of the node's own, on a local filesystem. */
  readonly directory: string
  readonly log?: (event: string, data: Record<string, unknown>) => void
}

export function createIscsiDriver(deps: IscsiDriverDeps): Driver {
  return new IscsiDriver(deps)
}

/** A pool, with what works on it. */
interface At extends TargetsOf {
  readonly pool: PoolTarget
  /** The pool as the driver loop has it, which does what is to be done to files. */
  readonly files: PoolTarget
  readonly targets: IscsiTargets
  readonly lane: Lane
  /** This node's. */
  readonly access: string
}

class IscsiDriver implements Driver {
  readonly name = 'iscsi'
  private readonly deps: IscsiDriverDeps
  private readonly objects: Driver
  private readonly disks: IscsiDisks
  private readonly locks = new Locks()
  private readonly workers = new Map<string, FileWorker>()
  private readonly lanes = new Map<string, Lane>()
  private readonly tender: IscsiTender

  constructor(deps: IscsiDriverDeps) {
    this.deps = deps
    this.objects = createLoopDriver({ ...deps, workerOf: (pool) => this.worker(pool) })
    this.disks = new IscsiDisks(deps.programs, deps.directory)
    this.tender = new IscsiTender({
      disks: this.disks,
      locked: (poolUuid, object, work) => this.locks.run(`${poolUuid}/${object}`, work),
      log: (event, data) => deps.log?.(event, data),
    })
  }

  checkSettings(settings: Readonly<Record<string, string>>): void {
    iscsiSettings(settings)
  }

  async probe(pool: PoolTarget, signal: AbortSignal): Promise<PoolProbe> {
    const at = this.at(pool)
    this.tender.tend(at)
    const { capabilities, ...sizes } = await this.objects.probe(at.files, signal)
    await at.targets.list(signal)
    await portalAnswers(at.settings.portal)
    return { capabilities: { ...capabilities, grow: 'online', iops: 'enforced', fence: 'any' }, ...sizes }
  }

  async mark(pool: PoolTarget, signal: AbortSignal): Promise<undefined> {
    await this.objects.mark(this.at(pool).files, signal)
  }

  async create(pool: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal): Promise<ObjectInfo> {
    return await this.locked(pool, object, async (at) => {
      await this.flush(at, object, signal)
      return await this.permitted(at, await this.objects.create(at.files, object, sizeMiB, signal))
    })
  }

  async isBlank(pool: PoolTarget, object: string, signal: AbortSignal): Promise<boolean> {
    return await this.locked(pool, object, async (at) => {
      const info = await this.objects.inspect(at.files, object, signal)
      if (info !== undefined) await this.permitted(at, info)
      await this.flush(at, object, signal)
      return await this.objects.isBlank(at.files, object, signal)
    })
  }

  async delete(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    await this.locked(pool, object, async (at) => {
      const [held] = await this.attached(pool, signal, object)
      if (held !== undefined) {
        const text = `${object} is attached on this machine as ${held.device}; detach it before deleting it`
        throw new HoldfastError('in_use', text, { device: held.device })
      }
      // the marker is read before anything is taken away
      await this.objects.inspect(at.files, object, signal)
      await at.targets.removeIdle(object, signal)
      await this.objects.delete(at.files, object, signal)
      await at.worker.call('forgetAccess', FILE_MS, at.place, object)
    })
  }

  async copy(
    pool: PoolTarget,
    source: string,
    object: string,
    kind: 'volume' | 'snapshot',
    progress: Progress,
    signal: AbortSignal,
  ): Promise<ObjectInfo> {
    checkObjectName(source)
    return await this.locked(pool, object, async (at) => {
      await this.flush(at, source, signal)
      return await this.permitted(at, await this.objects.copy(at.files, source, object, kind, progress, signal))
    })
  }

  async grow(pool: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal): Promise<ObjectInfo> {
    return await this.locked(pool, object, async (at) => {
      const info = await this.permitted(at, await this.objects.grow(at.files, object, sizeMiB, signal))
      const [disk] = await this.disks.present(pool.uuid, object)
      if (disk !== undefined && isWhole(disk)) await this.follow(at, disk, await this.file(at, object), signal)
      return info
    })
  }

  async inspect(pool: PoolTarget, object: string, signal: AbortSignal): Promise<ObjectInfo | undefined> {
    const at = this.at(pool)
    const info = await this.objects.inspect(at.files, object, signal)
    return info === undefined ? undefined : await this.permitted(at, info)
  }

  async inventory(pool: PoolTarget, signal: AbortSignal): Promise<ObjectInfo[]> {
    return await this.objects.inventory(this.at(pool).files, signal)
  }

  async attach(
    pool: PoolTarget,
    object: string,
    readOnly: boolean,
    signal: AbortSignal,
    iops?: number,
  ): Promise<Attached> {
    return await this.locked(pool, object, (at) =>
      at.lane.run(signal, async () => {
        const file = await this.file(at, object)
        const [disk] = await this.disks.present(pool.uuid, object)
        if (disk !== undefined && isWhole(disk)) return await this.again(at, disk, file, readOnly, iops, signal)
        if (disk !== undefined) {
          await this.disks.takeDown(disk, signal)
          await at.targets.letOut({ object, access: at.access }, signal)
        }
        return { object, device: await this.bringUp(at, object, readOnly, iops ?? 0, signal), readOnly }
      }),
    )
  }

  async detach(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    await this.locked(pool, object, (at) =>
      at.lane.run(signal, async () => {
        for (const disk of await this.disks.present(pool.uuid, object)) await this.disks.takeDown(disk, signal)
        // nothing of it is left here; what the server does not hear of now, it is told when the pool is looked at
        await at.targets.letOut({ object, access: at.access }, signal).catch((thrown) => this.later(at, object, thrown))
      }),
    )
  }

  async attached(pool: PoolTarget, signal: AbortSignal, object?: string): Promise<Attached[]> {
    if (signal.aborted) throw new HoldfastError('cancelled', `Work on ${pool.name} was cancelled`)
    const disks = await this.disks.present(pool.uuid, object)
    return disks.map(({ object: name, file, loops: [loop] }) => {
      const device = loop?.device ?? file
      return { object: name, device, readOnly: loop !== undefined && isReadOnly(device) }
    })
  }

  async fence(pool: PoolTarget, object: string, machine: NodeIdentity, signal: AbortSignal): Promise<void> {
    const access = accessName(machine)
    await this.locked(pool, object, async (at) => {
      const isHere = machine.bootId === pool.node.bootId
      const here = isHere ? await this.disks.ofInitiator(pool.uuid, object, initiatorName(access)) : []
      // it may have ended in good order, but for its mounts
      for (const disk of here) await this.unmount(disk).catch(() => undefined)
      await at.targets.shutOut({ object, access }, signal)
      // what it was making has no name yet, and gets none any more
      await at.worker.call('discardPartials', FILE_MS, at.place, object)
      for (const disk of here) await this.clear(disk).catch((thrown) => this.later(at, object, thrown))
    })
  }

  async close(): Promise<void> {
    await this.tender.close()
    const workers = [...this.workers.values()]
    this.workers.clear()
    await Promise.all([this.objects.close(), ...workers.map((worker) => worker.close())])
  }

  private async bringUp(at: At, object: string, readOnly: boolean, iops: number, signal: AbortSignal): Promise<string> {
    const access = { object, access: at.access }
    const file = this.disks.file(at.pool.uuid, object)
    try {
      const target = await at.targets.letIn(access, readOnly, signal)
      const { portal } = at.settings
      const initiator = initiatorName(at.access)
      await startDaemon(this.deps.programs, { portal, target, lun: FIRST_LUN, initiator, file, readOnly, iops }, signal)
      return await this.disks.attach(object, file, readOnly, signal)
    } catch (thrown) {
      const limit = AbortSignal.timeout(CLEAN_UP_MS)
      // what cannot be cleaned up now is found by the next attach or detach; the first error is the one to tell
      for (const disk of await this.disks.present(at.pool.uuid, object)) {
        await this.disks.takeDown(disk, limit).catch(() => undefined)
      }
      await at.targets.letOut(access, AbortSignal.timeout(LET_OUT_MS)).catch(() => undefined)
      throw thrown
    }
  }

  private async again(
    at: At,
    disk: WholeDisk,
    file: FileFacts,
    readOnly: boolean,
    iops: number | undefined,
    signal: AbortSignal,
  ): Promise<Attached> {
    const { object } = disk
    const { device } = disk.loops[0]
    if (isReadOnly(device) !== readOnly) {
      const [is, asked] = readOnly ? ['for writing', 'read-only'] : ['read-only', 'for writing']
      const text = `${object} is attached ${is} as ${device}; detach it before attaching it ${asked}`
      throw new HoldfastError('in_use', text, { device })
    }
    // who works on a disk that is in use says nothing of its limit
    if (iops !== undefined) await limitIops(disk.file, iops)
    await this.follow(at, disk, file, signal)
    return { object, device, readOnly }
  }

  /**
   * Lets a disk take the size that its file has by now. The target daemon reads the size of a disk when it opens it: so
   * the disk is opened once more, as another LUN, and the storage daemon goes over to that one.
   */
  private async follow(at: At, disk: WholeDisk, file: FileFacts, signal: AbortSignal): Promise<void> {
    const { device } = disk.loops[0]
    const bytes = Math.floor(file.size / 512) * 512
    if (isReadOnly(device) || sizeOf(device) >= bytes) return
    const [daemon] = disk.daemons
    const target = (await at.targets.list(signal, disk.object)).find(({ name }) => name === daemon.target)
    if (target === undefined) {
      const text = `${disk.object} is attached, but its target is gone from the server; try again when it is back`
      throw new HoldfastError('storage_failed', text, { target: daemon.target })
    }
    const from = await presentLun(daemon)
    const to = from === FIRST_LUN ? SECOND_LUN : FIRST_LUN
    await at.targets.addLun(target, from, to, signal)
    await switchLun(daemon, to, bytes)
    await at.targets.removeLun(target, from, signal)
    await this.disks.refresh(disk, device, signal)
  }

  /** Lays down what this node needs to be let in. Where nothing can be written, an attach will say what is wrong. */
  private async permitted(at: At, info: ObjectInfo): Promise<ObjectInfo> {
    await at.worker.call('permitAccess', FILE_MS, at.place, info.name, at.access).catch((thrown: unknown) => {
      const code = thrown instanceof HoldfastError ? thrown.code : undefined
      if (code !== 'storage_read_only' && code !== 'storage_full') throw thrown
    })
    return info
  }

  /** Brings to the server what was written to a device of this node and is not flushed yet. */
  private async flush({ pool }: At, object: string, signal: AbortSignal): Promise<void> {
    const [disk] = await this.disks.present(pool.uuid, object)
    const devices = disk?.loops.map(({ device }) => device) ?? []
    if (devices.length > 0) await this.deps.programs.run('sync', devices, { signal, deadlineMs: FLUSH_MS })
  }

  private async file({ pool, place, worker }: At, object: string): Promise<FileFacts> {
    const { file } = await worker.call('stat', STAT_MS, place, object)
    if (file === undefined) {
      throw new HoldfastError('object_missing', `There is no object ${object} in ${place.directory}`, { object })
    }
    if (file.size > 0 && file.size % 512 === 0) return file
    const text = `${file.path} has ${file.size} bytes and cannot be a disk: a multiple of 512 above 0 is needed`
    throw new HoldfastError('foreign_content', text, { object, bytes: file.size, pool: pool.name })
  }

  private async unmount(disk: LocalDisk): Promise<void> {
    const devices = new Set(disk.loops.map(({ device }) => device))
    const mounts = (await this.deps.filesystems.mounts()).filter(({ device }) => devices.has(device))
    // the newest first: one may lie in another
    for (const { target } of mounts.reverse()) {
      await this.deps.filesystems.unmount(target, AbortSignal.timeout(CLEAN_UP_MS))
    }
  }

  /** Clears away what a node that was shut out still has on this machine. */
  private async clear(disk: LocalDisk): Promise<void> {
    await this.disks.giveUp(disk)
    await this.unmount(disk)
    await this.disks.takeDown(disk, AbortSignal.timeout(CLEAN_UP_MS))
  }

  private later({ pool }: At, object: string, thrown: unknown): void {
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    this.deps.log?.('iscsi.clean-up-failed', { pool: pool.name, object, message })
  }

  private async locked<T>(pool: PoolTarget, object: string, work: (at: At) => Promise<T>): Promise<T> {
    checkObjectName(object)
    const at = this.at(pool)
    return await this.locks.run(`${pool.uuid}/${object}`, () => work(at))
  }

  private worker({ name, uuid }: PoolTarget): FileWorker {
    const worker = this.workers.get(uuid) ?? new FileWorker(name, undefined, this.deps.programs.environment)
    this.workers.set(uuid, worker)
    return worker
  }

  private at(pool: PoolTarget): At {
    const settings: IscsiSettings = iscsiSettings(pool.settings)
    const { directory } = settings
    const place = { directory, name: pool.name, uuid: pool.uuid, installation: pool.installation }
    const worker = this.worker(pool)
    const lane = this.lanes.get(pool.uuid) ?? new Lane(AT_ONCE)
    this.lanes.set(pool.uuid, lane)
    const targets = new IscsiTargets(this.deps.programs, { place, settings, worker })
    const files = { ...pool, settings: { directory } }
    return { pool, files, place, settings, worker, targets, lane, access: accessName(pool.node) }
  }
}

/** A disk with all of its parts. */
interface WholeDisk extends LocalDisk {
  readonly daemons: readonly [RunningDaemon]
  readonly loops: readonly [LocalDisk['loops'][number]]
}

function isWhole(disk: LocalDisk): disk is WholeDisk {
  return disk.daemons.length === 1 && disk.loops.length === 1 && disk.shown
}
