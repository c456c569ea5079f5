/**
 * Names and durable steps in a pool's directory. A file gets its final name by link(2), which refuses a name that is
 * taken: a late repeat of a create on another node can then never replace a volume that is in use by now.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, link, lstat, open, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { HoldfastError } from '../model/errors.ts'

const OBJECT_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/
const SUFFIX = '.img'
const DIRECTORY_SUFFIX = '.dir'

/** @throws invalid_name */
export function checkObjectName(object: string): void {
  if (OBJECT_NAME.test(object)) return
  const text = `Bad object name ${JSON.stringify(object)}: letters, digits, _ . - (not first), at most 128 characters`
  throw new HoldfastError('invalid_name', text, { object })
}

export function objectPath(directory: string, object: string): string {
  checkObjectName(object)
  return join(directory, `${object}${SUFFIX}`)
}

/** The object that a file name stands for, or undefined when it is no object's. */
export function objectOfFile(file: string): string | undefined {
  if (!file.endsWith(SUFFIX)) return undefined
  const object = file.slice(0, -SUFFIX.length)
  return OBJECT_NAME.test(object) ? object : undefined
}

/** The directory of an object that is one. */
export function directoryOfObject(object: string): string {
  return `${object}${DIRECTORY_SUFFIX}`
}

/** The object that a directory's name stands for, or undefined when it is no object's. */
export function objectOfDirectory(name: string): string | undefined {
  if (!name.endsWith(DIRECTORY_SUFFIX)) return undefined
  const object = name.slice(0, -DIRECTORY_SUFFIX.length)
  return OBJECT_NAME.test(object) ? object : undefined
}

/** As `temporaryName`; no object's name has the tilde, so that it is taken for no file's. */
export function temporaryDirectoryName(object: string): string {
  return temporaryName(`${object}~`)
}

export function isDirectoryPartialOf(name: string, object: string): boolean {
  return isPartialOf(name, `${object}~`)
}

/** Not to be guessed by, or shared with, another node that does the same work after this one was given up. */
export function temporaryName(object: string): string {
  return `.${object}.${randomBytes(6).toString('hex')}.partial`
}

/** Whether a file is what an interrupted create or copy of this object left. */
export function isPartialOf(file: string, object: string): boolean {
  const prefix = `.${object}.`
  return file.startsWith(prefix) && /^[0-9a-f]{12}\.partial$/.test(file.slice(prefix.length))
}

export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** Opens a file (a new one for its owner only) for a piece of work and closes it in any case. */
export async function withFile<T>(
  path: string,
  flags: string | number,
  work: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const file = await open(path, flags, 0o600)
  try {
    return await work(file)
  } finally {
    await file.close()
  }
}

/** Makes a new file with this content and waits until it is on the disk. */
export async function writeDurably(path: string, content: string): Promise<void> {
  await withFile(path, 'wx', async (file) => {
    await file.writeFile(content)
    await file.sync()
  })
}

/**
 * Gives a finished temporary file its name and makes that durable. False when the name is taken; the temporary file is
 * gone either way.
 */
export async function publish(temporary: string, path: string): Promise<boolean> {
  const published = await linkOrRename(temporary, path)
  await unlink(temporary).catch(ignoreMissing)
  await syncDirectory(dirname(path))
  return published
}

const NO_HARD_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

async function linkOrRename(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path)
    return true
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'EEXIST') return false
    if (errno === undefined || !NO_HARD_LINKS.has(errno)) throw error
  }
  // A filesystem without hard links: look first, then rename. The gap between is why link is tried before.
  if (await exists(path)) return false
  await rename(temporary, path)
  return true
}

export async function exists(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    (error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return false
      throw error
    },
  )
}

export async function syncFile(path: string): Promise<void> {
  await withFile(path, constants.O_RDONLY | constants.O_NOFOLLOW, (file) => file.sync())
}

export async function syncDirectory(path: string): Promise<void> {
  // Some network filesystems have no fsync for directories; there the server is durable by itself.
  await withFile(path, 'r', (directory) => directory.sync()).catch((error: unknown) => {
    const errno = errnoOf(error)
    if (errno !== 'EINVAL' && errno !== 'ENOTSUP' && errno !== 'EOPNOTSUPP') throw error
  })
}

export function ignoreMissing(error: unknown): void {
  if (errnoOf(error) !== 'ENOENT') throw error
}
