/** The filesystem type `directory`: what the storage formats and mounts itself is looked at, marked and bound. */
import type { Signature } from '../node/filesystems.ts'
import { dataOf } from '../node/filesystems.ts'
import { FileWorker } from './file-worker.ts'
import type { Programs } from './run.ts'

const LOOK_MS = 10_000
const WRITE_MS = 60_000
const MOUNT_MS = 60_000
/** They are used for a moment each. */
const TIMES = { idleMs: 2000, killMs: 2000 }

export class DirectoryFilesystem {
  private readonly programs: Programs
  /** One per directory: what hangs under one must not hold up the others. */
  private readonly workers = new Map<string, FileWorker>()

  constructor(programs: Programs) {
    this.programs = programs
  }

  async probe(directory: string): Promise<Signature> {
    const { uuid, empty } = await this.worker(directory).call('lookAtVolume', LOOK_MS, directory)
    if (uuid !== undefined) return { type: 'directory', uuid }
    return { type: empty ? undefined : 'files', uuid: undefined }
  }

  async make(directory: string, uuid: string): Promise<void> {
    await this.worker(directory).call('makeVolume', WRITE_MS, directory, uuid)
  }

  async changeUuid(directory: string, uuid: string): Promise<void> {
    await this.worker(directory).call('renameVolume', WRITE_MS, directory, uuid)
  }

  async bind(directory: string, target: string, readOnly: boolean, signal: AbortSignal): Promise<void> {
    const words = readOnly ? 'bind,ro' : 'bind'
    const args = ['--internal-only', '-o', words, '--source', dataOf(directory), '--target', target]
    await this.programs.run('mount', args, { signal, deadlineMs: MOUNT_MS })
  }

  private worker(directory: string): FileWorker {
    const known = this.workers.get(directory)
    if (known !== undefined) return known
    const worker = new FileWorker(directory, TIMES, this.programs.environment)
    this.workers.set(directory, worker)
    return worker
  }
}
