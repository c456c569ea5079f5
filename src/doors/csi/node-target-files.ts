import { lstat, mkdir, open, readdir, rmdir, unlink } from 'node:fs/promises'
import { GrpcError } from '../../csi/grpc-error.ts'
import { HoldfastError } from '../../model/errors.ts'
import type { UserPath } from './node-paths.ts'

export type TargetKind = 'directory' | 'file'

/**
 * What a volume is mounted on: an empty directory, or an empty file for a device. Either may be there already.
 * @throws FAILED_PRECONDITION when something else is, or its parent is not
 */
export async function makeTarget(target: UserPath, kind: TargetKind): Promise<void> {
  const { path, hasParent } = target
  if (!hasParent) throw refused(path, 'its parent directory is not there')
  try {
    if (kind === 'directory') await mkdir(path, { mode: 0o755 })
    else await (await open(path, 'wx', 0o600)).close()
  } catch (thrown) {
    if (errno(thrown) !== 'EEXIST') throw failed(path, thrown)
    await checkEmpty(path, kind)
  }
}

async function checkEmpty(path: string, kind: TargetKind): Promise<void> {
  const stat = await lstat(path)
  if (kind === 'directory') {
    if (!stat.isDirectory()) throw refused(path, 'it is not a directory, which a filesystem is mounted on')
    if ((await readdir(path)).length > 0) throw refused(path, 'it is not empty; what is in it would be hidden')
  } else if (!stat.isFile()) throw refused(path, 'it is not a file, which a block device is put on')
  else if (stat.size > 0) throw refused(path, 'it is not empty; what is in it would be hidden')
}

/** Removes an empty directory or file; nothing there is a success. @throws FAILED_PRECONDITION when it is not empty */
export async function removeTarget(path: string): Promise<void> {
  try {
    await rmdir(path)
  } catch (thrown) {
    const code = errno(thrown)
    if (code === 'ENOENT') return
    if (code === 'ENOTEMPTY')
      throw refused(path, 'it is not empty, although nothing is mounted there; it is left as it is')
    if (code !== 'ENOTDIR') throw failed(path, thrown)
    await removeFile(path)
  }
}

async function removeFile(path: string): Promise<void> {
  const stat = await lstat(path)
  if (!stat.isFile() || stat.size > 0) throw refused(path, 'it is not an empty file; it is left as it is')
  await unlink(path)
}

function errno(thrown: unknown): string | undefined {
  return (thrown as NodeJS.ErrnoException).code
}

function refused(path: string, why: string): GrpcError {
  return new GrpcError('FAILED_PRECONDITION', `target_path ${path}: ${why}`)
}

function failed(path: string, thrown: unknown): HoldfastError {
  const code = errno(thrown) === 'EROFS' ? 'storage_read_only' : 'storage_failed'
  return new HoldfastError(code, `target_path ${path}: ${(thrown as Error).message}`, {}, { cause: thrown })
}
