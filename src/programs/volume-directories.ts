/**
 * Volumes that their storage gives as directories: a marker tells which one it is, and what users see lies beside it, in
 * `data`, so that an empty volume is empty and nobody can remove the marker from inside.
 */
import { constants } from 'node:fs'
import { chmod, mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import { dataOf } from '../node/filesystems.ts'
import type { DirectoryVolume, VolumeDirectoryOperations } from './file-protocol.ts'
import { errnoOf, temporaryName, withFile, writeDurably } from './pool-paths.ts'

const MARKER = '.holdfast-volume.json'
const MARKER_LIMIT = 4096
/** A filesystem's own, on the root of one that was just made. */
const NOBODYS = new Set(['lost+found'])

export const volumeDirectories: VolumeDirectoryOperations = {
  async lookAtVolume(directory) {
    const text = await readMarker(directory)
    if (text !== undefined) return { uuid: uuidIn(text), empty: false }
    const entries = await readdir(directory)
    return { uuid: undefined, empty: entries.every((entry) => NOBODYS.has(entry)) }
  },

  async makeVolume(directory, uuid) {
    const found = await this.lookAtVolume(directory)
    if (found.uuid === uuid) return
    if (!found.empty) throw new HoldfastError('not_blank', `${directory} is not empty; it is left as it is`)
    const data = dataOf(directory)
    await mkdir(data).catch((error: unknown) => {
      if (errnoOf(error) !== 'EEXIST') throw error
    })
    // whoever runs the task decides: as with the root of a new filesystem
    await chmod(data, 0o755)
    await this.renameVolume(directory, uuid)
  },

  async renameVolume(directory, uuid) {
    const temporary = join(directory, temporaryName('holdfast-volume'))
    await writeDurably(temporary, `${JSON.stringify({ version: 1, volume: uuid })}\n`)
    await rename(temporary, join(directory, MARKER))
  },
}

async function readMarker(directory: string): Promise<string | undefined> {
  try {
    return await withFile(join(directory, MARKER), constants.O_RDONLY | constants.O_NOFOLLOW, async (file) => {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(MARKER_LIMIT), 0, MARKER_LIMIT, 0)
      return buffer.toString('utf8', 0, bytesRead)
    })
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** A marker that cannot be read is nobody's. */
function uuidIn(text: string): DirectoryVolume['uuid'] {
  try {
    const { volume } = JSON.parse(text) as { volume?: unknown }
    return typeof volume === 'string' ? volume : undefined
  } catch {
    return undefined
  }
}
