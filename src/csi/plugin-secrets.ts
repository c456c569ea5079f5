/** Secrets for the calls to a CSI plugin: a file on each node, never a setting of a pool. */
import { readFile, stat } from 'node:fs/promises'
import { parse } from 'yaml'
import { HoldfastError } from '../model/errors.ts'

/** The calls that can be given some of their own, by the names that the file has for them. */
export const SECRET_CALLS = [
  ...(['createVolume', 'deleteVolume', 'controllerPublish', 'controllerUnpublish', 'controllerExpand'] as const),
  ...(['createSnapshot', 'deleteSnapshot', 'nodeStage', 'nodePublish', 'nodeExpand', 'validate'] as const),
]
export type SecretCall = (typeof SECRET_CALLS)[number]

const MAX_BYTES = 1024 * 1024

/**
 * Reads `{"user": "…", "nodeStage": {"key": "…"}}`, JSON or YAML: texts are for all calls, objects for one kind of them.
 * It is read anew for each call, so that secrets can be changed. What is in it is never part of a message.
 * @throws storage_failed for a file that is not there, that others may read, or that holds something else
 */
export class PluginSecrets {
  readonly #file: string | undefined
  /** All values that were ever read: what a plugin says is searched for them. */
  readonly #values = new Set<string>()

  constructor(file: string | undefined) {
    this.#file = file
  }

  async for(call: SecretCall): Promise<Record<string, string>> {
    const file = this.#file
    if (file === undefined) return {}
    const all = Object.entries(content(file, await read(file)))
    const own = all.find(([key, value]) => key === call && isObject(value))?.[1]
    const texts = [...all.filter(([key, value]) => !isSection(key, value)), ...Object.entries(isObject(own) ? own : {})]
    return Object.fromEntries(texts.map(([key, value]) => [key, this.#text(file, key, value)]))
  }

  /** A text without what must not be seen. */
  hide(text: string): string {
    let hidden = text
    for (const value of this.#values) hidden = hidden.replaceAll(value, '(secret)')
    return hidden
  }

  #text(file: string, key: string, value: unknown): string {
    if (typeof value !== 'string') {
      throw wrong(file, `has ${key}, which is neither a text nor an object for one of ${SECRET_CALLS.join(', ')}`)
    }
    if (value !== '') this.#values.add(value)
    return value
  }
}

function isSection(key: string, value: unknown): boolean {
  return isObject(value) && SECRET_CALLS.some((call) => call === key)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function content(file: string, text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = parse(text, { logLevel: 'error' })
  } catch {
    throw wrong(file, 'is neither JSON nor YAML')
  }
  if (!isObject(value)) throw wrong(file, 'is not an object of texts')
  return value
}

async function read(file: string): Promise<string> {
  try {
    const { mode, uid, size } = await stat(file)
    if (uid !== 0 || (mode & 0o077) !== 0) throw wrong(file, 'must belong to root, with mode 0600')
    if (size > MAX_BYTES) throw wrong(file, 'is larger than 1 MiB')
    return await readFile(file, 'utf8')
  } catch (thrown) {
    if (thrown instanceof HoldfastError) throw thrown
    throw wrong(file, `cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
  }
}

function wrong(file: string, what: string): HoldfastError {
  return new HoldfastError('storage_failed', `the secretsFile ${file} ${what}`, { file })
}
