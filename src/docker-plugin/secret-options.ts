/** Options for Create that are no settings of a pool, because they are secret: a file on each node. */
import { readFile, stat } from 'node:fs/promises'
import { HoldfastError } from '../model/errors.ts'
import { isObject } from './reply.ts'

/**
 * Reads `{"password": "…"}`. What is in it is never part of a message.
 * @throws storage_failed for a file that is not there, that others may read, or that holds something else
 */
export async function secretOptions(file: string): Promise<Record<string, string>> {
  const text = await read(file)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw wrong(file, 'is not JSON')
  }
  if (!isObject(value)) throw wrong(file, 'is not a JSON object')
  const options = Object.entries(value).map(([key, option]): [string, string] => {
    if (typeof option !== 'string') throw wrong(file, `has ${key}, which is no text`)
    return [key, option]
  })
  return Object.fromEntries(options)
}

async function read(file: string): Promise<string> {
  try {
    const { mode, uid } = await stat(file)
    if (uid !== 0 || (mode & 0o077) !== 0) throw wrong(file, 'must belong to root, with mode 0600')
    return await readFile(file, 'utf8')
  } catch (thrown) {
    if (thrown instanceof HoldfastError) throw thrown
    throw wrong(file, `cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
  }
}

function wrong(file: string, what: string): HoldfastError {
  return new HoldfastError('storage_failed', `the optionsFile ${file} ${what}`, { file })
}
