/** Brings REX-Ray volumes to this machine and takes them away again, as devices or as mounted directories. */
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '../model/errors.ts'
import type { MountEntry } from '../node/filesystems.ts'
import { hasBlankEnds, lookAtDevice, makeReadOnly } from './block-device.ts'
import { readMounts } from './mount-table.ts'
import { probeDevice } from './probe-device.ts'
import type { RexrayCli } from './rexray-cli.ts'
import type { RexrayDevices } from './rexray-devices.ts'
import { requireUnmistakable } from './rexray-listing.ts'
import type { RexraySettings } from './rexray-settings.ts'
import type { RexrayVolume } from './rexray-volumes.ts'
import type { Programs } from './run.ts'

const MOUNT_MS = 30_000
const UNDO_MS = 60_000
/** How much of a device that may have been used is looked through for data. */
const HEAD_MIB = 16
const LOOK_EVERY_MS = 500

/** Where a volume is on this machine: a device, or a directory. */
export interface Whereabouts {
  readonly device: string
  readonly readOnly: boolean
}

export interface AttacherParts {
  readonly programs: Programs
  readonly cli: RexrayCli
  readonly devices: RexrayDevices
  readonly settings: RexraySettings
}

export class RexrayAttacher {
  private readonly parts: AttacherParts
  private readonly asDirectory: boolean

  constructor(parts: AttacherParts) {
    this.parts = parts
    this.asDirectory = parts.settings.volumes === 'directory'
  }

  /**
   * @param all the whole service's list that the volume is from
   * @param mayFormat whether REX-Ray may make a filesystem: only on what was just found blank
   * @throws in_use when it is attached elsewhere, or here in the other mode
   */
  async attach(
    volume: RexrayVolume,
    all: readonly RexrayVolume[],
    { readOnly, mayFormat }: { readOnly: boolean; mayFormat: boolean },
    signal: AbortSignal,
  ): Promise<Whereabouts> {
    const isNew = volume.state !== 'here'
    const here = isNew ? await this.bring(volume, all, signal) : volume
    try {
      if (this.asDirectory) return await this.directory(here, readOnly, isNew, mayFormat, signal)
      return await this.device(here, readOnly, isNew, signal)
    } catch (thrown) {
      // what was attached for nothing must not pin the volume to this machine; the first error is the one to tell
      if (isNew) await this.parts.cli.detach(here.id, false, AbortSignal.timeout(UNDO_MS)).catch(() => undefined)
      throw thrown
    }
  }

  /** Takes it away and returns when neither REX-Ray nor the kernel has it here. @throws still_mounted */
  async detach(volume: RexrayVolume, signal: AbortSignal): Promise<void> {
    const { cli, devices } = this.parts
    const [here] = await devices.located([volume], this.asDirectory, signal)
    if (here === undefined) return
    const disk = here.device === undefined ? undefined : await lookAtDevice(here.device)
    const source = disk?.device ?? here.device
    if (source !== undefined) await devices.requireUnused(source, here.path)
    const taken = here.path === undefined ? cli.detach(here.id, false, signal) : cli.unmount(here.id, signal)
    const failure = await taken.catch((thrown: unknown) => thrown)
    await this.left(here, failure, signal)
    if (disk !== undefined) await devices.gone(disk, signal)
  }

  /** Takes it away from whoever has it, and reads back that nobody has. @throws still_mounted */
  async tearAway(volume: RexrayVolume, all: readonly RexrayVolume[], signal: AbortSignal): Promise<void> {
    requireUnmistakable(volume, all)
    await this.parts.cli.detach(volume.id, true, signal)
    const now = await this.settled(volume, (state) => state === 'free', signal)
    if (now === undefined || now.state === 'free') return
    const text = `rexray still lists ${volume.name} (${volume.id}) as attached to ${now.holders.join(', ') || 'somebody'}`
    throw new HoldfastError('still_mounted', text, { id: volume.id })
  }

  /** Whether nothing is on it, as far as can be read without reading all of it. It is attached for that. */
  async isBlank(volume: RexrayVolume, all: readonly RexrayVolume[], signal: AbortSignal): Promise<boolean> {
    if (volume.state === 'here') return await this.looksBlank(volume, signal)
    const here = await this.bring(volume, all, signal)
    const blank = await this.looksBlank(here, signal).catch((thrown: unknown) => asError(thrown))
    await this.detach(here, signal)
    if (typeof blank !== 'boolean') throw blank
    return blank
  }

  /** Where these are, of those that are here; what no device is known of is told by its id. */
  async whereabouts(
    volumes: readonly RexrayVolume[],
    signal: AbortSignal,
  ): Promise<(Whereabouts & { readonly volume: RexrayVolume })[]> {
    const located = await this.parts.devices.located(volumes, this.asDirectory, signal)
    return await Promise.all(located.map(async (volume) => ({ volume, ...(await this.whereabout(volume)) })))
  }

  private async whereabout({ id, device = `rexray:${id}`, path }: RexrayVolume): Promise<Whereabouts> {
    if (path !== undefined) return { device: path, readOnly: (await mountAbove(path))?.readOnly ?? false }
    const found = await lookAtDevice(device)
    return { device: found?.device ?? device, readOnly: found?.readOnly ?? false }
  }

  private async bring(volume: RexrayVolume, all: readonly RexrayVolume[], signal: AbortSignal): Promise<RexrayVolume> {
    requireFree(volume)
    requireUnmistakable(volume, all)
    let failure: unknown
    try {
      const attached = await this.parts.cli.attach(volume.id, signal)
      if (attached !== undefined) return { ...attached, state: 'here' }
    } catch (thrown) {
      if (!(thrown instanceof HoldfastError) || thrown.code !== 'storage_failed') throw thrown
      failure = thrown
    }
    // it may have come to pass all the same, or somebody else was faster
    const now = (await this.parts.cli.list(signal)).find(({ id }) => id === volume.id)
    if (now?.state === 'here') return now
    if (now !== undefined) requireFree(now)
    throw failure ?? new HoldfastError('storage_failed', `rexray attached ${volume.id}, and lists it as not attached`)
  }

  private async device(
    here: RexrayVolume,
    readOnly: boolean,
    isNew: boolean,
    signal: AbortSignal,
  ): Promise<Whereabouts> {
    const found = await this.parts.devices.of(here, signal)
    if (found.readOnly === readOnly) return { device: found.device, readOnly }
    if (!isNew) throw otherMode(here, found.device, readOnly)
    if (!readOnly) {
      const text = `${here.name} came as the write-protected device ${found.device}`
      throw new HoldfastError('storage_read_only', text, { device: found.device })
    }
    // REX-Ray attaches for writing only
    await makeReadOnly(this.parts.programs, found.device, signal)
    return { device: found.device, readOnly }
  }

  private async directory(
    here: RexrayVolume,
    readOnly: boolean,
    isNew: boolean,
    mayFormat: boolean,
    signal: AbortSignal,
  ): Promise<Whereabouts> {
    const { cli, devices } = this.parts
    const known = isNew ? undefined : (await devices.located([here], true, signal))[0]?.path
    if (known === undefined) await this.guard(here, mayFormat, signal)
    const path = known ?? (await cli.mount(here.id, signal))
    const mount = await mountAbove(path)
    if (mount === undefined || mount.target === '/') {
      throw new HoldfastError('storage_failed', `rexray says that ${here.name} is mounted at ${path}, and nothing is`)
    }
    if (mount.readOnly === readOnly) return { device: path, readOnly }
    if (known !== undefined || !readOnly) throw otherMode(here, path, readOnly)
    const args = ['--internal-only', '-o', 'remount,bind,ro', '--target', mount.target]
    await this.parts.programs.run('mount', args, { signal, deadlineMs: MOUNT_MS })
    return { device: path, readOnly }
  }

  /**
   * REX-Ray knows btrfs, ext4 and xfs, takes everything else for blank, and makes a filesystem over it by force.
   * @throws foreign_content
   */
  private async guard(here: RexrayVolume, mayFormat: boolean, signal: AbortSignal): Promise<void> {
    // shares have no device, and nothing to format
    if (here.device !== undefined && !here.device.startsWith('/dev/')) return
    const disk = await this.parts.devices.of(here, signal)
    const { type } = await probeDevice(this.parts.programs, disk.device, signal)
    if (type === 'ext4' || type === 'xfs' || type === 'btrfs') return
    if (type === undefined && mayFormat && (await hasBlankEnds(this.parts.programs, disk, HEAD_MIB, signal))) return
    const what = type === undefined ? 'no filesystem that is known' : `${type}`
    const text = `${here.name} (${disk.device}) holds ${what}: rexray would make a new filesystem over it`
    throw new HoldfastError('foreign_content', `${text}, so it is not mounted`, { device: disk.device, type })
  }

  private async looksBlank(here: RexrayVolume, signal: AbortSignal): Promise<boolean> {
    if (here.device !== undefined && !here.device.startsWith('/dev/')) return false
    const disk = await this.parts.devices.of(here, signal)
    return await hasBlankEnds(this.parts.programs, disk, HEAD_MIB, signal)
  }

  /** @param failure what the call threw: told if it is still here */
  private async left(here: RexrayVolume, failure: unknown, signal: AbortSignal): Promise<void> {
    if (failure instanceof HoldfastError && failure.code !== 'storage_failed') throw failure
    const wait = failure === undefined ? this.parts.settings.timeoutSeconds * 1000 : 0
    const now = await this.settled(here, (state) => state !== 'here', signal, wait)
    if (now?.state !== 'here') return
    if (failure instanceof HoldfastError && /busy/i.test(failure.message)) {
      throw new HoldfastError('still_mounted', failure.message, { id: here.id }, { cause: failure })
    }
    if (failure !== undefined) throw failure
    const text = `rexray was told to detach ${here.name} (${here.id}), and still lists it as attached here`
    throw new HoldfastError('still_mounted', text, { id: here.id })
  }

  /** The volume as listed when its state is so, or when that took too long; undefined when it is not listed any more. */
  private async settled(
    { id }: RexrayVolume,
    isSo: (state: RexrayVolume['state']) => boolean,
    signal: AbortSignal,
    waitMs = this.parts.settings.timeoutSeconds * 1000,
  ): Promise<RexrayVolume | undefined> {
    const end = performance.now() + waitMs
    for (;;) {
      const now = (await this.parts.cli.list(signal)).find((each) => each.id === id)
      if (now === undefined || isSo(now.state) || performance.now() >= end) return now
      await delay(LOOK_EVERY_MS, undefined, { signal })
    }
  }
}

/** @throws in_use, or storage_failed when nobody can tell */
function requireFree({ id, name, state, holders }: RexrayVolume): void {
  if (state === 'free' || state === 'here') return
  if (state === 'unknown') {
    throw new HoldfastError('storage_failed', `rexray does not know whether ${name} (${id}) is attached somewhere`)
  }
  const who = holders.join(', ') || 'another machine'
  const text = `${name} (${id}) is attached to ${who}: detach it there, or once that machine is surely off with`
  throw new HoldfastError('in_use', `${text} rexray volume detach --force ${id}`, { id, holders: [...holders] })
}

function otherMode({ name }: RexrayVolume, device: string, readOnly: boolean): HoldfastError {
  const [is, asked] = readOnly ? ['for writing', 'read-only'] : ['read-only', 'for writing']
  const text = `${name} is attached ${is} as ${device}; detach it before attaching it ${asked}`
  return new HoldfastError('in_use', text, { device })
}

/** The mount that a path lies on. */
async function mountAbove(path: string): Promise<MountEntry | undefined> {
  return (await readMounts()).findLast(
    ({ target }) => target === '/' || path === target || path.startsWith(`${target}/`),
  )
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}
