/** The file operations themselves, as the file worker runs them. Nothing here runs in the daemon's own process. */
import { type BigIntStats, constants } from 'node:fs'
import { copyFile, type FileHandle, lstat, readdir, realpath, stat, statfs, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import type {
  DirectoryAbilities,
  DirectoryFacts,
  FileFacts,
  FileOperations,
  Place,
  PoolDirectory,
  SlowCopy,
} from './file-protocol.ts'
import { checkMarker, writeMarker } from './pool-marker.ts'
import {
  errnoOf,
  exists,
  ignoreMissing,
  isPartialOf,
  objectOfFile,
  objectPath,
  publish,
  syncDirectory,
  syncFile,
  temporaryName,
  withFile,
} from './pool-paths.ts'

const MIB = 1024 * 1024
/** The largest size that a Node file call takes is 2^53 - 1 bytes. */
const MAX_FILE_MIB = 2 ** 33 - 1

export const poolFiles: FileOperations = {
  async look(pool): Promise<DirectoryFacts> {
    await checkMarker(pool)
    const found = await statfs(pool.directory, { bigint: true })
    return {
      sizeMiB: Number((found.blocks * found.bsize) / BigInt(MIB)),
      freeMiB: Number((found.bavail * found.bsize) / BigInt(MIB)),
      filesystem: (await placeOf(pool)).filesystem,
    }
  },

  async abilities(pool): Promise<DirectoryAbilities | undefined> {
    await checkMarker(pool)
    const first = join(pool.directory, temporaryName('holdfast-trial'))
    const second = join(pool.directory, temporaryName('holdfast-trial'))
    try {
      const maxFileMiB = await largestFile(first)
      return { maxFileMiB, reflink: await reflinked(first, second) }
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === 'EROFS' || errno === 'ENOSPC' || errno === 'EDQUOT') return undefined
      throw error
    } finally {
      await unlink(first).catch(ignoreAll)
      await unlink(second).catch(ignoreAll)
    }
  },

  async mark(pool): Promise<void> {
    await writeMarker(pool)
  },

  async list(pool): Promise<Place & { files: FileFacts[] }> {
    await checkMarker(pool)
    const objects = (await readdir(pool.directory)).flatMap((file) => objectOfFile(file) ?? []).sort()
    const found = await Promise.all(objects.map((object) => factsOf(pool, object)))
    return { ...(await placeOf(pool)), files: found.filter((facts) => facts !== undefined) }
  },

  async stat(pool, object): Promise<Place & { file?: FileFacts }> {
    await checkMarker(pool)
    const place = await placeOf(pool)
    const file = await factsOf(pool, object)
    return file === undefined ? place : { ...place, file }
  },

  async create(pool, object, sizeMiB): Promise<boolean> {
    await checkMarker(pool)
    await removePartials(pool, object)
    const path = objectPath(pool.directory, object)
    if (await exists(path)) return false
    const temporary = join(pool.directory, temporaryName(object))
    try {
      await makeSparse(temporary, object, sizeMiB)
      return await publish(temporary, path)
    } catch (error) {
      await unlink(temporary).catch(ignoreAll)
      throw error
    }
  },

  async blank(pool, object, devices): Promise<boolean> {
    await checkMarker(pool)
    // What was written to a device may not have reached the file; what is in the file may not have got its block.
    for (const device of devices) await syncFile(device)
    await syncFile(objectPath(pool.directory, object)).catch((error: unknown) => missing(pool, object, error))
    return (await present(pool, object)).blocks === 0
  },

  async remove(pool, object): Promise<void> {
    await checkMarker(pool)
    await unlink(objectPath(pool.directory, object)).catch(ignoreMissing)
    await removePartials(pool, object)
    await syncDirectory(pool.directory)
  },

  async extend(pool, object, sizeMiB): Promise<void> {
    await checkMarker(pool)
    const path = objectPath(pool.directory, object)
    await present(pool, object)
    await withFile(path, constants.O_RDWR | constants.O_NOFOLLOW, async (file) => {
      // Looked at again on the open file, so that nothing is ever cut off.
      if (Number((await file.stat()).size) >= sizeMiB * MIB) return
      await setSize(file, object, sizeMiB)
      await file.sync()
    })
  },

  async beginCopy(pool, source, object): Promise<SlowCopy | undefined> {
    await checkMarker(pool)
    const from = await present(pool, source)
    const path = objectPath(pool.directory, object)
    if (await exists(path)) throw taken(pool, object)
    await removePartials(pool, object)
    const to = join(pool.directory, temporaryName(object))
    try {
      if (!(await reflinked(from.path, to))) return { from: from.path, to, bytes: from.blocks * 512 }
      await this.finishCopy(pool, to, object)
      return undefined
    } catch (error) {
      await unlink(to).catch(ignoreAll)
      throw error
    }
  },

  async finishCopy(pool, temporary, object): Promise<void> {
    await checkMarker(pool)
    await syncFile(temporary)
    if (!(await publish(temporary, objectPath(pool.directory, object)))) throw taken(pool, object)
  },

  async discardPartials(pool, object): Promise<void> {
    await checkMarker(pool)
    await removePartials(pool, object)
  },
}

async function placeOf(pool: PoolDirectory): Promise<Place> {
  const directory = await realpath(pool.directory)
  return { directory, filesystem: majorMinor((await stat(directory, { bigint: true })).dev) }
}

async function factsOf(pool: PoolDirectory, object: string): Promise<FileFacts | undefined> {
  const path = objectPath(pool.directory, object)
  let found: BigIntStats
  try {
    found = await lstat(path, { bigint: true })
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
  // A link could lead out of the pool: it is none of our objects.
  if (!found.isFile()) return undefined
  return {
    object,
    path,
    size: Number(found.size),
    blocks: Number(found.blocks),
    filesystem: majorMinor(found.dev),
    inode: String(found.ino),
    links: Number(found.nlink),
  }
}

async function present(pool: PoolDirectory, object: string): Promise<FileFacts> {
  return (await factsOf(pool, object)) ?? missing(pool, object)
}

function missing(pool: PoolDirectory, object: string, cause?: unknown): never {
  if (cause !== undefined && errnoOf(cause) !== 'ENOENT') throw cause
  throw new HoldfastError('object_missing', `There is no object ${object} in ${pool.directory}`, { object })
}

function taken(pool: PoolDirectory, object: string): HoldfastError {
  return new HoldfastError('object_exists', `The object ${object} is already in ${pool.directory}`, { object })
}

async function makeSparse(path: string, object: string, sizeMiB: number): Promise<void> {
  await withFile(path, 'wx', async (file) => {
    await setSize(file, object, sizeMiB)
    await file.sync()
  })
}

async function setSize(file: FileHandle, object: string, sizeMiB: number) {
  const tooLarge = (): HoldfastError =>
    new HoldfastError('object_too_large', `The filesystem cannot hold ${object} as a file of ${sizeMiB} MiB`, {
      sizeMiB,
    })
  if (sizeMiB > MAX_FILE_MIB) throw tooLarge()
  try {
    await file.truncate(sizeMiB * MIB)
  } catch (error) {
    throw errnoOf(error) === 'EFBIG' ? tooLarge() : error
  }
}

/** Finds the largest size that the filesystem accepts, by asking it: no table of filesystems needs to be right. */
async function largestFile(path: string): Promise<number> {
  return await withFile(path, 'wx', largestSize)
}

async function largestSize(file: FileHandle): Promise<number> {
  const fits = async (sizeMiB: number): Promise<boolean> => {
    try {
      await file.truncate(sizeMiB * MIB)
      return true
    } catch (error) {
      if (errnoOf(error) === 'EFBIG' || errnoOf(error) === 'EINVAL') return false
      throw error
    }
  }
  let low = 0
  let high = MAX_FILE_MIB
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (await fits(middle)) low = middle
    else high = middle - 1
  }
  await file.truncate(0)
  return low
}

const NO_REFLINK = new Set(['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EINVAL', 'ENOTTY'])

async function reflinked(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL)
    return true
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === undefined || !NO_REFLINK.has(errno)) throw error
    await unlink(to).catch(ignoreMissing)
    return false
  }
}

async function removePartials(pool: PoolDirectory, object: string): Promise<void> {
  for (const file of await readdir(pool.directory)) {
    if (isPartialOf(file, object)) await unlink(join(pool.directory, file)).catch(ignoreMissing)
  }
}

/** Linux' dev_t as userspace has it: minor bits 0-7 and 20-31, major bits 8-19 (makedev(3)). */
function majorMinor(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n)
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n)
  return `${major}:${minor}`
}

/** For cleaning up after a failure that is reported itself. */
function ignoreAll(): void {}
