/**
 * Who may use an object, kept beside it, for storage whose server opens the pool's files by path. The server is never
 * given the object's own path but that of a symbolic link, one for each initiator. It comes to be by renaming a permit,
 * which is laid down before it is known whether the initiator may get in. So there is one moment after which somebody
 * who is shut out cannot get in by what was begun before: when permit and link are gone, a rename that comes late finds
 * no permit, and a server that is told to open the link finds no file.
 */
import { mkdir, readdir, rename, symlink, unlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { AccessOperations, PoolDirectory } from './file-protocol.ts'
import { checkMarker } from './pool-marker.ts'
import { errnoOf, exists, ignoreMissing, objectPath, syncDirectory } from './pool-paths.ts'

const DIRECTORY = '.holdfast-access'

export const accessLinks: AccessOperations = {
  async permitAccess(pool, object, initiator): Promise<void> {
    await checkMarker(pool)
    await mkdir(join(pool.directory, DIRECTORY), { mode: 0o700 }).catch(ignoreExisting)
    await symlink(join('..', basename(objectPath(pool.directory, object))), permitOf(pool, object, initiator)).catch(
      ignoreExisting,
    )
  },

  async beginAccess(pool, object, initiator): Promise<string | undefined> {
    await checkMarker(pool)
    const link = linkOf(pool, object, initiator)
    try {
      await rename(permitOf(pool, object, initiator), link)
      return link
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined
      throw error
    }
  },

  async accessPath(pool, object, initiator): Promise<string | undefined> {
    await checkMarker(pool)
    const link = linkOf(pool, object, initiator)
    return (await exists(link)) ? link : undefined
  },

  async endAccess(pool, object, initiator): Promise<void> {
    await checkMarker(pool)
    await rename(linkOf(pool, object, initiator), permitOf(pool, object, initiator)).catch(ignoreMissing)
  },

  async denyAccess(pool, object, initiator): Promise<void> {
    await checkMarker(pool)
    await unlink(permitOf(pool, object, initiator)).catch(ignoreMissing)
    await unlink(linkOf(pool, object, initiator)).catch(ignoreMissing)
    await sync(pool)
  },

  async forgetAccess(pool, object): Promise<void> {
    await checkMarker(pool)
    const names = await readdir(join(pool.directory, DIRECTORY)).catch((error: unknown) => {
      ignoreMissing(error)
      return []
    })
    for (const name of names) {
      if (name.startsWith(`${object}@`)) await unlink(join(pool.directory, DIRECTORY, name)).catch(ignoreMissing)
    }
  },
}

/** `@` is in no object's name, so that no object is taken for the beginning of another. */
function linkOf(pool: PoolDirectory, object: string, initiator: string): string {
  objectPath(pool.directory, object)
  return join(pool.directory, DIRECTORY, `${object}@${initiator}`)
}

function permitOf(pool: PoolDirectory, object: string, initiator: string): string {
  return `${linkOf(pool, object, initiator)}.permit`
}

/** A server that goes down must not come back with a link that was taken away. */
async function sync(pool: PoolDirectory): Promise<void> {
  const directory = join(pool.directory, DIRECTORY)
  if (await exists(directory)) await syncDirectory(directory)
}

function ignoreExisting(error: unknown): void {
  if (errnoOf(error) !== 'EEXIST') throw error
}
