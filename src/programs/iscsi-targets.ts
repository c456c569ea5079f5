/**
 * Who is let in to which disk of a target daemon. There is a target only while a node has the object attached, with
 * that node's initiator as the only one allowed; the target opens the object by the node's own link (see
 * `access-links.ts`). Nobody else is cut off when a node is: its targets are its own.
 */
import { HoldfastError } from '../model/errors.ts'
import type { PoolDirectory } from './file-protocol.ts'
import type { FileWorker } from './file-worker.ts'
import {
  accessOf,
  type IscsiSettings,
  initiatorName,
  isSameNode,
  objectOfTarget,
  targetName,
} from './iscsi-settings.ts'
import { objectPath } from './pool-paths.ts'
import type { Programs } from './run.ts'
import { type Target, Tgt } from './tgt.ts'

const FILE_MS = 10_000
export const FIRST_LUN = 1
/** A disk is opened once more as the other one when it grows. */
export const SECOND_LUN = 2
const LUNS = [FIRST_LUN, SECOND_LUN]

/** A pool, and the worker that does the work on its files. */
export interface TargetsOf {
  readonly place: PoolDirectory
  readonly settings: IscsiSettings
  readonly worker: FileWorker
}

/** An object, and a node's way to it. */
export interface Access {
  readonly object: string
  /** As `accessName` gives it. */
  readonly access: string
}

export class IscsiTargets {
  private readonly pool: TargetsOf
  private readonly tgt: Tgt

  constructor(programs: Programs, pool: TargetsOf) {
    this.pool = pool
    this.tgt = new Tgt(programs, pool.settings.control)
  }

  /** The targets of this pool, or of one object of it. */
  async list(signal: AbortSignal, object?: string): Promise<Target[]> {
    const all = await this.tgt.targets(signal)
    return all.filter(({ name }) => {
      const found = objectOfTarget(this.pool.place.uuid, name)
      return found !== undefined && (object === undefined || found === object)
    })
  }

  /**
   * Lets a node in, and nobody else with a claim to write.
   * @returns the name of the target to log in to
   * @throws in_use when another node is logged in, storage_failed when this node was shut out meanwhile
   */
  async letIn({ object, access }: Access, readOnly: boolean, signal: AbortSignal): Promise<string> {
    const name = targetName(this.pool.place.uuid, object, access, readOnly)
    await this.clear({ object, access }, name, readOnly, signal)
    const path = await this.path({ object, access }, readOnly)
    if (path === undefined) throw shutOut(object)
    await this.open({ object, access }, name, { path, luns: [FIRST_LUN], readOnly }, signal)
    // a writer and a reader that came at the same time see each other here
    const others = (await this.list(signal, object)).filter((target) => target.name !== name)
    for (const target of others) if (!this.agree(target, object, readOnly)) throw heldBy(object, target)
    return name
  }

  /**
   * Makes the target anew after the target daemon was restarted. The storage daemon, which knows by which LUN it goes,
   * cannot be asked while it waits for the target: so both are there.
   * @returns false when the node was shut out
   */
  async reopen({ object, access }: Access, name: string, signal: AbortSignal): Promise<boolean> {
    const path = await this.pool.worker.call('accessPath', FILE_MS, this.pool.place, object, access)
    if (path === undefined) return false
    const readOnly = name !== targetName(this.pool.place.uuid, object, access, false)
    await this.open({ object, access }, name, { path, luns: LUNS, readOnly }, signal)
    return true
  }

  /** Adds a disk to a target, with the size that the file has now, and removes whatever had its number. */
  async addLun({ tid, luns }: Target, from: number, to: number, signal: AbortSignal): Promise<void> {
    const present = luns.find(({ lun }) => lun === from)
    if (present === undefined) throw new HoldfastError('storage_failed', `target ${tid} has no LUN ${from} any more`)
    await this.tgt.deleteLun(tid, to, signal)
    await this.tgt.newLun(tid, { ...present, lun: to }, signal)
  }

  async removeLun({ tid }: Target, lun: number, signal: AbortSignal): Promise<void> {
    await this.tgt.deleteLun(tid, lun, signal)
  }

  /** Takes a node's own targets of an object away, of this boot and earlier ones. It may be let in again. */
  async letOut({ object, access }: Access, signal: AbortSignal): Promise<void> {
    await this.pool.worker.call('endAccess', FILE_MS, this.pool.place, object, access)
    const targets = await this.list(signal, object)
    for (const target of targets) {
      const own = this.isOf(target, { object, access }) || this.ofNode([target], access).length > 0
      if (own) await this.tgt.deleteTarget(target.tid, signal)
    }
  }

  /**
   * Shuts a node out and reads back that it is out: nothing that it began before can let it in any more.
   * @throws storage_failed when it is not
   */
  async shutOut({ object, access }: Access, signal: AbortSignal): Promise<void> {
    await this.pool.worker.call('denyAccess', FILE_MS, this.pool.place, object, access)
    const theirs = (target: Target) => this.isOf(target, { object, access }) || isBegun(target)
    for (const target of (await this.list(signal, object)).filter(theirs)) {
      await this.tgt.deleteTarget(target.tid, signal)
    }
    const [left] = (await this.list(signal, object)).filter((target) => this.isOf(target, { object, access }))
    if (left === undefined) return
    const text = `${initiatorName(access)} still has access to ${object} by target ${left.tid} (${left.name})`
    throw new HoldfastError('storage_failed', text, { tid: left.tid, target: left.name })
  }

  /** The objects with targets that only this node has, in this boot or an earlier one. */
  ofNode(targets: readonly Target[], access: string): string[] {
    const own = targets.filter(({ allowed, sessions }) => {
      const initiators = [...allowed, ...sessions]
      return initiators.length > 0 && initiators.every((initiator) => isSameNode(initiator, access))
    })
    return own.flatMap(({ name }) => objectOfTarget(this.pool.place.uuid, name) ?? [])
  }

  /**
   * Removes the targets of an object that nobody is logged in to.
   * @throws in_use when somebody is
   */
  async removeIdle(object: string, signal: AbortSignal): Promise<void> {
    for (const target of await this.list(signal, object)) {
      if (target.sessions.length > 0) throw heldBy(object, target)
      await this.shutOutAll(target, object, signal)
    }
  }

  /**
   * Removes what is in the way: what this node began and did not finish, or had before it was started anew, and what
   * others have where nobody is logged in. Whoever comes back then is shut out before anybody else is let in.
   * @throws in_use
   */
  private async clear(mine: Access, name: string, readOnly: boolean, signal: AbortSignal): Promise<void> {
    for (const target of await this.list(signal, mine.object)) {
      if (target.name !== name && this.agree(target, mine.object, readOnly)) continue
      const own = this.isOf(target, mine) || target.sessions.every((initiator) => isSameNode(initiator, mine.access))
      if (!own) throw heldBy(mine.object, target)
      if (this.isOf(target, mine)) await this.tgt.deleteTarget(target.tid, signal)
      else await this.shutOutAll(target, mine.object, signal)
    }
  }

  /** Whether a target may be there beside one for reading or for writing. */
  private agree(target: Target, object: string, readOnly: boolean): boolean {
    return readOnly && target.name !== targetName(this.pool.place.uuid, object, '', false)
  }

  private async shutOutAll(target: Target, object: string, signal: AbortSignal): Promise<void> {
    for (const initiator of target.allowed) {
      const access = accessOf(initiator)
      // an administrator may have let others in, who have no link
      if (access === undefined) continue
      await this.pool.worker.call('denyAccess', FILE_MS, this.pool.place, object, access)
    }
    await this.tgt.deleteTarget(target.tid, signal)
  }

  private async open(
    { object, access }: Access,
    name: string,
    { luns, ...disk }: { path: string; luns: readonly number[]; readOnly: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    const tid = await this.tgt.newTarget(name, signal)
    if (tid === undefined) {
      throw new HoldfastError('in_use', `${object} is being attached by another node (${name})`, { target: name })
    }
    try {
      for (const lun of luns) await this.tgt.newLun(tid, { ...disk, lun }, signal)
      await this.tgt.allow(tid, initiatorName(access), signal)
    } catch (thrown) {
      await this.tgt.deleteTarget(tid, signal).catch(() => undefined)
      throw thrown
    }
  }

  private async path({ object, access }: Access, readOnly: boolean): Promise<string | undefined> {
    const { place, worker } = this.pool
    try {
      return await worker.call('beginAccess', FILE_MS, place, object, access)
    } catch (thrown) {
      // on storage that nobody can write to nothing can be taken away either, and need not be
      if (!readOnly || !(thrown instanceof HoldfastError) || thrown.code !== 'storage_read_only') throw thrown
      return objectPath(place.directory, object)
    }
  }

  private isOf(target: Target, { object, access }: Access): boolean {
    const link = `/${object}@${access}`
    const initiator = initiatorName(access)
    return (
      target.allowed.includes(initiator) ||
      target.sessions.includes(initiator) ||
      target.luns.some(({ path }) => path.endsWith(link))
    )
  }
}

/** Whose it is cannot be seen yet. Its node finds it gone, and begins anew if it still may. */
function isBegun({ allowed, luns }: Target): boolean {
  return allowed.length === 0 && luns.length === 0
}

function shutOut(object: string): HoldfastError {
  const text = `This node's access to ${object} was taken away while it was attached; it is let in when it asks again`
  return new HoldfastError('storage_failed', text, { object })
}

function heldBy(object: string, { name, sessions }: Target): HoldfastError {
  const who = sessions.join(', ')
  return new HoldfastError('in_use', `${object} is attached by ${who}; detach it there first`, { target: name, who })
}
