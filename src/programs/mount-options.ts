/** Mount options that a caller may name. Anything else could change what a mount means, or where it reads. */
import { HoldfastError } from '../model/errors.ts'
import type { BlockFilesystemType } from '../node/filesystems.ts'

const ANY: readonly string[] = [
  'nosuid',
  'nodev',
  'noexec',
  'noatime',
  'nodiratime',
  'relatime',
  'strictatime',
  'lazytime',
  'sync',
  'dirsync',
  'discard',
  'nodiscard',
]

const OF_TYPE: Readonly<Record<BlockFilesystemType, readonly RegExp[]>> = {
  ext4: [/^commit=[1-9]\d{0,2}$/, /^data=(ordered|journal)$/],
  xfs: [/^inode64$/, /^largeio$/, /^allocsize=[1-9]\d{0,4}[km]$/],
  btrfs: [/^commit=[1-9]\d{0,2}$/, /^compress=(zlib|lzo|zstd)(:[1-9]\d?)?$/, /^autodefrag$/, /^nodatacow$/],
}

/**
 * Mounted read-only a journal is not replayed, since that writes. A read-only copy of an xfs has the UUID of its
 * original, which xfs refuses to mount twice unless told.
 */
const READ_ONLY: Readonly<Record<BlockFilesystemType, string>> = {
  ext4: 'ro,noload',
  xfs: 'ro,norecovery,nouuid',
  btrfs: 'ro,rescue=nologreplay',
}

/** @throws invalid_option */
export function mountOptions(type: BlockFilesystemType, readOnly: boolean, flags: readonly string[]): string {
  for (const flag of flags) {
    if (ANY.includes(flag) || OF_TYPE[type].some((pattern) => pattern.test(flag))) continue
    const text = `The mount option ${JSON.stringify(flag)} is not allowed for ${type}; allowed: ${ANY.join(', ')}`
    throw new HoldfastError('invalid_option', `${text}, and some of ${type} alone`, { flag, type })
  }
  return [readOnly ? READ_ONLY[type] : 'rw', ...flags].join(',')
}
