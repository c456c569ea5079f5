import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import type { SnapshotSchema, VolumeConditionSchema, VolumeSchema } from '../../csi/generated/csi/v1/csi_pb.js'
import type { Source } from '../../model/volume.ts'
import { isLeaving, type ShownSnapshot, type ShownVolume } from './controller-ledger.ts'
import { bytesOf } from './controller-size.ts'
import { topologyOf } from './controller-topology.ts'

type Map = Readonly<Record<string, string>>

export function csiVolume(volume: ShownVolume): MessageInitShape<typeof VolumeSchema> {
  return {
    volumeId: volume.id,
    capacityBytes: bytesOf(volume.sizeMiB),
    volumeContext: contextOf(volume),
    accessibleTopology: [topologyOf(volume.poolId)],
    ...(volume.source === undefined ? {} : { contentSource: contentSource(volume.source) }),
  }
}

function contentSource({ kind, id }: Source): MessageInitShape<typeof VolumeSchema>['contentSource'] {
  return kind === 'snapshot'
    ? { type: { case: 'snapshot', value: { snapshotId: id } } }
    : { type: { case: 'volume', value: { volumeId: id } } }
}

function contextOf({ name, pool }: ShownVolume): Record<string, string> {
  return { name, pool }
}

/** Why a context is not this volume's; others add keys of their own to what they were given. */
export function foreignContext(volume: ShownVolume, given: Map): string | undefined {
  for (const [key, value] of Object.entries(contextOf(volume))) {
    const said = given[key]
    if (said !== undefined && said !== value) return `its ${key} is ${value}, not ${said.slice(0, 80)}`
  }
  return undefined
}

/** Every node that has it, whoever put it there: it is published there as far as anybody else is concerned. */
export function csiStatus(volume: ShownVolume): {
  publishedNodeIds: string[]
  volumeCondition: MessageInitShape<typeof VolumeConditionSchema>
} {
  const message = trouble(volume)
  return {
    publishedNodeIds: volume.attachments.map(({ node }) => node),
    volumeCondition: { abnormal: message !== undefined, message: message ?? `it is ${volume.state}` },
  }
}

function trouble({ state, fault, attachments, ...rest }: ShownVolume): string | undefined {
  if (fault !== undefined) return `${fault.message}; ${fault.next}`
  if (state === 'error' || state === 'missing') return `it is ${state}`
  if (isLeaving({ state, attachments, ...rest })) return 'it is being deleted'
  const stuck = attachments.find((each) => each.state === 'stuck')
  if (stuck !== undefined) return `stuck on node ${stuck.node}: ${stuck.reason ?? 'it could not be mounted'}`
  const fencing = attachments.find((each) => each.state === 'fencing')
  return fencing === undefined ? undefined : `node ${fencing.node} is lost, and its access is being taken away`
}

type Snapshot = Pick<ShownSnapshot, 'id' | 'volumeId' | 'sizeMiB' | 'createdAt' | 'state' | 'group'>

export function csiSnapshot(snapshot: Snapshot): MessageInitShape<typeof SnapshotSchema> {
  return {
    snapshotId: snapshot.id,
    sourceVolumeId: snapshot.volumeId,
    sizeBytes: bytesOf(snapshot.sizeMiB),
    creationTime: timestampFromDate(new Date(snapshot.createdAt)),
    readyToUse: snapshot.state === 'available',
    groupSnapshotId: snapshot.group?.id ?? '',
  }
}
