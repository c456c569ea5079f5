import type { CreateSnapshotRequest } from '../../csi/generated/csi/v1/csi_pb.js'
import { GrpcError } from '../../csi/grpc-error.ts'
import type { CallContext } from '../../csi/service.ts'
import { asHoldfastError, HoldfastError } from '../../model/errors.ts'
import type { Ledger, ShownSnapshot } from './controller-ledger.ts'
import { named } from './controller-names.ts'
import { snapshotParameters } from './controller-parameters.ts'
import { type Patience, pending, whileWaited } from './controller-patience.ts'
import { isBusy } from './controller-refusals.ts'
import { requiredText } from './fields.ts'

/** CreateSnapshot and DeleteSnapshot. */
export class Snapshots {
  readonly #ledger: Ledger
  readonly #patience: Patience

  constructor(ledger: Ledger, patience: Patience) {
    this.#ledger = ledger
    this.#patience = patience
  }

  /** Answers when the snapshot is cut, which is when it can be used. */
  async create(request: CreateSnapshotRequest, context: CallContext): Promise<ShownSnapshot> {
    const volumeId = requiredText('source_volume_id', request.sourceVolumeId)
    const { name, labels: own } = named(request.name)
    const labels = { ...snapshotParameters(request.parameters).labels, ...own }
    return whileWaited(this.#patience, context, async (leftMs) => {
      const snapshot = await this.#make({ volume: volumeId, name, labels }, leftMs)
      if (
        snapshot.volumeId !== volumeId ||
        !this.#ledger.roles.includes(snapshot.role) ||
        snapshot.group !== undefined
      ) {
        throw new GrpcError('ALREADY_EXISTS', `snapshot ${name} exists already, and is another one`)
      }
      if (snapshot.state === 'available') return snapshot
      // what was left by an earlier failure is made anew
      if (snapshot.state === 'error') await this.#ledger.send('DELETE', `/v1/snapshots/${snapshot.id}`)
      throw pending(`snapshot ${name} is ${snapshot.state}`)
    })
  }

  async #make(body: { volume: string; name: string; labels: object }, leftMs: number): Promise<ShownSnapshot> {
    try {
      await this.#ledger.needVolume(body.volume)
      return (await this.#ledger.send<{ snapshot: ShownSnapshot }>('POST', '/v1/snapshots', body, leftMs)).snapshot
    } catch (thrown) {
      const error = asHoldfastError(thrown)
      const { code, data } = error
      if (code === 'name_taken' || code === 'not_found') {
        // one that is there answers also when its volume has gone
        const existing = await this.#named(body.name)
        if (existing !== undefined) return existing
        if (code === 'name_taken') throw pending(`the name ${body.name} is just getting free`)
      }
      const half = data.snapshot as ShownSnapshot | undefined
      // if this fails, the next call for the name does it
      if (typeof half === 'object') await this.#ledger.send('DELETE', `/v1/snapshots/${half.id}`).catch(() => undefined)
      throw error
    }
  }

  async #named(name: string): Promise<ShownSnapshot | undefined> {
    const found = await this.#ledger.find<ShownSnapshot>(`/v1/snapshots/${encodeURIComponent(name)}`)
    return found?.name === name ? found : undefined
  }

  delete(id: string, context: CallContext): Promise<void> {
    return whileWaited(this.#patience, context, async (leftMs) => {
      const snapshot = await this.#ledger.snapshot(id)
      if (snapshot === undefined) return
      const { name, role, group, state } = snapshot
      if (!this.#ledger.roles.includes(role)) {
        throw new HoldfastError('role_not_allowed', `snapshot ${id} belongs to a role that this door does not act for`)
      }
      if (group !== undefined) {
        throw new GrpcError('INVALID_ARGUMENT', `snapshot ${name} is one of group ${group.id}, and goes with it`)
      }
      try {
        await this.#ledger.send('DELETE', `/v1/snapshots/${id}`, undefined, leftMs)
      } catch (thrown) {
        const error = asHoldfastError(thrown)
        if (error.code === 'not_found') return
        // while it is copied from, it is in use
        throw isBusy(error) && state !== 'available' ? pending(error.message) : error
      }
      if ((await this.#ledger.snapshot(id)) !== undefined) throw pending(`snapshot ${name} is being deleted`)
    })
  }
}
