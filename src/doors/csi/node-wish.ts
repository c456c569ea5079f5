import { VolumeCapability_AccessMode_Mode as Mode, type VolumeCapability } from '../../csi/generated/csi/v1/csi_pb.js'
import { GrpcError } from '../../csi/grpc-error.ts'
import { quote } from '../../model/units.ts'
import type { Access, VolumeFs } from '../../model/volume.ts'
import { badField } from './fields.ts'

export type AccessMode = Exclude<keyof typeof Mode, 'UNKNOWN'>

/** How a caller wants to have a volume: a VolumeCapability that can be understood. */
export interface Wish {
  readonly kind: 'mount' | 'block'
  readonly access: AccessMode
  /** Empty: no wish. */
  readonly fsType: string
  /** Each once, sorted; without `ro`, which is `readOnly`. */
  readonly flags: readonly string[]
  /** It is only to be read: the node need not be its writer. */
  readonly reads: boolean
  /** What is published must not be writable. */
  readonly readOnly: boolean
  readonly group: number | undefined
}

const READ_ONLY: readonly AccessMode[] = ['SINGLE_NODE_READER_ONLY', 'MULTI_NODE_READER_ONLY']
/** What a bind mount has of its own. Others belong to the filesystem, which all users of a volume share. */
const FLAGS = ['noatime', 'nodiratime', 'relatime', 'strictatime', 'nodev', 'noexec', 'nosuid']
const NO_WISH = ['defaults', 'rw']
const FILESYSTEMS = ['ext4', 'xfs', 'btrfs', 'directory']
/** The kernel's last one says "none" (chown(2)). */
const MAX_GROUP = 2 ** 32 - 2

/** @throws INVALID_ARGUMENT */
export function readWish(capability: VolumeCapability | undefined): Wish {
  const field = 'volume_capability'
  if (capability === undefined) throw badField(field, 'missing')
  const access = Mode[capability.accessMode?.mode ?? Mode.UNKNOWN] as keyof typeof Mode | undefined
  if (access === undefined || access === 'UNKNOWN') throw badField(`${field}.access_mode`, 'missing or unknown')
  const { accessType } = capability
  const reads = READ_ONLY.includes(access)
  if (accessType.case === 'block') {
    return { kind: 'block', access, fsType: '', flags: [], reads, readOnly: reads, group: undefined }
  }
  if (accessType.case !== 'mount') throw badField(field, 'neither mount nor block')
  const { fsType, mountFlags, volumeMountGroup } = accessType.value
  if (fsType !== '' && !FILESYSTEMS.includes(fsType)) {
    throw badField(`${field}.mount.fs_type`, `${quote(fsType)} is none of ${FILESYSTEMS.join(', ')}`)
  }
  const flags = readFlags(mountFlags)
  return {
    kind: 'mount',
    access,
    fsType,
    flags: flags.filter((flag) => flag !== 'ro'),
    reads,
    readOnly: reads || flags.includes('ro'),
    group: readGroup(volumeMountGroup),
  }
}

function readFlags(given: readonly string[]): string[] {
  const words = given.flatMap((each) => each.split(',')).filter((flag) => !NO_WISH.includes(flag))
  const other = words.find((flag) => flag !== 'ro' && !FLAGS.includes(flag))
  // its value may be a secret (a password, say)
  if (other !== undefined) {
    const why = `${quote(other.replace(/=.*/s, '=…'))} is not a flag of a bind mount; there are ro, ${FLAGS.join(', ')}`
    throw badField('volume_capability.mount.mount_flags', why)
  }
  const atime = words.filter((flag) => flag.endsWith('atime') && flag !== 'nodiratime')
  if (new Set(atime).size > 1) {
    throw badField('volume_capability.mount.mount_flags', `${atime.join(' and ')} exclude each other`)
  }
  return [...new Set(words)].sort()
}

function readGroup(group: string): number | undefined {
  if (group === '') return undefined
  const gid = /^\d{1,10}$/.test(group) ? Number(group) : Number.NaN
  if (gid <= MAX_GROUP) return gid
  throw badField('volume_capability.mount.volume_mount_group', `${quote(group)} is not the number of a group`)
}

/** What must be the same when a volume is asked for again at the same place; its filesystem is the volume's. */
export function wishText({ fsType: _, ...wish }: Wish): string {
  return JSON.stringify(wish)
}

/** What must be known of a volume to tell whether it can be had so. */
export interface Offered {
  readonly name: string
  readonly fs: VolumeFs
  /** Unknown while the controller is away; it said yes before. */
  readonly access: Access | undefined
}

/** @throws FAILED_PRECONDITION: the wish exceeds what the volume can (CSI spec, NodeStageVolume Errors) */
export function checkOffered(wish: Wish, { name, fs, access }: Offered): void {
  if (wish.kind === 'block' && fs !== 'raw') {
    throw exceeds(`volume ${name} has a filesystem (${fs}); it can be mounted, not used as a block device`)
  }
  if (wish.kind === 'mount' && fs === 'raw') {
    throw exceeds(`volume ${name} is raw; it can be used as a block device, not mounted`)
  }
  if (wish.fsType !== '' && wish.fsType !== fs) throw exceeds(`volume ${name} is ${fs}, not ${wish.fsType}`)
  if (access !== undefined && !MAY[wish.access].includes(access)) {
    throw exceeds(`volume ${name} is ${access}, which does not go with ${wish.access}`)
  }
}

const ALL: readonly Access[] = ['single-writer', 'many-readers', 'read-only', 'many-writers']
const WRITABLE = ALL.filter((access) => access !== 'read-only')

/**
 * Which volumes can be had in a mode. `many-readers` has one node that writes *or* many that read, so that a writer
 * beside readers takes a volume that has room for many writers.
 */
const MAY: Readonly<Record<AccessMode, readonly Access[]>> = {
  SINGLE_NODE_WRITER: WRITABLE,
  SINGLE_NODE_SINGLE_WRITER: WRITABLE,
  SINGLE_NODE_MULTI_WRITER: WRITABLE,
  SINGLE_NODE_READER_ONLY: ALL,
  MULTI_NODE_READER_ONLY: ALL.filter((access) => access !== 'single-writer'),
  MULTI_NODE_SINGLE_WRITER: ['many-writers'],
  MULTI_NODE_MULTI_WRITER: ['many-writers'],
}

function exceeds(why: string): GrpcError {
  return new GrpcError('FAILED_PRECONDITION', why)
}

/** Options that a bind mount made with these flags has in the kernel's table. */
export function optionsOf(flags: readonly string[]): string[] {
  const atime = flags.find((flag) => flag.endsWith('atime') && flag !== 'nodiratime') ?? 'relatime'
  // strict is what the kernel writes nothing for
  return [...flags.filter((flag) => !flag.endsWith('atime') || flag === 'nodiratime'), atime]
    .filter((flag) => flag !== 'strictatime')
    .sort()
}

/** Of the options in the kernel's table, those that a caller can choose, besides `ro`. */
export function chosenOptions(options: readonly string[]): string[] {
  return options.filter((option) => FLAGS.includes(option)).sort()
}
