/**
 * The driver `loop`: a pool is a directory, an object is a sparse file in it, a device is a loop device. The directory
 * may be local, or a share that several machines mount. Reflinks are used where the filesystem has them.
 */
import { readFile } from 'node:fs/promises'
import { basename, dirname, isAbsolute, resolve } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import type { DirectoryAbilities, FileFacts, Place, PoolDirectory } from '../programs/file-protocol.ts'
import { FileWorker } from '../programs/file-worker.ts'
import { type DirectIo, isReadOnly, type LoopDetails, type LoopDevice, LoopDevices } from '../programs/loop-devices.ts'
import { checkObjectName, objectOfFile } from '../programs/pool-paths.ts'
import type { Programs } from '../programs/run.ts'
import type { Attached, Capabilities, Driver, ObjectInfo, PoolProbe, PoolTarget, Progress } from './driver.ts'
import { Locks } from './locks.ts'

const MIB = 1024 * 1024
const STAT_MS = 5000
const WRITE_MS = 60_000
const COPY_STALL_MS = 60_000
/** What a full or read-only pool is said to hold at most until it can be tried: the least of the usual filesystems. */
const UNTRIED: DirectoryAbilities = { reflink: false, maxFileMiB: 16 * 1024 * 1024 - 1 }
const DIRECT_IO: readonly string[] = ['auto', 'on', 'off'] satisfies DirectIo[]

export interface LoopDriverDeps {
  readonly programs: Programs
  /** Used by `fence` only. */
  readonly filesystems: {
    mounts(): Promise<readonly { device: string; target: string }[]>
    unmount(target: string, signal: AbortSignal): Promise<void>
  }
  /** Asked of a file that takes blocks, where these need not be its content's: whether it was never written to. */
  readonly isAllHole?: (file: { readonly path: string; readonly size: number }, signal: AbortSignal) => Promise<boolean>
  /** The boot id of this machine. Default: the kernel's. */
  readonly bootId?: () => Promise<string>
  /** The process for a pool's files, for a driver that works on them as well; it closes them. Default: its own. */
  readonly workerOf?: (pool: PoolTarget) => FileWorker
}

export function createLoopDriver(deps: LoopDriverDeps): Driver {
  return new LoopDriver(deps)
}

class LoopDriver implements Driver {
  readonly name = 'loop'
  private readonly deps: LoopDriverDeps
  private readonly loops: LoopDevices
  private readonly locks = new Locks()
  private readonly workers = new Map<string, FileWorker>()
  private readonly abilities = new Map<string, DirectoryAbilities>()

  constructor(deps: LoopDriverDeps) {
    this.deps = deps
    this.loops = new LoopDevices(deps.programs)
  }

  checkSettings(settings: Readonly<Record<string, string>>): void {
    for (const key of Object.keys(settings)) {
      if (key !== 'directory' && key !== 'directIo') {
        throw badSetting(key, `The driver loop has no setting ${key}; it has directory and directIo`)
      }
    }
    const directory = settings.directory
    if (directory === undefined) throw badSetting('directory', 'The driver loop needs the setting directory')
    if (!isAbsolute(directory) || resolve(directory) !== directory || directory.includes('\0')) {
      const text = `The setting directory is ${JSON.stringify(directory)}: an absolute path without . or .. is needed`
      throw badSetting('directory', text)
    }
    const directIo = settings.directIo
    if (directIo !== undefined && !DIRECT_IO.includes(directIo)) {
      throw badSetting('directIo', `The setting directIo is ${JSON.stringify(directIo)}: it can be auto, on or off`)
    }
  }

  async probe(pool: PoolTarget, signal: AbortSignal): Promise<PoolProbe> {
    const facts = await this.worker(pool, signal).call('look', STAT_MS, placeOf(pool))
    return {
      capabilities: this.capabilities(await this.abilitiesOf(pool, facts.filesystem)),
      sizeMiB: facts.sizeMiB,
      freeMiB: facts.freeMiB,
    }
  }

  async mark(pool: PoolTarget, signal: AbortSignal): Promise<undefined> {
    await this.worker(pool, signal).call('mark', WRITE_MS, placeOf(pool))
  }

  async create(pool: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal): Promise<ObjectInfo> {
    if (!Number.isSafeInteger(sizeMiB) || sizeMiB < 1) {
      throw new HoldfastError('invalid_size', `Bad size ${sizeMiB}: whole MiB, 1 or more`, { sizeMiB })
    }
    return await this.locked(pool, object, async () => {
      const made = await this.worker(pool, signal).call('create', WRITE_MS, placeOf(pool), object, sizeMiB)
      const file = await this.file(pool, object, signal)
      if (!made) await this.requireSameBlank(pool, file, sizeMiB, signal)
      return infoOf(file)
    })
  }

  async isBlank(pool: PoolTarget, object: string, signal: AbortSignal): Promise<boolean> {
    return await this.blank(pool, await this.file(pool, object, signal), signal)
  }

  async delete(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    await this.locked(pool, object, async () => {
      const [held] = await this.devicesOf(pool, object, signal)
      if (held !== undefined) {
        const text = `${object} is attached on this machine as ${held.device}; detach it before deleting it`
        throw new HoldfastError('in_use', text, { device: held.device })
      }
      await this.worker(pool, signal).call('remove', WRITE_MS, placeOf(pool), object)
    })
  }

  async copy(
    pool: PoolTarget,
    source: string,
    object: string,
    _kind: 'volume' | 'snapshot',
    progress: Progress,
    signal: AbortSignal,
  ): Promise<ObjectInfo> {
    checkObjectName(source)
    return await this.locked(pool, object, async () => {
      const worker = this.worker(pool, signal)
      const slow = await worker.call('beginCopy', WRITE_MS, placeOf(pool), source, object)
      if (slow !== undefined) {
        try {
          await this.copyBytes(slow, progress, signal)
          await worker.call('finishCopy', flushTime(slow.bytes), placeOf(pool), slow.to, object)
        } catch (error) {
          // Best effort: what stays has no object's name, and the next copy or delete of this object removes it.
          await worker.call('discardPartials', WRITE_MS, placeOf(pool), object).catch(() => undefined)
          throw error
        }
      }
      progress(1)
      return infoOf(await this.file(pool, object, signal))
    })
  }

  async grow(pool: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal): Promise<ObjectInfo> {
    return await this.locked(pool, object, async () => {
      await this.worker(pool, signal).call('extend', WRITE_MS, placeOf(pool), object, sizeMiB)
      const file = await this.file(pool, object, signal)
      for (const { device } of await this.loops.of(file, signal)) await this.loops.refresh(device, signal)
      return infoOf(file)
    })
  }

  async inspect(pool: PoolTarget, object: string, signal: AbortSignal): Promise<ObjectInfo | undefined> {
    const { file } = await this.stat(pool, object, signal)
    return file === undefined ? undefined : infoOf(file)
  }

  async inventory(pool: PoolTarget, signal: AbortSignal): Promise<ObjectInfo[]> {
    const { files } = await this.worker(pool, signal).call('list', WRITE_MS, placeOf(pool))
    return files.map(infoOf)
  }

  async attach(pool: PoolTarget, object: string, readOnly: boolean, signal: AbortSignal): Promise<Attached> {
    return await this.locked(pool, object, async () => {
      const file = await this.file(pool, object, signal)
      if (file.size === 0 || file.size % 512 !== 0) {
        const text = `${file.path} has ${file.size} bytes and cannot be a disk: a multiple of 512 above 0 is needed`
        throw new HoldfastError('foreign_content', text, { object, bytes: file.size })
      }
      return { object, device: await this.loops.attach(file, readOnly, directIoOf(pool), signal), readOnly }
    })
  }

  async detach(pool: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    await this.locked(pool, object, async () => {
      await this.loops.detach(await this.devicesOf(pool, object, signal), signal)
    })
  }

  async attached(pool: PoolTarget, signal: AbortSignal, object?: string): Promise<Attached[]> {
    if (object !== undefined) {
      const devices = await this.devicesOf(pool, object, signal)
      return devices.map(({ device }) => ({ object, device, readOnly: isReadOnly(device) }))
    }
    const { files, ...place } = await this.worker(pool, signal).call('list', WRITE_MS, placeOf(pool))
    const byIdentity = new Map(files.map((file) => [`${file.filesystem} ${file.inode}`, file.object]))
    const names = new Set(files.map((file) => basename(file.path)))
    const found: Attached[] = []
    for (const entry of this.loops.list()) {
      const { device, path } = entry
      if (dirname(path) !== place.directory && !names.has(basename(path)) && !mayLieIn(place, entry)) continue
      const details = await this.loops.details(device, signal)
      if (details === undefined) continue
      const byInode = byIdentity.get(`${details.filesystem} ${details.inode}`)
      const owner = byInode ?? deletedObject(place, entry, details)
      if (owner !== undefined) found.push({ object: owner, device, readOnly: isReadOnly(device) })
    }
    return found
  }

  async fence(pool: PoolTarget, object: string, machine: { bootId: string }, signal: AbortSignal): Promise<void> {
    const own = await (this.deps.bootId ?? kernelBootId)()
    if (machine.bootId !== own) {
      const text = `${object}: the driver loop proves a loss of access only for nodes on its own machine, and the lost node`
      throw new HoldfastError('unsupported', `${text} ran on another. Make sure that it is off, then confirm by hand`, {
        bootId: machine.bootId,
        ownBootId: own,
      })
    }
    await this.locked(pool, object, async () => {
      const devices = await this.devicesOf(pool, object, signal)
      const names = new Set(devices.map(({ device }) => device))
      const mounts = (await this.deps.filesystems.mounts()).filter(({ device }) => names.has(device))
      // The newest first: one may lie in another.
      for (const { target } of mounts.reverse()) await this.deps.filesystems.unmount(target, signal)
      await this.loops.detach(devices, signal)
      const [left] = await this.devicesOf(pool, object, signal)
      if (left === undefined) return
      throw new HoldfastError('still_mounted', `${object} is still attached as ${left.device}`, { device: left.device })
    })
  }

  async close(): Promise<void> {
    const workers = [...this.workers.values()]
    this.workers.clear()
    await Promise.all(workers.map((worker) => worker.close()))
  }

  private capabilities(abilities: DirectoryAbilities): Capabilities {
    const { programs } = this.deps
    return {
      snapshot: abilities.reflink ? 'reflink' : 'copy',
      grow: 'online',
      block: true,
      readOnlyMany: true,
      formats: 'holdfast',
      filesystems: ['ext4', 'xfs', 'btrfs'].filter((type) => programs.installed(`mkfs.${type}`)),
      fence: 'same-machine',
      idempotent: ['create', 'snapshot', 'delete'],
      maxObjectMiB: abilities.maxFileMiB,
    }
  }

  /** Tried once for what is mounted there; a directory that cannot be written to is tried again next time. */
  private async abilitiesOf(pool: PoolTarget, filesystem: string): Promise<DirectoryAbilities> {
    const key = `${pool.uuid} ${filesystem}`
    const known = this.abilities.get(key)
    if (known !== undefined) return known
    const found = await this.workerOf(pool).call('abilities', WRITE_MS, placeOf(pool))
    if (found !== undefined) this.abilities.set(key, found)
    return found ?? UNTRIED
  }

  private async copyBytes(
    slow: { from: string; to: string; bytes: number },
    progress: Progress,
    signal: AbortSignal,
  ): Promise<void> {
    // Holes stay holes, found by SEEK_HOLE: a volume's whole size is never read.
    await this.deps.programs.run('cp', ['--sparse=always', '--reflink=never', '--', slow.from, slow.to], {
      signal,
      deadlineMs: COPY_STALL_MS,
      whileProgressing: true,
      onWritten: (bytes) => progress(slow.bytes === 0 ? 0 : Math.min(0.99, bytes / slow.bytes)),
    })
  }

  /** A create found the name taken. It is the same create repeated if size and emptiness say so. */
  private async requireSameBlank(
    pool: PoolTarget,
    file: FileFacts,
    sizeMiB: number,
    signal: AbortSignal,
  ): Promise<void> {
    const sameSize = file.size === sizeMiB * MIB
    if (sameSize && (await this.blank(pool, file, signal))) return
    const what = sameSize ? 'it holds data' : `it has ${file.size / MIB} MiB and not ${sizeMiB}`
    const text = `The object ${file.object} is already in ${dirname(file.path)} and ${what}`
    throw new HoldfastError('object_exists', text, { object: file.object, sizeMiB: file.size / MIB })
  }

  private async blank(pool: PoolTarget, file: FileFacts, signal: AbortSignal): Promise<boolean> {
    const devices = (await this.loops.of(file, signal)).map(({ device }) => device)
    const blank = await this.worker(pool, signal).call('blank', WRITE_MS, placeOf(pool), file.object, devices)
    return blank || ((await this.deps.isAllHole?.(file, signal)) ?? false)
  }

  /** The devices of an object whose file may be gone or replaced: those then still name its path as deleted. */
  private async devicesOf(pool: PoolTarget, object: string, signal: AbortSignal): Promise<LoopDevice[]> {
    const { file, ...place } = await this.stat(pool, object, signal)
    const found = file === undefined ? [] : await this.loops.of(file, signal)
    for (const entry of this.loops.list()) {
      if (objectOfFile(basename(entry.path)) !== object || !mayLieIn(place, entry)) continue
      const details = await this.loops.details(entry.device, signal)
      if (details !== undefined && deletedObject(place, entry, details) === object) found.push(entry)
    }
    return found
  }

  private async stat(pool: PoolTarget, object: string, signal: AbortSignal) {
    checkObjectName(object)
    return await this.worker(pool, signal).call('stat', STAT_MS, placeOf(pool), object)
  }

  private async file(pool: PoolTarget, object: string, signal: AbortSignal): Promise<FileFacts> {
    const { file } = await this.stat(pool, object, signal)
    if (file !== undefined) return file
    const text = `There is no object ${object} in ${placeOf(pool).directory}`
    throw new HoldfastError('object_missing', text, { object })
  }

  private async locked<T>(pool: PoolTarget, object: string, work: () => Promise<T>): Promise<T> {
    checkObjectName(object)
    return await this.locks.run(`${pool.uuid}/${object}`, work)
  }

  /** Short calls are not broken off in the middle: cancelling means that the next one is not begun. */
  private worker(pool: PoolTarget, signal: AbortSignal): FileWorker {
    if (signal.aborted) throw new HoldfastError('cancelled', `Work on ${pool.name} was cancelled`)
    return this.workerOf(pool)
  }

  private workerOf(pool: PoolTarget): FileWorker {
    if (this.deps.workerOf !== undefined) return this.deps.workerOf(pool)
    const { directory } = placeOf(pool)
    const known = this.workers.get(directory)
    if (known !== undefined) return known
    const worker = new FileWorker(pool.name, undefined, this.deps.programs.environment)
    this.workers.set(directory, worker)
    return worker
  }
}

/**
 * Whether a device's deleted file may have been in this directory. The path is the whole one, or, from a mount namespace
 * that this one does not reach, the end of it.
 */
function mayLieIn(place: Place, { path, deleted }: LoopDevice): boolean {
  const directory = dirname(path)
  return deleted && (directory === '/' || place.directory === directory || place.directory.endsWith(directory))
}

/** A deleted file has no name to look up any more, but its device still counts. */
function deletedObject(place: Place, entry: LoopDevice, details: LoopDetails): string | undefined {
  if (!mayLieIn(place, entry) || details.filesystem !== place.filesystem) return undefined
  return objectOfFile(basename(entry.path))
}

function placeOf(pool: PoolTarget): PoolDirectory {
  const directory = pool.settings.directory
  if (directory === undefined) throw badSetting('directory', `The pool ${pool.name} has no setting directory`)
  return { directory, name: pool.name, uuid: pool.uuid, installation: pool.installation }
}

function directIoOf(pool: PoolTarget): DirectIo {
  const value = pool.settings.directIo
  return value === 'on' || value === 'off' ? value : 'auto'
}

function infoOf(file: FileFacts): ObjectInfo {
  return {
    name: file.object,
    sizeMiB: Math.floor(file.size / MIB),
    usedMiB: Math.ceil((file.blocks * 512) / MIB),
  }
}

/** Time for writing out what a copy left in memory: a minute, and a second for every 4 MiB; at most a day. */
function flushTime(bytes: number): number {
  return Math.min(WRITE_MS + (bytes / (4 * MIB)) * 1000, 24 * 3600 * 1000)
}

async function kernelBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
}

function badSetting(setting: string, text: string): HoldfastError {
  return new HoldfastError('invalid_option', text, { setting })
}
