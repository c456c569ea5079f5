/** The two acts that write a filesystem's identity: making one, and giving a copy its own UUID. */
import { mkdtemp, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import type { BlockFilesystemType } from '../node/filesystems.ts'
import { probeDevice, requireBlank } from './probe-device.ts'
import type { Programs, RunOptions } from './run.ts'

const PROGRESS_MS = 60_000
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/**
 * No discard anywhere: the object is blank, so there is nothing to give back, and on thick storage a discard would give
 * back what was paid for. ext4: inode tables and journal are written in the background after the first mount; no blocks
 * are kept for root, which a data volume does not need; the checksum seed makes a later change of UUID cheap.
 */
const MKFS: Readonly<Record<BlockFilesystemType, (uuid: string) => string[]>> = {
  ext4: (uuid) => [
    ...['-q', '-U', uuid, '-m', '0', '-O', 'metadata_csum_seed'],
    ...['-E', 'nodiscard,lazy_itable_init=1,lazy_journal_init=1'],
  ],
  xfs: (uuid) => ['-q', '-K', '-m', `uuid=${uuid}`],
  btrfs: (uuid) => ['-q', '-K', '-U', uuid],
}

/**
 * mkfs.xfs and mkfs.btrfs refuse a device with a signature. mkfs.ext4 does so only on a terminal and overwrites
 * silently without one (e2fsprogs 1.47), so the look before is what protects, for all three alike.
 */
export async function makeFilesystem(
  programs: Programs,
  device: string,
  type: BlockFilesystemType,
  uuid: string,
  signal: AbortSignal,
): Promise<void> {
  checkUuid(uuid)
  await requireBlank(programs, device, signal)
  try {
    await programs.run(`mkfs.${type}`, [...MKFS[type](uuid), device], long(signal))
    if (type === 'ext4') await empty(programs, device, signal)
  } catch (error) {
    throw refusal(device, type, error)
  }
  await verify(programs, device, type, uuid, signal)
}

/**
 * A new ext4 has a directory `lost+found`, and so is not empty: Docker copies no image content into it, and images of
 * databases refuse it. e2fsck makes one when it needs one.
 */
async function empty(programs: Programs, device: string, signal: AbortSignal): Promise<void> {
  await programs.run('debugfs', ['-w', '-R', 'rmdir lost+found', device], long(signal))
}

/** Gives an unmounted copy a new UUID and reads it back. */
export async function changeUuid(
  programs: Programs,
  scratchDirectory: string,
  device: string,
  type: BlockFilesystemType,
  uuid: string,
  signal: AbortSignal,
): Promise<void> {
  checkUuid(uuid)
  const found = await probeDevice(programs, device, signal)
  if (found.type !== type) {
    const text = `${device} holds ${found.type ?? 'no filesystem'} and not ${type}; its UUID was not changed`
    throw new HoldfastError('foreign_content', text, { device, type: found.type })
  }
  if (found.uuid === uuid) return
  if (type === 'ext4') await changeExt4(programs, device, uuid, signal)
  else if (type === 'xfs') await changeXfs(programs, scratchDirectory, device, uuid, signal)
  else await changeBtrfs(programs, scratchDirectory, device, uuid, signal)
  await verify(programs, device, type, uuid, signal)
}

async function changeExt4(programs: Programs, device: string, uuid: string, signal: AbortSignal): Promise<void> {
  // tune2fs replays the journal by itself. Without the checksum seed it wants a filesystem just checked.
  const { code, stdout, stderr } = await programs.run('tune2fs', ['-U', uuid, device], {
    ...long(signal),
    accept: [0, 1],
  })
  if (code === 0) return
  if (!/e2fsck/.test(stdout + stderr)) {
    throw new HoldfastError('storage_failed', `tune2fs could not change the UUID of ${device}: ${stderr.trim()}`)
  }
  await programs.run('e2fsck', ['-f', '-p', device], { ...long(signal), accept: [0, 1] })
  await programs.run('tune2fs', ['-U', uuid, device], long(signal))
}

async function changeXfs(
  programs: Programs,
  scratchDirectory: string,
  device: string,
  uuid: string,
  signal: AbortSignal,
): Promise<void> {
  await replayLog(programs, scratchDirectory, device, 'xfs', 'rw,nouuid', signal)
  // What the script xfs_admin runs. It exits 0 even when it refuses a dirty log; the caller reads the UUID back.
  await programs.run('xfs_db', ['-x', '-p', 'xfs_admin', '-c', `uuid ${uuid}`, device], long(signal))
}

async function changeBtrfs(
  programs: Programs,
  scratchDirectory: string,
  device: string,
  uuid: string,
  signal: AbortSignal,
): Promise<void> {
  const { stdout } = await programs.run('btrfs', ['inspect-internal', 'dump-super', device], long(signal))
  // A log is bound to the generation that btrfstune counts up: changed before its replay, the copy can't be mounted.
  // Replaying while the original is mounted needs Linux 6.7; a copy that was taken frozen or idle has no log.
  if (!/^log_root\s+0$/m.test(stdout)) await replayLog(programs, scratchDirectory, device, 'btrfs', 'rw', signal)
  // -M writes the superblocks only, so it takes no longer for a large copy.
  await programs.run('btrfstune', ['-M', uuid, device], long(signal))
}

/**
 * These two replay their log only when mounted. That happens in a mount namespace of its own, which ends with the
 * program that mounts: the exit of its last process unmounts before the parent hears of it, nobody else sees the mount,
 * and nothing is left when this process dies in between.
 */
async function replayLog(
  programs: Programs,
  scratchDirectory: string,
  device: string,
  type: BlockFilesystemType,
  options: string,
  signal: AbortSignal,
): Promise<void> {
  const target = await mkdtemp(join(scratchDirectory, 'holdfast-replay-'))
  try {
    const mount = ['mount', '--internal-only', '-t', type, '-o', options, '--source', device, '--target', target]
    await programs.run('unshare', ['--mount', '--propagation', 'private', '--', ...mount], long(signal))
  } finally {
    await rmdir(target).catch(() => undefined)
  }
}

async function verify(
  programs: Programs,
  device: string,
  type: BlockFilesystemType,
  uuid: string,
  signal: AbortSignal,
): Promise<void> {
  const found = await probeDevice(programs, device, signal)
  if (found.type === type && found.uuid === uuid) return
  const text = `${device} should hold ${type} ${uuid} now, but holds ${found.type ?? 'nothing'} ${found.uuid ?? ''}`
  throw new HoldfastError('storage_failed', text.trim(), { device, type: found.type, uuid: found.uuid })
}

function refusal(device: string, type: BlockFilesystemType, error: unknown): unknown {
  if (!(error instanceof HoldfastError) || error.code !== 'storage_failed') return error
  const said = String(error.data.output ?? '')
  if (/existing filesystem|-f option to force/.test(said)) {
    const text = `${device} is not blank: mkfs.${type} refused it. Only a blank device is formatted`
    return new HoldfastError('not_blank', text, error.data, { cause: error })
  }
  if (/must be larger than|too small|Not enough space to build/.test(said)) {
    return new HoldfastError('invalid_size', `${device} is too small for ${type}: ${error.message}`, error.data, {
      cause: error,
    })
  }
  return error
}

function checkUuid(uuid: string): void {
  if (UUID.test(uuid)) return
  throw new HoldfastError('invalid_option', `Bad filesystem UUID ${JSON.stringify(uuid)}: lower-case hex, 8-4-4-4-12`)
}

function long(signal: AbortSignal): RunOptions {
  return { signal, deadlineMs: PROGRESS_MS, whileProgressing: true }
}
