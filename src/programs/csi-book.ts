/**
 * What this node has asked CSI plugins to make, and what they answered. Volumes of CSI have no names that could be looked
 * for: should the answer to a request get lost, only the same request finds what it has made.
 */
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { exists, ignoreMissing, temporaryName, writeDurably } from './pool-paths.ts'

const SUFFIX = '.json'

export class CsiBook<Entry extends object> {
  readonly #root: string

  constructor(root: string) {
    this.#root = root
  }

  async read(pool: string, object: string): Promise<Entry | undefined> {
    const text = await readFile(this.#path(pool, object), 'utf8').catch((thrown: unknown) => {
      ignoreMissing(thrown)
      return undefined
    })
    if (text === undefined) return undefined
    try {
      return JSON.parse(text) as Entry
    } catch {
      return undefined // it was never whole; the ledger knows what was answered
    }
  }

  async write(pool: string, object: string, entry: Entry): Promise<void> {
    await mkdir(join(this.#root, pool), { recursive: true, mode: 0o700 })
    const temporary = join(this.#root, pool, temporaryName(object))
    await writeDurably(temporary, JSON.stringify(entry))
    await rename(temporary, this.#path(pool, object))
  }

  async remove(pool: string, object: string): Promise<void> {
    await rm(this.#path(pool, object), { force: true })
  }

  /** The objects of a pool that it knows. */
  async objects(pool: string): Promise<string[]> {
    const directory = join(this.#root, pool)
    if (!(await exists(directory))) return []
    const files = (await readdir(directory)).filter((name) => name.endsWith(SUFFIX) && !name.startsWith('.'))
    return files.map((name) => name.slice(0, -SUFFIX.length)).sort()
  }

  #path(pool: string, object: string): string {
    return join(this.#root, pool, `${object}${SUFFIX}`)
  }
}
