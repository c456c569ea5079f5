/**
 * Loop devices, read from the kernel. /sys names the backing file of every device at once and never touches the file's
 * filesystem; whether a file is really the one that is meant is then asked of single devices (device and inode), because
 * a path may be another file's in another mount namespace. Devices of other pools are not asked: one whose storage
 * hangs would hang the question.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '../model/errors.ts'
import { usersOfDevice } from './device-users.ts'
import type { FileFacts } from './file-protocol.ts'
import type { Programs } from './run.ts'

const LOSETUP_MS = 10_000
/** How long a device may take to go after the last user let it go (the kernel clears it asynchronously). */
const CLEAR_MS = 2000
/**
 * Always the same: left to itself, a device with direct I/O takes the unit of the filesystem below, which is 4096 for a
 * file with reflinks on xfs (Linux 6.16). A volume that was formatted in units of 512 can then not be mounted any more
 * once it has a snapshot. Where direct I/O cannot be had in 512, the kernel goes without.
 */
const SECTOR = '512'
const DELETED = ' (deleted)'

export interface LoopDevice {
  readonly device: string
  /** The backing file as this process sees it; without the kernel's ` (deleted)`. */
  readonly path: string
  readonly deleted: boolean
}

export interface LoopDetails {
  readonly filesystem: string
  readonly inode: string
}

export type DirectIo = 'on' | 'off' | 'auto'

export class LoopDevices {
  private readonly programs: Programs
  /** What was learnt of a device, by its sequence number: that is new whenever it is set up (Linux 5.15, diskseq). */
  private readonly known = new Map<string, { sequence: string; details: LoopDetails }>()

  constructor(programs: Programs) {
    this.programs = programs
  }

  /** Every loop device in use on this machine. */
  list(): LoopDevice[] {
    return loopNames().flatMap((name) => readDevice(name) ?? [])
  }

  /** The devices of one file, whoever set them up and in whatever mount namespace. */
  async of(file: FileFacts, signal: AbortSignal): Promise<LoopDevice[]> {
    const name = basename(file.path)
    const candidates = this.list().filter(({ path }) => file.links > 1 || basename(path) === name)
    const found: LoopDevice[] = []
    for (const candidate of candidates) {
      const details = await this.details(candidate.device, signal)
      if (details?.inode === file.inode && details.filesystem === file.filesystem) found.push(candidate)
    }
    return found
  }

  /** Device and inode of a loop device's backing file; undefined when it is not in use any more. */
  async details(device: string, signal: AbortSignal): Promise<LoopDetails | undefined> {
    const sequence = readAttribute(basename(device), 'diskseq')
    const known = this.known.get(device)
    if (sequence !== undefined && known?.sequence === sequence) return known.details
    const { code, stdout } = await this.programs.run(
      'losetup',
      ['--list', '--noheadings', '--output', 'BACK-MAJ:MIN,BACK-INO', device],
      { signal, deadlineMs: LOSETUP_MS, accept: [0, 1] },
    )
    const [filesystem, inode] = stdout.trim().split(/\s+/)
    if (code !== 0 || filesystem === undefined || inode === undefined) return undefined
    const details = { filesystem, inode }
    // only what was asked of one and the same setting up is worth keeping
    const after = readAttribute(basename(device), 'diskseq')
    if (sequence !== undefined && sequence === after) this.known.set(device, { sequence, details })
    return details
  }

  /**
   * The device of this file, set up if there is none.
   * @throws in_use when it is attached in the other mode
   */
  async attach(file: FileFacts, readOnly: boolean, directIo: DirectIo, signal: AbortSignal): Promise<string> {
    const present = await this.of(file, signal)
    const device = present[0]?.device ?? (await this.setUp(file, readOnly, directIo, signal))
    if (isReadOnly(device) !== readOnly) {
      const [is, asked] = readOnly ? ['for writing', 'read-only'] : ['read-only', 'for writing']
      const text = `${file.object} is attached ${is} as ${device}; detach it before attaching it ${asked}`
      throw new HoldfastError('in_use', text, { device })
    }
    if (sizeOf(device) < Math.floor(file.size / 512) * 512) await this.refresh(device, signal)
    return device
  }

  /** Lets a device take the present size of its file. */
  async refresh(device: string, signal: AbortSignal): Promise<void> {
    await this.programs.run('losetup', ['--set-capacity', device], { signal, deadlineMs: LOSETUP_MS })
  }

  /**
   * Detaches devices and returns when the kernel has let them go.
   * @throws still_mounted
   */
  async detach(devices: readonly LoopDevice[], signal: AbortSignal): Promise<void> {
    if (devices.length === 0) return
    const names = devices.map(({ device }) => device)
    try {
      await this.programs.run('losetup', ['--detach', ...names], { signal, deadlineMs: LOSETUP_MS })
    } catch (error) {
      // It may have gone by itself in between; what the kernel shows decides.
      if (!(error instanceof HoldfastError) || error.code !== 'storage_failed') throw error
    }
    const end = performance.now() + CLEAR_MS
    let left = devices.filter(stillThere)
    while (left.length > 0 && performance.now() < end) {
      await delay(2)
      left = left.filter(stillThere)
    }
    const [first] = left
    if (first !== undefined) throw await heldError(first)
  }

  private async setUp(file: FileFacts, readOnly: boolean, directIo: DirectIo, signal: AbortSignal): Promise<string> {
    const args = ['--find', '--show', '--sector-size', SECTOR]
    if (readOnly) args.push('--read-only')
    if (directIo !== 'off') args.push('--direct-io=on')
    const device = await this.losetup([...args, file.path], signal)
    if (directIo === 'on' && readAttribute(basename(device), 'loop/dio') !== '1') {
      await this.programs.run('losetup', ['--detach', device], { signal, deadlineMs: LOSETUP_MS })
      const text = `The filesystem of ${file.path} has no direct I/O in units of ${SECTOR} bytes for it`
      throw new HoldfastError('unsupported', `${text}: set directIo to auto or off`, { object: file.object })
    }
    // Another process may have done the same at the same time. Both see both; the lower number stays.
    const all = await this.twins(file, device, signal)
    const [keep, ...extra] = all.sort((a, b) => numberOf(a.device) - numberOf(b.device))
    if (keep === undefined || extra.length === 0) {
      this.remember(device, file)
      return device
    }
    const mine = extra.filter((entry) => entry.device === device)
    await this.detach(mine, signal)
    return keep.device
  }

  /** We have just set it up for this file ourselves: nobody need ask. */
  private remember(device: string, { filesystem, inode }: FileFacts): void {
    const sequence = readAttribute(basename(device), 'diskseq')
    if (sequence !== undefined) this.known.set(device, { sequence, details: { filesystem, inode } })
  }

  /** The devices of the file, given that `device` is one. Asks the kernel for inodes only if there is a rival. */
  private async twins(file: FileFacts, device: string, signal: AbortSignal): Promise<LoopDevice[]> {
    const name = basename(file.path)
    const rivals = this.list().filter((entry) => entry.device !== device && basename(entry.path) === name)
    return rivals.length === 0 ? [] : await this.of(file, signal)
  }

  private async losetup(args: readonly string[], signal: AbortSignal): Promise<string> {
    // `losetup --find` asks for a free device and then takes it; another may take it in between (EBUSY).
    for (let attempt = 1; ; attempt++) {
      const { code, stdout, stderr } = await this.programs.run('losetup', args, {
        signal,
        deadlineMs: LOSETUP_MS,
        accept: [0, 1],
      })
      const device = /^\/dev\/loop\d+$/m.exec(stdout)?.[0]
      if (code === 0 && device !== undefined) return device
      // The device is set up and printed before direct I/O is asked for once more, which some filesystems refuse aloud
      // and most silently.
      if (device !== undefined && /direct io/i.test(stderr)) return device
      if (attempt < 5 && /Device or resource busy|Resource temporarily unavailable/.test(stderr)) continue
      throw setUpError(stderr)
    }
  }
}

/** Whether a device was set up read-only. */
export function isReadOnly(device: string): boolean {
  return readAttribute(basename(device), 'ro') === '1'
}

/** Bytes that a device has. */
export function sizeOf(device: string): number {
  return Number(readAttribute(basename(device), 'size') ?? 0) * 512
}

function numberOf(device: string): number {
  return Number(device.slice('/dev/loop'.length))
}

function loopNames(): string[] {
  try {
    return readdirSync('/sys/block').filter((name) => /^loop\d+$/.test(name))
  } catch (error) {
    throw new HoldfastError('storage_failed', '/sys/block cannot be read: mount sysfs on /sys', {}, { cause: error })
  }
}

function readDevice(name: string): LoopDevice | undefined {
  // Most are not in use; asking first is cheaper than an exception for each.
  if (!existsSync(`/sys/block/${name}/loop`)) return undefined
  const backing = readAttribute(name, 'loop/backing_file')
  if (backing === undefined || backing === '') return undefined
  const deleted = backing.endsWith(DELETED)
  return { device: `/dev/${name}`, path: deleted ? backing.slice(0, -DELETED.length) : backing, deleted }
}

/** Read synchronously: the kernel answers from memory, and a trip through the thread pool costs more than the read. */
function readAttribute(name: string, attribute: string): string | undefined {
  try {
    return readFileSync(`/sys/block/${name}/${attribute}`, 'utf8').replace(/\n$/, '')
  } catch {
    return undefined
  }
}

/** A device that was detached and taken for another file at once counts as gone. */
function stillThere(device: LoopDevice): boolean {
  return readDevice(basename(device.device))?.path === device.path
}

async function heldError(device: LoopDevice): Promise<HoldfastError> {
  const users = await usersOfDevice(device.device)
  const who = users.length === 0 ? 'something that this process cannot see' : users.join(', ')
  return new HoldfastError('still_mounted', `${device.device} (${device.path}) is still held by ${who}`, {
    device: device.device,
    users,
  })
}

function setUpError(stderr: string): HoldfastError {
  const line = stderr.trim().split('\n')[0] ?? ''
  if (/cannot find an unused loop device|\/dev\/loop.*No such file/.test(line)) {
    const advice = 'load the module loop, and give a container /dev/loop-control and the /dev/loopN nodes'
    return new HoldfastError('storage_failed', `No loop device is to be had (${line}): ${advice}`)
  }
  return new HoldfastError('storage_failed', `losetup failed: ${line}`, { output: stderr.slice(-4096) })
}
