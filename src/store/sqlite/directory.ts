import { closeSync, fsyncSync, mkdirSync, openSync, type Stats, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { HoldfastError } from '../../model/errors.ts'

/**
 * Makes the state directory (0700) when it is missing, and refuses one that others own or may enter: the records
 * hold what decides who may write to a volume. Returns its absolute path.
 * @throws state_dir
 */
export function prepareDirectory(directory: string): string {
  const path = resolve(directory)
  try {
    make(path)
    checkAccess(path, statSync(path))
  } catch (thrown) {
    if (thrown instanceof HoldfastError) throw thrown
    const reason = thrown instanceof Error ? thrown.message : String(thrown)
    throw refused(path, `The state directory ${path} cannot be used: ${reason}.`)
  }
  return path
}

/** Makes the names in a directory durable: without it a new file may be gone after a power cut. */
export function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function make(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })) return
  // parents get the usual mode: other programs' directories (mount roots) may come to live beside this one
  const firstMade = mkdirSync(dirname(path), { recursive: true })
  mkdirSync(path, { mode: 0o700 })
  const top = firstMade === undefined ? dirname(path) : dirname(firstMade)
  for (let made = path; made !== top; made = dirname(made)) syncDirectory(made)
  syncDirectory(top)
}

function checkAccess(path: string, stats: Stats): void {
  if (!stats.isDirectory()) throw refused(path, `The state directory ${path} is not a directory.`)
  const self = process.geteuid?.() ?? stats.uid
  if (stats.uid !== self) {
    throw refused(
      path,
      `The state directory ${path} belongs to uid ${stats.uid}, but the controller runs as uid ${self}. ` +
        `Run it as that user, or give it the directory: chown -R ${self} ${path}`,
    )
  }
  const mode = stats.mode & 0o777
  if ((mode & 0o077) !== 0) {
    throw refused(
      path,
      `The state directory ${path} (owner uid ${stats.uid}) has mode ${mode.toString(8)}, so others may enter it. ` +
        `It must be 700: chmod 700 ${path}`,
    )
  }
}

function refused(path: string, message: string): HoldfastError {
  return new HoldfastError('state_dir', message, { directory: path })
}
