/**
 * The process that touches a pool's directory: forked by `file-worker.ts`, one per pool. It has no state, so it may be
 * killed at any moment, and it ends when its parent does (the channel closes).
 */
import { asHoldfastError, type ErrorCode, HoldfastError } from '../model/errors.ts'
import { accessLinks } from './access-links.ts'
import { directoryObjects } from './directory-objects.ts'
import type { FileFailure, FileOperation, FileRequest, FileResponse } from './file-protocol.ts'
import { poolFiles } from './pool-files.ts'
import { errnoOf } from './pool-paths.ts'
import { volumeDirectories } from './volume-directories.ts'

const operations = { ...poolFiles, ...volumeDirectories, ...directoryObjects, ...accessLinks }

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'storage_full',
  EDQUOT: 'storage_full',
  EROFS: 'storage_read_only',
  EFBIG: 'object_too_large',
}

process.on('message', (request: FileRequest) => void answer(request))
process.on('disconnect', () => process.exit(0))
// Ctrl-C at a terminal is for the daemon, which ends its workers in its own order.
process.on('SIGINT', () => undefined)

async function answer(request: FileRequest): Promise<void> {
  send(await perform(request))
}

async function perform({ id, operation, args }: FileRequest): Promise<FileResponse> {
  try {
    // The parent's `call` has checked the arguments against the operation by type.
    const run = operations[operation] as (...args: unknown[]) => Promise<unknown>
    return { id, value: await run.apply(operations, [...args]) }
  } catch (error) {
    return { id, failure: failureOf(operation, error) }
  }
}

function failureOf(operation: FileOperation, error: unknown): FileFailure {
  if (error instanceof HoldfastError) return { code: error.code, message: error.message, data: error.data }
  const errno = errnoOf(error)
  const { code, message } = asHoldfastError(error)
  if (errno === undefined) return { code, message, data: { operation } }
  return { code: CODES[errno] ?? 'storage_failed', message: `${operation}: ${message}`, data: { operation, errno } }
}

function send(response: FileResponse): void {
  // Without a parent nobody waits for the answer.
  if (process.connected) process.send?.(response)
}
