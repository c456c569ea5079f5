/** A pool's objects that are directories (`directory-objects.ts`), with the programs that move whole trees. */
import { dirname } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import type { Lane } from './call-limits.ts'
import type { DirectoryObject, PoolDirectory } from './file-protocol.ts'
import type { FileWorker } from './file-worker.ts'
import type { Programs } from './run.ts'
import { copyTree, removeTree } from './trees.ts'

const STAT_MS = 5000
const WRITE_MS = 60_000

export interface DirectoryStoreParts {
  readonly programs: Programs
  readonly worker: FileWorker
  readonly directory: PoolDirectory
  /** What copies and removes whole trees stands in line here. */
  readonly long: Lane
}

export class DirectoryStore {
  private readonly parts: DirectoryStoreParts

  constructor(parts: DirectoryStoreParts) {
    this.parts = parts
  }

  async find(object: string): Promise<DirectoryObject | undefined> {
    return await this.parts.worker.call('findDirectory', STAT_MS, this.parts.directory, object)
  }

  async list(): Promise<DirectoryObject[]> {
    return await this.parts.worker.call('listDirectories', WRITE_MS, this.parts.directory)
  }

  /** @throws object_exists when there is one of another size, or with something in it */
  async create(object: string, sizeMiB: number): Promise<DirectoryObject> {
    const { worker, directory } = this.parts
    await worker.call('createDirectory', WRITE_MS, directory, object, sizeMiB)
    const made = await this.need(object)
    if (made.sizeMiB !== sizeMiB) throw this.exists(object, `it has ${made.sizeMiB} MiB and not ${sizeMiB}`)
    if (await this.isBlank(object)) return made
    throw this.exists(object, 'it holds data')
  }

  async isBlank(object: string): Promise<boolean> {
    return await this.parts.worker.call('isDirectoryBlank', WRITE_MS, this.parts.directory, object)
  }

  async grow(object: string, sizeMiB: number): Promise<DirectoryObject> {
    await this.parts.worker.call('resizeDirectory', WRITE_MS, this.parts.directory, object, sizeMiB)
    return await this.need(object)
  }

  async copy(source: string, object: string, signal: AbortSignal): Promise<DirectoryObject> {
    const { programs, worker, directory, long } = this.parts
    const { from, to } = await worker.call('beginTreeCopy', WRITE_MS, directory, source, object)
    try {
      await long.run(signal, () => copyTree(programs, from, to, signal))
      await worker.call('finishTreeCopy', WRITE_MS, directory, to, object)
    } catch (thrown) {
      // best effort: what stays has no object's name, and is removed with the object
      await removeTree(programs, dirname(to), AbortSignal.timeout(WRITE_MS)).catch(() => undefined)
      throw thrown
    }
    return await this.need(object)
  }

  /** Removes an object and what interrupted work on one of this name left; an absent one is a success. */
  async remove(object: string, signal: AbortSignal): Promise<void> {
    const { programs, worker, directory, long } = this.parts
    const trees = await worker.call('retireDirectory', WRITE_MS, directory, object)
    for (const tree of trees) await long.run(signal, () => removeTree(programs, tree, signal))
  }

  exists(object: string, why: string): HoldfastError {
    const { name } = this.parts.directory
    return new HoldfastError('object_exists', `The object ${object} is already on ${name} and ${why}`, { object })
  }

  private async need(object: string): Promise<DirectoryObject> {
    const found = await this.find(object)
    if (found !== undefined) return found
    throw new HoldfastError('object_missing', `There is no object ${object} on ${this.parts.directory.name}`, {
      object,
    })
  }
}
