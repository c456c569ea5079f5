import { realpathSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import {
  type NodeExpandVolumeRequest,
  type NodeGetVolumeStatsRequest,
  VolumeUsage_Unit as Unit,
} from '../../csi/generated/csi/v1/csi_pb.js'
import { GrpcError } from '../../csi/grpc-error.ts'
import type { CallContext } from '../../csi/service.ts'
import { asHoldfastError } from '../../model/errors.ts'
import type { Slot } from '../../node/slot.ts'
import type { Programs } from '../../programs/run.ts'
import { badField, requiredText } from './fields.ts'
import type { Claims } from './node-claims.ts'
import type { Occupants } from './node-occupants.ts'
import type { UserPaths } from './node-paths.ts'
import type { Stages } from './node-stages.ts'
import type { NodeVolumes } from './node-volumes.ts'
import { readWish } from './node-wish.ts'

const STAT_MS = 5000
const MIB = 1024n * 1024n
/** The kernel counts devices in these, whatever their own are (Documentation/ABI/stable/sysfs-block). */
const SECTOR = 512n

export interface StatsParts {
  readonly claims: Claims
  readonly stages: Stages
  readonly volumes: NodeVolumes
  readonly occupants: Occupants
  readonly paths: UserPaths
  readonly programs: Programs
}

interface Usage {
  readonly unit: Unit
  readonly total: bigint
  readonly used: bigint
  readonly available: bigint
}

interface Located {
  readonly slot: Slot | undefined
  /** Why it is not really there. */
  readonly moved: string | undefined
}

/** How full a volume is, and how well; and whether it has grown. */
export class Stats {
  readonly #parts: StatsParts

  constructor(parts: StatsParts) {
    this.#parts = parts
  }

  async stats(request: NodeGetVolumeStatsRequest, context: CallContext) {
    const asked = requiredText('volume_id', request.volumeId)
    const { slot, moved } = await this.#find(asked, request.volumePath, context)
    const abnormal = (message: string) => ({ usage: [], volumeCondition: { abnormal: true, message } })
    if (moved !== undefined) return abnormal(`an empty directory is shown in its place: ${moved}`)
    const { entry, path } = slot ?? {}
    if (slot === undefined || entry === undefined || path === undefined || slot.actual !== 'up') {
      return abnormal('it is attached here, and not usable at the moment; the node daemon tries to bring it back')
    }
    if (slot.stopped) return abnormal('its I/O was stopped, because the controller did not answer')
    try {
      const usage = entry.volume.fs === 'raw' ? await deviceUsage(path) : await this.#usage(path)
      const condition = await this.#condition(slot, path)
      return { usage, volumeCondition: { abnormal: condition !== undefined, message: condition ?? 'it is mounted' } }
    } catch (thrown) {
      return abnormal(`it does not answer: ${asHoldfastError(thrown).message}`)
    }
  }

  async #condition({ entry, volumeId }: Slot, path: string): Promise<string | undefined> {
    const { occupants, volumes } = this.#parts
    const place = await occupants.now(path)
    const mount = place && (await occupants.showing(place)).find((each) => each.target === path)
    // ext4 does that to itself after an error (errors=remount-ro)
    if (entry?.mode === 'rw' && mount?.readOnly === true) return 'the kernel has made its filesystem read-only'
    const facts = await volumes.need(volumeId).catch(() => undefined)
    return facts?.fault?.message
  }

  /** The volume at a path. @throws NOT_FOUND when there is no such volume, or it is not there */
  async #find(asked: string, given: string, context: CallContext): Promise<Located> {
    const { paths, stages, volumes, occupants, claims } = this.#parts
    const { path } = await paths.look('volume_path', given)
    const volumeId = stages.idOf(asked, path)
    const slot = volumes.here(volumeId)
    const staged = stages.staged(asked, path)
    const there = await occupants.at(path, volumeId)
    if (there.kind === 'placeholder') return { slot, moved: staged?.moved ?? 'the volume has moved' }
    if (there.kind === 'volume' || staged !== undefined) return { slot, moved: staged?.moved }
    const { name } = await claims.facts(asked, context)
    throw new GrpcError('NOT_FOUND', `volume ${name} is not at ${path}`)
  }

  /** In a child: a filesystem whose device is gone may hang whoever asks. */
  async #usage(path: string): Promise<Usage[]> {
    const args = ['--file-system', '--format=%S %b %f %a %c %d', '--', path]
    const options = { signal: AbortSignal.timeout(2 * STAT_MS), deadlineMs: STAT_MS }
    const { stdout } = await this.#parts.programs.run('stat', args, options)
    const [size = 0n, blocks = 0n, free = 0n, available = 0n, inodes = 0n, spare = 0n] = stdout
      .trim()
      .split(' ')
      .map(BigInt)
    const used = (blocks - free) * size
    const bytes = { unit: Unit.BYTES, total: blocks * size, used, available: available * size }
    // some have no number of inodes (btrfs)
    if (inodes === 0n) return [bytes]
    return [bytes, { unit: Unit.INODES, total: inodes, used: inodes - spare, available: spare }]
  }

  /**
   * The controller grows volume and filesystem together, online, so there is nothing left to be done here but to see
   * that it has.
   */
  async expand(request: NodeExpandVolumeRequest, context: CallContext): Promise<{ capacityBytes: bigint }> {
    const asked = requiredText('volume_id', request.volumeId)
    if (request.volumeCapability !== undefined) readWish(request.volumeCapability)
    const { requiredBytes = 0n, limitBytes = 0n } = request.capacityRange ?? {}
    if (limitBytes > 0n && limitBytes < requiredBytes)
      throw badField('capacity_range', 'limit_bytes is less than required_bytes')
    await this.#find(asked, request.volumePath, context)
    const facts = await this.#parts.claims.facts(asked, context)
    const capacityBytes = BigInt(facts.realSizeMiB ?? facts.sizeMiB) * MIB
    const refused = (why: string) =>
      new GrpcError('OUT_OF_RANGE', `volume ${facts.name} has ${capacityBytes} bytes: ${why}`)
    if (requiredBytes > capacityBytes) throw refused('it is grown by the controller first (ControllerExpandVolume)')
    if (limitBytes > 0n && limitBytes < capacityBytes) throw refused('volumes do not shrink')
    return { capacityBytes }
  }
}

async function deviceUsage(device: string): Promise<Usage[]> {
  const name = basename(realpathSync(device))
  const total = BigInt((await readFile(`/sys/class/block/${name}/size`, 'utf8')).trim()) * SECTOR
  return [{ unit: Unit.BYTES, total, used: 0n, available: 0n }]
}
