/**
 * The places at which a node has volumes of CSI plugins. A place is made before a plugin is asked for a volume, and goes
 * after it has taken the volume back: whatever ends the daemon in between, what may be attached is known. A place is
 *
 *     ROOT/<pool's UUID>/<object>/place.json   whose it is, and what for
 *                                /staging      where the plugin stages it
 *                                /target       where the plugin publishes it: a directory, or a file that is the device
 */
import { lstatSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '../model/errors.ts'
import { usersOfDevice } from './device-users.ts'
import { type MountedAt, mountedAt } from './mount-table.ts'
import { exists, ignoreMissing, temporaryName, writeDurably } from './pool-paths.ts'

/** Something (udev, say) may have a look at a device just after it was closed, ms. */
const OPENER_MS = 2000

export interface PlaceRecord {
  /** The plugin's id of the volume. */
  readonly volumeId: string
  readonly readOnly: boolean
  /** The device that we made read-only, because the plugin had not. */
  readonly locked?: string
}

export interface Place extends PlaceRecord {
  readonly object: string
  readonly staging: string
  readonly target: string
}

/** What the kernel has at a place's target. */
export interface Published {
  /** The block device, by the kernel's own name. */
  readonly device: string | undefined
  readonly mount: MountedAt | undefined
}

export class CsiPlaces {
  readonly #root: string

  constructor(root: string) {
    this.#root = root
  }

  async all(pool: string): Promise<Place[]> {
    const names = await readdir(join(this.#root, pool)).catch((thrown: unknown) => {
      ignoreMissing(thrown)
      return []
    })
    const found = await Promise.all(names.sort().map((object) => this.at(pool, object)))
    return found.filter((place) => place !== undefined)
  }

  /** @throws storage_failed when its record cannot be read: what is attached there is then unknown */
  async at(pool: string, object: string): Promise<Place | undefined> {
    const directory = this.#directory(pool, object)
    const text = await readFile(join(directory, 'place.json'), 'utf8').catch((thrown: unknown) => {
      ignoreMissing(thrown)
      return undefined
    })
    if (text === undefined) return undefined
    try {
      return { ...(JSON.parse(text) as PlaceRecord), object, ...this.#paths(directory) }
    } catch (cause) {
      throw new HoldfastError('storage_failed', `${directory}/place.json is damaged`, {}, { cause })
    }
  }

  /** Before the plugin is asked for a volume, and whenever more is known. */
  async write(pool: string, object: string, record: PlaceRecord): Promise<Place> {
    const directory = this.#directory(pool, object)
    const paths = this.#paths(directory)
    await mkdir(paths.staging, { recursive: true, mode: 0o700 })
    const temporary = join(directory, temporaryName('place'))
    await writeDurably(temporary, JSON.stringify(record))
    await rename(temporary, join(directory, 'place.json'))
    return { ...record, object, ...paths }
  }

  /** After the plugin has taken it back. @throws still_mounted when something is left there */
  async end(pool: string, { object, staging, target }: Place): Promise<void> {
    const left = (await mountedAt()).find((each) => each.target === target || isIn(each.target, staging))
    if (left !== undefined) {
      const text = `the CSI plugin says that ${object} is detached, and ${left.target} is still mounted`
      throw new HoldfastError('still_mounted', text, { target: left.target })
    }
    const directory = this.#directory(pool, object)
    // what a plugin has left there is its own; a directory with files is never removed
    await removeEmpty(target)
    await removeEmpty(staging)
    await rm(join(directory, 'place.json'), { force: true })
    for (const name of await readdir(directory).catch(() => [])) {
      if (name.endsWith('.partial')) await rm(join(directory, name), { force: true })
    }
    await rmdir(directory).catch(() => undefined)
    await rmdir(join(this.#root, pool)).catch(() => undefined) // others are in it
  }

  /** By the kernel's table and, where a device is expected, by what is at the target: nothing else is touched. */
  async published({ target }: Place, mode: 'block' | 'mount'): Promise<Published> {
    const mount = (await mountedAt()).findLast((each) => each.target === target)
    return { mount, device: mode === 'block' ? deviceAt(target) : undefined }
  }

  /** Mounts of the device, or of a part of the directory: what the plugin has mounted for itself is the whole. */
  async mountsOf(place: Place, { device, mount }: Published): Promise<MountedAt[]> {
    const table = await mountedAt()
    if (device !== undefined) return table.filter((each) => each.device === device)
    if (mount === undefined) return []
    const below = `${mount.root === '/' ? '' : mount.root}/`
    return table.filter((each) => {
      if (each.filesystem !== mount.filesystem || each.root === mount.root) return false
      return each.target !== place.target && each.root.startsWith(below)
    })
  }

  /** @throws still_mounted when something uses what is published */
  async requireUnused(place: Place, published: Published): Promise<void> {
    const { device = place.target } = published
    const [mount] = await this.mountsOf(place, published)
    if (mount !== undefined) throw inUse(place.object, device, [`the mount at ${mount.target}`])
    if (published.device === undefined) return
    const end = performance.now() + OPENER_MS
    let users = await usersOfDevice(device)
    while (users.length > 0 && performance.now() < end) {
      await delay(50)
      users = await usersOfDevice(device)
    }
    if (users.length > 0) throw inUse(place.object, device, users)
  }

  #directory(pool: string, object: string): string {
    return join(this.#root, pool, object)
  }

  #paths(directory: string) {
    return { staging: join(directory, 'staging'), target: join(directory, 'target') }
  }
}

/** The kernel's name of the device that a file is, or that is bound over it. */
function deviceAt(path: string): string | undefined {
  try {
    const stat = lstatSync(path)
    if (!stat.isBlockDevice()) return undefined
    // see makedev(3) for how a number of 64 bits holds the two
    const major = ((stat.rdev >>> 8) & 0xfff) | (Math.floor(stat.rdev / 2 ** 32) & ~0xfff)
    const minor = (stat.rdev & 0xff) | ((stat.rdev >>> 12) & 0xfff00)
    const name = /^DEVNAME=(.+)$/m.exec(readFileSync(`/sys/dev/block/${major}:${minor}/uevent`, 'utf8'))?.[1]
    return name === undefined ? undefined : `/dev/${name}`
  } catch {
    return undefined // nothing is there, or the device has gone
  }
}

async function removeEmpty(path: string): Promise<void> {
  if (!(await exists(path))) return
  if (lstatSync(path).isDirectory()) await rmdir(path).catch(() => undefined)
  else await rm(path, { force: true })
}

function isIn(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`)
}

function inUse(object: string, where: string, users: readonly string[]): HoldfastError {
  const text = `${object} is attached as ${where}, which is still used by ${users.join(', ')}`
  return new HoldfastError('still_mounted', text, { device: where, users: [...users] })
}
