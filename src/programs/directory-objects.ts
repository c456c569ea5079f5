/**
 * Objects of a pool that are directories, beside those that are files (`pool-files.ts`). What is shown to users lies in
 * `volume`; beside it is the size that was asked for, which nothing holds them to.
 */
import type { Dirent } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import type { DirectoryObject, DirectoryObjectOperations, PoolDirectory } from './file-protocol.ts'
import { checkMarker } from './pool-marker.ts'
import {
  checkObjectName,
  directoryOfObject,
  errnoOf,
  isDirectoryPartialOf,
  objectOfDirectory,
  syncDirectory,
  temporaryDirectoryName,
  temporaryName,
  writeDurably,
} from './pool-paths.ts'

const SIZE = 'size.json'
const VOLUME = 'volume'

export const directoryObjects: DirectoryObjectOperations = {
  async findDirectory(pool, object): Promise<DirectoryObject | undefined> {
    await checkMarker(pool)
    return await found(pool, object)
  },

  async listDirectories(pool): Promise<DirectoryObject[]> {
    await checkMarker(pool)
    const entries = await readdir(pool.directory, { withFileTypes: true })
    const objects = entries.flatMap((entry) => (entry.isDirectory() ? (objectOfDirectory(entry.name) ?? []) : []))
    const all = await Promise.all(objects.sort().map((object) => found(pool, object)))
    return all.filter((each) => each !== undefined)
  },

  async createDirectory(pool, object, sizeMiB): Promise<boolean> {
    await checkMarker(pool)
    if ((await found(pool, object)) !== undefined) return false
    const temporary = join(pool.directory, temporaryDirectoryName(object))
    try {
      await mkdir(join(temporary, VOLUME), { recursive: true, mode: 0o700 })
      await writeSize(temporary, sizeMiB)
      return await publishDirectory(pool, temporary, object)
    } catch (error) {
      await rm(temporary, { recursive: true, force: true }).catch(() => undefined)
      throw error
    }
  },

  async isDirectoryBlank(pool, object): Promise<boolean> {
    await checkMarker(pool)
    return (await readdir((await present(pool, object)).path)).length === 0
  },

  async resizeDirectory(pool, object, sizeMiB): Promise<void> {
    await checkMarker(pool)
    if ((await present(pool, object)).sizeMiB >= sizeMiB) return
    await writeSize(pathOf(pool, object), sizeMiB)
  },

  async beginTreeCopy(pool, source, object): Promise<{ from: string; to: string }> {
    await checkMarker(pool)
    const origin = await present(pool, source)
    if ((await found(pool, object)) !== undefined) throw taken(pool, object)
    const temporary = join(pool.directory, temporaryDirectoryName(object))
    await mkdir(temporary, { mode: 0o700 })
    await writeSize(temporary, origin.sizeMiB)
    return { from: origin.path, to: join(temporary, VOLUME) }
  },

  async finishTreeCopy(pool, to, object): Promise<void> {
    await checkMarker(pool)
    if (!(await publishDirectory(pool, join(to, '..'), object))) throw taken(pool, object)
  },

  async retireDirectory(pool, object): Promise<string[]> {
    await checkMarker(pool)
    const path = pathOf(pool, object)
    await rename(path, join(pool.directory, temporaryDirectoryName(object))).catch((error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error
    })
    await syncDirectory(pool.directory)
    const names = (await readdir(pool.directory)).filter((name) => isDirectoryPartialOf(name, object))
    return names.map((name) => join(pool.directory, name))
  },
}

function pathOf(pool: PoolDirectory, object: string): string {
  checkObjectName(object)
  return join(pool.directory, directoryOfObject(object))
}

async function found(pool: PoolDirectory, object: string): Promise<DirectoryObject | undefined> {
  const path = pathOf(pool, object)
  let entries: Dirent[]
  try {
    entries = await readdir(path, { withFileTypes: true })
  } catch (error) {
    // a file of that name is none of our objects
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined
    throw error
  }
  if (!entries.some((entry) => entry.name === VOLUME && entry.isDirectory())) return undefined
  return { object, path: join(path, VOLUME), sizeMiB: await readSize(path) }
}

async function present(pool: PoolDirectory, object: string): Promise<DirectoryObject> {
  const directory = await found(pool, object)
  if (directory !== undefined) return directory
  throw new HoldfastError('object_missing', `There is no object ${object} in ${pool.directory}`, { object })
}

function taken(pool: PoolDirectory, object: string): HoldfastError {
  return new HoldfastError('object_exists', `The object ${object} is already in ${pool.directory}`, { object })
}

/** A size that cannot be read is none: 0 is less than any record says, so that nobody takes it for what it is not. */
async function readSize(path: string): Promise<number> {
  try {
    const sizeMiB = (JSON.parse(await readFile(join(path, SIZE), 'utf8')) as { sizeMiB?: unknown } | null)?.sizeMiB
    return typeof sizeMiB === 'number' && Number.isSafeInteger(sizeMiB) && sizeMiB > 0 ? sizeMiB : 0
  } catch (error) {
    if (error instanceof SyntaxError || errnoOf(error) === 'ENOENT') return 0
    throw error
  }
}

async function writeSize(path: string, sizeMiB: number): Promise<void> {
  const temporary = join(path, temporaryName('size'))
  await writeDurably(temporary, `${JSON.stringify({ version: 1, sizeMiB })}\n`)
  await rename(temporary, join(path, SIZE))
  await syncDirectory(path)
}

/**
 * Gives a finished directory its name and makes that durable. rename(2) refuses to replace a directory that is not empty,
 * and ours never are: false when the name is taken.
 */
async function publishDirectory(pool: PoolDirectory, temporary: string, object: string): Promise<boolean> {
  try {
    await rename(temporary, pathOf(pool, object))
  } catch (error) {
    const errno = errnoOf(error)
    if (errno !== 'ENOTEMPTY' && errno !== 'EEXIST') throw error
    await rm(temporary, { recursive: true, force: true })
    return false
  }
  await syncDirectory(pool.directory)
  return true
}
