import { type Node, NodeServiceCapability_RPC_Type as Type } from '../../csi/generated/csi/v1/csi_pb.js'
import type { UnaryHandlers } from '../../csi/service.ts'
import type { NodeDaemon } from '../../node/daemon.ts'
import type { RestClient } from '../../node/http-link.ts'
import type { Journal } from '../../node/journal.ts'
import { BindMounts } from '../../programs/bind-mounts.ts'
import { GroupOwner } from '../../programs/group-owner.ts'
import type { Programs } from '../../programs/run.ts'
import type { CsiSettings } from './config.ts'
import { StagedBook } from './node-book.ts'
import { Claims } from './node-claims.ts'
import { VolumeGroups } from './node-group.ts'
import { nodeInfo } from './node-info.ts'
import { Occupants } from './node-occupants.ts'
import { UserPaths } from './node-paths.ts'
import { Stages } from './node-stages.ts'
import { Stats } from './node-stats.ts'
import { Targets } from './node-targets.ts'
import { VolumeTurns } from './node-turns.ts'
import { NodeVolumes } from './node-volumes.ts'

export interface NodeServiceParts {
  readonly node: Pick<NodeDaemon, 'mount' | 'unmount' | 'table' | 'reach' | 'alarm'>
  /** Name of this node. */
  readonly name: string
  readonly rest: RestClient
  readonly journal: Journal
  readonly programs: Programs
  readonly bootId: string
  /** Directories of the daemon's own, where nothing of a caller's may be. */
  readonly own: readonly string[]
  readonly settings: CsiSettings
  /** Aborts when the door closes. */
  readonly closing: AbortSignal
  readonly warn: (event: string, data: Record<string, unknown>) => void
}

const CAPABILITIES = [
  Type.STAGE_UNSTAGE_VOLUME,
  Type.GET_VOLUME_STATS,
  Type.EXPAND_VOLUME,
  Type.VOLUME_CONDITION,
  Type.SINGLE_NODE_MULTI_WRITER,
  Type.VOLUME_MOUNT_GROUP,
]

/** The Node service of the machine that the daemon runs on. */
export function createNodeService(parts: NodeServiceParts): UnaryHandlers<typeof Node> {
  const { node, rest, settings, programs, closing } = parts
  const mounts = new BindMounts(programs)
  const book = new StagedBook(parts.journal)
  const volumes = new NodeVolumes(rest, node.table, settings.roles)
  const claims = new Claims({ node, volumes, settings, closing })
  const paths = new UserPaths({ roots: settings.roots, own: parts.own }, mounts)
  const groups = new VolumeGroups({ owner: new GroupOwner(programs), table: node.table, closing })
  const shared = { volumes, claims, book, paths, mounts, settings, turns: new VolumeTurns() }
  const alarm = (event: string, volumeId: string, message: string) => {
    parts.warn(event, { volume: volumeId, message })
    node.alarm({ alarm: event, volumeId, message })
  }
  const occupants = new Occupants(shared)
  const stages = new Stages({ ...shared, groups, bootId: parts.bootId, alarm })
  const targets = new Targets({ ...shared, stages, occupants })
  const stats = new Stats({ ...shared, stages, occupants, programs })
  const done = (work: Promise<void>) => work.then(() => ({}))
  return {
    nodeStageVolume: (request, context) => done(stages.stage(request, context)),
    nodeUnstageVolume: (request, context) => done(stages.unstage(request, context)),
    nodePublishVolume: (request, context) => done(targets.publish(request, context)),
    nodeUnpublishVolume: (request, context) => done(targets.unpublish(request, context)),
    nodeGetVolumeStats: (request, context) => stats.stats(request, context),
    nodeExpandVolume: (request, context) => stats.expand(request, context),
    nodeGetCapabilities: async () => ({
      capabilities: CAPABILITIES.map((type) => ({ type: { case: 'rpc', value: { type } } })),
    }),
    nodeGetInfo: () => nodeInfo(parts),
  }
}
