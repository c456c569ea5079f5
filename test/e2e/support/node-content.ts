/** Data on volumes and in files, and whether it is still what it was. */
import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** Writes a file of 2 MiB into a directory and makes it durable. */
export function putData(directory: string, seed = 'holdfast'): void {
  const file = openSync(join(directory, 'data'), 'w')
  writeSync(file, Buffer.alloc(2 * 1024 * 1024, seed))
  fsyncSync(file)
  closeSync(file)
}

/** Whether the file is there, whole and unchanged. */
export function hasData(directory: string, seed = 'holdfast'): boolean {
  return readFileSync(join(directory, 'data')).equals(Buffer.alloc(2 * 1024 * 1024, seed))
}

/** SHA-256 of a whole file, holes included. */
export function sha256(path: string): string {
  const hash = createHash('sha256')
  const file = openSync(path, 'r')
  const buffer = Buffer.alloc(4 * 1024 * 1024)
  for (let count = readSync(file, buffer); count > 0; count = readSync(file, buffer)) {
    hash.update(buffer.subarray(0, count))
  }
  closeSync(file)
  return hash.digest('hex')
}
