import type { Command } from 'commander'
import { HoldfastError } from '../../model/errors.ts'
import { checkName, checkRole } from '../../model/names.ts'
import { ACCESS, FILESYSTEMS, type Labels, oneOf, pair, rate, size } from './options.ts'

/** Flags that describe a volume. */
export interface VolumeOptions {
  readonly size: number
  readonly pool?: string
  readonly poolLabel?: Labels
  readonly role?: string
  readonly profile?: string
  readonly iops?: number
  readonly fs?: string
  readonly access?: string
  readonly fromSnapshot?: string
  readonly fromVolume?: string
  readonly hold?: string
  readonly protected?: boolean
  readonly label?: Labels
  readonly bandwidth?: number
}

export function volumeOptions(command: Command): Command {
  return command
    .requiredOption('--size <size>', 'how large, e.g. 10GiB', size)
    .option('--pool <pool>', 'the only pool that may be taken; chosen if not given')
    .option('--pool-label <key=value>', 'a label that the pool must have', pair('--pool-label'))
    .option('--role <role>', 'the role that it is charged to')
    .option('--profile <profile>', 'filesystem, access and IOPS that are not given')
    .option('--iops <count>', 'IOPS to set aside', rate('--iops'))
    .addOption(oneOf('--fs <filesystem>', 'its filesystem, or raw', FILESYSTEMS))
    .addOption(oneOf('--access <access>', 'how many nodes may use it', ACCESS))
    .option('--from-snapshot <snapshot>', 'make it a copy of a snapshot')
    .option('--from-volume <volume>', 'make it a copy of a volume')
    .option('--hold <hold>', 'draw on a hold')
    .option('--protected', 'refuse to delete it')
    .option('--label <key=value>', 'a label of the volume', pair('--label'))
    .option('--bandwidth <amount>', "storage bandwidth an attachment takes, in the node's unit", rate('--bandwidth'))
}

/** The volume as the controller wants it described. @throws invalid_name, invalid_option */
export function volumeBody(name: string, options: VolumeOptions): Record<string, unknown> {
  const { fromSnapshot, fromVolume, role } = options
  if (fromSnapshot !== undefined && fromVolume !== undefined) {
    throw new HoldfastError('invalid_option', 'give --from-snapshot or --from-volume, not both')
  }
  const from = fromSnapshot === undefined ? fromVolume && { volume: fromVolume } : { snapshot: fromSnapshot }
  return {
    name: checkName('volume', name),
    sizeMiB: options.size,
    pool: options.pool,
    poolLabels: options.poolLabel,
    role: role === undefined ? undefined : checkRole(role),
    profile: options.profile === undefined ? undefined : checkName('profile', options.profile),
    iops: options.iops,
    fs: options.fs,
    access: options.access,
    from: from || undefined,
    hold: options.hold,
    protected: options.protected,
    labels: options.label,
    bandwidth: options.bandwidth,
  }
}
