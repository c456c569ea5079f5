/**
 * The driver `docker`: any Docker volume plugin as storage (docker/cli docs/extend/plugins_volume.md). An object is a
 * volume of the plugin, which formats and mounts it; attached, it is a directory that is bound at a place of the node's
 * own.
 */

import type { PluginDirectories } from '../docker-plugin/discovery.ts'
import { isMarker, readMarkers, requireMarker, writeMarker } from '../docker-plugin/marker.ts'
import { secretOptions } from '../docker-plugin/secret-options.ts'
import { type PluginSettings, readSettings, sizeOptions, unitOf } from '../docker-plugin/settings.ts'
import { type PluginTimes, PluginVolumes } from '../docker-plugin/volumes.ts'
import { asHoldfastError, HoldfastError } from '../model/errors.ts'
import { formatMiB, MAX_MIB } from '../model/units.ts'
import { Lane } from '../programs/call-limits.ts'
import { PluginAttacher, type PluginObject } from '../programs/plugin-attacher.ts'
import { checkObjectName } from '../programs/pool-paths.ts'
import type { Programs } from '../programs/run.ts'
import type { Attached, Capabilities, Driver, ObjectInfo, PoolProbe, PoolTarget } from './driver.ts'
import { Locks } from './locks.ts'

const TIMES: PluginTimes = { longMs: 120_000, shortMs: 60_000, waitMs: 5000 }
/** Calls at once for one pool that make, remove, mount and unmount. */
const AT_ONCE = 8

/** Where Docker looks (docker/cli docs/extend/plugin_api.md). */
export const PLUGIN_DIRECTORIES: PluginDirectories = {
  sockets: '/run/docker/plugins',
  specs: ['/etc/docker/plugins', '/usr/lib/docker/plugins'],
}

export interface DockerDriverDeps {
  readonly programs: Programs
  /** A directory of the node's own, kept over restarts: what is attached is bound in it. */
  readonly directory: string
  readonly plugins?: PluginDirectories
  readonly times?: PluginTimes
}

export function createDockerDriver(deps: DockerDriverDeps): Driver {
  return new DockerDriver(deps)
}

interface Pool {
  readonly target: PoolTarget
  readonly settings: PluginSettings
  readonly plugin: PluginVolumes
}

class DockerDriver implements Driver {
  readonly name = 'docker'
  private readonly deps: DockerDriverDeps
  private readonly attacher: PluginAttacher
  private readonly locks = new Locks()
  private readonly lanes = new Map<string, Lane>()

  constructor(deps: DockerDriverDeps) {
    this.deps = deps
    this.attacher = new PluginAttacher(deps.directory, deps.programs)
  }

  checkSettings(settings: Readonly<Record<string, string>>): void {
    readSettings(settings)
  }

  async probe(target: PoolTarget, signal: AbortSignal): Promise<PoolProbe> {
    const { plugin, settings } = this.open(target)
    await plugin.activate(signal)
    const volumes = await readMarkers(plugin, target, signal)
    // volumes of a `local` plugin are each machine's own, whatever the setting says
    const shared = settings.sharing === 'many' && (await plugin.scope(signal)) !== 'local'
    const capabilities: Capabilities = {
      snapshot: 'none',
      clone: false,
      grow: 'none',
      block: false,
      readOnlyMany: shared,
      writersMany: shared,
      formats: 'backend',
      filesystems: ['directory'],
      list: volumes !== undefined,
      import: false,
      fence: 'none',
      idempotent: ['create', 'delete'],
      maxObjectMiB: MAX_MIB,
      unitMiB: unitOf(settings),
    }
    return { capabilities, sizeMiB: undefined, freeMiB: undefined }
  }

  async mark(target: PoolTarget, signal: AbortSignal): Promise<undefined> {
    const { plugin, settings } = this.open(target)
    const { plugin: name, socket = '' } = settings
    await this.locks.run(`plugin ${name ?? socket}`, async () => {
      await plugin.activate(signal)
      const unit = unitOf(settings)
      const sizeMiB = Math.ceil(settings.markerSizeMiB / unit) * unit
      await writeMarker(plugin, target, await createOptions(settings, sizeMiB), signal)
    })
  }

  async create(target: PoolTarget, object: string, sizeMiB: number, signal: AbortSignal): Promise<ObjectInfo> {
    return await this.locked(target, object, async (pool) => {
      checkSize(pool, sizeMiB)
      await requireMarker(pool.plugin, target, signal)
      if ((await pool.plugin.get(object, signal)) === undefined) await this.make(pool, object, sizeMiB, signal)
      else await this.requireSameBlank(pool, object, sizeMiB, signal)
      return { name: object, sizeMiB, usedMiB: undefined, handle: handleOf(object, sizeMiB) }
    })
  }

  async isBlank(target: PoolTarget, object: string, signal: AbortSignal): Promise<boolean> {
    return await this.locked(target, object, async (pool) => {
      await this.requireObject(pool, object, signal)
      return await this.attacher.isBlank(this.wish(pool, object), signal)
    })
  }

  async delete(target: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    await this.locked(target, object, async (pool) => {
      await requireMarker(pool.plugin, target, signal)
      const device = await this.attacher.deviceOf(target.uuid, object)
      if (device !== undefined) {
        const text = `${object} is attached on this machine at ${device}; detach it before deleting it`
        throw new HoldfastError('in_use', text, { device })
      }
      if ((await pool.plugin.get(object, signal)) === undefined) return
      await this.changing(pool, signal, () => pool.plugin.remove(object, signal))
      if ((await pool.plugin.get(object, signal)) === undefined) return
      throw new HoldfastError('storage_failed', `${pool.plugin.label} says that it removed ${object}, and still has it`)
    })
  }

  async copy(target: PoolTarget): Promise<ObjectInfo> {
    throw unsupported(target, 'copies')
  }

  async grow(target: PoolTarget): Promise<ObjectInfo> {
    throw unsupported(target, 'larger volumes')
  }

  async inspect(target: PoolTarget, object: string, signal: AbortSignal): Promise<ObjectInfo | undefined> {
    checkObjectName(object)
    const { plugin } = this.open(target)
    await requireMarker(plugin, target, signal)
    return (await plugin.get(object, signal)) === undefined ? undefined : infoOf(target, object)
  }

  async inventory(target: PoolTarget, signal: AbortSignal): Promise<ObjectInfo[]> {
    const volumes = (await readMarkers(this.open(target).plugin, target, signal)) ?? []
    const names = volumes.map(({ name }) => name).filter((name) => !isMarker(name) && isObjectName(name))
    return names.sort().map((name) => infoOf(target, name))
  }

  async attach(target: PoolTarget, object: string, _readOnly: boolean, signal: AbortSignal): Promise<Attached> {
    return await this.locked(target, object, async (pool) => {
      await this.requireObject(pool, object, signal)
      // plugins know no read-only: the mount of a user is
      return { object, device: await this.attacher.attach(this.wish(pool, object), signal), readOnly: false }
    })
  }

  async detach(target: PoolTarget, object: string, signal: AbortSignal): Promise<void> {
    await this.locked(target, object, (pool) => this.attacher.detach(this.wish(pool, object), signal))
  }

  async attached(target: PoolTarget, _signal: AbortSignal, object?: string): Promise<Attached[]> {
    const objects = object === undefined ? await this.attacher.objects(target.uuid) : [object]
    const found: Attached[] = []
    for (const each of objects) {
      const device = await this.attacher.deviceOf(target.uuid, each)
      if (device !== undefined) found.push({ object: each, device, readOnly: false })
    }
    return found
  }

  async fence(target: PoolTarget): Promise<void> {
    throw unsupported(target, 'no proof that a lost node has no access any more: make sure that it is off, and confirm')
  }

  async close(): Promise<void> {
    // nothing is kept open between calls
  }

  private open(target: PoolTarget): Pool {
    const settings = readSettings(target.settings)
    const { plugins = PLUGIN_DIRECTORIES, times = TIMES } = this.deps
    return { target, settings, plugin: new PluginVolumes(settings, plugins, times) }
  }

  private async locked<T>(target: PoolTarget, object: string, work: (pool: Pool) => Promise<T>): Promise<T> {
    checkObjectName(object)
    return await this.locks.run(`${target.uuid}/${object}`, () => work(this.open(target)))
  }

  /** For calls that may take long: not too many at once. */
  private async changing<T>({ target }: Pool, signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    const lane = this.lanes.get(target.uuid) ?? new Lane(AT_ONCE)
    this.lanes.set(target.uuid, lane)
    return await lane.run(signal, call)
  }

  private async make(pool: Pool, object: string, sizeMiB: number, signal: AbortSignal): Promise<void> {
    const { plugin } = pool
    const options = await createOptions(pool.settings, sizeMiB)
    try {
      await this.changing(pool, signal, () => plugin.create(object, options, signal))
    } catch (thrown) {
      // it was not there before, so what is there now is what was asked for
      const unknown = asHoldfastError(thrown).code === 'storage_timeout'
      if (!unknown || (await plugin.get(object, signal)) === undefined) throw thrown
      return
    }
    if ((await plugin.get(object, signal)) !== undefined) return
    throw new HoldfastError('storage_failed', `${plugin.label} says that it made ${object}, and does not have it`)
  }

  /** A create found the name taken. It is the same create repeated if size and emptiness say so. */
  private async requireSameBlank(pool: Pool, object: string, sizeMiB: number, signal: AbortSignal): Promise<void> {
    const size = sizeIn(pool.target.handleOf(object)) ?? sizeMiB
    if (size === sizeMiB && (await this.attacher.isBlank(this.wish(pool, object), signal))) return
    const what = size === sizeMiB ? 'it holds data' : `it has ${formatMiB(size)} and not ${formatMiB(sizeMiB)}`
    throw new HoldfastError('object_exists', `${pool.plugin.label} has a volume ${object} already, and ${what}`)
  }

  private async requireObject({ target, plugin }: Pool, object: string, signal: AbortSignal): Promise<void> {
    await requireMarker(plugin, target, signal)
    if ((await plugin.get(object, signal)) !== undefined) return
    throw new HoldfastError('object_missing', `There is no volume ${object} on ${plugin.label}`, { object })
  }

  /** Its calls that may take long are made not too many at once. */
  private wish(pool: Pool, object: string): PluginObject {
    const { target, plugin, settings } = pool
    return {
      plugin: {
        label: plugin.label,
        get: (name, signal) => plugin.get(name, signal),
        mount: (name, user, signal) => this.changing(pool, signal, () => plugin.mount(name, user, signal)),
        unmount: (name, user, signal) => this.changing(pool, signal, () => plugin.unmount(name, user, signal)),
      },
      pool: target.uuid,
      object,
      user: `holdfast-${target.installation.slice(0, 8)}-${target.node.id}`,
      requireMount: settings.requireMount,
      shared: settings.sharing === 'many',
    }
  }
}

async function createOptions(settings: PluginSettings, sizeMiB: number): Promise<Record<string, string>> {
  const { createOptions: options, optionsFile } = settings
  const secret = optionsFile === undefined ? {} : await secretOptions(optionsFile)
  return { ...options, ...secret, ...sizeOptions(settings, sizeMiB) }
}

/** Plugins don't tell sizes: the ledger keeps it with the object. */
function handleOf(object: string, sizeMiB: number): string {
  return `${object}\n${JSON.stringify({ sizeMiB })}`
}

function sizeIn(handle: string | undefined): number | undefined {
  const [, text] = handle?.split('\n') ?? []
  return text === undefined ? undefined : (JSON.parse(text) as { sizeMiB: number }).sizeMiB
}

function infoOf(target: PoolTarget, object: string): ObjectInfo {
  const handle = target.handleOf(object)
  return { name: object, sizeMiB: sizeIn(handle) ?? 0, usedMiB: undefined, handle }
}

function isObjectName(name: string): boolean {
  try {
    checkObjectName(name)
    return true
  } catch {
    return false
  }
}

function checkSize({ settings }: Pool, sizeMiB: number): void {
  const unit = unitOf(settings)
  if (!Number.isSafeInteger(sizeMiB) || sizeMiB < 1 || sizeMiB % unit !== 0) {
    const right = unit === 1 ? 'whole MiB, 1 or more' : `a multiple of ${formatMiB(unit)}`
    throw new HoldfastError('invalid_size', `Bad size ${sizeMiB}: ${right}`, { sizeMiB })
  }
  if (sizeMiB > MAX_MIB) throw new HoldfastError('object_too_large', `${formatMiB(sizeMiB)} is more than 8 EiB`)
}

function unsupported({ name }: PoolTarget, what: string): HoldfastError {
  return new HoldfastError('unsupported', `${name} lies on a Docker volume plugin, and that protocol has ${what}`)
}
