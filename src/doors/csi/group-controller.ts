import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import {
  type CreateVolumeGroupSnapshotRequest,
  type GroupController,
  GroupControllerServiceCapability_RPC_Type as Type,
  type VolumeGroupSnapshotSchema,
} from '../../csi/generated/csi/v1/csi_pb.js'
import { GrpcError } from '../../csi/grpc-error.ts'
import type { CallContext, UnaryHandlers } from '../../csi/service.ts'
import { asHoldfastError } from '../../model/errors.ts'
import type { ControllerParts } from './controller.ts'
import { controllerSettings } from './controller-config.ts'
import { Ledger, noSuch, type ShownSnapshot } from './controller-ledger.ts'
import { named } from './controller-names.ts'
import { snapshotParameters } from './controller-parameters.ts'
import { type Patience, pending, whileWaited } from './controller-patience.ts'
import { isBusy } from './controller-refusals.ts'
import { csiSnapshot } from './controller-show.ts'
import { badField, requiredText } from './fields.ts'

interface ShownGroup {
  readonly id: string
  readonly name: string
  readonly state: 'pending' | 'complete' | 'failed' | 'deleting'
  readonly reason?: string
  readonly snapshots: readonly Pick<ShownSnapshot, 'id' | 'name' | 'volumeId' | 'state' | 'sizeMiB'>[]
  readonly createdAt: string
}

/** The GroupController service: snapshots of several volumes at one moment. */
export function createGroupControllerService({
  rest,
  config,
  closing,
}: ControllerParts): UnaryHandlers<typeof GroupController> {
  const { roles, answerMs } = controllerSettings(config)
  const groups = new SnapshotGroups(new Ledger(rest, roles), { answerMs, closing })
  return {
    groupControllerGetCapabilities: async () => ({
      capabilities: [{ type: { case: 'rpc', value: { type: Type.CREATE_DELETE_GET_VOLUME_GROUP_SNAPSHOT } } }],
    }),
    createVolumeGroupSnapshot: async (request, context) => ({
      groupSnapshot: csiGroup(await groups.create(request, context)),
    }),
    getVolumeGroupSnapshot: async ({ groupSnapshotId, snapshotIds }) => {
      const id = requiredText('group_snapshot_id', groupSnapshotId)
      const group = await groups.find(id, snapshotIds)
      if (group === undefined || group.state === 'deleting') throw noSuch('snapshot group', id)
      return { groupSnapshot: csiGroup(group) }
    },
    deleteVolumeGroupSnapshot: async ({ groupSnapshotId, snapshotIds }, context) => {
      await groups.delete(requiredText('group_snapshot_id', groupSnapshotId), snapshotIds, context)
      return {}
    },
  }
}

class SnapshotGroups {
  readonly #ledger: Ledger
  readonly #patience: Patience

  constructor(ledger: Ledger, patience: Patience) {
    this.#ledger = ledger
    this.#patience = patience
  }

  async create(request: CreateVolumeGroupSnapshotRequest, context: CallContext): Promise<ShownGroup> {
    const { name, labels: own } = named(request.name)
    const volumes = request.sourceVolumeIds
    if (volumes.length === 0) throw badField('source_volume_ids', 'missing')
    for (const id of volumes) requiredText('source_volume_ids', id)
    const labels = { ...snapshotParameters(request.parameters).labels, ...own }
    return whileWaited(this.#patience, context, async (leftMs) => {
      const group = await this.#make({ name, volumes, labels }, leftMs)
      const same = isSet(
        group.snapshots.map(({ volumeId }) => volumeId),
        volumes,
      )
      if (!same && group.state !== 'deleting' && group.state !== 'failed') {
        throw new GrpcError('ALREADY_EXISTS', `snapshot group ${name} exists already, and is of other volumes`)
      }
      if (group.state === 'complete') return group
      throw pending(`snapshot group ${name} is ${group.state}`)
    })
  }

  async #make(body: { name: string; volumes: readonly string[]; labels: object }, leftMs: number): Promise<ShownGroup> {
    try {
      await Promise.all(body.volumes.map((id) => this.#ledger.needVolume(id)))
      return await this.#ledger.send<ShownGroup>('POST', '/v1/snapshot-groups', body, leftMs)
    } catch (thrown) {
      const error = asHoldfastError(thrown)
      if (error.code === 'name_taken' || error.code === 'not_found') {
        // one that is there answers also when its volumes have gone
        const existing = await this.#ledger.find<ShownGroup>(`/v1/snapshot-groups/${encodeURIComponent(body.name)}`)
        if (existing?.name === body.name) return existing
      }
      throw isBusy(error) ? pending(error.message) : error
    }
  }

  /** @throws INVALID_ARGUMENT when others are said to be in it */
  async find(id: string, snapshotIds: readonly string[]): Promise<ShownGroup | undefined> {
    if (snapshotIds.length === 0) throw badField('snapshot_ids', 'missing')
    for (const each of snapshotIds) requiredText('snapshot_ids', each)
    const found = await this.#ledger.find<ShownGroup>(`/v1/snapshot-groups/${encodeURIComponent(id)}`)
    if (found?.id !== id || !(await this.#isOurs(found))) return undefined
    const given = new Set(snapshotIds)
    const members = found.snapshots.map((each) => each.id)
    // while it goes, fewer and fewer are in it
    const matches = found.state === 'deleting' ? members.every((each) => given.has(each)) : isSet(members, snapshotIds)
    if (matches) return found
    throw badField('snapshot_ids', `they are not those of group ${id}`)
  }

  async #isOurs({ snapshots }: ShownGroup): Promise<boolean> {
    const shown = await Promise.all(snapshots.map(({ id }) => this.#ledger.snapshot(id)))
    return shown.some((each) => each !== undefined && this.#ledger.roles.includes(each.role))
  }

  delete(id: string, snapshotIds: readonly string[], context: CallContext): Promise<void> {
    return whileWaited(this.#patience, context, async () => {
      const group = await this.find(id, snapshotIds)
      if (group === undefined) return
      if (group.state !== 'deleting') await this.#delete(id)
      throw pending(`snapshot group ${id} is being deleted`)
    })
  }

  async #delete(id: string): Promise<void> {
    try {
      await this.#ledger.send('DELETE', `/v1/snapshot-groups/${id}`)
    } catch (thrown) {
      const error = asHoldfastError(thrown)
      if (error.code !== 'not_found') throw error
    }
  }
}

function csiGroup({ id, snapshots, createdAt, state }: ShownGroup): MessageInitShape<typeof VolumeGroupSnapshotSchema> {
  const group = { id, name: '', size: snapshots.length }
  return {
    groupSnapshotId: id,
    creationTime: timestampFromDate(new Date(createdAt)),
    readyToUse: state === 'complete',
    snapshots: snapshots.map((each) => csiSnapshot({ ...each, createdAt, group })),
  }
}

/** Whether a list, in which nothing is twice, has what another has. */
function isSet(members: readonly string[], given: readonly string[]): boolean {
  const wanted = new Set(given)
  return members.length === wanted.size && members.every((each) => wanted.has(each))
}
