/** The marker file that says which pool a directory is. Without it there is no reach and nothing is written. */
import { constants } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import type { PoolDirectory } from './file-protocol.ts'
import { errnoOf, publish, temporaryName, withFile, writeDurably } from './pool-paths.ts'

const MARKER = '.holdfast-pool.json'
const MARKER_VERSION = 1
const MARKER_LIMIT = 4096

/** @throws no_marker, marker_conflict; storage_failed when the directory is none */
export async function checkMarker(pool: PoolDirectory): Promise<void> {
  const text = await readMarker(pool)
  if (text === undefined) {
    await checkDirectory(pool)
    throw new HoldfastError(
      'no_marker',
      `${pool.directory} carries no marker of a pool: is the share mounted there? A new pool has to be marked first`,
      { directory: pool.directory, pool: pool.name },
    )
  }
  compareMarker(pool, text)
}

/** Writes the marker, or finds that it is there already. */
export async function writeMarker(pool: PoolDirectory): Promise<void> {
  const present = await readMarker(pool)
  if (present !== undefined) {
    compareMarker(pool, present)
    return
  }
  await checkDirectory(pool)
  const marker = { version: MARKER_VERSION, installation: pool.installation, pool: pool.uuid, name: pool.name }
  const temporary = join(pool.directory, temporaryName('holdfast-pool'))
  await writeDurably(temporary, `${JSON.stringify(marker, undefined, 2)}\n`)
  if (await publish(temporary, join(pool.directory, MARKER))) return
  // Somebody was faster: it must have been for the same pool.
  await checkMarker(pool)
}

async function readMarker(pool: PoolDirectory): Promise<string | undefined> {
  try {
    return await withFile(join(pool.directory, MARKER), constants.O_RDONLY | constants.O_NOFOLLOW, async (file) => {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(MARKER_LIMIT), 0, MARKER_LIMIT, 0)
      return buffer.toString('utf8', 0, bytesRead)
    })
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined
    throw error
  }
}

async function checkDirectory(pool: PoolDirectory): Promise<void> {
  const { directory } = pool
  const found = await stat(directory).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (found === undefined) {
    const text = `The directory ${directory} does not exist: create it, or mount the share that holds it`
    throw new HoldfastError('no_marker', text, { directory, pool: pool.name })
  }
  if (!found.isDirectory()) {
    const text = `${directory} is not a directory; the pool ${pool.name} needs one`
    throw new HoldfastError('storage_failed', text, { directory, pool: pool.name })
  }
}

function compareMarker(pool: PoolDirectory, text: string): void {
  const found = parseMarker(text)
  if (found.version === MARKER_VERSION && found.installation === pool.installation && found.pool === pool.uuid) return
  const owner =
    found.pool === undefined
      ? 'a marker that cannot be read'
      : `the marker of pool ${found.name ?? '?'} (${found.pool}, installation ${found.installation ?? '?'})`
  throw new HoldfastError(
    'marker_conflict',
    `${pool.directory} carries ${owner}, not that of ${pool.name} (${pool.uuid}, installation ${pool.installation})`,
    { directory: pool.directory, found: { ...found } },
  )
}

interface Marker {
  version?: number
  installation?: string
  pool?: string
  name?: string
}

function parseMarker(text: string): Marker {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return {}
  }
  if (typeof value !== 'object' || value === null) return {}
  const fields = new Map<string, unknown>(Object.entries(value))
  const marker: Marker = {}
  const version = fields.get('version')
  if (typeof version === 'number') marker.version = version
  for (const key of ['installation', 'pool', 'name'] as const) {
    const field = fields.get(key)
    if (typeof field === 'string') marker[key] = field
  }
  return marker
}
