/**
 * The places at which a node has volumes of plugins. Plugins count users by what they are told, and what they mount is not
 * always seen in the kernel's table; so a place is made before a plugin is asked for a volume, and goes away after it has
 * taken the volume back: whatever ends the daemon in between, what may be attached is known. A place is
 *
 *     ROOT/<pool's UUID>/<object>/mountpoint   where the plugin says that the volume is, a text
 *                                /directory    the volume, bound there: then it is attached
 */
import { mkdir, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises'
import { isAbsolute, join, resolve } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import { quote } from '../model/units.ts'
import { BindMounts } from './bind-mounts.ts'
import type { MountedAt } from './mount-table.ts'
import { exists, ignoreMissing, writeDurably } from './pool-paths.ts'
import type { Programs } from './run.ts'

const LOOK_MS = 10_000
/** The kernel's own, in which no volume can be. */
const KERNEL = ['/proc', '/sys', '/dev']

/** What the places and the kernel's table say of one object. */
export interface Traces {
  /** The plugin was asked for the volume and has not taken it back yet. */
  readonly asked: boolean
  /** Where the volume is bound. */
  readonly directory: string
  readonly bound: boolean
  /** Where else it is mounted, by the plugin or by others. */
  readonly elsewhere: readonly MountedAt[]
  /** Of these, the mounts of parts of it: users. */
  readonly users: readonly string[]
}

export class PluginPlaces {
  readonly #root: string
  readonly #programs: Programs
  readonly #binds: BindMounts

  constructor(root: string, programs: Programs) {
    this.#root = root
    this.#programs = programs
    this.#binds = new BindMounts(programs)
  }

  /** The objects of a pool that plugins were asked for. */
  async objects(pool: string): Promise<string[]> {
    return await readdir(join(this.#root, pool)).catch((thrown: unknown) => {
      ignoreMissing(thrown)
      return []
    })
  }

  /** @param mountpoint where the plugin says that it is, if it is known from elsewhere */
  async traces(pool: string, object: string, mountpoint?: string): Promise<Traces> {
    const place = join(this.#root, pool, object)
    const directory = join(place, 'directory')
    const table = await this.#binds.all()
    const said = await readFile(join(place, 'mountpoint'), 'utf8').catch((thrown: unknown) => {
      ignoreMissing(thrown)
      return undefined
    })
    const own = table.findLast((each) => each.target === directory)
    const others = table.filter((each) => !each.target.startsWith(`${this.#root}/`))
    const elsewhere = others.filter(({ target }) => {
      return target === said || target === mountpoint || isNamedIn(target, object)
    })
    // several nodes on one machine, as tests have them, see each other's mounts
    const neighbours = others.some(({ target }) => target.endsWith(`/${pool}/${object}/directory`))
    // also when somebody has taken the bind away by hand
    const whole = own ?? (said === undefined ? undefined : partAt(table, said))
    const isUser = (each: MountedAt) => whole !== undefined && !elsewhere.includes(each) && isPart(each, whole)
    const users = neighbours ? [] : others.filter(isUser)
    return {
      asked: await exists(place),
      directory,
      bound: own !== undefined,
      elsewhere,
      users: users.map(({ target }) => target),
    }
  }

  /** Before the plugin is asked for a volume. */
  async begin(pool: string, object: string): Promise<void> {
    await mkdir(join(this.#root, pool, object, 'directory'), { recursive: true, mode: 0o700 })
  }

  /** After the plugin has taken it back. */
  async end(pool: string, object: string): Promise<void> {
    const place = join(this.#root, pool, object)
    await rm(join(place, 'mountpoint'), { force: true })
    // rmdir refuses what is bound or holds something after all
    await rmdir(join(place, 'directory')).catch(ignoreMissing)
    await rmdir(place).catch(ignoreMissing)
    await rmdir(join(this.#root, pool)).catch(() => undefined) // others are in it
  }

  /**
   * Binds the directory that a plugin has given.
   * @param mounted whether it must be something mounted there, and not a directory of a larger filesystem
   * @throws storage_failed for what cannot be a volume's directory
   */
  async bind(pool: string, object: string, said: string, mounted: boolean, signal: AbortSignal): Promise<string> {
    const source = await this.#real(said, signal)
    const place = join(this.#root, pool, object)
    const temporary = join(place, 'mountpoint.new')
    await rm(temporary, { force: true })
    await writeDurably(temporary, source)
    await rename(temporary, join(place, 'mountpoint'))
    const { directory, elsewhere } = await this.traces(pool, object)
    if (mounted && !elsewhere.some(({ target }) => target === source || source.startsWith(`${target}/`))) {
      throw strange(said, 'nothing is mounted there, and the setting requireMount wants it')
    }
    await this.#binds.bind(source, directory, { readOnly: false, flags: [] }, signal)
    return directory
  }

  /** @throws still_mounted */
  async unbind(pool: string, object: string, signal: AbortSignal): Promise<void> {
    const directory = join(this.#root, pool, object, 'directory')
    while ((await this.#binds.at(directory)) !== undefined) await this.#binds.unmount(directory, signal)
  }

  /** The directory itself. What a plugin says is not trusted: a wrong answer must not give a task the machine. */
  async #real(said: string, signal: AbortSignal): Promise<string> {
    if (!isAbsolute(said) || said.includes('\0')) throw strange(said, 'it is no absolute path')
    // the dot is found in directories only
    const args = ['--canonicalize-existing', '--zero', '--', `${resolve(said)}/.`]
    const { code, stdout } = await this.#programs.run('realpath', args, {
      signal,
      deadlineMs: LOOK_MS,
      accept: [0, 1],
    })
    const source = stdout.replace(/\0$/, '')
    if (code !== 0 || source === '') throw strange(said, 'there is no such directory on this machine')
    if (isInside(this.#root, source)) throw strange(said, 'the files of Holdfast are in it')
    if ([...KERNEL, this.#root].some((each) => isInside(source, each))) throw strange(said, 'no volume can be there')
    return source
  }
}

/** Most plugins mount a volume at a place that has its name. Only the names that Holdfast gives tell something. */
function isNamedIn(path: string, object: string): boolean {
  return /^hf-[0-9a-f]{8}-/.test(object) && path.split('/').includes(object)
}

/** A directory as the kernel tells one: a place in a filesystem. */
type Part = Pick<MountedAt, 'filesystem' | 'root'>

function partAt(table: readonly MountedAt[], path: string): Part | undefined {
  const below = table.findLast(({ target }) => isInside(path, target))
  if (below === undefined) return undefined
  return { filesystem: below.filesystem, root: join(below.root, path.slice(below.target.length)) }
}

function isPart(other: Part, whole: Part): boolean {
  return other.filesystem === whole.filesystem && isInside(other.root, whole.root)
}

function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`)
}

function strange(said: string, why: string): HoldfastError {
  return new HoldfastError('storage_failed', `the plugin says that the volume is at ${quote(said)}: ${why}`, {
    mountpoint: said,
  })
}
