import type { MessageInitShape } from '@bufbuild/protobuf'
import type {
  ControllerExpandVolumeRequest,
  ControllerExpandVolumeResponseSchema,
  ControllerModifyVolumeRequest,
} from '../../csi/generated/csi/v1/csi_pb.js'
import { GrpcError } from '../../csi/grpc-error.ts'
import type { CallContext } from '../../csi/service.ts'
import { asHoldfastError } from '../../model/errors.ts'
import { formatMiB } from '../../model/units.ts'
import { MAKING } from '../docker/resolves.ts'
import { unmet } from './controller-capabilities.ts'
import type { Ledger, ShownVolume } from './controller-ledger.ts'
import { mutableParameters } from './controller-parameters.ts'
import { type Patience, pending, whileWaited } from './controller-patience.ts'
import { isBusy } from './controller-refusals.ts'
import { bytesOf, outOfRange, type SizeRange, sizeRange } from './controller-size.ts'
import { badField, requiredText } from './fields.ts'
import { readWish } from './node-wish.ts'

/** ControllerExpandVolume and ControllerModifyVolume. */
export class Changer {
  readonly #ledger: Ledger
  readonly #patience: Patience

  constructor(ledger: Ledger, patience: Patience) {
    this.#ledger = ledger
    this.#patience = patience
  }

  /** Answers when filesystem and device have the new size, wherever it is mounted: the node has nothing left to do. */
  async expand(
    request: ControllerExpandVolumeRequest,
    context: CallContext,
  ): Promise<MessageInitShape<typeof ControllerExpandVolumeResponseSchema>> {
    const volumeId = requiredText('volume_id', request.volumeId)
    if (request.capacityRange === undefined) throw badField('capacity_range', 'missing')
    const range = sizeRange(request.capacityRange)
    if (range.least === undefined && range.most === undefined) throw badField('capacity_range', 'it says nothing')
    const wish = request.volumeCapability === undefined ? [] : [readWish(request.volumeCapability)]
    return whileWaited(this.#patience, context, async (leftMs) => {
      const before = await this.#ledger.needVolume(volumeId)
      const why = unmet(wish, before)
      if (why !== undefined) throw badField('volume_capability', why)
      const volume = await this.#grow(before, range, leftMs)
      return { capacityBytes: bytesOf(volume.sizeMiB), nodeExpansionRequired: false }
    })
  }

  async #grow(volume: ShownVolume, { least, most }: SizeRange, leftMs: number): Promise<ShownVolume> {
    const { id, name, sizeMiB, state } = volume
    if (MAKING.has(state)) throw pending(`volume ${name} is still being made (${state})`)
    const asked = Math.max(least ?? 0, sizeMiB)
    if (asked > (most ?? asked)) throw outOfRange(`volume ${name} has ${formatMiB(sizeMiB)}, and cannot shrink`)
    if (most !== undefined && asked > sizeMiB) await this.#checkUnit(volume, asked, most)
    try {
      const path = `/v1/volumes/${id}/resize`
      // asked for its own size it is waited for, should it be growing to that just now
      const { volume: now } = await this.#ledger.send<{ volume: ShownVolume }>('POST', path, { sizeMiB: asked }, leftMs)
      if ((now as { operations?: string[] }).operations?.length) throw pending(`volume ${name} is growing`)
      return now
    } catch (thrown) {
      const error = asHoldfastError(thrown)
      if (isBusy(error)) throw pending(error.message)
      if (error.code !== 'unsupported') throw error
      // the storage never can, or its node cannot while it is mounted
      throw error.data.volume === undefined
        ? outOfRange(error.message)
        : new GrpcError('FAILED_PRECONDITION', error.message)
    }
  }

  /** Pools round up to their unit. */
  async #checkUnit({ poolId }: ShownVolume, asked: number, most: number): Promise<void> {
    const { capabilities } = await this.#ledger.get<{ capabilities?: { unitMiB?: number } }>(`/v1/pools/${poolId}`)
    const unit = capabilities?.unitMiB ?? 1
    if (Math.ceil(asked / unit) * unit > most) throw outOfRange(`its pool has sizes in units of ${formatMiB(unit)}`)
  }

  /** Changes what the ledger can change of a volume; only what is named. */
  async modify(request: ControllerModifyVolumeRequest, context: CallContext): Promise<void> {
    const volumeId = requiredText('volume_id', request.volumeId)
    if (Object.keys(request.mutableParameters).length === 0) throw badField('mutable_parameters', 'missing')
    const { iops, labels, ...asked } = mutableParameters(request.mutableParameters)
    await whileWaited(this.#patience, context, async () => {
      const volume = await this.#ledger.needVolume(volumeId)
      if (iops !== undefined && iops !== volume.iops) {
        const why = `volume ${volume.name} has ${volume.iops}, which is fixed when it is created`
        throw badField('mutable_parameters.iops', why)
      }
      const changes = {
        ...differing(volume, asked),
        ...(labels === undefined ? {} : { labels: { ...volume.labels, ...labels } }),
      }
      if (Object.keys(changes).length === 0) return
      await this.#ledger.send('PATCH', `/v1/volumes/${volumeId}`, changes)
    })
  }
}

/** A change to what it is already is none: not even one that would be refused just now. */
function differing(volume: ShownVolume, asked: object): object {
  return Object.fromEntries(Object.entries(asked).filter(([key, value]) => volume[key as keyof ShownVolume] !== value))
}
