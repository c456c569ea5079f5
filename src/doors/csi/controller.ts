import { type Controller, ControllerServiceCapability_RPC_Type as Type } from '../../csi/generated/csi/v1/csi_pb.js'
import type { UnaryHandlers } from '../../csi/service.ts'
import type { RestClient } from '../../node/http-link.ts'
import { Capacity } from './controller-capacity.ts'
import { Changer } from './controller-change.ts'
import { type ControllerConfig, controllerSettings } from './controller-config.ts'
import { Creator } from './controller-create.ts'
import { Deleter } from './controller-delete.ts'
import { Ledger } from './controller-ledger.ts'
import { listSnapshots, listVolumes } from './controller-lists.ts'
import { Publisher } from './controller-publish.ts'
import { csiSnapshot, csiStatus, csiVolume } from './controller-show.ts'
import { Snapshots } from './controller-snapshots.ts'
import { validate } from './controller-validate.ts'
import { requiredText } from './fields.ts'

export interface ControllerParts {
  /** With a node's credential, or an operator's token. */
  readonly rest: RestClient
  readonly config: ControllerConfig
  /** Aborts when the door closes: what only waits ends, with an answer that says so. */
  readonly closing: AbortSignal
}

const CAPABILITIES = [
  Type.CREATE_DELETE_VOLUME,
  Type.PUBLISH_UNPUBLISH_VOLUME,
  Type.LIST_VOLUMES,
  Type.GET_CAPACITY,
  Type.CREATE_DELETE_SNAPSHOT,
  Type.LIST_SNAPSHOTS,
  Type.CLONE_VOLUME,
  Type.PUBLISH_READONLY,
  Type.EXPAND_VOLUME,
  Type.LIST_VOLUMES_PUBLISHED_NODES,
  Type.VOLUME_CONDITION,
  Type.GET_VOLUME,
  Type.SINGLE_NODE_MULTI_WRITER,
  Type.MODIFY_VOLUME,
  Type.GET_SNAPSHOT,
]

/** The Controller service; it keeps nothing, so any number of them may serve the same orchestrator. */
export function createControllerService({ rest, config, closing }: ControllerParts): UnaryHandlers<typeof Controller> {
  const settings = controllerSettings(config)
  const ledger = new Ledger(rest, settings.roles)
  const patience = { answerMs: settings.answerMs, closing }
  const creator = new Creator(ledger, settings, patience)
  const deleter = new Deleter(ledger, settings, patience)
  const publisher = new Publisher(ledger, patience)
  const changer = new Changer(ledger, patience)
  const snapshots = new Snapshots(ledger, patience)
  const capacity = new Capacity(ledger, settings)
  const done = (work: Promise<void>) => work.then(() => ({}))
  return {
    createVolume: (request, context) => creator.create(request, context),
    deleteVolume: async ({ volumeId }, context) => done(deleter.delete(requiredText('volume_id', volumeId), context)),
    controllerPublishVolume: async (request, context) => ({
      publishContext: await publisher.publish(request, context),
    }),
    controllerUnpublishVolume: (request, context) => done(publisher.unpublish(request, context)),
    validateVolumeCapabilities: (request) => validate(ledger, request),
    listVolumes: (request) => listVolumes(ledger, request),
    getCapacity: (request) => capacity.capacity(request),
    controllerGetCapabilities: async () => ({
      capabilities: CAPABILITIES.map((type) => ({ type: { case: 'rpc', value: { type } } })),
    }),
    createSnapshot: async (request, context) => ({ snapshot: csiSnapshot(await snapshots.create(request, context)) }),
    deleteSnapshot: async ({ snapshotId }, context) =>
      done(snapshots.delete(requiredText('snapshot_id', snapshotId), context)),
    listSnapshots: (request) => listSnapshots(ledger, request),
    getSnapshot: async ({ snapshotId }) => ({
      snapshot: csiSnapshot(await ledger.needSnapshot(requiredText('snapshot_id', snapshotId))),
    }),
    controllerExpandVolume: (request, context) => changer.expand(request, context),
    controllerModifyVolume: (request, context) => done(changer.modify(request, context)),
    controllerGetVolume: async ({ volumeId }) => {
      const volume = await ledger.needVolume(requiredText('volume_id', volumeId))
      return { volume: csiVolume(volume), status: csiStatus(volume) }
    },
  }
}
